"""Gradient descent with clipping, its state as plain named tensors that a checkpoint can hold without pickle.

Sources: Kingma & Ba 2015 for Adam; Loshchilov & Hutter 2019 for decoupled weight decay; Pascanu et al. 2013 for clipping.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

OptimiserName = Literal["adam", "sgd"]


class Optimiser:
    """Adam (with decoupled weight decay) or plain stochastic gradient descent; the gradient norm is clipped first.

    Args:
        layer_rate: Learning rate of everything but embeddings and softmax, as a multiple of theirs. Where it is not 1, the two
            groups are clipped apart, so that an exploding gradient in the one leaves the other its step.
    """

    def __init__(
        self,
        name: OptimiserName,
        parameters: Iterable[tuple[str, nn.Parameter]],
        clip_norm: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        layer_rate: float = 1.0,
    ) -> None:
        named = list(parameters)
        self.names, self.parameters = [name for name, _ in named], [parameter for _, parameter in named]
        self.clip_norm = clip_norm
        self._is_plain_sgd = name == "sgd" and not weight_decay
        ends = [p for name, p in named if name.startswith(("embedding.", "output."))]
        layers = [p for name, p in named if not name.startswith(("embedding.", "output."))]
        groups = [(self.parameters, 1.0)] if layer_rate == 1 else [(ends, 1.0), (layers, layer_rate)]
        self.rates = [rate for members, rate in groups if members]
        members = [{"params": members} for members, _ in groups if members]
        self._optimiser: torch.optim.Optimizer
        if name == "adam":
            self._optimiser = torch.optim.AdamW(
                members, lr=0.0, betas=betas, eps=1e-8, weight_decay=weight_decay, fused=True
            )
        else:
            self._optimiser = torch.optim.SGD(members, lr=0.0, weight_decay=weight_decay, fused=True)

    def step(self, learning_rate: float) -> float:
        """One update from the gradients, which are then dropped. Returns their norm before clipping.

        Nothing is changed where the norm is not a finite number.
        """
        for parameter in self.parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        groups = self._optimiser.param_groups
        gradients = [[p.grad for p in group["params"] if p.grad is not None] for group in groups]
        norms = [float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(members)))) for members in gradients]
        norm = math.hypot(*norms)
        if math.isfinite(norm):
            for group, members, own_norm, rate in zip(groups, gradients, norms, self.rates, strict=True):
                shrink = min(1.0, self.clip_norm / own_norm) if own_norm else 1.0
                group["lr"] = learning_rate * rate
                if self._is_plain_sgd:  # a shorter step is the same as a shorter gradient, without a pass over it
                    group["lr"] *= shrink
                elif shrink < 1:
                    torch._foreach_mul_(members, shrink)
            self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Tensor]:
        """What the optimiser remembers, named `parameter/slot`."""
        return {
            f"{name}/{slot}": value
            for name, parameter in zip(self.names, self.parameters, strict=True)
            for slot, value in self._optimiser.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        by_name = dict(zip(self.names, self.parameters, strict=True))
        for key, value in state.items():
            name, slot = key.rsplit("/", 1)
            parameter = by_name[name]
            self._optimiser.state[parameter][slot] = value if slot == "step" else value.to(parameter.device)
