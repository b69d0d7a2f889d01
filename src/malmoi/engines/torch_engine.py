"""A trained PyTorch model behind the LanguageModel interface: NumPy in, NumPy out.

Shapes: B sequences, T tokens each, V vocab_size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from malmoi.models.interface import LogProbs, State, TokenIds, VectorLanguageModel
from malmoi.models.network import NetworkState, NextTokenNetwork
from malmoi.models.registry import rung_of

BLOCK_ELEMENTS = 1 << 24  # logits held at a time: 64 MB


@dataclass(frozen=True)
class TorchState(State):
    """What the network carries on, and the vector that the softmax predicts the next token from."""

    carried: NetworkState
    top: Float[Tensor, "batch width"]
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "TorchState":
        index = torch.as_tensor(np.asarray(rows, dtype=np.int64), device=self.top.device)
        carried = [tuple(tensor[index] for tensor in layer) for layer in self.carried]
        return TorchState(carried, self.top[index], self.owner)

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "TorchState":
        layers = zip(*(state.carried for state in states), strict=True)
        carried = [tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in layers]
        return cls(carried, torch.cat([state.top for state in states]), states[0].owner)


class TorchLanguageModel(VectorLanguageModel):
    """Serves a network: no dropout, no gradients, weights as they are stored.

    Args:
        network: The trained module.
        start_id: The token that stands before the first one: the end of a line.
    """

    def __init__(self, network: NextTokenNetwork, start_id: int) -> None:
        self.network, self.start_id = network.eval(), start_id
        self.vocab_size = network.config.vocab_size
        rung = rung_of(network.config)
        self.family = "" if rung is None else rung.name

    @property
    def device(self) -> torch.device:
        return self.network.output.weight.device

    def start(self, batch_size: int = 1) -> TorchState:
        ends = np.full((batch_size, 1), self.start_id, dtype=np.int64)
        return self._read(ends, self.network.initial_state(batch_size))[1]

    def step(self, token_ids: TokenIds, state: State) -> tuple[LogProbs, TorchState]:
        assert isinstance(state, TorchState)
        if token_ids.shape[1]:
            _, state = self._read(token_ids, state.carried)
        return self._log_probs(state.top).cpu().numpy(), state

    def score(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time"], TorchState]:
        hidden, after = self._predictors(token_ids, state)
        return self._scores(hidden, token_ids), after

    def distributions(
        self, token_ids: TokenIds, state: State
    ) -> tuple[Float[np.ndarray, "batch time vocab"], TorchState]:
        hidden, after = self._predictors(token_ids, state)
        return self._log_probs(hidden).cpu().numpy(), after

    def predictors(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time width"], TorchState]:
        hidden, after = self._predictors(token_ids, state)
        return hidden.cpu().numpy(), after

    def next_predictor(self, state: State) -> Float[np.ndarray, "batch width"]:
        assert isinstance(state, TorchState)
        return np.asarray(state.top.cpu().numpy())

    def score_vectors(
        self, vectors: Float[np.ndarray, "batch time width"], token_ids: TokenIds
    ) -> Float[np.ndarray, "batch time"]:
        return self._scores(torch.from_numpy(vectors).to(self.device), token_ids)

    def _scores(
        self, hidden: Float[Tensor, "batch time width"], token_ids: TokenIds
    ) -> Float[np.ndarray, "batch time"]:
        """Log-probabilities of the tokens, each predicted from the vector at its place, in blocks of bounded memory."""
        hidden, targets = hidden.flatten(0, 1), self._ids(token_ids).reshape(-1)
        rows = max(1, BLOCK_ELEMENTS // self.vocab_size)
        parts = [
            self._target_log_probs(hidden[start : start + rows], targets[start : start + rows])
            for start in range(0, len(targets), rows)
        ]
        scores = torch.cat(parts) if parts else hidden.new_zeros(0)
        return np.asarray(scores.reshape(token_ids.shape).cpu().numpy())

    def _predictors(self, token_ids: TokenIds, state: State) -> tuple[Float[Tensor, "batch time width"], TorchState]:
        """The vector that each token is predicted from, shown by the network at the token before; the state after all."""
        assert isinstance(state, TorchState)
        if not token_ids.shape[1]:
            return state.top[:, None][:, :0], state
        hidden, after = self._read(token_ids, state.carried)
        return torch.cat([state.top[:, None], hidden[:, :-1]], dim=1), after

    @torch.inference_mode()
    def _read(self, token_ids: TokenIds, carried: NetworkState) -> tuple[Tensor, TorchState]:
        hidden, carried = self.network.hidden(self._ids(token_ids), carried)
        last = hidden[:, -1].clone()  # a view would keep all of `hidden` in memory
        return hidden, TorchState(carried, last, self)

    @torch.inference_mode()
    def _log_probs(self, hidden: Tensor) -> Tensor:
        return F.log_softmax(self.network.output(hidden), dim=-1)

    @torch.inference_mode()
    def _target_log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        logits: Tensor = self.network.output(hidden)
        return logits.gather(1, targets[:, None]).squeeze(1) - logits.logsumexp(dim=-1)

    def _ids(self, token_ids: TokenIds) -> Tensor:
        return torch.from_numpy(np.array(token_ids, np.int64, order="C")).to(self.device)
