"""What is measured of each contender, on the common ground: bits, and what they cost."""

import math
import time

import numpy as np

from malmoi.comparison.contenders import Contender
from malmoi.comparison.costs import disk_bytes, milliseconds_per_token, peak_memory
from malmoi.comparison.entries import Entry, enter
from malmoi.comparison.ground import Ground
from malmoi.comparison.measured import Measured, load, save
from malmoi.comparison.prompts import continue_prompt
from malmoi.comparison.word_costs import word_nats
from malmoi.evaluation.perplexity import from_counts

LATENCY_TOKENS = 4096  # token ids given to the latency measurement


class Bench:
    """Takes contenders one by one.

    Args:
        ground: What they share, prepared.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.nats: dict[str, np.ndarray] = {}  # by contender: the cost of each word of the test text
        self.measured: dict[str, Measured] = {}
        self._fresh = set[str]()  # contenders that were measured by this call, not by an earlier one

    def recall(self, contender: Contender) -> Measured | None:
        """What was measured of it before; nothing where that may have changed since."""
        if contender.run is not None or not self._fresh.isdisjoint(contender.members):
            return None
        found = load(self.ground.folder / "results", contender.name, len(self.ground.words.n_bytes))
        if found is not None:
            self.measured[contender.name], self.nats[contender.name] = found
        return self.measured.get(contender.name)

    def take(self, contender: Contender, seconds: float | None = None) -> Measured:
        """Train a contender, if it has to be, and measure it.

        Args:
            contender: It must not have been measured before.
            seconds: How long it may be trained; None where the question says how many steps.
        """
        ground, began = self.ground, time.monotonic()
        entry = enter(ground, contender, seconds, self.measured)
        if contender.takes_time:
            ground.reporter.stage(ground.tell("measuring", model=contender.name))
        measured, nats = _measure(ground, contender, entry, began)
        save(ground.folder / "results", measured, nats)
        self.measured[contender.name], self.nats[contender.name] = measured, nats
        self._fresh.add(contender.name)
        return measured


def _measure(ground: Ground, contender: Contender, entry: Entry, began: float) -> tuple[Measured, np.ndarray]:
    model, tokenizer, question = entry.model, entry.tokenizer, ground.question
    view = ground.tokens("test", tokenizer)
    scored_at = time.perf_counter()
    log_probs = ground.log_probs(model, view)
    lasted = time.perf_counter() - scored_at
    evaluation = from_counts(view.counts, -math.fsum(log_probs), lasted, model.is_distribution)
    nats = word_nats(tokenizer, ground.parts.source("test").lines(), log_probs)
    ids = view.read(0, min(len(view), LATENCY_TOKENS))
    measures_memory = question.measures_memory and entry.is_loadable
    memory = peak_memory(entry.runs, ground.parts.path("test")) if measures_memory else None
    return Measured(
        name=contender.name,
        family=entry.family,
        run=str(entry.runs[0]) if entry.runs and not contender.members else None,
        members=contender.members,
        weights=entry.weights,
        tokenizer=tokenizer.kind,
        tokenizer_id=tokenizer.fingerprint(),
        vocab_size=tokenizer.vocab_size,
        evaluation=evaluation,
        streams=ground.streams,
        parameters=entry.parameters,
        train_seconds=entry.train_seconds,
        disk_bytes=disk_bytes(entry.runs, entry.tokenizers) + entry.extra_bytes,
        memory_bytes=memory,
        ms_per_token=milliseconds_per_token(model, ids),
        tokens_per_second=len(view) / max(lasted, 1e-9),
        curve=entry.curve,
        sample=continue_prompt(model, tokenizer, ground.prompt, question.seed),
        seconds=time.monotonic() - began,
        hardly_trained=entry.hardly_trained,
        read_before=entry.read_before,
    ), nats
