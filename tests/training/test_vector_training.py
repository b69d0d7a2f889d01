import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import malmoi
from malmoi.errors import ConfigError, DataError, MalmoiError, RunError
from malmoi.runs import read_arrays
from malmoi.text.spelling import SpellingModel
from malmoi.text.tokenizers import Tokenizer, train_tokenizer
from malmoi.text.vocabulary import SPECIALS, Vocabulary
from malmoi.training.progress import Interrupted, Reporter, StepReport
from malmoi.training.vectors import word_names

FILES = ("words.json", "vectors.safetensors", "model.safetensors", "tokenizer.json", "metrics.jsonl")
QUICK: dict[str, dict[str, Any]] = {
    "word2vec": {"embed_dim": 8, "epochs": 4, "subsample_threshold": 0.0},
    "glove": {"embed_dim": 8, "epochs": 4},
    "cooccurrence": {"embed_dim": 4},
}


def lines(n: int, words: str, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    return "".join(" ".join(rng.choice(words.split(), 8)) + "\n" for _ in range(n))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(lines(400, "one two three four five six seven eight 하나 둘 셋 넷"), encoding="utf-8")
    return path


class StopsAfter(Reporter):
    """Presses Ctrl-C after so many reports of progress."""

    def __init__(self, n: int) -> None:
        self.left = n

    def trained(self, report: StepReport) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class Listens(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[StepReport] = []

    def stage(self, text: str) -> None:
        self.said.append(text)

    def trained(self, report: StepReport) -> None:
        self.steps.append(report)


@pytest.mark.parametrize("rung", ["word2vec", "glove"])
def test_a_run_that_was_stopped_and_resumed_is_the_same_to_the_byte(rung: str, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(lines(4000, " ".join(f"w{i}" for i in range(60))), encoding="utf-8")  # several chunks
    options = {**QUICK[rung], "seed": 3}
    malmoi.train(rung, text, out=tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        malmoi.train(rung, text, out=tmp_path / "stopped", reporter=StopsAfter(5), **options)
    assert (tmp_path / "stopped" / "checkpoint").is_dir()
    with pytest.raises(RunError):
        _ = malmoi.load(tmp_path / "stopped").vectors
    resumed = malmoi.train(rung, None, out=tmp_path / "stopped", resume=True)  # type: ignore[arg-type]
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name
    assert not (resumed.folder / "checkpoint").exists()
    with pytest.raises(RunError, match="no checkpoint to resume from. Its training is finished"):
        malmoi.train(rung, None, out=tmp_path / "stopped", resume=True)  # type: ignore[arg-type]


def test_it_does_not_resume_on_another_text(text: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        malmoi.train("word2vec", text, out=tmp_path / "run", reporter=StopsAfter(1), **QUICK["word2vec"])
    text.write_text(text.read_text(encoding="utf-8") + "more words\n", encoding="utf-8")
    with pytest.raises(RunError, match="has changed since training began"):
        malmoi.train("word2vec", None, out=tmp_path / "run", resume=True)  # type: ignore[arg-type]


def test_a_budget_ends_training_in_time_with_the_rate_at_its_lowest(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(lines(2000, " ".join(f"w{i}" for i in range(60))), encoding="utf-8")
    heard = Listens()
    options = {"embed_dim": 64, "subsample_threshold": 0.0, "objective": "softmax", "window": 20}
    run = malmoi.train("word2vec", text, out=tmp_path / "run", budget="5s", reporter=heard, **options)
    figures = run.config.figures
    assert figures["training_seconds"] <= 5
    assert "clock" in figures["promise"]
    assert heard.steps[-1].learning_rate < heard.steps[0].learning_rate
    assert heard.steps[-1].fraction > heard.steps[0].fraction


def test_words_are_lower_case_letters_and_digits_unless_said_otherwise(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("“Hello, World!” said Ann. Don't go, 나는 갔다.\n" * 20, encoding="utf-8")
    heard = Listens()
    run = malmoi.train("cooccurrence", text, out=tmp_path / "a", embed_dim=2, reporter=heard)
    assert set(run.vectors.words) == {"hello", "world", "said", "ann", "don't", "go", "나는", "갔다"}
    assert "words are letters and digits, in lower case (--split, --lower)" in heard.said
    kept = malmoi.train("cooccurrence", text, out=tmp_path / "b", embed_dim=2, lower=False, split="spaces")
    assert set(kept.vectors.words) == {"“Hello,", "World!”", "said", "Ann.", "Don't", "go,", "나는", "갔다."}


def test_rare_words_of_a_large_text_are_left_out(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(lines(30_000, "alpha beta gamma delta") + "rare words\n" * 4, encoding="utf-8")
    run = malmoi.train("cooccurrence", text, out=tmp_path / "a", embed_dim=2)
    assert set(run.vectors.words) == {"alpha", "beta", "gamma", "delta"}
    run = malmoi.train("cooccurrence", text, out=tmp_path / "b", embed_dim=2, min_count=4)
    assert "rare" in run.vectors


def test_going_on_with_new_text_keeps_old_words_and_learns_new_ones(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text(lines(300, "one two three four only_old also_old"), encoding="utf-8")
    new.write_text(lines(300, "one two three four only_new", seed=1), encoding="utf-8")
    first = malmoi.train("word2vec", old, out=tmp_path / "first", **QUICK["word2vec"])
    heard = Listens()
    second = malmoi.train(
        "word2vec", new, out=tmp_path / "second", initialise_from=first.folder, epochs=2, reporter=heard
    )
    assert set(second.vectors.words) == {"one", "two", "three", "four", "only_old", "also_old", "only_new"}
    np.testing.assert_array_equal(second.vectors["only_old"], first.vectors["only_old"])
    assert not np.array_equal(second.vectors["one"], first.vectors["one"])
    assert any("6 words are known, 1 are new" in said for said in heard.said)
    assert second.config.model["embed_dim"] == 8  # as in the run that it goes on from
    before, after = (read_arrays(run.folder / "model.safetensors") for run in (first, second))
    place = second.vectors.ids["one"]
    added = new.read_text(encoding="utf-8").split().count("one")
    assert after["counts"][place] == before["counts"][first.vectors.ids["one"]] + added


def test_a_longer_training_and_one_that_goes_on_learn_alike(text: Path, tmp_path: Path) -> None:
    """Outputs are carried over as well: the loss begins where it ended, not where a new run begins."""
    first = malmoi.train("word2vec", text, out=tmp_path / "first", embed_dim=8, epochs=30, subsample_threshold=0.0)
    second = malmoi.train("word2vec", text, out=tmp_path / "second", initialise_from=first.folder, epochs=1, seed=9)
    start, end = first.config.figures["losses"][0], first.config.figures["losses"][-1]
    assert abs(second.config.figures["losses"][0] - end) < 0.2 * (start - end)


def test_it_goes_on_from_a_file_of_vectors(text: Path, tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("2 3\none 1 0 0\n하나 0 1 0\n", encoding="utf-8")
    heard = Listens()
    run = malmoi.train("word2vec", text, out=tmp_path / "run", initialise_from=file, epochs=1, reporter=heard)
    assert run.vectors.dim == 3
    assert run.vectors.cosine("one", "하나") < 0.9
    assert any("2 words are known, 10 are new" in said for said in heard.said)


@pytest.mark.parametrize(
    ("rung", "options", "message"),
    [
        ("word2vec", {"valid": "x.txt"}, "--valid does not fit word2vec: vectors are learnt from the whole text"),
        ("glove", {"test": "x.txt"}, "--test does not fit glove"),
        ("word2vec", {"budget": "10s", "epochs": 2}, "--budget and --epochs both say how long"),
        ("cooccurrence", {"epochs": 2}, "it counts the text once"),
        ("word2vec", {"epochs": 2.5}, "--epochs 2.5 does not fit word2vec: a whole number"),
        ("glove", {"initialise_from": "x"}, "its vectors follow from the counts"),
        ("word2vec", {"objective": "hierarchical", "keep": "output"}, "keep='output' needs a vector of each word"),
        ("word2vec", {"subwords": "syllables"}, "subwords='syllables' does not fit"),
        ("word2vec", {"embeddim": 3}, "Did you mean 'embed_dim'"),
        ("cooccurrence", {"embed_dim": 40}, "n_dims=40"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    rung: str, options: dict[str, Any], message: str, text: Path, tmp_path: Path
) -> None:
    with pytest.raises(MalmoiError, match=message):
        malmoi.train(rung, text, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rung", ["word2vec", "glove", "cooccurrence"])
def test_a_text_with_nothing_to_learn_is_refused(rung: str, tmp_path: Path) -> None:
    single, alone = tmp_path / "single.txt", tmp_path / "alone.txt"
    single.write_text("word word word\n" * 30, encoding="utf-8")
    alone.write_text("".join(f"{word}\n" for word in ["one", "two", "three"] * 10), encoding="utf-8")
    with pytest.raises(DataError, match=r"1 (word|different)"):
        malmoi.train(rung, single, out=tmp_path / "run")
    with pytest.raises(DataError, match="No two"):
        malmoi.train(rung, alone, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_going_on_refuses_what_does_not_fit(text: Path, tmp_path: Path) -> None:
    first = malmoi.train("word2vec", text, out=tmp_path / "first", **QUICK["word2vec"])
    tree = malmoi.train("word2vec", text, out=tmp_path / "tree", objective="hierarchical", **QUICK["word2vec"])
    for source, options, message in (
        (first.folder, {"embed_dim": 9}, "embed_dim=9 does not fit the vectors to go on from"),
        (first.folder, {"subwords": "jamo"}, "subwords=jamo does not fit"),
        (tree.folder, {}, "hierarchical softmax, whose output vectors belong to the old tree"),
        (first.folder, {"tokenizer": "char"}, "cannot take in one of the kind char"),
    ):
        with pytest.raises(ConfigError, match=message):
            malmoi.train("word2vec", text, out=tmp_path / "run", initialise_from=source, **options)
    file = tmp_path / "vectors.txt"
    file.write_text("2 3\none 1 0 0\ntwo 0 1 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="from which vectors of their pieces cannot be told"):
        malmoi.train("word2vec", text, out=tmp_path / "run", initialise_from=file, subwords="jamo")
    with pytest.raises(RunError, match="There is no run at"):
        malmoi.train("word2vec", text, out=tmp_path / "run", initialise_from="nowhere")


def test_joined_words_have_vectors_and_are_carried_on(tmp_path: Path) -> None:
    text, more = tmp_path / "text.txt", tmp_path / "more.txt"
    rng = np.random.default_rng(0)
    names = ["new york", "서울 특별시"]

    def sentence() -> str:
        return " ".join([*rng.choice(list("abcdefgh"), 5), str(rng.choice(names)), *rng.choice(["x", "y"], 2)])

    text.write_text("".join(sentence() + "\n" for _ in range(400)), encoding="utf-8")
    more.write_text("".join(sentence() + " k\n" for _ in range(400)), encoding="utf-8")
    options = {**QUICK["word2vec"], "phrases": 1, "phrase_threshold": 5.0}
    run = malmoi.train("word2vec", text, out=tmp_path / "run", **options)
    assert {"new_york", "서울_특별시"} <= set(run.vectors.words)
    assert "york" not in run.vectors  # it never stands alone
    again = malmoi.train("word2vec", more, out=tmp_path / "again", initialise_from=run.folder, epochs=1)
    assert {"new_york", "k"} <= set(again.vectors.words)


def test_morphemes_go_by_their_form_and_verbs_by_what_dictionaries_have() -> None:
    pieces = ["사랑/NNG", "먹/VV", "예쁘/VA", "을/JKO", "사랑/NNP", "돕/VV-I", "나/NP", "나/VV", "이/VCP"]
    tokenizer = Tokenizer(Vocabulary("morpheme", [*SPECIALS, *pieces]), SpellingModel.fit(["사랑"]))
    named = ["사랑", "먹다", "예쁘다", "을", "사랑/NNP", "돕다", "나", "나다", "이"]
    assert word_names(tokenizer)[4:] == named


def test_names_of_tokens_can_be_read_and_differ(text: Path) -> None:
    tokenizer = train_tokenizer("bpe", text.read_text(encoding="utf-8").splitlines(), vocab_size=330)
    names = word_names(tokenizer)
    assert len(set(names)) == len(names)
    assert "␣seven" in names


def test_the_command_line_trains_and_tells(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from malmoi.cli import main

    out = str(tmp_path / "run")
    assert main(["train", "word2vec", str(text), "--embed-dim", "6", "--epochs", "2", "--out", out]) == 0
    told = capsys.readouterr()
    assert "words\t12" in told.out
    assert "promise\tthe same seed gives the same bytes" in told.out
    assert f"malmoi vectors similar {out} WORD" in told.err
    assert main(["train", "glove", str(text), "--epochs", "2", "--out", f"{out}2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["family"], found["words"], len(found["losses"])) == ("glove", 12, 2)
    assert main(["info", out]) == 0
    assert "word2vec" in capsys.readouterr().out
    assert main(["next", out, "one"]) == 2
    assert "give no probabilities" in capsys.readouterr().err
    assert main(["compare", str(text), "--rungs", "word2vec,ngram"]) == 2
    assert "malmoi vectors eval" in capsys.readouterr().err
