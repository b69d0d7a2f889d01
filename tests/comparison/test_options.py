"""What both verbs can be told is written once."""

import inspect
from pathlib import Path
from typing import Any

import pytest

import malmoi
from malmoi.cli import compare as verbs
from malmoi.cli.flags import sentence
from malmoi.comparison.options import CompareOptions, LadderOptions
from malmoi.errors import ConfigError, RunError

BOTH = [(malmoi.compare, verbs.compare, CompareOptions), (malmoi.ladder, verbs.ladder, LadderOptions)]


@pytest.mark.parametrize(("function", "verb", "options"), BOTH)
def test_a_verb_and_its_function_take_what_the_class_has(
    function: Any, verb: Any, options: type[CompareOptions]
) -> None:
    taken = inspect.signature(function).parameters
    assert options.model_fields.keys() <= taken.keys()
    assert all(taken[name].default == field.default for name, field in options.model_fields.items())
    flags = inspect.signature(verb).parameters
    assert options.model_fields.keys() - flags.keys() == verbs.NO_FLAG
    for name, field in options.model_fields.items():
        assert f"        {name}: {field.description}." in function.__doc__
        if name not in verbs.NO_FLAG:
            help = "".join(part.help or "" for part in flags[name].annotation.__metadata__)
            assert help == sentence(str(field.description))
    assert all(field.description for field in options.model_fields.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "soon"}, "--budget soon is no training time"),
        ({"budget": "1m", "steps": 3}, "--budget and --steps both say how long to train. Give one of them."),
        ({"tokenizer": "char", "tokenizer_from": "x"}, "Leave out --tokenizer and --vocab-size"),
        ({"vocab_size": 300, "tokenizer_from": Path("x")}, "Leave out --tokenizer and --vocab-size"),
        ({"steps": 0}, "steps=0 does not fit: .*greater than 0"),
        ({"vocab_size": 4}, "vocab_size=4 does not fit"),
        ({"seed": -1}, "seed=-1 does not fit"),
        ({"tokenizer": "chars"}, "tokenizer='chars' does not fit: .*'word', 'char'"),
        ({"unit": "pages"}, "unit='pages' does not fit: .*'lines' or 'documents'"),
        ({"lang": "de"}, "lang='de' does not fit: .*'en' or 'ko'"),
    ],
)
@pytest.mark.parametrize("function", [lambda **o: malmoi.compare("x.txt", ["unigram"], **o), malmoi.ladder])
def test_what_does_not_fit_is_refused_by_both_before_a_text_is_read(
    function: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        function(**{"text": "x.txt", **options} if function is malmoi.ladder else options)


def test_a_misspelt_option_finds_its_own() -> None:
    with pytest.raises(ConfigError, match="Unknown option 'budge': none of the rungs has it. Did you mean 'budget'?"):
        malmoi.ladder("x.txt", budge="10m")


def test_a_tokenizer_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("하나 둘\n" * 9, encoding="utf-8")
    with pytest.raises(RunError, match="There is no run at 'nothing'"):
        malmoi.ladder(tmp_path / "text.txt", tokenizer_from="nothing")


def test_how_long_is_said_in_seconds_or_in_steps() -> None:
    assert [options().seconds for options in (CompareOptions, LadderOptions)] == [600, 1200]
    assert (CompareOptions(budget="90s").seconds, LadderOptions(budget=30).seconds) == (90, 30)
    assert CompareOptions(steps=3).seconds is None


@pytest.mark.parametrize(("budget", "measures"), [("179s", False), ("3m", True), (None, True)])
def test_a_short_ladder_does_not_measure_memory_unless_it_is_told_to(budget: str | None, measures: bool) -> None:
    assert LadderOptions(budget=budget).measures_memory is measures
    assert LadderOptions(budget=budget, measure_memory=not measures).measures_memory is not measures
    assert CompareOptions(budget="5s").measures_memory
    assert LadderOptions(steps=1).measures_memory


def test_options_are_divided_between_the_comparison_and_the_rungs() -> None:
    own, rest = CompareOptions.divide({"seed": 3, "order": 2, "lang": "ko", "hidden_size": 8})
    assert (own.seed, own.lang, rest) == (3, "ko", {"order": 2, "hidden_size": 8})
