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

from malmoi.comparison.compare import conclude, open_bench, take_all
from malmoi.comparison.comparison import Comparison, Failure, Step
from malmoi.comparison.contenders import Contender, check_options, read_contenders
from malmoi.comparison.measuring import Bench
from malmoi.comparison.options import LadderOptions, takes
from malmoi.errors import TrainingError
from malmoi.training.budget import LEAST_RUNG, MEASURING, REPORTING, SHORTEST, SLACK, STARTING, Budget
from malmoi.training.progress import Reporter

LADDER = ("unigram", "ngram", "nnlm", "rnn", "lstm", "ngram+lstm")
SLOW = (4000, 40_000)  # tokens a second that a neural model scores at least, in one stream and in several


class Shares:
    """Divides the time of a ladder among its rungs.

    Args:
        bench: Where they are taken.
        contenders: All of them, in order.
        budget: For everything.
    """

    def __init__(self, bench: Bench, contenders: Sequence[Contender], budget: Budget) -> None:
        self._bench, self._contenders = bench, contenders
        known = [found.seconds for contender in contenders if (found := bench.recall(contender)) is not None]
        self._budget = budget.after(sum(known, 0.0))  # what an earlier call took counts

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
        seconds = (
            self._left(to_come)
            * shares[contender.name]
            / sum(shares[other.name] for other in to_come if other.takes_time)
        )
        if seconds < SHORTEST:
            raise TrainingError(self._bench.ground.tell("no_time"))
        return seconds

    def hold(self) -> list[Failure]:
        """Leave out the rungs that the clock cannot hold, the earliest trained ones first, and the mixtures of such."""
        tell, left_out = self._bench.ground.tell, list[Failure]()
        while True:
            trained = [other for other in self._contenders if other.takes_time and not self._is_known(other)]
            if len(trained) < 2 or self._left(self._contenders) / sum(range(1, len(trained) + 1)) >= LEAST_RUNG:
                break
            left_out.append(Failure(trained[0].name, tell("no_room", n_seconds=LEAST_RUNG)))
            names = {failure.name for failure in left_out}
            for other in self._contenders:
                if other.name not in names and not names.isdisjoint(other.members):
                    member = next(name for name in other.members if name in names)
                    left_out.append(Failure(other.name, tell("member_failed", mixture=other.name, member=member)))
            names = {failure.name for failure in left_out}
            self._contenders = [other for other in self._contenders if other.name not in names]
        return left_out

    @property
    def contenders(self) -> Sequence[Contender]:
        """Those that take part."""
        return self._contenders

    def _left(self, to_come: Sequence[Contender]) -> float:
        """Seconds for training, when these are still to be measured."""
        left = self._budget.left() - REPORTING
        return left - sum(self._measuring(other) for other in to_come if not self._is_known(other))

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


@takes(LadderOptions)
def ladder(
    text: Any,
    *,
    rungs: Sequence[str | Path] = LADDER,
    runs: Mapping[str, Path] | None = None,
    reporter: Reporter | None = None,
    command: str = "",
    started: float | None = None,
    **options: Any,
) -> Comparison:
    """Climb the ladder on a text, and say what each rung bought.

    Args:
        text: Files, folders, globs, or a TextSource.
        rungs: Which rungs, from the ground up.
        runs: Runs that exist already and are measured as they are, for some of the rungs by name; they should have been
            trained on the training part of this text and nothing else.
        reporter: Told what happens; a silent one by default.
        command: What was typed, for the model cards.
        started: When the command began, by time.monotonic().
        options: Fields of the rungs' configs and training settings; each goes to the rungs that have it.

    Raises:
        MalmoiError: If the question cannot be asked, or no rung could be measured.
        ComparisonStopped: After Ctrl-C, with what was finished.
    """
    started = time.monotonic() if started is None else started
    contenders = read_contenders(rungs, runs)
    asked, of_rungs = LadderOptions.divide(options)
    check_options(contenders, of_rungs, LadderOptions.model_fields)
    bench, report = open_bench(text, asked, of_rungs, "ladder", reporter, command)
    if asked.seconds is None:
        failures, stopped = take_all(bench, contenders, lambda contender: None)
    else:
        shares = Shares(bench, contenders, Budget(asked.seconds, started))
        left_out = shares.hold()
        for one in left_out:
            bench.ground.reporter.stage(bench.ground.tell("left_out", model=one.name, reason=one.reason))
        failures, stopped = take_all(bench, shares.contenders, shares.seconds_for)
        failures = [*left_out, *failures]
    return conclude(bench, contenders, failures, stopped, report, tell_steps)


def tell_steps(found: Comparison) -> Comparison:
    """The comparison with its steps: each rung against the rung before it, a mixture against the best that it mixes."""
    steps = [Step(found.models[0].name, None)]
    for before, model in zip(found.models, found.models[1:], strict=False):
        if model.members:
            before = min((found.model(name) for name in model.members), key=lambda member: member.bits_per_byte)
        step = Step(model.name, before.name, before.bits_per_byte - model.bits_per_byte)
        if (difference := found.difference(before.name, model.name)) is not None:
            low, high = difference.low, difference.high
            step = replace(step, low=low, high=high, p=difference.p_adjusted, verdict=difference.verdict)
        lines = found.contrasts[model.name, before.name]
        steps.append(replace(step, example=lines[0] if lines else None))
    return replace(found, steps=tuple(steps))
