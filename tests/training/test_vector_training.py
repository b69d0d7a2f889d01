import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vector_runs import QUICK, Listens, lines, numbers_text

import malmoi
from malmoi.api import load_vectors
from malmoi.arrays import read_arrays, write_arrays
from malmoi.cli import main
from malmoi.errors import ConfigError, DataError, MalmoiError, RunError
from malmoi.text.spelling import SpellingModel
from malmoi.text.tokenizers import Tokenizer, train_tokenizer
from malmoi.text.vocabulary import SPECIALS, Vocabulary
from malmoi.training.vectors import texts as vector_texts
from malmoi.training.vectors.texts import word_names


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return numbers_text(tmp_path)


def test_words_are_lower_case_letters_and_digits_unless_said_otherwise(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("“Hello, World!” said Ann. Don't go, 나는 갔다.\n" * 20, encoding="utf-8")
    heard = Listens()
    run = malmoi.train("cooccurrence", text, out=tmp_path / "a", embed_dim=2, reporter=heard)
    assert set(run.vectors.words) == {"hello", "world", "said", "ann", "don't", "go", "나는", "갔다"}
    assert "words are letters and digits, in lower case (--split, --lower)" in heard.said
    kept = malmoi.train("cooccurrence", text, out=tmp_path / "b", embed_dim=2, lower=False, split="spaces")
    assert set(kept.vectors.words) == {"“Hello,", "World!”", "said", "Ann.", "Don't", "go,", "나는", "갔다."}


def test_rare_words_of_a_large_text_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vector_texts.SMALL_TEXT == 1_000_000
    monkeypatch.setattr(vector_texts, "SMALL_TEXT", 3000)
    text = tmp_path / "text.txt"
    text.write_text(lines(90, "alpha beta gamma delta") + "rare words\n" * 4, encoding="utf-8")
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
        ("word2vec", {"objective": "softmax", "subwords": "jamo"}, "learnt with objective='negative' alone"),
        ("word2vec", {"divide_gradient": True}, "Leave --divide-gradient out, or give --method cbow"),
        ("word2vec", {"min_learning_rate": 0.1}, "cannot fall from 0.025 to 0.1"),
        ("word2vec", {"subwords": "syllables"}, "subwords='syllables' does not fit"),
        (
            "word2vec",
            {"subwords": "jamo", "keep": "average"},
            "keep='average' does not go with subwords='jamo'.*--keep",
        ),
        ("word2vec", {"embeddim": 3}, "Did you mean 'embed_dim'"),
        ("cooccurrence", {"embed_dim": 40}, "n_dims=40"),
        ("cooccurrence", {"shift": 1e6, "reduction": "none"}, "with shift=1e[+]06 every number is 0.*Lower --shift"),
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
        (first.folder, {"objective": "hierarchical"}, "Leave --objective out, which goes on with negative"),
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
    arrays = read_arrays(first.folder / "model.safetensors")
    write_arrays(first.folder / "model.safetensors", {**arrays, "outputs": arrays["outputs"][:, :5]})
    with pytest.raises(RunError, match=r"outputs has the shape \(12, 5\), and \(12, 8\) was expected.*copy the whole"):
        malmoi.train("word2vec", text, out=tmp_path / "run", initialise_from=first.folder)


def test_pieces_of_words_are_gone_on_with_by_their_own_tokenizer(text: Path, tmp_path: Path) -> None:
    options = {**QUICK["word2vec"], "tokenizer": "bpe", "vocab_size": 300}
    first = malmoi.train("word2vec", text, out=tmp_path / "first", **options)
    with pytest.raises(ConfigError, match="cannot take in one of the kind bpe.*as it is: --tokenizer-from RUN"):
        malmoi.train("word2vec", text, out=tmp_path / "second", initialise_from=first.folder)
    taken = {"initialise_from": first.folder, "tokenizer_from": first.folder, "epochs": 1}
    second = malmoi.train("word2vec", text, out=tmp_path / "second", **taken)
    assert second.vectors.words == first.vectors.words
    start, end = first.config.figures["losses"][0], first.config.figures["losses"][-1]
    assert abs(second.config.figures["losses"][0] - end) < 0.2 * (start - end)


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


def test_vectors_of_pieces_that_are_missing_are_named(text: Path, tmp_path: Path) -> None:
    options = {**QUICK["word2vec"], "subwords": "characters", "subword_buckets": 50}
    run = malmoi.train("word2vec", text, out=tmp_path / "run", **options)
    assert run.vectors["onetwo"].shape == (8,)
    arrays = read_arrays(run.folder / "model.safetensors")
    for pieces in ({}, {"subwords": arrays["subwords"][:49]}):
        write_arrays(run.folder / "model.safetensors", {"counts": arrays["counts"], **pieces})
        with pytest.raises(
            RunError, match=r"no vectors of pieces of words of the shape \(50, 8\).*copy the whole folder"
        ):
            _ = load_vectors(run.folder)["onetwo"]


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
    told = capsys.readouterr()
    assert "vectors\tof 12 words" in told.out
    assert re.search(
        r"training\t3,600 tokens, 2 epochs, mean loss \d\.\d{4} in the last one, [\d.]+ s, seed 0\n", told.out
    )
    assert "promise\tthe same seed gives the same bytes" in told.out
    assert "Go on with" not in told.err
    assert main(["next", out, "one"]) == 2
    assert "give no probabilities" in capsys.readouterr().err
    assert main(["compare", str(text), "--rungs", "word2vec,ngram"]) == 2
    assert "malmoi vectors eval" in capsys.readouterr().err
