"""The explanation of one token of a text: why did it get the probability that it did?

    run.explain("나는 어제 학교에")                                a run's own method
    explain_model(model, tokenizer, "나는 어제 학교에")            any LanguageModel, mixtures and caches too

The serving engine reads the whole text and gives the surprisals; the rung's explainer computes the asked place again in
float64, step by step; the two are compared there over the whole vocabulary, and so are other engines, if any are given.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int64

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.explain.conversions import probability
from malmoi.explain.explanation import Explanation
from malmoi.explain.opening import subject_of_model, subject_of_run
from malmoi.explain.question import AskedOfRun, Question, Subject
from malmoi.explain.registry import find_explainer
from malmoi.explain.surprisal import all_units, read_tokens
from malmoi.models.interface import LanguageModel, State
from malmoi.pages.language import Language, Teller
from malmoi.text.tokenizers import Tokenizer

RECENT = 256  # tokens before the place that are computed again number by number
BLOCK = 256  # tokens an engine scores at a time
MOST_TOKENS = 200_000
LIKELIEST = 10  # tokens listed
LAST, NEXT = "last", "next"
ENGINES = {"TorchLanguageModel": "PyTorch", "NumPyLanguageModel": "NumPy"}  # by class


def explain_model(
    model: LanguageModel,
    tokenizer: Tokenizer,
    text: str,
    *,
    name: str = "model",
    step: int | str = LAST,
    train_step: bool = False,
    learning_rate: float | int = 0.1,
    language: Language = "en",
) -> Explanation:
    """Explain a token under any model that there is an explainer for; the options are those of `explain_subject`."""
    subject = subject_of_model(model, tokenizer, name)
    options = {"step": step, "learning_rate": learning_rate if train_step else None}
    return explain_subject(subject, text, language=language, **options)  # type: ignore[arg-type]


def explain_run(asked: AskedOfRun) -> Explanation:
    """Explain a token under the language model of a run; raises what `explain_subject` raises."""
    rate = 0.1 if asked.learning_rate is None else asked.learning_rate
    return explain_subject(
        subject_of_run(asked.folder, asked.config, asked.model(), asked.tokenizer),
        asked.text,
        step=asked.step,
        learning_rate=rate if asked.train_step else None,
        language=asked.language,
        engines=asked.engines(),
    )


def explain_subject(
    subject: Subject,
    text: str,
    *,
    step: int | str = LAST,
    learning_rate: float | int | None = None,
    language: Language = "en",
    engines: Mapping[str, LanguageModel] | None = None,
) -> Explanation:
    """Explain one token of a text.

    Args:
        subject: The model.
        text: Any text; what stands in it is explained, no line end is added.
        step: Which token: its number from 1, "last", or "next" for the likeliest token after the text.
        learning_rate: Also show a training step on that token with this rate; None for none.
        language: Of titles, sentences and notes.
        engines: Other models that should give the same probabilities, by name; compared where the text before the place is
            at most RECENT tokens long.

    Raises:
        ConfigError: If there is no such token, the learning rate is no number above 0, or the rung cannot be explained yet.
        DataError: If the text is too long.
        RunError: If the weights are NaN, or tokenizer and model do not belong together.
    """
    if learning_rate is not None and not 0 < learning_rate < float("inf"):
        raise ConfigError(
            f"learning_rate={learning_rate:g} cannot be used. A finite number above 0 was expected: try 1, or 0.1."
        )
    explain_next = find_explainer(subject.family)
    subject.check_weights()
    tell = Teller(language, "explanation")
    tokenizer, model = subject.tokenizer, subject.model
    tokens = read_tokens(tokenizer, text)
    ids = _checked(tokens.ids, subject)
    place = find_place(step, len(ids))
    n_earlier = max(0, place - RECENT)
    log_probs = np.empty(len(ids))
    earlier = _read(model, ids[:n_earlier], model.start(1), log_probs[:n_earlier])
    now = _read(model, ids[n_earlier:place], earlier, log_probs[n_earlier:place])
    _read(model, ids[place:], now, log_probs[place:])
    served = _next(model, now)
    if np.isnan(served).any() or np.isnan(log_probs).any():
        raise RunError(
            f"{subject.name} gives NaN instead of probabilities. Numbers were expected: train it again with a smaller learning "
            "rate, or copy the run again."
        )
    target = int(ids[place]) if place < len(ids) else int(served.argmax())
    rate = None if learning_rate is None else float(learning_rate)
    answer = explain_next(Question(subject, earlier, n_earlier, ids[n_earlier:place], now, target, rate), tell)
    engine = ENGINES.get(type(model).__name__, tell("engine"))
    agreement = {engine: largest_difference(served, answer.log_probs)}
    if not n_earlier:
        for name, other in (engines or {}).items():
            state = _read(other, ids[:place], other.start(1), np.empty(place))
            agreement[name] = largest_difference(_next(other, state), answer.log_probs)
    units, lacks_kiwi = all_units(tokenizer, tokens, log_probs)
    notes = [tell("note_next")] if place == len(ids) else []
    if n_unknown := int((ids == tokenizer.unk_id).sum()):
        notes.append(tell("note_unknown", n=n_unknown))
    notes += answer.notes
    if lacks_kiwi:
        notes.append(tell("note_kiwi"))
    best = np.argsort(-answer.log_probs, kind="stable")[:LIKELIEST]
    return Explanation(
        text=tokens.text,
        family=subject.family,
        run=subject.name,
        language=language,
        place=place,
        target=subject.tokens[target],
        probability=probability(answer.log_probs[target]),
        steps=tuple(answer.steps),
        surprisals=units,
        agreement=agreement,
        likeliest=[(subject.tokens[i], probability(answer.log_probs[i])) for i in best],
        notes=notes,
    )


def find_place(step: int | str, n_tokens: int) -> int:
    """The number from 0 of the asked token.

    Raises:
        ConfigError: If the text has no such token.
    """
    if step == NEXT or (step == LAST and not n_tokens):
        return n_tokens
    if step == LAST:
        return n_tokens - 1
    try:
        number = int(step)
    except ValueError:
        number = 0
    if not 1 <= number <= n_tokens:
        choices = f"a number from 1 to {n_tokens}, 'last' or 'next'" if n_tokens else "'next'"
        raise ConfigError(f"step={step} is no token of this text, which has {n_tokens}. Expected {choices}.")
    return number - 1


def largest_difference(ours: Float64[np.ndarray, " vocab"], theirs: Float64[np.ndarray, " vocab"]) -> float:
    """Of ln P over the vocabulary; tokens that both say can never come agree."""
    is_possible = ~(np.isneginf(ours) & np.isneginf(theirs))
    return float(np.abs(ours[is_possible] - theirs[is_possible]).max(initial=0.0))


def _checked(ids: Int64[np.ndarray, " tokens"], subject: Subject) -> Int64[np.ndarray, " tokens"]:
    vocab_size = subject.model.vocab_size
    if subject.tokenizer.vocab_size != vocab_size:
        raise RunError(
            f"The tokenizer of {subject.name} has {subject.tokenizer.vocab_size:,} tokens and the model {vocab_size:,}, so ids "
            "would mean other tokens. Both were expected to be of one run: copy the whole folder again."
        )
    if len(ids) > MOST_TOKENS:
        raise DataError(
            f"The text has {len(ids):,} tokens. At most {MOST_TOKENS:,} can be explained at once: give the part around the "
            "token that you want to understand."
        )
    return ids


def _read(
    model: LanguageModel, ids: Int64[np.ndarray, " tokens"], state: State, log_probs: Float64[np.ndarray, " tokens"]
) -> State:
    """Read tokens some at a time, fill `log_probs` with theirs; the state after them."""
    for begin in range(0, len(ids), BLOCK):
        part = ids[None, begin : begin + BLOCK]
        scores, state = model.score(part, state)
        log_probs[begin : begin + BLOCK] = scores[0]
    return state


def _next(model: LanguageModel, state: State) -> Float64[np.ndarray, " vocab"]:
    """ln P of every token after the state."""
    log_probs, _ = model.step(np.zeros((1, 0), np.int64), state)
    return np.asarray(log_probs[0], np.float64)
