from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from malmoi.arrays import write_arrays
from malmoi.cli import main
from malmoi.models.registry import build_model, find_rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.tokenizers import train_tokenizer

LINES = [
    "the cat sat on the mat",
    "the dog sat on the rug",
    "고양이가 방에 앉았다",
    "개가 마루에 앉았다",
    "a <b> [c] tag",
] * 3


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Malmoi = Callable[..., Answer]


@pytest.fixture
def malmoi(capfd: pytest.CaptureFixture[str]) -> Malmoi:
    """Runs a command in this process."""

    def run(*words: str | Path) -> Answer:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Answer(code, *capfd.readouterr())

    return run


def make_run(folder: Path, kind: str, seed: int = 3) -> Path:
    """A run folder with random weights."""
    folder.mkdir(parents=True)
    rung = find_rung("lstm")
    tokenizer = train_tokenizer(kind, LINES)
    options = {"vocab_size": tokenizer.vocab_size, "embed_dim": 7, "hidden_size": 7, "n_layers": 1}
    config = rung.config.parse(options)
    model = build_model(rung, config, seed=seed)
    write_arrays(folder / "model.safetensors", {n: p.detach().numpy() for n, p in model.named_parameters()})
    tokenizer.save(folder)
    write_config(
        folder,
        RunConfig(
            family="lstm",
            model=config.model_dump(),
            tokenizer={"kind": kind, "vocab_size": tokenizer.vocab_size},
            data={"train": {"inputs": ["corpus.txt"], "sha256": "0" * 64, "bytes": 12345}},
            command="malmoi train lstm corpus.txt",
        ),
    )
    return folder


@pytest.fixture(scope="session")
def char_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "by-character", "char")


@pytest.fixture(scope="session")
def word_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "by-word", "word")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALMOI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
