"""One recurrent layer in float64, step by step, forward and backward, with every number kept.

The arithmetic is that of `models/rnn.py`, `lstm.py` and `gru.py`, written for one sequence and for reading, not for speed:

    rnn    h = tanh(x Wx + h' Wh + b)
    lstm   i, f, g, o = slices of x Wx + h' Wh + b;  c = s(f) c' + s(i) tanh(g);  h = s(o) tanh(c)
    gru    r, z = s(x Wx + b + h' Wh + c);  n = tanh(x Wx_n + b_n + r (h' Wh_n + c_n));  h = (1 - z) n + z h'

Shapes: T steps, D input width, H hidden width, G gates.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
Array = Float64[np.ndarray, "..."]


@dataclass(frozen=True)
class Layer:
    """The weights of a layer, input first: x @ Wx. `c` is the second bias of a gru."""

    family: str
    Wx: Float64[np.ndarray, "input gates"]
    Wh: Float64[np.ndarray, "hidden gates"]
    b: Float64[np.ndarray, " gates"]
    c: Float64[np.ndarray, " gates"] | None = None

    @property
    def size(self) -> int:
        return len(self.Wh)

    def parts(self) -> dict[str, Array]:
        """The weights by name."""
        found = {"Wx": self.Wx, "Wh": self.Wh, "b": self.b}
        return found if self.c is None else {**found, "c": self.c}

    def moved(self, gradients: dict[str, Array], rate: float) -> "Layer":
        """The layer after W <- W - rate * gradient."""
        return Layer(self.family, **{name: array - rate * gradients[name] for name, array in self.parts().items()})


@dataclass(frozen=True)
class Trace:
    """What a layer computed. `hidden` and `cell` begin with the state before the first step."""

    x: Float64[np.ndarray, "time input"]
    from_input: Float64[np.ndarray, "time gates_hidden"]  # x Wx + b
    from_hidden: Float64[np.ndarray, "time gates_hidden"]  # h' Wh (+ c)
    gates: Float64[np.ndarray, "time gates hidden"]  # after sigmoid or tanh
    hidden: Float64[np.ndarray, "time_and_one hidden"]
    cell: Float64[np.ndarray, "time_and_one hidden"]  # of an lstm; zeros otherwise

    @property
    def output(self) -> Float64[np.ndarray, "time hidden"]:
        return self.hidden[1:]

    def last(self, n_steps: int) -> "Trace":
        """The last steps alone."""
        per_step = (self.x, self.from_input, self.from_hidden, self.gates)
        states = (self.hidden, self.cell)
        return Trace(*(part[-n_steps:] for part in per_step), *(part[-n_steps - 1 :] for part in states))


@dataclass(frozen=True)
class Gradients:
    """Of a loss with respect to what a layer reads and holds."""

    x: Float64[np.ndarray, "time input"]
    hidden: Float64[np.ndarray, "time hidden"]  # of h_t, all its later uses included
    sums: Float64[np.ndarray, "time gates_hidden"]  # of what stands inside sigmoid and tanh
    weights: dict[str, Array]


def sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))  # never overflows


def run_layer(
    layer: Layer,
    x: Float64[np.ndarray, "time input"],
    hidden: Float64[np.ndarray, " hidden"],
    cell: Float64[np.ndarray, " hidden"],
) -> Trace:
    """All steps of a layer from the state (hidden, cell)."""
    n_steps, size = len(x), layer.size
    from_input = x @ layer.Wx + layer.b
    from_hidden = np.empty_like(from_input)
    gates = np.empty((n_steps, GATES[layer.family], size))
    hiddens, cells = np.zeros((n_steps + 1, size)), np.zeros((n_steps + 1, size))
    hiddens[0], cells[0] = hidden, cell
    for t in range(n_steps):
        from_hidden[t] = hiddens[t] @ layer.Wh + (0.0 if layer.c is None else layer.c)
        sums = (from_input[t] + from_hidden[t]).reshape(-1, size)
        if layer.family == "lstm":
            gates[t] = sigmoid(sums)
            gates[t, 2] = np.tanh(sums[2])
            i, f, g, o = gates[t]
            cells[t + 1] = f * cells[t] + i * g
            hiddens[t + 1] = o * np.tanh(cells[t + 1])
        elif layer.family == "gru":
            gates[t, :2] = sigmoid(sums[:2])
            r, z = gates[t, :2]
            gates[t, 2] = np.tanh(from_input[t, 2 * size :] + r * from_hidden[t, 2 * size :])
            hiddens[t + 1] = (1 - z) * gates[t, 2] + z * hiddens[t]
        else:
            gates[t] = np.tanh(sums)
            hiddens[t + 1] = gates[t, 0]
    return Trace(x, from_input, from_hidden, gates, hiddens, cells)


def run_back(layer: Layer, trace: Trace, d_output: Float64[np.ndarray, "time hidden"]) -> Gradients:
    """The same steps backwards.

    Args:
        d_output: Gradient of the loss with respect to each h_t, from what reads the layer.
    """
    n_steps, size = trace.output.shape
    d_input, d_recurrent = np.empty_like(trace.from_input), np.empty_like(trace.from_input)
    d_hidden = np.empty_like(trace.output)
    d_h, d_c = np.zeros(size), np.zeros(size)
    for t in reversed(range(n_steps)):
        d_h = d_hidden[t] = d_h + d_output[t]
        gates = trace.gates[t]
        if layer.family == "lstm":
            i, f, g, o = gates
            shown = np.tanh(trace.cell[t + 1])
            d_c = d_c + d_h * o * (1 - shown**2)
            slopes = (i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o))
            errors = (d_c * g, d_c * trace.cell[t], d_c * i, d_h * shown)
            d_input[t] = d_recurrent[t] = np.concatenate([e * s for e, s in zip(errors, slopes, strict=True)])
            d_c = d_c * f
            d_h = layer.Wh @ d_recurrent[t]
        elif layer.family == "gru":
            r, z, n = gates
            d_n = d_h * (1 - z) * (1 - n**2)
            d_z = d_h * (trace.hidden[t] - n) * z * (1 - z)
            d_r = d_n * trace.from_hidden[t, 2 * size :] * r * (1 - r)
            d_input[t] = np.concatenate([d_r, d_z, d_n])
            d_recurrent[t] = np.concatenate([d_r, d_z, d_n * r])
            d_h = layer.Wh @ d_recurrent[t] + d_h * z
        else:
            d_input[t] = d_recurrent[t] = d_h * (1 - gates[0] ** 2)
            d_h = layer.Wh @ d_recurrent[t]
    weights = {"Wx": trace.x.T @ d_input, "Wh": trace.hidden[:-1].T @ d_recurrent, "b": d_input.sum(axis=0)}
    if layer.c is not None:
        weights["c"] = d_recurrent.sum(axis=0)
    return Gradients(d_input @ layer.Wx.T, d_hidden, d_input, weights)
