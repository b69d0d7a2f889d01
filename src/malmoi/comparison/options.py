"""What can be said of a comparison besides its text and who takes part: once, for both verbs and both functions.

`malmoi compare --help`, `malmoi.compare`, `malmoi ladder --help` and `malmoi.ladder` are all made from these classes.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, PositiveInt, model_validator

from malmoi.errors import ConfigError
from malmoi.pages.language import Language
from malmoi.settings import Settings
from malmoi.text.sources import Unit
from malmoi.training.budget import WORTH_A_PROCESS, parse_budget

TokenizerKind = Literal["word", "char", "jamo", "bpe", "unigram", "morpheme"]  # text.tokenizers.KINDS, unimported
SomeFunction = TypeVar("SomeFunction", bound=Callable[..., Any])
SomeOptions = TypeVar("SomeOptions", bound="CompareOptions")


def _left_out(told: str) -> dict[str, Any]:
    """What happens without an option, in words: for help, where no default can tell."""
    return {"if_left_out": told}


class CompareOptions(Settings):
    """What both verbs can be told; texts may be anything that `malmoi.TextSource` takes, or one."""

    usual_budget: ClassVar[str] = "10m"

    budget: str | float | None = Field(
        None,
        description="training time of each rung that is trained, as 10m",
        json_schema_extra=_left_out(usual_budget),
    )
    steps: PositiveInt | None = Field(None, description="updates of each rung that is trained, instead of a budget")
    valid: Any = Field(
        None, description="text to watch training on", json_schema_extra=_left_out("a twentieth of TEXT")
    )
    test: Any = Field(None, description="text that all are judged on", json_schema_extra=_left_out("another twentieth"))
    report: str | Path | None = Field(
        None,
        description="the report to write, one HTML file",
        json_schema_extra=_left_out("report.html in --out"),
    )
    out: str | Path | None = Field(
        None,
        description="folder of the runs and results; the same command goes on with what is missing",
        json_schema_extra=_left_out("runs/VERB-TEXT"),
    )
    tokenizer: TokenizerKind | None = Field(
        None, description="what a token is, for all of them", json_schema_extra=_left_out("planned")
    )
    tokenizer_from: str | Path | None = Field(None, description="take the tokenizer of this run as it is")
    vocab_size: int | None = Field(
        None, gt=4, description="most tokens the vocabulary may have", json_schema_extra=_left_out("planned")
    )
    prompt: str | None = Field(
        None, description="what each model continues", json_schema_extra=_left_out("from the test text")
    )
    seed: int = Field(0, ge=0, lt=2**63, description="of training, continuations and resampling")
    lang: Language = Field("en", description="language of the report and the table")
    field: str | None = Field(
        None,
        description="column or JSON key that holds the text; a number counts from 1 in a table without header",
    )
    encoding: str = Field("utf-8", description="how the text is encoded, as cp949")
    unit: Unit = Field(
        "lines",
        description="what stands for itself, is held out and resampled: lines, or documents (each row or file is one)",
    )
    device: str = Field(
        "cpu", description="where the models compute: cpu, cuda, or auto for the GPU where there is one"
    )
    measure_memory: bool | None = Field(
        None,
        description="start a process for each model to see how much memory it takes; a few seconds each",
        json_schema_extra=_left_out("it is done"),
    )

    @model_validator(mode="after")
    def each_thing_is_said_once(self) -> "CompareOptions":
        if self.budget is not None and self.steps is not None:
            raise ConfigError("--budget and --steps both say how long to train. Give one of them.")
        if self.tokenizer_from is not None and (self.tokenizer is not None or self.vocab_size is not None):
            raise ConfigError("--tokenizer-from takes a tokenizer as it is. Leave out --tokenizer and --vocab-size.")
        parse_budget(self.budget)  # refuse what is no time before any work is done
        return self

    @property
    def seconds(self) -> float | None:
        """The budget; None where steps are counted."""
        if self.steps is not None:
            return None
        return parse_budget(self.usual_budget if self.budget is None else self.budget)

    @property
    def measures_memory(self) -> bool:
        return self.measure_memory is not False

    @classmethod
    def divide(cls: type[SomeOptions], options: Mapping[str, Any]) -> tuple[SomeOptions, dict[str, Any]]:
        """(those of the comparison itself, those left for the rungs).

        Raises:
            ConfigError: If one of the former does not fit.
        """
        own = {name: value for name, value in options.items() if name in cls.model_fields}
        rest = {name: value for name, value in options.items() if name not in own}
        return cls.parse(own), rest


class LadderOptions(CompareOptions):
    """The same for a ladder, whose budget is that of the whole command."""

    usual_budget: ClassVar[str] = "20m"

    budget: str | float | None = Field(
        None,
        description="time for the whole ladder, as 20m",
        json_schema_extra=_left_out(usual_budget),
    )
    measure_memory: bool | None = Field(
        None,
        description="start a process for each model to see how much memory it takes; a few seconds each",
        json_schema_extra=_left_out("if the budget is at least three minutes"),
    )

    @property
    def measures_memory(self) -> bool:
        if self.measure_memory is not None:
            return self.measure_memory
        return self.seconds is None or self.seconds >= WORTH_A_PROCESS


def takes(options: type[CompareOptions]) -> Callable[[SomeFunction], SomeFunction]:
    """A decorator: `help()` of a function that takes these options as **options lists them like other arguments."""

    def listing(function: SomeFunction) -> SomeFunction:
        signature = inspect.signature(function)
        *named, rest = signature.parameters.values()
        fields = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in options.model_fields.items()
        ]
        function.__signature__ = signature.replace(parameters=[*named, *fields, rest])  # type: ignore[attr-defined]
        told = [f"        {name}: {field.description}." for name, field in options.model_fields.items()]
        before, heading, after = (function.__doc__ or "").partition("        options: ")
        function.__doc__ = before + "\n".join([*told, ""]) + heading + after
        return function

    return listing
