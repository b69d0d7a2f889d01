"""One update of a run of word2vec, against PyTorch's gradients, the loops that train, and arithmetic on paper."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from webpages import HOSTILE, Reader, asks_for_nothing

import malmoi
from malmoi.arrays import read_arrays, write_arrays
from malmoi.cli import main
from malmoi.errors import ConfigError, DataError, MalmoiError, RunError
from malmoi.explain.explanation import Explanation
from malmoi.explain.page import page_html
from malmoi.explain.word2vec.explaining import explain_update
from malmoi.explain.word2vec.reading import Pieces
from malmoi.explain.word2vec.window import Network, Word
from malmoi.models.options.vectors import Word2VecConfig
from malmoi.models.word2vec import kernels, subword_kernels
from malmoi.models.word2vec.subwords import Subwords, SubwordSettings
from malmoi.runs.folder import RunConfig, write_config
from malmoi.scratch.word2vec_update import Ways, answers_of_all, gather
from malmoi.text.printable import printable_text
from malmoi.text.tokenizers import train_tokenizer
from malmoi.vectors.storage import write_files

TEXT = "you say goodbye and i say hello ."
WORDS = ["say", "you", "goodbye", "and", "i", "hello", ".", "no", "yes"]
COUNTS = [40, 20, 20, 20, 10, 10, 5, 2, 1]
CASES = [
    (method, objective) for method in ("skip-gram", "cbow") for objective in ("negative", "hierarchical", "softmax")
]


def network(seed: int = 3, dim: int = 5, **options: Any) -> Network:
    """Random weights of a moderate size."""
    rng, V = np.random.default_rng(seed), len(WORDS)
    config = Word2VecConfig.parse({"vocab_size": V + 4, "embed_dim": dim, "window": 3, **options})
    n_outputs = V - 1 if config.objective == "hierarchical" else V
    inputs, outputs = (0.5 * rng.standard_normal((n, dim)) for n in (V, n_outputs))
    weights = inputs.astype(np.float32), outputs.astype(np.float32)
    return Network("runs/tiny", config, WORDS, np.array(COUNTS), *weights, rate=0.025)


def read(text: str, names: list[str]) -> list[Word]:
    words, end = [], 0
    for piece in text.split():
        begin = text.index(piece, end)
        end = begin + len(piece)
        words.append(Word(piece, begin, end, 0, names.index(piece) if piece in names else -1))
    return words


def explained(net: Network, text: str = TEXT, **options: Any) -> Explanation:
    return explain_update(net, text, read(text, list(net.words)), **{"step": 4, "seed": 1, **options})


def numbers(found: Explanation, name: str) -> np.ndarray:
    values, *_ = [part.values for step in found.steps for part in step.numbers if part.name == name]
    return values


def labels(found: Explanation, name: str) -> list[str]:
    names, *_ = [part.labels[0] for step in found.steps for part in step.numbers if part.name == name]
    return list(names)


def torch_update(net: Network, found: Explanation) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Loss and gradients of the same update, from the names that the explanation shows."""
    W_in, W_out = (torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in (net.inputs, net.outputs))
    around = labels(found, "h" if net.config.method == "skip-gram" else "v")
    h = W_in[[WORDS.index(word) for word in around]]
    h = h if net.config.method == "skip-gram" else h.mean(dim=0, keepdim=True)
    target = WORDS.index(found.target)
    if net.config.objective == "softmax":
        loss = torch.nn.functional.cross_entropy(h @ W_out.T, torch.tensor([target] * len(h)), reduction="sum")
    elif net.config.objective == "negative":
        wrong = [WORDS.index(word) for word in labels(found, "P_n(w)")]
        loss = -torch.log(torch.sigmoid(h @ W_out[target])).sum() - torch.log(torch.sigmoid(-h @ W_out[wrong].T)).sum()
    else:
        nodes = [int(name.split(":")[0]) for name in labels(found, "y")]
        y = torch.tensor(numbers(found, "y"))
        answers = torch.sigmoid(h @ W_out[nodes].T)
        loss = -torch.log(torch.where(y == 1, answers, 1 - answers)).sum()
    loss.backward()
    assert W_in.grad is not None
    assert W_out.grad is not None
    return loss.item(), W_in.grad, W_out.grad


@pytest.mark.parametrize(("method", "objective"), CASES)
def test_loss_and_gradients_are_those_of_torch(method: str, objective: str) -> None:
    net = network(method=method, objective=objective, divide_gradient=method == "cbow")
    found = explained(net, learning_rate=0.5)
    loss, d_inputs, d_outputs = torch_update(net, found)
    assert float(numbers(found, "L, L′")[0]) == pytest.approx(loss)
    assert numbers(found, "L, L′")[1] < loss
    moved_in, moved_out = numbers(found, "−η ∂L/∂W_in"), numbers(found, "−η ∂L/∂W_out")
    np.testing.assert_allclose(moved_in, -0.5 * d_inputs.numpy()[d_inputs.abs().sum(1).numpy() > 0], atol=1e-12)
    np.testing.assert_allclose(moved_out, -0.5 * d_outputs.numpy()[d_outputs.abs().sum(1).numpy() > 0], atol=1e-12)


@pytest.mark.parametrize(("method", "objective"), CASES)
def test_the_loops_that_train_do_the_same(method: str, objective: str) -> None:
    found = explained(network(method=method, objective=objective), learning_rate=0.5)
    assert found.compares == "rows"
    assert 0 < max(found.agreement.values()) < 1e-5
    assert ("malmoi.scratch" in found.agreement) == (objective != "hierarchical")
    assert 0 < found.agreement["the training loops"] < 1e-5


@pytest.mark.parametrize("has_pieces", [False, True])
@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_a_whole_loop_of_training_makes_this_update(method: str, has_pieces: bool) -> None:
    """Over a text of two words, of which the second is read at the rate 0, with the third as the only wrong word."""
    rng, middle, neighbour, wrong = np.random.default_rng(0), 0, 1, 2
    subwords = Subwords.build(["sail", "sailing", "boat"], SubwordSettings(n_buckets=7))
    pieces = Pieces(subwords.starts, subwords.rows) if has_pieces else [np.array([i]) for i in range(3)]
    inputs, outputs = (rng.standard_normal((n, 8)).astype(np.float32) for n in (10, 3))
    read, right = (middle, neighbour) if has_pieces and method == "skip-gram" else (neighbour, middle)
    rows = gather(inputs, outputs, [pieces[read]], np.array([right, wrong]), np.array([1.0, 0.0]))
    after = rows.trace(0.1).moved
    only = np.array([0, 0, 1 << 32], np.uint64), np.array([wrong] * 3, np.int32)
    text: Any = (np.array([middle, neighbour], np.int32), 2, 1, 1, *only, 0.1, -0.1, np.uint64(1))
    own: Any = (subwords.starts, subwords.rows) if has_pieces else ()
    last: Any = (False,) if method == "cbow" else ()
    loops: Any = subword_kernels if has_pieces else kernels
    name = method.replace("-", "_") + "_subwords" * has_pieces
    getattr(loops, name)(*text, *own, inputs, outputs, *last)
    np.testing.assert_allclose(inputs[rows.input_ids], after.inputs, atol=1e-5)
    np.testing.assert_allclose(outputs[rows.output_ids], after.outputs, atol=1e-5)


def test_cbow_moves_each_word_by_the_whole_gradient_or_by_its_share() -> None:
    whole, share = (explained(network(method="cbow", divide_gradient=divide)) for divide in (False, True))
    n = len(labels(whole, "v"))
    assert n > 1
    np.testing.assert_allclose(numbers(whole, "−η ∂L/∂W_in"), n * numbers(share, "−η ∂L/∂W_in"))
    assert "whole gradient of the mean" in next(step for step in whole.steps if step.name == "rows").sentence
    assert "whole gradient" not in next(step for step in share.steps if step.name == "rows").sentence


def test_one_update_on_paper() -> None:
    """Two words, two numbers each: h = (1, 0) is asked about (2, 0), which is right, and (0, 1), which is wrong."""
    config = Word2VecConfig.parse({"vocab_size": 6, "embed_dim": 2, "window": 1, "n_negatives": 1, "noise_power": 0})
    inputs, outputs = (np.array(rows, np.float32) for rows in ([[9, 9], [1, 0]], [[2, 0], [0, 1]]))
    net = Network("runs/two", config, ["a", "b"], np.array([5, 5]), inputs, outputs, rate=0.1)
    seed = next(seed for seed in range(20) if labels(explained(net, "a b", step=1, seed=seed), "P_n(w)"))
    found = explained(net, "a b", step=1, seed=seed)
    np.testing.assert_allclose(numbers(found, "s"), [[2, 0]])
    np.testing.assert_allclose(numbers(found, "σ(s)"), [[0.880797, 0.5]], atol=1e-6)
    assert found.probability == pytest.approx(0.880797, abs=1e-6)
    assert float(numbers(found, "L, L′")[0]) == pytest.approx(0.126928 + 0.693147, abs=1e-6)
    np.testing.assert_allclose(numbers(found, "σ(s) − y"), [[-0.119203, 0.5]], atol=1e-6)
    np.testing.assert_allclose(
        numbers(found, "−η ∂L/∂W_in"), [[0.0238406, -0.05]], atol=1e-7
    )  # -0.1 (-0.1192 · 2, 0.5 · 1)
    np.testing.assert_allclose(numbers(found, "−η ∂L/∂W_out"), [[0.0119203, 0], [-0.05, 0]], atol=1e-7)
    np.testing.assert_allclose(numbers(found, "s′"), [[1.0238406 * 2.0119203, 1.0238406 * -0.05 - 0.05]], atol=1e-6)
    assert found.surprisals["question"][0].nats == pytest.approx(0.126928 + 0.693147, abs=1e-6)


def test_ways_through_the_tree_share_out_all_probability() -> None:
    net = network(objective="hierarchical", method="cbow")
    hidden = np.random.default_rng(0).standard_normal((2, 5))
    assert answers_of_all(net.outputs, hidden, "hierarchical", Ways(*net.tree)).sum() == pytest.approx(1)
    found = explained(net)
    assert found.is_distribution
    assert found.probability == pytest.approx(math.exp(-numbers(found, "L, L′")[0]))
    nodes = [int(name.split(":")[0]) for name in labels(found, "y")]
    assert nodes[0] == len(WORDS) - 2  # the root comes first
    assert nodes == sorted(nodes, reverse=True)


def test_the_window_and_the_wrong_words_follow_the_seed_and_the_options() -> None:
    net = network(n_negatives=400, noise_power=1.0)
    drawn = labels(explained(net), "P_n(w)")
    assert "and" not in drawn  # the right word is left out
    share = drawn.count("say") / 400
    assert share == pytest.approx(40 / 128, abs=0.08)
    assert explained(net).likeliest == explained(net).likeliest
    assert labels(explained(net, seed=2), "P_n(w)") != drawn
    around = {len(labels(explained(net, seed=seed), "h")) for seed in range(12)}
    assert around == {2, 4, 6}  # 1, 2 or 3 places to each side


def test_unknown_words_keep_their_place_and_lines_part_windows() -> None:
    net = network(window=1)
    words = read("you huh and", WORDS)
    with pytest.raises(DataError, match="No known word stands within 1 places of ‘and’, word 3"):
        explain_update(net, "you huh and", words, step=3)
    words = [Word("you", 0, 3, 0, 1), Word("and", 4, 7, 1, 3)]
    with pytest.raises(DataError, match="No known word stands"):
        explain_update(net, "you\nand", words, step=2)


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
@pytest.mark.parametrize("kind", ["characters", "jamo"])
def test_pieces_of_words_share_in_the_update(method: str, kind: str) -> None:
    names = ["나는", "너는", "안녕", "말한다", "hello"]
    subwords = Subwords.build(names, SubwordSettings(kind=kind, n_buckets=50))
    rng = np.random.default_rng(0)
    options = {"vocab_size": 9, "embed_dim": 4, "window": 2, "method": method, "subwords": kind, "subword_buckets": 50}
    inputs, outputs = (rng.standard_normal((n, 4)).astype(np.float32) for n in (55, 5))
    config, pieces = Word2VecConfig.parse(options), Pieces(subwords.starts, subwords.rows)
    net = Network("runs/ko", config, names, np.array([5, 4, 3, 2, 1]), inputs, outputs, 0.05, pieces)
    found = explained(net, "나는 안녕 말한다", step=2, language="ko")
    rows = {name: pieces[i] for i, name in enumerate(names)}
    read_names = labels(found, "h" if method == "skip-gram" else "v")
    assert read_names == (["안녕"] if method == "skip-gram" else ["나는", "말한다"])
    assert found.target == ("나는" if method == "skip-gram" else "안녕")
    together = np.concatenate([rows[name] for name in read_names])
    h = inputs[together].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(numbers(found, "s")[0, 0], h @ outputs[names.index(found.target)], rtol=1e-6)
    assert len(numbers(found, "−η ∂L/∂W_in")) == len(set(together.tolist()))
    if method == "skip-gram":
        assert labels(found, "y")[:1] == ["나는"]
        assert numbers(found, "y").sum() == 2  # about both neighbours
        asked = [names.index(name) for name in labels(found, "y")]
        expected = np.log1p(np.exp(np.where(numbers(found, "y") == 1, -1, 1) * (outputs[asked] @ h)))
        second = int(np.flatnonzero(numbers(found, "y"))[1])
        costs = {unit.text: unit.nats for unit in found.surprisals["question"]}
        assert costs == pytest.approx({"나는": expected[:second].sum(), "말한다": expected[second:].sum()}, rel=1e-5)
    assert max(found.agreement.values()) < 1e-5
    sentence = next(step for step in found.steps if step.name == "neighbours").sentence
    assert ("fastText" in sentence) == (method == "skip-gram")


@pytest.mark.parametrize(
    ("text", "options", "kind", "message"),
    [
        (
            "you huh and",
            {"step": 2},
            DataError,
            "‘huh’, word 2 of the text, is none of the 9 words.*Known words.*: 1, 3",
        ),
        (
            TEXT,
            {"step": "next"},
            ConfigError,
            "step=next asks what follows the text.*Expected the number of a word, 1 to 8",
        ),
        ("", {"step": "last"}, ConfigError, "of a text with two words or more"),
        (TEXT, {"step": 9}, ConfigError, "step=9 is no token of this text"),
        (TEXT, {"learning_rate": 0}, ConfigError, "learning_rate=0 cannot be used"),
        (TEXT, {"learning_rate": math.nan}, ConfigError, "learning_rate=nan cannot be used"),
        (TEXT, {"seed": -1}, ConfigError, "seed=-1 cannot be used"),
    ],
)
def test_bad_questions(text: str, options: dict[str, Any], kind: type[MalmoiError], message: str) -> None:
    with pytest.raises(kind, match=message):
        explained(network(), text, **options)


# A run


def make_run(folder: Path, lines: list[str], **options: Any) -> Path:
    """A folder as training writes it."""
    tokenizer = train_tokenizer("word", lines, min_count=1)
    tokenizer.save(folder)
    names = tokenizer.all_tokens[4:]
    V, rng = len(names), np.random.default_rng(0)
    model = {"vocab_size": V + 4, "embed_dim": 3, "window": 2, **options}
    config = Word2VecConfig.parse(model)
    n_outputs = V - 1 if config.objective == "hierarchical" else V
    write_files(folder, names, {"matrix": rng.standard_normal((V, 3)).astype(np.float32)})
    arrays: dict[str, Any] = {"token_ids": np.arange(4, V + 4), "counts": np.arange(V, 0, -1)}
    arrays["outputs"] = rng.standard_normal((n_outputs, 3)).astype(np.float32)
    if config.subwords != "none":
        arrays["subwords"] = rng.standard_normal((config.subword_buckets, 3)).astype(np.float32)
    if config.subwords != "none" or config.keep != "input":
        arrays["inputs"] = rng.standard_normal((V, 3)).astype(np.float32)
    write_arrays(folder / "model.safetensors", arrays)
    write_config(folder, RunConfig(family="word2vec", model=config.model_dump(), training={"learning_rate": None}))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", ["you say goodbye and i say hello"], lower=True, split="words")


def test_the_command_shows_one_update(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(run), "You say: goodbye, and I say hello!", "--step", "3", "--seed", "4"]) == 0
    out = capsys.readouterr().out
    for part in (
        "word",
        "3: goodbye",
        "σ(s)",
        "∂L/∂s = σ(s) − y",
        "W_out goodbye",
        "Largest difference of a moved row's number",
    ):
        assert part in out
    assert "rate is 0.025" in out


def test_files_and_json(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, table, arrays = (tmp_path / name for name in ("why.html", "why.csv", "why.safetensors"))
    files = ["--html", str(html), "--csv", str(table), "--arrays", str(arrays)]
    command = ["explain", str(run), "나는 say goodbye and", "--step", "3", "--learning-rate", "0.5", "--lang", "ko"]
    assert main([*command, *files, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["target"] == "goodbye"
    assert told["is_distribution"] is False
    assert told["surprisals"].keys() == {"question"}
    assert {step["part"] for step in told["steps"]} == {"forward", "backward"}
    assert max(told["agreement"].values()) < 1e-5
    assert any("벡터가 없는 단어가 1개" in note for note in told["notes"])
    stored = read_arrays(arrays)
    (rows,) = [value for name, value in stored.items() if name.endswith("−η ∂L/∂W_in")]
    assert rows.shape[1] == 3
    lines = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    assert [row["unit"] for row in lines] == ["question"] * len(lines)
    assert {row["text"] for row in lines} <= {"say", "and"}
    assert sum(float(row["nats"]) for row in lines) == pytest.approx(
        told["steps"][5]["numbers"][-1]["values"], abs=1e-5
    )
    page = Reader(html.read_text(encoding="utf-8"))
    asks_for_nothing(page)
    assert "‘goodbye’, 이 자리에 어울릴까요?" in page.text
    assert "움직인 행의 숫자들 사이에서 가장 큰 차이" in page.text
    assert "나머지 모두" not in page.text  # the answers do not sum to 1


@pytest.mark.parametrize(("objective", "keep"), [("softmax", "average"), ("hierarchical", "input")])
def test_the_other_objectives_of_a_run(tmp_path: Path, objective: str, keep: str) -> None:
    made = make_run(tmp_path / "run", ["you say goodbye and i say hello"], objective=objective, keep=keep)
    found = malmoi.load(made).explain("you say goodbye", step=2)
    assert found.is_distribution
    assert any("keep" in note for note in found.notes)
    assert max(found.agreement.values()) < 1e-5


def test_a_run_with_pieces_of_words(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", ["나는 안녕 말한다 너는"], subwords="jamo", subword_buckets=40, method="cbow")
    found = malmoi.load(made).explain("나는 안녕 말한다", step=2, language="ko")
    rows = next(step for step in found.steps if step.name == "neighbours").sentence
    assert "조각" in rows
    moved = labels(found, "−η ∂L/∂W_in")
    assert {"나는", "말한다"} <= set(moved)
    assert set(moved) - {"나는", "말한다"} <= set(
        SubwordSettings("jamo").n_grams("나는") + SubwordSettings("jamo").n_grams("말한다")
    )


def test_text_stays_text_on_the_page() -> None:
    net = network()
    for text in HOSTILE:
        words = [Word(text, 0, len(text), 0, 0), Word("and", len(text) + 1, len(text) + 4, 0, 3)]
        page = Reader(page_html(explain_update(net, f"{text} and", words, step=2)))
        asks_for_nothing(page)
        assert len(page.scripts) == 2
        assert printable_text(text) in page.text


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"outputs": np.full((6, 3), math.nan, np.float32)}, "outputs holds NaN"),
        ({"outputs": np.zeros((6, 3), np.int32)}, "outputs holds NaN, infinity or int32 numbers"),
        ({"outputs": np.zeros((5, 3), np.float32)}, r"outputs has shape \(5, 3\)"),
        ({"counts": np.zeros(6, np.int64)}, "a word was counted 0 times"),
        ({"counts": np.ones(6)}, "counts holds NaN, infinity or float64 numbers"),
        ({"token_ids": np.arange(100, 106)}, "speaks of token 105"),
        ({"token_ids": np.full(6, -1)}, "speaks of token -1"),
        ({"extra": np.ones(3)}, "extra has shape"),
    ],
)
def test_damaged_runs(run: Path, arrays: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = read_arrays(run / "model.safetensors")
    write_arrays(run / "model.safetensors", {**kept, **arrays})
    with pytest.raises(RunError, match=message):
        malmoi.load(run).explain("you say")
    assert main(["explain", str(run), "you say"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_vectors_and_phrases_of_another_run(run: Path, tmp_path: Path) -> None:
    phrases = {"vocab_size": 99, "pass_ends": [1], "pairs": [[4, 5]], "scores": [12.0]}
    (run / "phrases.json").write_text(json.dumps(phrases))
    with pytest.raises(RunError, match="joins words of a vocabulary of 99, and the tokenizer has 10"):
        malmoi.load(run).explain("you say")
    (run / "phrases.json").unlink()
    write_files(run, [f"w{i}" for i in range(6)], {"matrix": np.ones((6, 4), np.float32)})
    with pytest.raises(RunError, match="its vectors have 4 numbers, and config.json says 3"):
        malmoi.load(run).explain("you say")


def test_other_vectors_have_no_such_step(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "family": "glove"}))
    assert main(["explain", str(run), "you say"]) == 2
    assert "'glove' cannot be explained yet" in capsys.readouterr().err


def test_the_tree_of_a_run_that_went_on_is_lost(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", ["you say goodbye"], objective="hierarchical")
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps({**config, "data": {"initialised_from": "runs/a"}}))
    with pytest.raises(RunError, match="the tree of the second training cannot be built again"):
        malmoi.load(made).explain("you say")


@pytest.mark.parametrize(("objective", "kind"), [("negative", "word"), ("hierarchical", "word"), ("negative", "jamo")])
def test_what_training_writes_can_be_explained(tmp_path: Path, objective: str, kind: str) -> None:
    rng, others = np.random.default_rng(0), ["we", "sail", "to", "see", "it", "today", "and", "far"]
    lines = [" ".join([*rng.choice(others, 3), "new york", *rng.choice(others, 3)]) for _ in range(60)]
    options: dict[str, Any] = {
        "objective": objective,
        "embed_dim": 6,
        "epochs": 3,
        "phrases": 1,
        "phrase_threshold": 4.0,
    }
    if kind == "jamo":
        options["subwords"] = "jamo"
    run = malmoi.train("word2vec", malmoi.TextSource.from_texts(lines), out=tmp_path / "run", **options)
    found = run.explain("We sail: to New York today!", step=4)
    assert found.target == (
        "new_york" if kind == "word" else "to"
    )  # as fastText, which asks the middle about a neighbour
    assert found.span == ((12, 20) if kind == "word" else (9, 11))
    assert "‘new_york’" in found.steps[0].sentence
    assert max(found.agreement.values()) < 1e-5


def test_a_learning_rate_that_is_none_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", ["you say goodbye and i say hello"])
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**written, "training": {"learning_rate": "x"}}), encoding="utf-8")
    with pytest.raises(RunError, match="has the learning rate 'x'. Expected a number above 0"):
        malmoi.load(folder).explain("you say hello")
