"""Weights on their way from a run to a scratch network and back, without losing a bit."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from malmoi.arrays import in_one_precision
from malmoi.errors import ConfigError
from malmoi.models.options.base import LayeredConfig, NeuralConfig
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.models.options.recurrent import RecurrentConfig
from malmoi.models.registry import RUNGS, resolve, rung_of
from malmoi.scratch.checks import Array
from malmoi.scratch.language_network import LanguageNetwork, TracedNetwork
from malmoi.scratch.nnlm import NNLM
from malmoi.scratch.recurrent import TimeRecurrent
from malmoi.scratch.rnnlm import RecurrentNetwork
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
    network: TracedNetwork
    rung = rung_of(config)
    if rung is None or rung.scratch is None:
        raise ConfigError(f"A {type(config).__name__} has no twin in NumPy. Known are: {_known()}.")
    if isinstance(config, NNLMConfig):
        sizes = (config.vocab_size, config.embed_dim, config.hidden_size, config.context_size)
        tied, direct = config.tie_embeddings, config.direct
        options: Any = {"n_layers": config.n_layers, "direct": direct, "tie_weights": tied, "dtype": dtype}
        network = NNLM(*sizes, start_id=start_id, rng=rng, **options)
    else:
        assert isinstance(config, RecurrentConfig)
        network = _recurrent_network(config, resolve(rung.scratch), rng, dtype)
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


def _recurrent_network(
    config: RecurrentConfig, layer: Callable[..., TimeRecurrent], rng: np.random.Generator, dtype: DTypeLike
) -> RecurrentNetwork:
    """A network of these sizes whose weights are 0."""
    table = np.zeros((config.vocab_size, config.embed_dim), dtype)
    layers = []
    for size, width in config.layer_sizes():
        n_sums, n_biases = config.n_gates * width, 1 + config.has_hidden_bias
        shapes = [(size, n_sums), (width, n_sums), *[(n_sums,)] * n_biases]
        layers.append(layer(*(np.zeros(shape, dtype) for shape in shapes), stateful=True))
    weight = table if config.tie_embeddings else np.zeros((config.output_width, config.vocab_size), dtype)
    output = TimeAffine(weight, np.zeros(config.vocab_size, dtype), transposed=config.tie_embeddings)
    return RecurrentNetwork(TimeEmbedding(table), layers, output, config.dropout_hidden, rng)


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
    config: NeuralConfig
    if isinstance(network, NNLM):
        hidden_size = network.layers[0].params[0].shape[1]
        direct = network.direct is not None or (
            not network.output.transposed and network.output.params[0].shape[0] > hidden_size
        )
        options |= {"context_size": network.context_size, "direct": direct, "n_layers": len(network.layers)}
        family, config = "nnlm", NNLMConfig(hidden_size=hidden_size, **options)
    elif isinstance(network, RecurrentNetwork):
        layer = type(network.recurrent[0])
        path = f"{layer.__module__}:{layer.__name__}"
        rung = next(rung for rung in RUNGS.values() if rung.scratch == path)
        hidden_size = len(network.recurrent[0].params[1])
        options |= {"hidden_size": hidden_size, "n_layers": len(network.recurrent)}
        found = rung.config(**options)
        assert isinstance(found, NeuralConfig)
        family, config = rung.name, found
    else:
        raise ConfigError(f"A {type(network).__name__} belongs to no rung. Known are: {_known()}.")
    shapes = {name: array.shape for name, array in network.arrays().items()}
    if shapes != config.weight_shapes():
        raise ConfigError(
            f"No {family} run stores this network: its layers have other widths, or are of several kinds. Expected layers of "
            "one kind, all of one width, but the last as wide as the embeddings where the weights are tied."
        )
    return family, config
