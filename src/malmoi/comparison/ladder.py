"""Every idea of the ladder on one text and one clock, told as a story: what did each one buy, in bits?

    malmoi.ladder("corpus.txt", budget="20m").steps[1].gain

The budget is that of the whole command. Rungs that count take the seconds they need; what is left, less the time that measuring
takes, goes to the rungs that are trained, more to the later ones: the first such rung gets one share, the next two, and so on.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from malmoi.comparison.compare import check_tokenizer, conclude, open_bench, read_sources, take_all
from malmoi.comparison.comparison import Comparison, Step
from malmoi.comparison.contenders import Contender, check_options, read_contenders
from malmoi.comparison.language import Language, Teller
from malmoi.comparison.measuring import Bench
from malmoi.comparison.question import Question
from malmoi.errors import ConfigError, TrainingError
from malmoi.text.sources import Unit
from malmoi.training.progress import Reporter
from malmoi.training.request import parse_budget

LADDER = ("unigram", "ngram", "nnlm", "rnn", "lstm", "ngram+lstm")
SHORTEST = 5.0  # seconds: training cannot do with less
REPORTING = 7.0  # seconds kept back for the comparison and its report
SLOW = (4000, 40_000)  # tokens a second that a neural model scores at least, in one stream and in several
MEASURING, STARTING = 2.5, 4.0  # seconds: latency and continuation; another process, whose memory is measured
SLACK = 1.3  # a busy machine may take so many times as long as before
WORTH_A_PROCESS = 180.0  # seconds of budget from which on memory is measured


class Clock:
    """Divides the time of a ladder among its rungs.

    Args:
        bench: Where they are taken.
        contenders: All of them, in order.
        total: Seconds, for everything.
        started: When the command began, by time.monotonic().
    """

    def __init__(self, bench: Bench, contenders: Sequence[Contender], total: float, started: float) -> None:
        self._bench, self._contenders, self._total = bench, contenders, total
        known = [found.seconds for contender in contenders if (found := bench.recall(contender)) is not None]
        self._started = started - sum(known)  # what an earlier call took counts

    def seconds_for(self, contender: Contender) -> float | None:
        """How long a rung may be trained; None for one that counts.

        Raises:
            TrainingError: If too little is left.
        """
        if not contender.takes_time:
            return None
        to_come = [
            other for other in self._contenders[self._contenders.index(contender) :] if not self._is_known(other)
        ]
        trained = [other for other in self._contenders if other.takes_time]
        shares = {other.name: 1 + place for place, other in enumerate(trained)}
        left = self._total - (time.monotonic() - self._started) - REPORTING
        left -= sum(self._measuring(other) for other in to_come)
        seconds = left * shares[contender.name] / sum(shares[other.name] for other in to_come if other.takes_time)
        if seconds < SHORTEST:
            raise TrainingError(self._bench.ground.tell("no_time"))
        return seconds

    def _is_known(self, contender: Contender) -> bool:
        return contender.name in self._bench.measured

    def _measuring(self, contender: Contender) -> float:
        """Seconds that measuring takes, from what it took before, or a cautious guess."""
        bench = self._bench
        if not contender.takes_time and not contender.members:
            return 1.0
        per_token = 1 / SLOW[bench.ground.streams > 1]
        for other in self._contenders:
            if other.takes_time and self._is_known(other):
                per_token = 1 / bench.measured[other.name].tokens_per_second
        n_tokens = bench.ground.n_tokens("test")
        if contender.members:  # its weights are tuned on the validation text, too
            n_tokens += bench.ground.n_tokens("valid")
        return SLACK * n_tokens * per_token + MEASURING + STARTING * bench.ground.question.measures_memory


def ladder(
    text: Any,
    *,
    budget: str | float | int | None = None,
    steps: int | None = None,
    rungs: Sequence[str | Path] = LADDER,
    runs: Mapping[str, Path] | None = None,
    valid: Any = None,
    test: Any = None,
    tokenizer: str | None = None,
    tokenizer_from: str | Path | None = None,
    vocab_size: int | None = None,
    prompt: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    report: str | Path | None = None,
    lang: Language = "en",
    field: str | None = None,
    encoding: str = "utf-8",
    unit: Unit = "lines",
    device: str = "cpu",
    measure_memory: bool | None = None,
    reporter: Reporter | None = None,
    command: str = "",
    started: float | None = None,
    **options: Any,
) -> Comparison:
    """Climb the ladder on a text, and say what each rung bought; see `malmoi.compare` for what is not said here.

    Args:
        text: Files, folders, globs, or a TextSource.
        budget: Time for everything, as "20m" (its default), reading the text and writing the report included.
        steps: Updates of each rung that is trained, instead of a budget.
        rungs: Which rungs, from the ground up.
        runs: Runs that exist already and are measured as they are, for some of the rungs by name; they should have been
            trained on the training part of this text and nothing else.
        measure_memory: By default, if the budget is at least three minutes.
        started: When the command began, by time.monotonic().

    Raises:
        MalmoiError: If the question cannot be asked, or no rung could be measured.
        ComparisonStopped: After Ctrl-C, with what was finished.
    """
    started = time.monotonic() if started is None else started
    contenders = read_contenders(rungs, runs)
    check_options(contenders, options)
    if budget is not None and steps is not None:
        raise ConfigError("--budget and --steps both say how long to train. Give one of them.")
    seconds = None if steps is not None else parse_budget(budget if budget is not None else "20m")
    if measure_memory is None:
        measure_memory = seconds is None or seconds >= WORTH_A_PROCESS
    sources = read_sources(text, valid, test, field=field, encoding=encoding, unit=unit)
    question = Question(
        *sources,
        budget=seconds,
        steps=steps,
        tokenizer=tokenizer,
        tokenizer_from=check_tokenizer(tokenizer, tokenizer_from, vocab_size),
        vocab_size=vocab_size,
        seed=seed,
        prompt=prompt,
        device=device,
        verb="ladder",
        options=options,
        measures_memory=measure_memory,
        command=command,
    )
    bench, report_path = open_bench(question, text, out, report, reporter or Reporter(), Teller(lang))
    if seconds is None:
        failures, stopped = take_all(bench, contenders, lambda contender: None)
    else:
        failures, stopped = take_all(bench, contenders, Clock(bench, contenders, seconds, started).seconds_for)
    return conclude(bench, contenders, failures, stopped, report_path, tell_steps)


def tell_steps(found: Comparison) -> Comparison:
    """The comparison with its steps: each rung against the rung before it, a mixture against the best that it mixes."""
    steps = [Step(found.models[0].name, None)]
    for before, model in zip(found.models, found.models[1:], strict=False):
        if model.members:
            before = min((found.model(name) for name in model.members), key=lambda member: member.bits_per_byte)
        step = Step(model.name, before.name, before.bits_per_byte - model.bits_per_byte)
        if (difference := found.difference(before.name, model.name)) is not None:
            low, high = difference.low, difference.high
            step = replace(step, low=low, high=high, p=difference.p, is_real=difference.is_real)
        lines = found.contrasts[model.name, before.name]
        steps.append(replace(step, example=lines[0] if lines else None))
    return replace(found, steps=tuple(steps))
