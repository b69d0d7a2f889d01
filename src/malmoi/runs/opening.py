"""A run folder made into what it holds: a language model, or vectors of words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from malmoi.arrays import arrays_of, read_arrays
from malmoi.background import in_background
from malmoi.errors import ConfigError, RunError
from malmoi.models.opening import Opening
from malmoi.models.registry import find_rung, resolve
from malmoi.runs.folder import IMPORTED_VECTORS, RunConfig, read_config, run_path

if TYPE_CHECKING:
    from malmoi.models.interface import LanguageModel
    from malmoi.text.tokenizers import Tokenizer
    from malmoi.vectors import Vectors


def open_model(
    folder: Path,
    config: RunConfig,
    tokenizer: "Callable[[], Tokenizer]",
    device: str = "cpu",
    engine: str = "auto",
) -> "LanguageModel":
    """The language model in a run folder.

    Args:
        folder: The run.
        config: Its config.json, read.
        tokenizer: Gives its tokenizer; called while weights are read in another thread.
        device, engine: As in `Opening`.

    Raises:
        RunError: If the run holds vectors, or a file of it is damaged.
    """
    with _naming(folder):
        is_of_vectors = holds_vectors(config)
    if is_of_vectors:
        raise RunError(
            f"{folder} is a run of {config.family}: vectors of words, which give no probabilities. Expected a "
            f"language model, as malmoi train ngram makes one. Use the vectors: malmoi vectors similar {folder} WORD"
        )
    rung = find_rung(config.family)
    assert rung.opens is not None, f"{rung.name} is a {rung.kind}"
    path = folder / "model.safetensors"
    arrays = in_background(lambda: arrays_of(path))  # its checksum keeps one core busy, options and tokenizer the other
    with _naming(folder):
        options = rung.config.parse(config.model)
    model: LanguageModel = resolve(rung.opens)(Opening(folder, rung, options, arrays, tokenizer, device, engine))
    model.is_distribution = bool(config.figures.get("is_distribution", True))
    return model


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """What is wrong in a config is told with the file that it stands in."""
    try:
        yield
    except ConfigError as error:
        raise RunError(
            f"{folder / 'config.json'}: {error} The file was changed by hand or damaged; restore it or train again."
        ) from None


class OpenRun(NamedTuple):
    """A language model that was trained here, with all that came of it."""

    folder: Path
    config: RunConfig
    tokenizer: "Tokenizer"
    model: "LanguageModel"


def open_run(name: str | Path, device: str = "cpu", engine: str = "auto") -> OpenRun:
    """Read a run whole; `malmoi.Run` reads each part when it is first asked for.

    Raises:
        RunError: If there is no run, it holds vectors, or a file of it is damaged.
    """
    from malmoi.text.tokenizers import Tokenizer

    folder = run_path(name)
    config = read_config(folder)
    read: list[Tokenizer] = []

    def tokenizer() -> Tokenizer:
        read.append(Tokenizer.load(folder))
        return read[0]

    model = open_model(folder, config, tokenizer, device, engine)
    return OpenRun(folder, config, read[0], model)


def holds_vectors(config: RunConfig) -> bool:
    """Whether a run is vectors of words and no language model."""
    return config.family == IMPORTED_VECTORS or find_rung(config.family).kind == "vectors"


def load_vectors(source: str | Path, *, progress: Callable[[int, int], None] | None = None) -> "Vectors":
    """Vectors of words, wherever they are.

    Args:
        source: A run of word2vec, glove or cooccurrence (its folder, or its name under runs/), a folder of saved vectors, or a
            file of word2vec, GloVe or fastText.
        progress: Told how much of a file was read, and of how much.

    Raises:
        RunError: If there is nothing there, it is a language model, or it is damaged.
        DataError: If a file holds no vectors.
    """
    from malmoi.vectors import storage
    from malmoi.vectors.vectors import Vectors

    path = Path(source)
    if path.is_file():
        from malmoi.vectors.files.reading import read_vectors

        return read_vectors(path, progress=progress)
    if (path / storage.WORDS).is_file() and not (path / "config.json").is_file():
        return Vectors.load(path)
    folder = run_path(path)
    config = read_config(folder)
    with _naming(folder):
        is_of_vectors = holds_vectors(config)
    if not is_of_vectors:
        raise RunError(
            f"{folder} is a run of {config.family}, a language model. Expected vectors of words: a run of word2vec, glove or "
            "cooccurrence, or a file of vectors. Train some: malmoi train word2vec TEXT"
        )
    return Vectors.load(folder, unknown=_composer(folder, config))


def _composer(folder: Path, config: RunConfig) -> Callable[[str], NDArray[np.float32] | None] | None:
    """What gives the vector (D,) of an unseen word from its pieces, where a run has learnt such; read when first needed."""
    if config.model.get("subwords", "none") == "none":
        return None
    from malmoi.models.word2vec.subwords import Subwords, SubwordSettings

    model: Any = find_rung(config.family).config.parse(config.model)
    subwords = Subwords.build([], SubwordSettings.of(model))

    @cache
    def rows() -> NDArray[np.float32]:
        path = folder / "model.safetensors"
        pieces = read_arrays(path).get("subwords")
        expected = (model.subword_buckets, model.embed_dim)
        if pieces is None or pieces.shape != expected:
            raise RunError(
                f"{path} has no vectors of pieces of words of the shape {expected}, which config.json asks for. The "
                "two files are not of one run; copy the whole folder again."
            )
        return pieces

    def compose(word: str) -> NDArray[np.float32] | None:
        return subwords.compose(word.lower() if model.lower else word, rows())

    return compose
