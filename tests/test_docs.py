"""The documentation holds: its code runs, its commands parse, its worked examples come out, its links lead somewhere."""

import gzip
import itertools
import math
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import malmoi
from malmoi.cli import build_app
from malmoi.cli.train import rung_first
from malmoi.models.gru import GRULayer
from malmoi.models.lstm import LSTMLanguageModel
from malmoi.models.nnlm import NNLM
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.models.options.recurrent import GRUConfig, LSTMConfig, RecurrentConfig, RNNConfig
from malmoi.models.recurrent import RecurrentLayer
from malmoi.models.registry import RUNGS, find_rung
from malmoi.models.rnn import RNNLanguageModel, RNNLayer
from malmoi.training.planner import dropout_for, make_plan
from malmoi.training.request import read_request

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "ko")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINES = ["나는 학교에 간다", "옛날 옛적에 말이 있었다", "여러분 안녕하세요", "the boat came back", "we sing today"] * 40
TINY = {"steps": 3, "evaluate_every": 3, "batch_size": 4, "window": 7, "hidden_size": 6, "embed_dim": 6}
RUN_ELSEWHERE = {
    page for page in PAGES if page.stem == "journey" or page.parent.name == "scratch"
}  # more strictly, by pages.py
DASH = re.compile(r"[\N{MINUS SIGN}\N{EN DASH}]")


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of these languages."""
    fenced = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in fenced if language in languages]


def having(*languages: str, leaving: Collection[Path] = ()) -> Any:
    """The pages that have such blocks, as a parameter named `page`, leaving some out."""
    pages = [page for page in PAGES if page not in leaving and blocks(page, *languages)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def tables(page: Path) -> list[list[list[str]]]:
    """The tables of a page, heading first, without back-quotes."""
    found: list[list[list[str]]] = [[]]
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip(" `") for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[rows[0], *rows[2:]] for rows in found if rows]


def table(page: Path, *columns: str) -> dict[str, list[float]]:
    """The numbers of the only table with this heading (its first column aside), by what stands first in the row."""
    (rows,) = [rows[1:] for rows in tables(page) if tuple(rows[0][1:]) == columns]
    return {row[0]: [float(DASH.sub("-", cell)) for cell in row[1:]] for row in rows}


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "small"
    return malmoi.train("lstm", malmoi.TextSource.from_texts(LINES), tokenizer="char", out=out, **TINY).folder


@pytest.fixture
def desk(tmp_path: Path, small_run: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A folder with the texts that the pages speak of, a `train` that takes no time, and a `run`."""
    monkeypatch.chdir(tmp_path)
    text = "\n".join(LINES) + "\n"
    Path("corpus.txt").write_text(text * -(-500 // len(LINES)), encoding="utf-8")  # of which a test part can be drawn
    Path("test.txt").write_text(text[: len(text) // 4], encoding="utf-8")
    Path("novels").mkdir()
    Path("novels", "first.txt").write_text(text, encoding="utf-8")
    words = ["배우", "왕", "남자", "여자", "여왕", "아침", "점심", "저녁", "책상"]
    malmoi.Vectors(words, np.random.default_rng(0).standard_normal((len(words), 5))).save(tmp_path / "runs" / "ko")
    with gzip.open("reviews.csv.gz", "wt", encoding="utf-8") as file:
        file.write('id,review\n1,"재미있다, 정말"\n2,좋다\n')
    train = malmoi.train

    def quickly(rung: str, text: Any, **options: Any) -> malmoi.Run:
        kept = {name: value for name, value in options.items() if name not in ("budget", "epochs")}
        return train(rung, text, **{**kept, **TINY})

    monkeypatch.setattr(malmoi, "train", quickly, raising=False)
    return {"__name__": "page", "run": malmoi.load(small_run)}


@having("python", leaving=RUN_ELSEWHERE)
def test_the_python_of_a_page_runs(page: Path, desk: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for number, code in enumerate(blocks(page, "python"), start=1):
        exec(compile(code, f"{page.name}, block {number}", "exec"), desk)
        said = re.findall(r"print\(.*\)  # (.+)", code)  # what a comment after print() promises
        out = capsys.readouterr().out
        assert all(line in out.splitlines() for line in said), (said, out)


def commands(block: str) -> Iterator[list[str]]:
    """The words after each `malmoi` in a block of shell commands."""
    for line in block.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|>&")
        lexer.whitespace_split = True
        for command in " ".join(map(shlex.quote, lexer)).split("malmoi ")[1:]:
            yield list(itertools.takewhile(lambda word: not re.fullmatch(r"[|>&]+", word), shlex.split(command)))


def exists(words: list[str]) -> None:
    """That this verb is there, and takes these operands and options."""
    words = ["corpus.txt" if word == "-" else word for word in words]
    if words[0] == "train":
        words = ["train", *rung_first(words[1:])]
    build_app().parse_args(words, exit_on_error=False, print_error=False)


@having("sh", "bash")
def test_the_commands_of_a_page_exist(page: Path) -> None:
    for block in blocks(page, "sh", "bash"):
        for words in commands(block):
            exists(words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_commands_within_the_text_exist(language: str) -> None:
    """Those with options that have a value; others may be a verb alone."""
    pages = (ROOT / "docs" / language).glob("*.md")
    spoken = [span for page in pages for span in re.findall(r"`(malmoi [^`]* --[^`]* [^`]*)`", page.read_text("utf-8"))]
    assert len(spoken) > 10
    for span in spoken:
        (words,) = commands(span.replace("--to FORM", "--to arpa"))
        exists(words)


@having("toml")
def test_the_recipes_of_a_page_are_accepted(page: Path, tmp_path: Path) -> None:
    for text in blocks(page, "toml"):
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(text, encoding="utf-8")
        asked = read_request({"recipe": recipe})
        assert asked.request.rung is not None
        find_rung(asked.request.rung).config.parse({"vocab_size": 9, **asked.model})
        assert asked.training


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), link


def test_every_page_is_there_in_both_languages() -> None:
    english, korean = ({page.name for page in (ROOT / "docs" / language).glob("*.md")} for language in LANGUAGES)
    assert english == korean


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_ladder_in_the_readme_is_the_registry(name: str) -> None:
    (ladder,) = [rows[1:] for rows in tables(ROOT / name) if rows[1][0] == "one-hot"]
    assert {row[0] for row in ladder} == {"one-hot", "thesaurus", *RUNGS}  # the first two are not trained


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_python_page_names_what_there_is(language: str) -> None:
    page = ROOT / "docs" / language / "python.md"
    names, members = [{row[0] for row in rows[1:]} for rows in tables(page)]
    assert names == set(malmoi.__all__)
    told = {name for member in members for name in re.findall(r"^\w+|(?<=, `)\w+", re.sub(r"\(.*", "", member))}
    assert told == {name for name in dir(malmoi.Run) if not name.startswith("_")} | {"folder", "device", "config"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_training_page_says_what_is_planned(language: str) -> None:
    page = ROOT / "docs" / language / "training.md"
    options, dropouts = [rows[1:] for rows in tables(page) if len(rows[0]) == 2]
    plan = make_plan(
        find_rung("lstm"), 2000, 1_000_000, None, 1.0, None, {}, {"precision": "float32"}, torch.device("cpu")
    )
    planned = plan.training.model_dump()
    for name, value in options:
        group, _, inner = name.partition(".")
        assert value == (f"{planned[group][inner]:g}" if inner else str(planned[name]).removesuffix(".0")), name
    for epochs, dropout in dropouts[:-1]:
        assert dropout_for(float(epochs)) == float(dropout)
        assert dropout_for(float(epochs) + 0.01) > float(dropout)
    assert dropout_for(1000.0) == float(dropouts[-1][1])
    assert (plan.model.hidden_size, plan.model.n_layers, plan.model.tie_embeddings) == (320, 2, True)


def set_weights(layer: RecurrentLayer, weights: dict[str, list[float]]) -> None:
    """W, U, b and (gru) c, one number a gate, into a layer with one unit."""
    with torch.no_grad():
        layer.from_input.weight[:, 0] = torch.tensor(weights["W"])
        layer.from_hidden.weight[:, 0] = torch.tensor(weights["U"])
        layer.from_input.bias[:] = torch.tensor(weights["b"])
        if "c" in weights:
            layer.from_hidden.bias[:] = torch.tensor(weights["c"])


def one_unit(config: type[RecurrentConfig]) -> dict[str, Any]:
    return config(vocab_size=3, embed_dim=1, hidden_size=1, n_layers=1).model_dump()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lstm_worked_by_hand_comes_out(language: str) -> None:
    page = ROOT / "docs" / language / "lstm.md"
    weights, steps = table(page, "i", "f", "g", "o"), table(page, *"xifgoch")
    words = [*table(page, "E", "p₁", "p₂").values()]
    model = LSTMLanguageModel(LSTMConfig(**one_unit(LSTMConfig))).double()
    (layer,) = model.layers
    set_weights(layer, weights)
    with torch.no_grad():
        model.embedding.weight[:, 0] = torch.tensor([word[0] for word in words])
        logits, _ = model(torch.tensor([[0, 1]]))
        state = layer.initial_state(1)
        for step, (x, *told) in enumerate(steps.values()):
            assert x == words[step][0]
            sums = layer.from_input(torch.tensor([[x]]).double()) + layer.from_hidden(state[0])
            i, f, g, o = sums[0].tolist()
            state = layer.cell(torch.tensor([[x]]).double(), state)
            gates = [1 / (1 + math.exp(-i)), 1 / (1 + math.exp(-f)), math.tanh(g), 1 / (1 + math.exp(-o))]
            assert told == pytest.approx([*gates, state[1].item(), state[0].item()], abs=5.1e-5)
    probabilities = logits[0].softmax(dim=-1)
    for step in (0, 1):
        assert [word[1 + step] for word in words] == pytest.approx(probabilities[step].tolist(), abs=5.1e-5)
    costs = [-math.log(probabilities[0, 1]), -math.log(probabilities[1, 2])]
    loss = sum(costs) / 2
    text = page.read_text(encoding="utf-8")
    assert f"({costs[0]:.4f} + {costs[1]:.4f}) / 2 = {loss:.4f} nats" in text
    assert f"e^{loss:.4f} = {math.exp(loss):.3f}" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rnn_and_gru_worked_by_hand_come_out(language: str) -> None:
    page = ROOT / "docs" / language / "lstm.md"
    ((W, U, b, x, before, after),) = [
        [float(cell) for cell in rows[1]] for rows in tables(page) if rows[0][:4] == ["W", "U", "b", "x"]
    ]
    rnn = RNNLayer(*RNNConfig(**one_unit(RNNConfig)).layer_sizes()[0])
    set_weights(rnn, {"W": [W], "U": [U], "b": [b]})
    assert rnn.cell(torch.tensor([[x]]), (torch.tensor([[before]]),))[0].item() == pytest.approx(after, abs=5.1e-5)

    weights = table(page, "r", "z", "n")
    r, z, n = weights.popitem()[1]
    gru = GRULayer(*GRUConfig(**one_unit(GRUConfig)).layer_sizes()[0])
    set_weights(gru, weights)
    hidden = gru.cell(torch.tensor([[1.0]]), (torch.tensor([[0.5]]),))[0].item()
    (W_r, W_z, W_n), (U_r, U_z, U_n) = weights["W"], weights["U"]
    assert r == pytest.approx(1 / (1 + math.exp(-(W_r + 0.5 * U_r))), abs=5.1e-5)
    assert z == pytest.approx(1 / (1 + math.exp(-(W_z + 0.5 * U_z))), abs=5.1e-5)
    assert n == pytest.approx(math.tanh(W_n + r * 0.5 * U_n), abs=5.1e-5)
    assert hidden == pytest.approx((1 - z) * n + z * 0.5, abs=1e-4)
    assert f"= {hidden:.4f}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rnn_worked_through_time_comes_out(language: str) -> None:
    page = ROOT / "docs" / language / "rnn.md"
    text = page.read_text(encoding="utf-8")
    steps, words = table(page, "x", "W x + U h + b", "h"), [*table(page, "E", "p₁", "p₂").values()]
    errors = [*tables(page)[-2][1:]]  # the last step first
    whole, truncated = table(page, "W", "U", "b").values()
    assert "W = 1, U = 0.5, b = 0" in text
    model = RNNLanguageModel(RNNConfig(**one_unit(RNNConfig))).double()
    (layer,) = model.layers
    set_weights(layer, {"W": [1.0], "U": [0.5], "b": [0.0]})
    E = torch.tensor([word[0] for word in words]).double()

    def gradients(*costs: Tensor) -> list[float]:
        parameters = (layer.from_input.weight, layer.from_hidden.weight, layer.from_input.bias)
        return [gradient.item() for gradient in torch.autograd.grad(sum(costs), parameters, retain_graph=True)]

    states, costs, hidden = [], [], layer.initial_state(1)[0]
    for x, total, h in steps.values():
        inputs = torch.tensor([[x]]).double()
        assert (layer.from_input(inputs) + layer.from_hidden(hidden)).item() == pytest.approx(total, abs=5.1e-5)
        (hidden,) = layer.cell(inputs, (hidden,))
        assert hidden.item() == pytest.approx(h, abs=5.1e-5)
        states.append(hidden)
        log_probs = (hidden * E).log_softmax(dim=1)[0]  # (3,)
        costs.append(-log_probs[len(states)])  # the text goes on with the next word of the table
        told = [word[len(states)] for word in words]
        assert told == pytest.approx(log_probs.exp().tolist(), abs=5.1e-5)
    assert f"{costs[0]:.4f} + {costs[1]:.4f} = {sum(costs):.4f} nats" in text

    own = [torch.autograd.grad(cost, state, retain_graph=True)[0] for cost, state in zip(costs, states, strict=True)]
    d_hidden = torch.autograd.grad(sum(costs), states[0], retain_graph=True)[0], own[1]
    for row, t in zip(errors, (1, 0), strict=True):
        slope = 1 - states[t] ** 2
        expected = [own[t], d_hidden[t] - own[t], d_hidden[t], slope, d_hidden[t] * slope]
        assert [float(cell) for cell in row[1:]] == pytest.approx([value.item() for value in expected], abs=5.1e-5)
    assert whole == pytest.approx(gradients(*costs), abs=5.1e-5)
    (alone,) = layer.cell(
        torch.tensor([[-1.0]]).double(), (states[0].detach(),)
    )  # the second step, the first one cut off
    cost = -(alone * E).log_softmax(dim=1)[0, 2]
    assert truncated == pytest.approx(gradients(costs[0], cost), abs=5.1e-5)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_nnlm_worked_by_hand_and_its_smiles_come_out(language: str) -> None:
    page = ROOT / "docs" / language / "nnlm.md"
    words = [*table(page, "E", "p").values()]
    config = NNLMConfig(vocab_size=len(words), context_size=2, embed_dim=1, hidden_size=1)
    model = NNLM(config)
    with torch.no_grad():
        model.embedding.weight[:, 0] = torch.tensor([word[0] for word in words])
        model.layers[0].weight[:] = torch.tensor([[0.5, 1.0]])
        model.layers[0].bias.zero_()
        logits, _ = model(torch.tensor([[1]]), [(torch.tensor([[2, 0]]),)])  # ..., rain, then falls
    assert [word[1] for word in words] == pytest.approx(logits[0, 0].softmax(dim=0).tolist(), abs=5.1e-5)

    names: dict[str, Any] = {}
    (code,), (corpus,) = blocks(page, "python"), blocks(page, "text")
    exec(code, names)
    assert names["lines"] == corpus.splitlines()
    assert not any("boy is spreading" in line for line in names["lines"])  # so counting has nothing to say
    p, chance = names["p"], 1 / len(names["words"])
    assert chance == pytest.approx(1 / 19)
    assert p["smiles"] > 5 * chance
    assert p["butter"] > 5 * chance
    told = [float(number) for number in re.findall(r"0\.\d\d(?=,|\)| )", page.read_text().split("cos", 1)[1])[:2]]
    assert told == pytest.approx([names["likeness"]["girl"], names["likeness"]["cat"]], abs=0.05)
