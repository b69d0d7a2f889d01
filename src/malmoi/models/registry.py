"""The ladder by name: what a user types after `malmoi train`, its options and its class."""

import difflib
import importlib
from typing import TYPE_CHECKING, Literal, NamedTuple

from malmoi.errors import ConfigError, MissingExtraError
from malmoi.models.config import (
    CooccurrenceConfig,
    GloVeConfig,
    GRUConfig,
    LSTMConfig,
    ModelConfig,
    NGramConfig,
    NNLMConfig,
    RNNConfig,
    Word2VecConfig,
)

if TYPE_CHECKING:
    from malmoi.models.network import NextTokenNetwork


class Rung(NamedTuple):
    """One rung of the ladder."""

    name: str
    summary: str
    config: type[ModelConfig]
    module: str
    model: str
    # What it becomes: a language model, by steps (PyTorch) or in one pass by counts; or vectors of words
    kind: Literal["steps", "counts", "vectors"] = "steps"


RUNGS = {
    rung.name: rung
    for rung in (
        Rung(
            "cooccurrence",
            "which words stand near each other: counts, PPMI, SVD",
            CooccurrenceConfig,
            "malmoi.models.cooccurrence",
            "Cooccurrence",
            "vectors",
        ),
        Rung(
            "word2vec",
            "vectors from guessing words and their neighbours",
            Word2VecConfig,
            "malmoi.models.word2vec",
            "Trained",
            "vectors",
        ),
        Rung(
            "glove",
            "vectors whose products are the logarithms of counts",
            GloVeConfig,
            "malmoi.models.glove",
            "GloVe",
            "vectors",
        ),
        Rung(
            "ngram", "counts of short sequences, smoothed", NGramConfig, "malmoi.models.ngram", "NGramModel", "counts"
        ),
        Rung("nnlm", "a fixed window of embeddings and a tanh layer", NNLMConfig, "malmoi.models.nnlm", "NNLM"),
        Rung("rnn", "Elman recurrence", RNNConfig, "malmoi.models.rnn", "RNNLanguageModel"),
        Rung("lstm", "gates and a memory cell", LSTMConfig, "malmoi.models.lstm", "LSTMLanguageModel"),
        Rung("gru", "two gates, no separate cell", GRUConfig, "malmoi.models.gru", "GRULanguageModel"),
    )
}

LANGUAGE_MODELS = {name: rung for name, rung in RUNGS.items() if rung.kind != "vectors"}


def find_rung(name: str) -> Rung:
    """The rung of that name.

    Raises:
        ConfigError: If there is none, with the nearest name.
    """
    if name in RUNGS:
        return RUNGS[name]
    near = difflib.get_close_matches(name, RUNGS, n=1)
    hint = f"Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"There is no rung named {name!r}. Rungs are: {', '.join(RUNGS)}. {hint}".rstrip())


def build_model(rung: Rung, config: ModelConfig, seed: int = 0) -> "NextTokenNetwork":
    """A new model with random weights, which are a function of config and seed.

    Raises:
        MissingExtraError: If PyTorch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError("PyTorch", "neural", f"The rung {rung.name}") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: NextTokenNetwork = getattr(importlib.import_module(rung.module), rung.model)(config)
    return model
