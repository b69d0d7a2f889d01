"""Small models to explain, the same for all tests here."""

from pathlib import Path
from typing import Any

import numpy as np

import malmoi
from malmoi.arrays import write_arrays
from malmoi.engines.numpy_engine import NumPyLanguageModel
from malmoi.models.options.base import NeuralConfig
from malmoi.models.registry import find_rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import Tokenizer, train_tokenizer

LINES = ["the cat sat on the mat", "the dog sat on the rug", "나는 학교에 갔다", "너는 집에 갔다"] * 3


def random_weights(config: NeuralConfig, seed: int = 7) -> dict[str, np.ndarray]:
    """float64 weights of a moderate size for every array of a run."""
    rng = np.random.default_rng(seed)
    return {name: 0.4 * rng.standard_normal(shape) for name, shape in config.weight_shapes().items()}


def neural_run(folder: Path, family: str, kind: str = "word", **options: Any) -> malmoi.Run:
    """A run folder with random float64 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(kind, LINES)
    sizes = {"vocab_size": tokenizer.vocab_size, "embed_dim": 5, "hidden_size": 7, **options}
    config = find_rung(family).config.parse(sizes)
    assert isinstance(config, NeuralConfig)
    write_arrays(folder / "model.safetensors", random_weights(config))
    tokenizer.save(folder)
    write_config(folder, RunConfig(family=family, model=config.model_dump()))
    return malmoi.load(folder)


def neural_model(tokenizer: Tokenizer, family: str, seed: int = 7, **options: Any) -> NumPyLanguageModel:
    """The same without a folder."""
    sizes = {"vocab_size": tokenizer.vocab_size, "embed_dim": 5, "hidden_size": 7, **options}
    config = find_rung(family).config.parse(sizes)
    assert isinstance(config, NeuralConfig)
    return NumPyLanguageModel(config, random_weights(config, seed), tokenizer.eos_id)


def ngram_run(folder: Path, kind: str = "word", **options: Any) -> malmoi.Run:
    """A counted run."""
    texts = {"text": TextSource.from_texts(LINES), "valid": TextSource.from_texts(LINES[:4])}
    return malmoi.train("ngram", tokenizer=kind, out=folder, **texts, **options)
