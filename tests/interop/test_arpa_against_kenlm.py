"""ARPA files against PyPI's kenlm, another implementation: it takes what we write, and gives our scores."""

import gzip
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import malmoi
from malmoi.interop.arpa import ArpaModel, read_arpa, tables_from_arpa, write_arpa
from malmoi.models.ngram.model import NGramModel
from malmoi.models.ngram.tables import NGramTables
from malmoi.text.sources import TextSource
from malmoi.text.vocabulary import EOS, UNK

kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed; it is built from source and needs a C++ compiler")

DATA = Path(os.environ.get("MALMOI_DATA", Path(__file__).parents[3] / "shared" / "data"))
REFERENCES = ("ptb-valid.order5", "ko-open-text-valid.order4", "ko-open-text-valid.order3.prune001")
LINES = [
    "the boat came back",
    "the boats came",
    "배가 돌아왔다",
    "the 배가 came",
    "back the boat",
    "a\u00a0boat\tcame 50%20",
]


def kenlm_scores(model: Any, sentence: Sequence[str]) -> list[float]:
    """ln P of each word and of the end of a sentence."""
    return [log10 * np.log(10) for log10, _, _ in model.full_scores(" ".join(sentence))]


def our_scores(model: NGramModel, token_ids: Sequence[int]) -> list[float]:
    return [float(value) for value in model.score(np.array([[*token_ids, EOS]]), model.start())[0][0]]


def train(folder: Path, kind: str, **options: Any) -> malmoi.Run:
    return malmoi.train(
        "ngram", TextSource.from_texts(LINES * 5), tokenizer=kind, out=folder, **{"order": 3, "threads": 1, **options}
    )


@pytest.mark.parametrize("kind", ["word", "char", "jamo", "bpe", "unigram"])
def test_kenlm_gives_our_scores_for_every_kind_of_token(kind: str, tmp_path: Path) -> None:
    options = {"unigram": {"vocab_size": 400}, "bpe": {"vocab_size": 280}}
    run = train(tmp_path / "run", kind, **options.get(kind, {}))
    path = run.export(tmp_path / "model.arpa")
    theirs = kenlm.Model(str(path))
    ours = run.model
    assert isinstance(ours, NGramModel)
    assert theirs.order == 3
    names = read_names(path, run)
    for line in [*LINES, "boats 돌아왔다 unheard", "", "boat boat boat"]:
        ids = [int(token_id) for token_id in run.tokenizer.encode(line)]
        sentence = [names[token_id] if token_id != UNK else "unheard" for token_id in ids]
        assert kenlm_scores(theirs, sentence) == pytest.approx(our_scores(ours, ids), abs=1e-5)


def read_names(path: Path, run: malmoi.Run) -> list[str]:
    """What each token is called in a written file: the 1-grams are in the order of the ids, without the padding."""
    text = path.read_text(encoding="utf-8")
    section = text.partition("\\1-grams:\n")[2].partition("\n\n")[0]
    names = ["<pad>", *(line.split("\t")[1] for line in section.split("\n"))]
    assert len(names) == run.tokenizer.vocab_size
    return names


@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell", "add-k", "stupid-backoff"])
@pytest.mark.parametrize("quantise", [False, True])
def test_kenlm_gives_our_scores_for_every_smoothing(smoothing: str, quantise: bool, tmp_path: Path) -> None:
    run = train(tmp_path / "run", "word", smoothing=smoothing, quantise=quantise, order=4, prune="0,0,1")
    theirs, ours = kenlm.Model(str(run.export(tmp_path / "model.arpa.gz"))), run.model
    assert isinstance(ours, NGramModel)
    for line in LINES:
        ids = [int(token_id) for token_id in run.tokenizer.encode(line)]
        got = kenlm_scores(theirs, [run.tokenizer.all_tokens[token_id] for token_id in ids])
        assert got == pytest.approx(our_scores(ours, ids), abs=1e-5)


def test_kenlm_adds_what_pruning_left_out_as_we_do(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "word", order=4)
    lines = run.export(tmp_path / "whole.arpa").read_text(encoding="utf-8").split("\n")
    gone = {"the boat came", "boat came back"}  # a context and a suffix of `the boat came back`
    kept = [line for line in lines if not gone & {*line.split("\t")[1:2]}]
    count = next(line for line in lines if line.startswith("ngram 3="))
    kept[kept.index(count)] = f"ngram 3={int(count.split('=')[1]) - 2}"
    pruned = tmp_path / "pruned.arpa"
    pruned.write_text("\n".join(kept), encoding="utf-8")
    notes: list[str] = []
    tables, tokens = tables_from_arpa(read_arpa(pruned), note=notes.append)
    assert len(kept) == len(lines) - 2
    assert notes[0].endswith("changes no answer: 2")
    theirs, ours = kenlm.Model(str(pruned)), NGramModel(tables, 2, 3, n_threads=1)
    for line in LINES:
        ids = [int(token_id) for token_id in run.tokenizer.encode(line)]
        got = kenlm_scores(theirs, [tokens[token_id] for token_id in ids])
        assert got == pytest.approx(our_scores(ours, ids), abs=1e-5)


@pytest.fixture(scope="module")
def reference(request: pytest.FixtureRequest) -> tuple[Path, ArpaModel, NGramTables, list[str]]:
    path = DATA.parent / "reference" / "kenlm" / f"{request.param}.arpa.gz"
    model = read_arpa(path)
    return (path, model, *tables_from_arpa(model))


@pytest.mark.shared_data
@pytest.mark.parametrize("reference", REFERENCES, indirect=True)
def test_a_file_of_lmplz_comes_back_entry_by_entry(
    reference: tuple[Path, ArpaModel, NGramTables, list[str]], tmp_path: Path
) -> None:
    path, model, tables, tokens = reference
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    counts = [int(line.split("=")[1]) for line in lines if line.startswith("ngram ")]
    assert [len(level.ids) for level in model.levels] == counts
    for n, level in enumerate(model.levels, start=1):  # against the text itself, line by line
        begin = lines.index(f"\\{n}-grams:") + 1
        fields = [line.split("\t") for line in lines[begin : begin + counts[n - 1]]]
        for i in random.Random(n).sample(range(len(fields)), 500):
            assert " ".join(model.words[word] for word in level.ids[i]) == fields[i][1]
        log10 = np.array([float(line[0]) for line in fields])
        is_start = np.array([line[1] == "<s>" for line in fields])
        np.testing.assert_array_equal(level.log_probs[~is_start], np.float32(log10 * np.log(10))[~is_start])
        if n < len(counts):
            weights = np.array([float(line[2]) for line in fields])
            np.testing.assert_array_equal(level.backoffs, np.float32(weights * np.log(10)))
    write_arpa(tmp_path / "again.arpa", tables, tokens)
    again, others = tables_from_arpa(read_arpa(tmp_path / "again.arpa"))
    assert others == tokens
    for name, array in tables.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, name)


@pytest.mark.shared_data
@pytest.mark.parametrize("reference", REFERENCES, indirect=True)
def test_kenlm_scores_the_rewritten_file_as_the_original(
    reference: tuple[Path, ArpaModel, NGramTables, list[str]], tmp_path: Path
) -> None:
    path, model, tables, tokens = reference
    write_arpa(tmp_path / "again.arpa", tables, tokens)
    original, rewritten, ours = (
        kenlm.Model(str(path)),
        kenlm.Model(str(tmp_path / "again.arpa")),
        NGramModel(tables, 2, 3),
    )
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    chance = random.Random(0)
    longest = model.levels[-1]
    words = [word for word in model.words if word in ids and word[0] != "<"]  # without one that NFC changes
    for _ in range(200):
        seen = [model.words[word] for word in longest.ids[chance.randrange(len(longest.ids))]]
        middle = [word for word in seen if word in words]
        sentence = chance.choices(words, k=3) + middle + ["never-seen"] + chance.choices(words, k=3)
        want = kenlm_scores(original, sentence)
        assert kenlm_scores(rewritten, sentence) == pytest.approx(want, abs=1e-5)
        assert our_scores(ours, [ids.get(word, UNK) for word in sentence]) == pytest.approx(want, abs=1e-5)
