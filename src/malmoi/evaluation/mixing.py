"""Several models on one text: side by side, mixed, and with caches.

Each model reads the text once and says ln P of every token; mixing those numbers is all that evaluating a mixture takes.
Models of one tokenizer are mixed token by token, others at the words or lines that `units.py` cuts.

Shapes: N tokens (or words, or lines), M models, K buckets.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.data.tokens import TextCounts
from malmoi.errors import ConfigError
from malmoi.evaluation.caching import first_tokens, tune_cache
from malmoi.evaluation.perplexity import Evaluation, as_view, evaluate, from_counts, token_log_probs
from malmoi.evaluation.units import (
    Cut,
    Unit,
    check_mixable,
    counts_of,
    cut_lines,
    cut_words,
    finest_unit,
    lines_for,
    stretch_log_probs,
)
from malmoi.evaluation.weights import tune_weights
from malmoi.models.combined import Cached, LastTokenBuckets
from malmoi.models.combined.interpolated import checked_weights, log_mix
from malmoi.models.interface import LanguageModel
from malmoi.text.sources import Line, TextSource
from malmoi.text.tokenizers import Tokenizer

MOST_TOKENS = 500_000  # of a tuning text are read
Watch = Callable[[str], AbstractContextManager[Callable[[int, int], None] | None]]


@dataclass(frozen=True)
class Member:
    """A model, what it is called, and the tokenizer it was trained with."""

    name: str
    model: LanguageModel
    tokenizer: Tokenizer


@dataclass(frozen=True)
class Outcome:
    """The figures of one model or of one mixture."""

    name: str
    evaluation: Evaluation
    uses_cache: bool = False  # its figures use test text already seen
    cache: Sequence[str] = ()  # the parts of the cache, in words
    weights: Float64[np.ndarray, "buckets models"] | None = None  # of a mixture
    unit: Unit = "token"  # what was mixed


@dataclass(frozen=True)
class Together:
    """What was asked for: each model, and then each mixture."""

    models: Sequence[Outcome]
    mixtures: Sequence[Outcome]
    notes: Sequence[str]


def evaluate_together(
    members: Sequence[Member],
    source: TextSource,
    *,
    interpolate: bool = False,
    tune: TextSource | None = None,
    weights: Sequence[float] | None = None,
    n_buckets: int = 1,
    cache: bool = False,
    streams: int = 1,
    watch: Watch = lambda name: nullcontext(),
) -> Together:
    """Evaluate models on a text, and if asked to, with caches and mixed.

    Args:
        members: The models.
        source: The text.
        interpolate: Also evaluate the mixture of all models, and with `cache` that of all cached models.
        tune: A text on which the weights of mixtures and caches are tuned.
        weights: Of the models in a mixture, if they are not tuned; equal ones by default.
        n_buckets: So many sets of weights, by how frequent the last token is in the tuning text.
        cache: Also evaluate each model with a cache, of hidden vectors for neural ones and of counts for others.
        streams: As in `evaluate`. Each stream has a cache of its own, which it fills before the tokens that it scores.
        watch: A context manager by the name of what is read, that gives a progress function or None.

    Raises:
        ConfigError: If options do not fit together, or the models cannot be mixed.
        DataError: If a text is empty, or weights cannot be tuned on it.
    """
    _check(members, interpolate, tune, weights, n_buckets, cache)
    notes = [] if tune is not None else _untuned(interpolate and weights is None, cache)
    groups = [list(members)]
    if cache:
        groups.append([_with_cache(member, tune, watch) for member in members])
    models: list[Outcome] = []
    mixtures: list[Outcome] = []
    for group in groups:
        found, mixture, told = _evaluated(group, source, interpolate, tune, weights, n_buckets, streams, watch)
        models += found
        mixtures += mixture
        notes += [note for note in told if note not in notes]
    return Together(models, mixtures, notes)


def mixed_log_probs(
    log_probs: Float64[np.ndarray, "tokens models"],
    weights: Float64[np.ndarray, "*buckets models"],
    buckets: Int64[np.ndarray, " tokens"] | None = None,
) -> Float64[np.ndarray, " tokens"]:
    """ln of the weighted sum of the models' probabilities of each token."""
    return log_mix(list(log_probs.T), weights if buckets is None else weights[buckets])


def _evaluated(
    group: Sequence[Member],
    source: TextSource,
    interpolate: bool,
    tune: TextSource | None,
    weights: Sequence[float] | None,
    n_buckets: int,
    streams: int,
    watch: Watch,
) -> tuple[list[Outcome], list[Outcome], list[str]]:
    """The outcomes of some models, that of their mixture if it is asked for, and what there is to tell."""
    uses_cache = isinstance(group[0].model, Cached)
    if not interpolate:
        found = []
        for member in group:
            with watch(member.name) as progress:
                result = evaluate(
                    member.model,
                    member.tokenizer,
                    source,
                    streams=streams,
                    warm_up=_warm_up(member.model),
                    progress=progress,
                )
            found.append(_outcome(member, result))
        return found, [], []
    notes: list[str] = []
    if len({member.tokenizer.fingerprint() for member in group}) == 1:
        text = _read_tokens(group, source, streams, watch)
        tuning = None if tune is None else _read_tokens(group, tune, 1, watch, MOST_TOKENS)
    else:
        text, tuning, notes = _read_stretches(group, source, tune, streams, watch)
        if n_buckets > 1:
            raise ConfigError(
                f"buckets={n_buckets} go by the last token, and these runs have different tokenizers. Runs of one "
                "tokenizer were expected: leave --buckets out, or train with --tokenizer-from."
            )
    buckets = None
    if tuning is None:
        rows = checked_weights(weights, len(group), 1)
    elif n_buckets == 1:
        rows = tune_weights(tuning.log_probs)[None]
    else:
        counts = np.bincount(tuning.ids, minlength=group[0].model.vocab_size)
        kinds = LastTokenBuckets.by_count(counts, n_buckets, group[0].tokenizer.eos_id)
        rows = tune_weights(tuning.log_probs, _along(tuning.ids, kinds), n_buckets=kinds.n_buckets)
        buckets = _along(text.ids, kinds)
    mixed = mixed_log_probs(text.log_probs, rows[0] if buckets is None else rows, buckets)
    models = [
        _outcome(member, from_counts(counts, -float(values.sum()), seconds, member.model.is_distribution), text.unit)
        for member, counts, values, seconds in zip(group, text.counts, text.log_probs.T, text.seconds, strict=True)
    ]
    is_distribution = all(member.model.is_distribution for member in group)
    mixture = from_counts(text.counts[0], -float(mixed.sum()), math.fsum(text.seconds), is_distribution)
    return models, [Outcome("mixture", mixture, uses_cache, weights=rows, unit=text.unit)], notes


@dataclass(frozen=True)
class _Read:
    """What the models of a group say of a text."""

    unit: Unit
    log_probs: Float64[np.ndarray, "tokens models"]
    ids: Int64[np.ndarray, " any"]  # of the tokens, where they are what is mixed
    counts: Sequence[TextCounts]
    seconds: Sequence[float]


def _read_tokens(
    group: Sequence[Member], source: TextSource, streams: int, watch: Watch, most: int | None = None
) -> _Read:
    view = as_view(source, group[0].tokenizer)
    if most is not None:
        view = first_tokens(view, most)

    def read(member: Member, **options: Any) -> NDArray[np.float64]:
        return token_log_probs(member.model, view, **options)

    log_probs, seconds = _all_read(group, read, streams, watch)
    return _Read("token", log_probs, view.read(0, len(view)), [view.counts] * len(group), seconds)


def _read_stretches(
    group: Sequence[Member], source: TextSource, tune: TextSource | None, streams: int, watch: Watch
) -> tuple[_Read, _Read | None, list[str]]:
    """The text and the tuning text, at the finest stretches that all tokenizers share, and what there is to tell."""
    tokenizers = [member.tokenizer for member in group]
    check_mixable(tokenizers, [member.name for member in group])
    lines, is_changed = lines_for(source, tokenizers)
    tuning = None if tune is None else lines_for(tune, tokenizers)[0]
    unit = finest_unit(tokenizers, [lines] if tuning is None else [lines, tuning])
    notes = [f"These runs have different tokenizers: they are mixed {unit} by {unit}."]
    if is_changed:
        notes.append(
            "White space was read as single spaces, since a word tokenizer sees no other; bytes are counted so too."
        )

    def of(text: Sequence[Line], streams: int) -> _Read:
        def read(member: Member, **options: Any) -> NDArray[np.float64]:
            cut = cut_words(member.tokenizer, text) if unit == "word" else cut_lines(member.tokenizer, text)
            assert isinstance(cut, Cut)
            return stretch_log_probs(member.model, member.tokenizer, cut, **options)

        log_probs, seconds = _all_read(group, read, streams, watch)
        return _Read(unit, log_probs, np.zeros(0, np.int64), [counts_of(text)] * len(group), seconds)

    return of(lines, streams), None if tuning is None else of(tuning, 1), notes


def _all_read(
    group: Sequence[Member], read: Callable[..., NDArray[np.float64]], streams: int, watch: Watch
) -> tuple[Float64[np.ndarray, "tokens models"], list[float]]:
    columns, seconds = [], []
    for member in group:
        began = time.perf_counter()
        with watch(member.name) as progress:
            columns.append(read(member, streams=streams, warm_up=_warm_up(member.model), progress=progress))
        seconds.append(time.perf_counter() - began)
    return np.stack(columns, axis=1), seconds


def _with_cache(member: Member, tune: TextSource | None, watch: Watch) -> Member:
    name = f"{member.name} + cache"
    if tune is None:
        return Member(name, Cached(member.model), member.tokenizer)
    with watch(name) as progress:
        cached = tune_cache(member.model, as_view(tune, member.tokenizer), member.tokenizer.eos_id, progress=progress)
    return Member(name, cached, member.tokenizer)


def _outcome(member: Member, result: Evaluation, unit: Unit = "token") -> Outcome:
    if isinstance(member.model, Cached):
        return Outcome(member.name, result, True, member.model.cache.describe(), unit=unit)
    return Outcome(member.name, result, unit=unit)


def _warm_up(model: LanguageModel) -> int:
    return max(256, model.cache.window) if isinstance(model, Cached) else 256


def _along(ids: Int64[np.ndarray, " tokens"], buckets: LastTokenBuckets) -> Int64[np.ndarray, " tokens"]:
    """The bucket of the context of each token of a text."""
    return np.asarray(buckets.along(ids[None], np.array([-1]), ())[0])


def _untuned(are_equal: bool, are_usual: bool) -> list[str]:
    what = ["those of the mixture are equal"] * are_equal + ["those of the cache are the usual ones"] * are_usual
    return [f"No weights were tuned: {', '.join(what)}. --tune FILE finds better ones."] if what else []


def _check(
    members: Sequence[Member],
    interpolate: bool,
    tune: TextSource | None,
    weights: Sequence[float] | None,
    n_buckets: int,
    cache: bool,
) -> None:
    if interpolate and len(members) < 2:
        raise ConfigError(
            f"One run cannot be interpolated ({members[0].name}). At least two were expected: name another run."
        )
    if weights is not None and (tune is not None or not interpolate):
        raise ConfigError("--weights are for --interpolate without --tune. Leave out the weights, or the tuning.")
    if n_buckets < 1 or (n_buckets > 1 and not (interpolate and tune is not None)):
        raise ConfigError(
            f"buckets={n_buckets} cannot be used. At least 1 was expected, and more only with --interpolate and --tune: "
            "give a text to tune on, or leave --buckets out."
        )
    if tune is not None and not (interpolate or cache):
        raise ConfigError(
            "--tune has nothing to tune. Expected --interpolate or --cache beside it: add one, or leave it out."
        )
    if weights is not None:
        checked_weights(weights, len(members), 1)
