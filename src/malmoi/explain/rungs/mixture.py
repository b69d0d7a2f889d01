"""Why a mixture gave a token its probability: each part's share, and then why each part said what it said.

    P(w) = sum over i of weight_i P_i(w);     share_i = weight_i P_i(w) / P(w)

Interpolated models are explained one after the other, each by its own explainer. Of a cached model the parts are the model
inside, which is explained too, and what the cache remembers.

Shapes: M parts, V vocab_size.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from malmoi.errors import ConfigError
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.opening import subject_of_model
from malmoi.explain.question import Answer, Question
from malmoi.explain.registry import find_explainer
from malmoi.explain.softmax import surprisal_step
from malmoi.models.combined import Cached, Interpolated
from malmoi.models.combined.cache import CachedState
from malmoi.models.combined.interpolated import MixedState, log_mix
from malmoi.models.combined.shares import shares_of
from malmoi.models.interface import LanguageModel, State
from malmoi.pages.language import Teller

Vector = Float64[np.ndarray, " vocab"]


def explain_next(question: Question, tell: Teller) -> Answer:
    """The shares, and the steps of every part."""
    model = question.subject.model
    found = _interpolated(question, tell) if isinstance(model, Interpolated) else _cached(question, tell)
    if question.learning_rate is None:
        return found
    return replace(found, notes=[*found.notes, tell("note_no_training", family=question.subject.family)])


def _interpolated(question: Question, tell: Teller) -> Answer:
    model, now, earlier = question.subject.model, question.now, question.earlier
    assert isinstance(model, Interpolated)
    assert isinstance(now, MixedState)
    assert isinstance(earlier, MixedState)
    parts = [
        _part(question, tell, place, member, before, after)
        for place, (member, before, after) in enumerate(
            zip(model.models, earlier.states, now.states, strict=True), start=1
        )
    ]
    names = [name for name, _ in parts]
    bucket = 0 if model.buckets is None else int(model.buckets.of(now.last_ids, now.states)[0])
    weights = model.weights[bucket]
    log_probs = np.asarray(log_mix([answer.log_probs for _, answer in parts], weights))
    log_parts = np.array([answer.log_probs[question.target_id] for _, answer in parts])
    said = tell("say_bucket", bucket=bucket + 1, n_buckets=len(model.weights)) if model.buckets is not None else ""
    steps = _shares(question, tell, names, weights, log_parts, float(log_probs[question.target_id]), said)
    return _joined(steps, parts, log_probs)


def _cached(question: Question, tell: Teller) -> Answer:
    model, now, earlier = question.subject.model, question.now, question.earlier
    assert isinstance(model, Cached)
    assert isinstance(now, CachedState)
    assert isinstance(earlier, CachedState)
    reading = model.cache.read(model.model, np.array([[question.target_id]]), now)
    weights, log_parts = model.cache.weights[int(reading.rows[0, 0])], reading.log_probs[0, 0].copy()
    inner = _part(question, tell, 1, model.model, earlier.inner, now.inner)
    log_parts[0] = inner[1].log_probs[question.target_id]
    log_probs = model.step(np.zeros((1, 0), np.int64), now)[0][0].astype(np.float64)
    log_probs[question.target_id] = float(
        log_mix(np.split(log_parts, len(weights)), weights)[0]
    )  # computed again; the others as served
    names = [inner[0], *model.cache.describe()]
    memory: Any = now.memory
    remembered = np.asarray(memory.ids.cpu() if hasattr(memory.ids, "cpu") else memory.ids)[0]
    ago = len(remembered) - np.flatnonzero(remembered == question.target_id)[::-1]
    token = question.subject.tokens[question.target_id]
    said = (
        tell("say_memory", n_tokens=len(remembered), token=token, n_found=len(ago))
        if len(ago)
        else tell("say_memory_none", n_tokens=len(remembered), token=token)
    )
    if len(ago):
        said += " " + tell("say_memory_last", ago=int(ago[0]))
    steps = _shares(question, tell, names, weights, log_parts, float(log_probs[question.target_id]), said)
    return _joined(steps, [inner], log_probs)


def _part(
    question: Question, tell: Teller, place: int, model: LanguageModel, earlier: State, now: State
) -> tuple[str, Answer]:
    """A member's name and its own explanation; where there is no explainer for it, what it serves and an honest note."""
    subject = subject_of_model(model, question.subject.tokenizer, f"{question.subject.name}: part {place}")
    name = f"{place}: {subject.family}"
    try:
        explain = find_explainer(subject.family)
    except ConfigError as error:
        log_probs = model.step(np.zeros((1, 0), np.int64), now)[0][0].astype(np.float64)
        return name, Answer([], log_probs, [str(error)])
    subject.check_weights()
    return name, explain(replace(question, subject=subject, earlier=earlier, now=now, learning_rate=None), tell)


def _shares(
    question: Question,
    tell: Teller,
    names: Sequence[str],
    weights: Float64[np.ndarray, " parts"],
    log_parts: Float64[np.ndarray, " parts"],
    log_prob: float,
    said: str,
) -> list[Step]:
    """weight x probability of each part, and what share of the sum that is."""
    token = question.subject.tokens[question.target_id]
    probs, products, total, shares = shares_of(weights, log_parts)
    best = int(products.argmax())
    written = " + ".join(f"{weight:.4g} × {prob:.4g}" for weight, prob in zip(weights, probs, strict=True))
    told = tell(
        "say_shares",
        token=token,
        sum=written,
        probability=f"{total:.6g}",
        part=names[best],
        share=f"{shares[best]:.1%}",
    )
    label = {0: list(names)}
    return [
        Step(
            "shares",
            tell("shares"),
            "P(w) = Σ_i weight_i · P_i(w)",
            f"{len(names)} × (1,)",
            f"{told} {said}".rstrip(),
            (
                Numbers("weight_i", weights, ("part",), label, "probability"),
                Numbers("P_i(w)", probs, ("part",), label, "probability"),
                Numbers("weight_i P_i(w)", products, ("part",), label, "probability"),
                Numbers("share_i", shares, ("part",), label, "probability"),
            ),
            part="mixture",
        ),
        replace(surprisal_step(tell, token, log_prob), part="mixture"),
    ]


def _joined(steps: list[Step], parts: Sequence[tuple[str, Answer]], log_probs: Vector) -> Answer:
    """The mixture's steps, then those of each part under its name."""
    notes: list[str] = []
    for name, answer in parts:
        steps += [replace(step, name=f"{name}: {step.name}", title=f"{name} · {step.title}") for step in answer.steps]
        notes += [f"{name}: {note}" for note in answer.notes]
    return Answer(steps, log_probs, notes)
