"""One contract for everything that makes vectors of words. Joining takes one line: add it to METHODS."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import malmoi
from malmoi.api import load_vectors
from malmoi.errors import RunError
from malmoi.models.registry import RUNGS
from malmoi.vectors import Vectors

METHODS: dict[str, dict[str, Any]] = {
    "cooccurrence": {"rung": "cooccurrence"},
    "cooccurrence, exact, shifted": {"rung": "cooccurrence", "reduction": "exact", "shift": 2.0, "power": 1.0},
    "cooccurrence, whole": {"rung": "cooccurrence", "reduction": "none"},
    "cooccurrence, counts": {"rung": "cooccurrence", "association": "counts", "weighting": "linear"},
    "cooccurrence, pmi": {"rung": "cooccurrence", "association": "pmi", "side": "left"},
    "glove": {"rung": "glove", "epochs": 60, "learning_rate": 0.1},
    "skip-gram": {"rung": "word2vec"},
    "skip-gram, free": {"rung": "word2vec", "mode": "free"},
    "skip-gram, hierarchical": {"rung": "word2vec", "objective": "hierarchical"},
    "skip-gram, softmax": {"rung": "word2vec", "objective": "softmax"},
    "skip-gram, average": {"rung": "word2vec", "keep": "average"},
    "skip-gram, output": {"rung": "word2vec", "keep": "output"},
    "skip-gram, subwords": {"rung": "word2vec", "subwords": "characters", "subword_buckets": 500},
    "skip-gram, jamo": {"rung": "word2vec", "subwords": "jamo", "subword_buckets": 500},
    "cbow": {"rung": "word2vec", "method": "cbow"},
    "cbow, divided": {"rung": "word2vec", "method": "cbow", "divide_gradient": True, "learning_rate": 0.5},
    "cbow, hierarchical": {"rung": "word2vec", "method": "cbow", "objective": "hierarchical"},
    "cbow, softmax": {"rung": "word2vec", "method": "cbow", "objective": "softmax", "learning_rate": 0.5},
    "cbow, subwords": {"rung": "word2vec", "method": "cbow", "subwords": "characters", "subword_buckets": 500},
}
TOPICS = (
    ("바다", "파도", "물결", "배", "항구", "갈매기"),
    ("bread", "butter", "oven", "flour", "yeast", "crust"),
    ("star", "moon", "orbit", "comet", "planet", "sky"),
)
FILLERS = ("the", "그리고", "of")


def make_text(n_lines: int = 600, seed: int = 0) -> str:
    """Lines of one topic each, with words that stand in all of them."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(n_lines):
        words = [*rng.choice(TOPICS[i % len(TOPICS)], 6), *rng.choice(FILLERS, 2)]
        lines.append(" ".join(rng.permutation(words)))
    return "\n".join(lines) + "\n"


def train(text: Path, out: Path, method: str, **more: Any) -> malmoi.Run:
    options = {"embed_dim": 12, "window": 3, "seed": 1, **METHODS[method], **more}
    rung = options.pop("rung")
    if rung == "word2vec":
        options = {"epochs": 25, "subsample_threshold": 0.0, "learning_rate": 0.05, **options}
    return malmoi.train(rung, text, out=out, **options)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "topics.txt"
    path.write_text(make_text(), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=METHODS)
def run(request: pytest.FixtureRequest, text: Path, tmp_path_factory: pytest.TempPathFactory) -> malmoi.Run:
    return train(text, tmp_path_factory.mktemp("runs") / "run", request.param)


def test_every_rung_that_makes_vectors_is_under_contract() -> None:
    assert {options["rung"] for options in METHODS.values()} == {
        name for name, rung in RUNGS.items() if rung.kind == "vectors"
    }


def test_it_has_the_words_of_the_text_most_frequent_first(run: malmoi.Run, text: Path) -> None:
    counts: dict[str, int] = {}
    for word in text.read_text(encoding="utf-8").split():
        counts[word] = counts.get(word, 0) + 1
    vectors = run.vectors
    assert set(vectors.words) == set(counts)
    frequencies = [counts[word] for word in vectors.words]
    assert frequencies == sorted(frequencies, reverse=True)


def test_words_of_a_topic_are_nearer_to_each_other_than_to_others(run: malmoi.Run) -> None:
    vectors = run.vectors
    within, across = [], []
    for first, second in itertools.combinations([(i, word) for i, topic in enumerate(TOPICS) for word in topic], 2):
        (within if first[0] == second[0] else across).append(vectors.cosine(first[1], second[1]))
    assert np.mean(within) > np.mean(across) + 0.2
    assert {word for word, _ in vectors.similar("바다", 3)} < {*TOPICS[0], *FILLERS}


def test_neighbours_are_those_with_the_largest_cosines(run: malmoi.Run) -> None:
    vectors = run.vectors
    rows = np.stack([vectors[word] for word in vectors.words]).astype(np.float64)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = units @ units[vectors.words.index("moon")]
    best = [vectors.words[i] for i in np.argsort(-cosines, kind="stable") if vectors.words[i] != "moon"][:5]
    found = vectors.similar("moon", 5)
    assert [word for word, _ in found] == best
    np.testing.assert_allclose([cosine for _, cosine in found], np.sort(cosines)[::-1][1:6], atol=1e-5)


def test_saved_vectors_are_the_same_when_they_are_read_again(run: malmoi.Run) -> None:
    again = load_vectors(run.folder)
    assert isinstance(again, type(run.vectors))
    assert again.words == run.vectors.words
    assert all(np.array_equal(again[word], run.vectors[word]) for word in again.words)


@pytest.mark.parametrize("method", [name for name, options in METHODS.items() if options.get("mode") != "free"])
def test_the_same_seed_gives_the_same_bytes_for_any_number_of_threads(method: str, text: Path, tmp_path: Path) -> None:
    for n_threads in (1, 3):
        train(text, tmp_path / str(n_threads), method, epochs=None if "cooc" in method else 2, threads=n_threads)
    for name in ("words.json", "vectors.safetensors", "model.safetensors", "tokenizer.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes(), name


def test_the_run_says_what_it_is(run: malmoi.Run) -> None:
    figures = run.config.figures
    assert figures["words"] == len(run.vectors)
    assert figures["training_seconds"] >= 0
    card = (run.folder / "README.md").read_text(encoding="utf-8")
    assert f"`{run.config.family}`" in card
    assert "None" not in card
    assert "`malmoi vectors eval run --sets all`" in card
    json.dumps(run.config.model_dump(), allow_nan=False)
    assert not (run.folder / "checkpoint").exists()
    if run.config.family == "word2vec":
        assert figures["promise"] in card
        assert figures["losses"][-1] < figures["losses"][0]
        lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["loss"] for line in lines] == figures["losses"]


def test_unseen_words_have_vectors_where_pieces_of_words_do(run: malmoi.Run) -> None:
    vectors = run.vectors
    if run.config.model.get("subwords", "none") == "none":
        assert vectors.unknown is None
        return
    assert vectors["butters"].shape == (12,)
    assert vectors.cosine("butters", "butter") > vectors.cosine("butters", "moon")


def test_it_is_no_language_model_and_says_so(run: malmoi.Run) -> None:
    with pytest.raises(RunError, match=r"vectors of words, which give no probabilities.*malmoi vectors similar"):
        run.next("바다")


def test_vectors_are_what_is_promised(run: malmoi.Run) -> None:
    if run.config.model.get("reduction") != "none":
        assert isinstance(run.vectors, Vectors)
        assert run.vectors.dim == 12
