from pathlib import Path

import pytest

from malmoi.comparison.contenders import BASELINES, KINDS, check_options, options_for, read_contenders
from malmoi.errors import ConfigError, RunError
from malmoi.models.registry import LANGUAGE_MODELS
from malmoi.text import tokenizers


def test_all_ways_to_take_part(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    names = ["unigram", "ngram", " lstm:jamo", "ngram+unigram", tmp_path]
    baseline, counting, trained, mixture, run = read_contenders(names)
    assert (baseline.rung, baseline.takes_time, baseline.folder_name) == ("unigram", False, "unigram")
    assert (counting.rung, counting.takes_time) == ("ngram", False)
    assert (trained.rung, trained.tokenizer, trained.takes_time, trained.folder_name) == (
        "lstm",
        "jamo",
        True,
        "lstm-jamo",
    )
    assert (mixture.rung, mixture.members, mixture.takes_time) == ("", ("ngram", "unigram"), False)
    assert (run.rung, run.run, run.takes_time) == ("", tmp_path, False)


def test_every_rung_of_the_registry_can_take_part() -> None:
    assert [contender.rung for contender in read_contenders([*BASELINES, *LANGUAGE_MODELS])] == [
        *BASELINES,
        *LANGUAGE_MODELS,
    ]
    assert KINDS == tokenizers.KINDS


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["lstn"], "no rung named 'lstn'. Expected uniform, unigram, ngram.*Did you mean lstm?"),
        (["glove", "ngram"], "vectors of words, which give no probabilities.*malmoi vectors eval"),
        (["lstm", "ngram", "lstm"], "'lstm' takes part twice"),
        (["lstm:char", "lstm-char"], "no rung named 'lstm-char'"),
        (["lstm:chars"], "'lstm:chars' asks for tokens of the kind 'chars'. Expected one of word, char"),
        (["lstm", "ngram+lstm"], "The mixture 'ngram.lstm' needs 'ngram' to take part before it"),
        (["ngram+lstm", "lstm", "ngram"], "needs 'ngram' to take part before it"),
        (["lstm", "ngram", "ngram+lstm", "lstm+ngram+lstm"], "names a model twice"),
        (["lstm", "ngram", "rnn", "ngram+lstm", "rnn+ngram+lstm", "uniform+ngram+lstm"], "needs 'uniform'"),
        ([" ", ""], "0 rungs were given. Expected 1 to 16"),
        ([f"{rung}:{kind}" for rung in ("lstm", "rnn", "gru") for kind in KINDS], "18 rungs were given"),
    ],
)
def test_who_cannot_take_part_is_told_why(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_contenders(names)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run at"):
        read_contenders([tmp_path / "nothing"])


def test_options_go_to_the_rungs_that_have_them() -> None:
    contenders = read_contenders(["unigram", "ngram", "lstm"])
    options = {"order": 3, "hidden_size": 8, "batch_size": 2}
    check_options(contenders, options)
    assert [options_for(contender, options) for contender in contenders] == [
        {},
        {"order": 3},
        {"hidden_size": 8, "batch_size": 2},
    ]
    with pytest.raises(
        ConfigError, match="Unknown option 'hiden_size': none of the rungs has it. Did you mean 'hidden_size'?"
    ):
        check_options(contenders, {"hiden_size": 8})
    with pytest.raises(ConfigError, match="Unknown option 'order'"):
        check_options(read_contenders(["lstm"]), options)
