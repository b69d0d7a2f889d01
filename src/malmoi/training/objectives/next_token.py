"""The objective of language models: -ln P(next token), by truncated back-propagation through time.

Each update reads one window of B streams; the state after it is carried to the next window, its history cut off.

Shapes: B sequences, T tokens each.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from malmoi.data.tokens import TextCounts
from malmoi.data.windows import BPTTWindows, Window
from malmoi.layers.noise import Noise
from malmoi.layers.output import linear_cross_entropy
from malmoi.models.network import NetworkState, NextTokenNetwork
from malmoi.runs.opening import OpenRun
from malmoi.store import Tokens
from malmoi.training.objectives.objective import Batch, Cost, Data, Objective
from malmoi.training.settings import TrainingSettings

VALIDATION_STREAMS, VALIDATION_WINDOW = 32, 128
STREAMS, WARM_UP = 32, 256  # of the figures at the end; `malmoi eval` reads one stream
COUNTED_TOKENS, COUNTED_AT_ONCE = 1 << 25, 1 << 20  # of the text, to know what counting single tokens would reach
TIMED_TOKENS = 128  # of each stream, to know how long those figures take


class NextToken(Objective):
    """Windows of one text, the state carried across them; validated in nats a token.

    Args:
        network: What is trained.
        train: Its text.
        valid: Held back.
        valid_counts: How much text that is, for bits per byte.
        settings: Of training: batch size, window, seed.

    Raises:
        DataError: If the training text is too short to fill one window.
    """

    figure: ClassVar[str] = "valid_nll"
    loss_name: ClassVar[str] = "nll"

    def __init__(
        self,
        network: NextTokenNetwork,
        train: Tokens,
        valid: Tokens,
        valid_counts: TextCounts,
        settings: TrainingSettings,
    ) -> None:
        self.network: NextTokenNetwork = network
        self.windows = BPTTWindows(train, settings.batch_size, settings.window, settings.seed)
        self.train, self.valid = train, valid
        self.valid_windows, self.valid_counts = validation_windows(valid), valid_counts
        self.steps_per_epoch = self.windows.steps_per_epoch
        self.state: NetworkState | None = None

    @classmethod
    def on(cls, network: nn.Module, data: Data, settings: TrainingSettings) -> "NextToken":
        assert isinstance(network, NextTokenNetwork)
        return cls(network, data.train, data.valid, data.valid.counts, settings)

    @classmethod
    def rehearsal(cls, network: nn.Module, settings: TrainingSettings, noise: Noise) -> Float[Tensor, ""]:
        assert isinstance(network, NextTokenNetwork)
        shape = (settings.batch_size, settings.window)
        ids = torch.arange(shape[0] * shape[1], device=network.output.weight.device)
        ids = ids.remainder(network.config.vocab_size).view(shape)
        return next_token_loss(network, ids, ids, None, noise)[0]

    def batch(self, step: int, noise: Noise) -> Batch:
        window = self.windows.at(step)
        if window.starts_epoch:
            self.state = None
        inputs, targets = self._on_device(window)
        loss, self.state = next_token_loss(self.network, inputs, targets, self.state, noise)
        return Batch(loss, inputs.numel())

    def validate(self, share: float = 1.0) -> float:
        """Mean nats per token, quickly: in the training precision, the state carried along each of a few streams.

        Args:
            share: How much of each stream is read, from its beginning.
        """
        total, n_tokens = 0.0, 0
        state: NetworkState | None = None
        for window in self.valid_windows[: math.ceil(share * len(self.valid_windows))]:
            inputs, targets = self._on_device(window)
            nll, state = window_nll(self.network, inputs, targets, state)
            total, n_tokens = total + nll, n_tokens + inputs.numel()
            state = detached(state)
        return total / n_tokens

    def validation_seconds(self) -> float:
        seconds = []
        for _ in range(2):  # the first time, memory is fetched
            began = time.perf_counter()
            inputs, targets = self._on_device(self.valid_windows[0])
            float(window_nll(self.network, inputs, targets, None)[0])
            seconds.append(time.perf_counter() - began)
        return min(seconds) * len(self.valid_windows)

    def guess(self) -> float | None:
        """Of counts of single tokens, each taken for seen once more than it was."""
        vocab_size = self.network.config.vocab_size
        counts = np.ones(vocab_size, np.int64)
        for begin in range(0, min(len(self.train), COUNTED_TOKENS), COUNTED_AT_ONCE):
            read = self.train.read(begin, min(begin + COUNTED_AT_ONCE, len(self.train)))
            counts += np.bincount(read, minlength=vocab_size)
        nats = math.log(counts.sum()) - np.log(counts)
        total, n = 0.0, 0
        for begin in range(0, len(self.valid), COUNTED_AT_ONCE):
            read = self.valid.read(begin, min(begin + COUNTED_AT_ONCE, len(self.valid)))
            total, n = total + float(nats[read].sum()), n + len(read)
        return total / n

    def told(self, value: float) -> dict[str, float]:
        counts = self.valid_counts
        nats = value * counts.n_tokens + counts.spelling_nats + counts.layout_nats
        bits = nats / (math.log(2) * counts.n_bytes)
        return {"bits_per_byte": bits, "perplexity": math.exp(min(value, 700.0))}

    def recorded(self, value: float) -> dict[str, float]:
        told = self.told(value)
        return {
            self.figure: value,
            "valid_perplexity": told["perplexity"],
            "valid_bits_per_byte": told["bits_per_byte"],
        }

    def final(self, value: float) -> dict[str, Any]:
        from malmoi.evaluation.perplexity import from_counts

        return from_counts(self.valid_counts, value * self.valid_counts.n_tokens, seconds=0.0).to_dict()

    def measuring_costs(self, parts: Sequence[Tokens]) -> list[Cost]:
        per_token = _seconds_per_token(self.network)
        return [Cost(per_token * len(part), per_token * STREAMS * WARM_UP) for part in parts]

    def measure(self, run: OpenRun, part: Any) -> dict[str, Any]:
        from malmoi.evaluation.perplexity import evaluate

        return evaluate(run.model, run.tokenizer, part, streams=STREAMS, warm_up=WARM_UP).to_dict()

    def carried(self) -> dict[str, Tensor]:
        return {
            f"{depth}/{index}": tensor
            for depth, layer in enumerate(self.state or [])
            for index, tensor in enumerate(layer)
        }

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        if not tensors:
            return
        device = self.network.output.weight.device
        depths = range(1 + max(int(key.split("/")[0]) for key in tensors))
        self.state = [
            tuple(tensors[key].to(device) for key in sorted(tensors) if key.split("/")[0] == str(depth))
            for depth in depths
        ]

    def _on_device(self, window: Window) -> tuple[Int[Tensor, "batch time"], Int[Tensor, "batch time"]]:
        device = self.network.output.weight.device
        return torch.from_numpy(window.inputs).to(device), torch.from_numpy(window.targets).to(device)


def detached(state: NetworkState) -> NetworkState:
    """The same numbers with their history cut off: where truncated back-propagation stops."""
    return [tuple(tensor.detach() for tensor in layer) for layer in state]


def next_token_loss(
    model: NextTokenNetwork,
    inputs: Int[Tensor, "batch time"],
    targets: Int[Tensor, "batch time"],
    state: NetworkState | None,
    noise: Noise | None,
) -> tuple[Float[Tensor, ""], NetworkState]:
    """Mean nats per token of a window, and the state after it."""
    hidden, state = model.hidden(inputs, state, noise)
    rows = hidden.transpose(0, 1).flatten(0, 1)  # (T B, H), in the order they lie in memory
    loss = linear_cross_entropy(
        rows, model.output.weight, model.output.bias, targets.t().reshape(-1), model.compute_dtype
    )
    return loss, detached(state)


@torch.inference_mode()
def window_nll(
    model: NextTokenNetwork,
    inputs: Int[Tensor, "batch time"],
    targets: Int[Tensor, "batch time"],
    state: NetworkState | None,
) -> tuple[float, NetworkState]:
    """Summed nats of a window without dropout, in the model's compute dtype, and the state after it."""
    hidden, state = model.hidden(inputs, state)
    dtype = model.compute_dtype or model.output.weight.dtype
    logits = F.linear(hidden.to(dtype), model.output.weight.to(dtype), model.output.bias.to(dtype))  # (B, T, V)
    nll = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
    return nll.item(), state


def validation_windows(tokens: Tokens) -> list[Window]:
    """The validation text cut into a few long streams, all of it but a remainder shorter than the number of streams."""
    streams = max(1, min(VALIDATION_STREAMS, (len(tokens) - 1) // VALIDATION_WINDOW))
    window = min(VALIDATION_WINDOW, (len(tokens) - 1) // streams)
    windows = BPTTWindows(tokens, streams, window, seed=0)
    return [windows.at(step) for step in range(windows.steps_per_epoch)]


def _seconds_per_token(network: NextTokenNetwork) -> float:
    """How long the figures at the end take for each token, in the precision they are made in."""
    from malmoi.engines.torch_engine import TorchLanguageModel

    low, network.compute_dtype = network.compute_dtype, None
    served = TorchLanguageModel(network, start_id=0)
    ids = np.zeros((STREAMS, TIMED_TOKENS), np.int64)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        served.score(ids, served.start(STREAMS))
        seconds.append(time.perf_counter() - began)
    network.compute_dtype = low
    network.train()
    return min(seconds) / ids.size
