"""Weights on their way from a run to a scratch network and back, without losing a bit."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from malmoi.arrays import in_one_precision
from malmoi.errors import ConfigError
from malmoi.models.options.base import LayeredConfig, NeuralConfig
from malmoi.models.registry import RUNGS, resolve, rung_of
from malmoi.scratch.checks import Array
from malmoi.scratch.language_network import LanguageNetwork, TracedNetwork
from malmoi.scratch.time import TimeAffine, TimeEmbedding


def network_of(
    config: NeuralConfig, arrays: Mapping[str, Array], start_id: int, rng: np.random.Generator | None = None
) -> TracedNetwork:
    """The weights of a run as a network that can be trained on and taken apart; its `arrays()` gives the same bits back.

    Args:
        config: The run's options; of its dropouts only `dropout_hidden` is used, along the whole depth.
        arrays: The run's weights by name; they are copied.
        start_id: The token that stands before a text: the tokenizer's eos_id.
        rng: Draws dropout masks; without it those of seed 0.

    Raises:
        ConfigError: If there is no such network.
        RunError: If the arrays have other names or shapes than the config asks for.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    arrays = in_one_precision(arrays)
    dtype = next(iter(arrays.values())).dtype
    rung = rung_of(config)
    if rung is None or rung.scratch is None:
        raise ConfigError(f"A {type(config).__name__} has no twin in NumPy. Known are: {_known()}.")
    network: TracedNetwork = resolve(rung.scratch).of_config(config, start_id, rng, dtype)
    network.load_arrays(arrays)
    return network


def traced_network_of(config: LayeredConfig, arrays: Mapping[str, Array], start_id: int) -> TracedNetwork:
    """The weights of a run as a network to `trace`, in float64: what is computed has that precision, and what is as large as
    the vocabulary is not copied.

    Raises:
        ConfigError, RunError: As `network_of`.
    """
    ends = {"embedding.weight", "output.weight", "output.bias"}
    double = {name: np.asarray(array[:1] if name in ends else array, np.float64) for name, array in arrays.items()}
    network = network_of(config.model_copy(update={"vocab_size": 1}), double, start_id)  # all but the ends
    table = arrays["embedding.weight"]
    output = table if config.tie_embeddings else arrays["output.weight"]
    network.take_ends(TimeEmbedding(table), TimeAffine(output, arrays["output.bias"], transposed=True))
    return network


def _known() -> str:
    """The rungs whose networks are written out here, too."""
    return ", ".join(rung.name for rung in RUNGS.values() if rung.scratch is not None)


def config_of(network: LanguageNetwork) -> tuple[str, NeuralConfig]:
    """The rung that a network belongs to, and the options with which a run stores its weights.

    With the `arrays()` of the network they are all that a run folder needs besides its tokenizer.

    Raises:
        ConfigError: If no rung has a network like that.
    """
    vocab_size, embed_dim = network.embedding.params[0].shape
    options: dict[str, Any] = {
        "vocab_size": vocab_size,
        "embed_dim": embed_dim,
        "tie_embeddings": network.output.transposed,
    }
    rung = next((rung for rung in RUNGS.values() if rung.scratch and resolve(rung.scratch).stands_for(network)), None)
    if rung is None:
        raise ConfigError(f"A {type(network).__name__} belongs to no rung. Known are: {_known()}.")
    assert isinstance(network, TracedNetwork)
    config = rung.config(**options, **network.options())
    assert isinstance(config, NeuralConfig)
    shapes = {name: array.shape for name, array in network.arrays().items()}
    if shapes != config.weight_shapes():
        raise ConfigError(
            f"No {rung.name} run stores this network: its layers have other widths, or are of several kinds. Expected "
            "layers of one kind, all of one width, but the last as wide as the embeddings where the weights are tied."
        )
    return rung.name, config
