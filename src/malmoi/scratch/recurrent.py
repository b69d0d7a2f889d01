"""Recurrent layers: one step at a time (RNN, LSTM, GRU), and over a whole window of steps (TimeRNN, TimeLSTM, TimeGRU).

    RNN     h_t = tanh(x_t Wx + h_{t-1} Wh + b)
    LSTM    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the four slices of x_t Wx + h_{t-1} Wh + b
            c_t = f c_{t-1} + i g                     h_t = o tanh(c_t)
    GRU     r, z = sigmoid of the first two slices of (x_t Wx + bx) + (h_{t-1} Wh + bh)
            n = tanh of the third ones, x_n + r h_n    h_t = (1 - z) n + z h_{t-1}

The layers of one step say what happens. The `Time` layers do the same for T steps with as few and as large products as can be:
one for the input of all steps, one per step for the state, and backwards again one per step, then one for each weight gradient
of the whole window. A `stateful` layer begins a window with the state that ended the last one, which is as if the text had been
read in one go; gradients stop at the window (truncated back-propagation through time).

`Time` layers answer in arrays that they keep: the next call of the same method overwrites them. Copy what has to last.

Sources: Elman 1990; Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014
(arXiv:1406.1078), in the form of `torch.nn.GRU`, where the reset gate acts after the product with Wh and needs the second
bias. Williams & Peng 1990 for the truncation.

Symbols: N batch, T steps, D input width, H hidden width. Inside, time comes first, (T, N, ...), so that one step of all
sequences lies together in memory; outside, arrays are (N, T, ...), as views of that.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError
from malmoi.scratch.checks import Array, check_shape
from malmoi.scratch.gates import arithmetic
from malmoi.scratch.layers import Layer, check_weight
from malmoi.scratch.products import RepeatedProduct
from malmoi.scratch.traces import RecurrentGradients, RecurrentTrace

Carried = tuple[NDArray[Any] | None, ...]  # what a window begins with, a row for each sequence; None: nothing was read


def _check_weights(Wx: Array, Wh: Array, biases: dict[str, Array], n_gates: int) -> None:
    """Refuse weights that do not belong to one layer."""
    check_weight("Wh", Wh, ("H", n_gates * len(Wh)), f"a state of {len(Wh)} units goes into {n_gates} x {len(Wh)} sums")
    check_weight("Wx", Wx, ("D", Wh.shape[1]), f"Wh has shape {Wh.shape}")
    for name, bias in biases.items():
        check_weight(name, bias, (Wh.shape[1],), f"Wh has shape {Wh.shape}")
    dtypes = {weight.dtype for weight in (Wx, Wh, *biases.values())}
    if len(dtypes) > 1:
        raise ConfigError(
            f"The weights hold {' and '.join(sorted(map(str, dtypes)))} numbers, expected one precision for all. Convert them, "
            "for example with astype(np.float32)."
        )


class _Cell(Layer):
    """What the layers of one step share: their weights, and the gradients that every cell makes alike."""

    n_gates: ClassVar[int]

    def __init__(self, Wx: Array, Wh: Array, **biases: Array) -> None:
        _check_weights(Wx, Wh, biases, self.n_gates)
        super().__init__(Wx, Wh, *biases.values())
        self._loops = arithmetic(Wx.dtype)

    def _accept(self, x: Array, **states: Array) -> tuple[Array, ...]:
        """The arguments of `forward`, checked, in the precision of the weights."""
        Wx, Wh = self.params[:2]
        check_shape("x", x, ("N", len(Wx)), f"Wx has shape {Wx.shape}")
        for name, state in states.items():
            check_shape(name, state, (len(x), len(Wh)), f"x has shape {x.shape} and Wh {Wh.shape}")
        return tuple(np.ascontiguousarray(array, Wx.dtype) for array in (x, *states.values()))

    def _accept_back(self, **gradients: Array) -> tuple[Array, ...]:
        """The arguments of `backward`, checked; copies, since the loops work in place."""
        for name, gradient in gradients.items():
            check_shape(name, gradient, self._h.shape, "the state has that shape")
        return tuple(np.array(gradient, self._h.dtype, order="C") for gradient in gradients.values())

    def _finish(self, d_sums: Array, d_hidden_sums: Array) -> tuple[Array, Array]:
        """The gradients of the first weights, of x and of the state before, from those of the sums (N, gates H)."""
        Wx, Wh = self.params[:2]
        np.matmul(self._x.T, d_sums, out=self.grads[0])
        np.matmul(self._h.T, d_hidden_sums, out=self.grads[1])
        np.sum(d_sums, axis=0, out=self.grads[2])
        return d_sums @ Wx.T, d_hidden_sums @ Wh.T

    _x: Array
    _h: Array  # the state before


class RNN(_Cell):
    """One step of an Elman network: h' = tanh(x Wx + h Wh + b).

    Args:
        Wx: (D, H).
        Wh: (H, H).
        b: (H,).
    """

    n_gates = 1

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        super().__init__(Wx, Wh, b=b)

    def forward(self, x: Array, h: Array) -> Array:
        """x (N, D) and the state before, (N, H); the new state (N, H)."""
        self._x, self._h = self._accept(x, h=h)
        Wx, Wh, b = self.params
        self._next = np.tanh(self._x @ Wx + self._h @ Wh + b)
        return self._next

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """dL/dh' (N, H); dL/dx (N, D) and dL/dh (N, H)."""
        (d_hidden,) = self._accept_back(dh_next=dh_next)
        d_sums = np.empty_like(d_hidden)
        self._loops.rnn_backward(self._next, d_hidden, d_sums)
        return self._finish(d_sums, d_sums)


class LSTM(_Cell):
    """One step of an LSTM: the gates decide what to write, what to keep and what to show. ONE affine map, sliced in four.

    Args:
        Wx: (D, 4H), columns in the order input, forget, candidate, output.
        Wh: (H, 4H).
        b: (4H,).
    """

    n_gates = 4

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        super().__init__(Wx, Wh, b=b)

    def forward(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        """x (N, D), state and cell before, each (N, H); the new state and cell."""
        self._x, self._h, self._c = self._accept(x, h=h, c=c)
        Wx, Wh, b = self.params
        self._gates = self._x @ Wx + self._h @ Wh + b  # (N, 4H)
        cell, hidden = np.empty_like(self._c), np.empty_like(self._h)
        self._cell_tanh = np.empty_like(cell)
        self._loops.lstm_forward(self._gates, self._c, cell, self._cell_tanh, hidden)
        return hidden, cell

    def backward(self, dh_next: Array, dc_next: Array) -> tuple[Array, Array, Array]:
        """dL/dh' and dL/dc', each (N, H); dL/dx (N, D), dL/dh and dL/dc (N, H)."""
        d_hidden, d_cell = self._accept_back(dh_next=dh_next, dc_next=dc_next)
        d_sums = np.empty_like(self._gates)
        self._loops.lstm_backward(self._gates, self._c, self._cell_tanh, d_hidden, d_cell, d_sums)
        return *self._finish(d_sums, d_sums), d_cell


class GRU(_Cell):
    """One step of a GRU: how much of the old state to look at (r), and how much of it to keep (z).

    Args:
        Wx: (D, 3H), columns in the order reset, update, new.
        Wh: (H, 3H).
        bx: (3H,), added to x Wx.
        bh: (3H,), added to h Wh: its last third is multiplied by the reset gate, which is why there are two.
    """

    n_gates = 3

    def __init__(self, Wx: Array, Wh: Array, bx: Array, bh: Array) -> None:
        super().__init__(Wx, Wh, bx=bx, bh=bh)

    def forward(self, x: Array, h: Array) -> Array:
        """x (N, D) and the state before, (N, H); the new state (N, H)."""
        self._x, self._h = self._accept(x, h=h)
        Wx, Wh, bx, bh = self.params
        self._gates = self._x @ Wx + bx  # (N, 3H)
        self._hidden_sums = self._h @ Wh + bh
        hidden = np.empty_like(self._h)
        self._loops.gru_forward(self._gates, self._hidden_sums, self._h, hidden)
        return hidden

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """dL/dh' (N, H); dL/dx (N, D) and dL/dh (N, H)."""
        (d_hidden,) = self._accept_back(dh_next=dh_next)
        d_sums, d_hidden_sums = np.empty_like(self._gates), np.empty_like(self._gates)
        self._loops.gru_backward(self._gates, self._hidden_sums, self._h, d_hidden, d_sums, d_hidden_sums)
        dx, dh = self._finish(d_sums, d_hidden_sums)
        np.sum(d_hidden_sums, axis=0, out=self.grads[3])
        return dx, dh + d_hidden


class TimeRecurrent(Layer, ABC):
    """Interface: a recurrent layer over the T steps of a window.

    Attributes:
        h: The state (N, H) after the last window, None before the first.
        dh: dL/d(the state that the window began with), (N, H), after `backward`: what an encoder's last state receives.
        stateful: Whether a window goes on where the last one ended. If not, it begins with zeros, or once with what
            `set_state` gave.
        keeps_gradients: Whether `backward` keeps dL/dh of every step for `trace_back`.
    """

    n_gates: ClassVar[int]
    h: Array | None
    dh: Array

    def __init__(self, Wx: Array, Wh: Array, biases: dict[str, Array], stateful: bool) -> None:
        _check_weights(Wx, Wh, biases, self.n_gates)
        super().__init__(Wx, Wh, *biases.values())
        self.stateful, self.keeps_gradients = stateful, False
        self.h = None
        self._start: Array | None = None  # the state that the next window begins with; None: zeros
        self._loops = arithmetic(Wx.dtype)
        self._size: tuple[int, int] = (0, 0)  # (T, N) that the buffers are made for
        self._d_sums: Array = np.empty((0, 0, 0), Wx.dtype)
        self._d_states: Array | None = None

    @property
    def hidden_size(self) -> int:
        """H."""
        return len(self.params[1])

    def set_state(self, h: Array) -> None:
        """Let the next window begin with the state h (N, H)."""
        self._start = self._checked_state("h", h)

    def reset_state(self) -> None:
        """Let the next window begin with zeros: what comes is not the continuation of what was read."""
        self.carried = (None,)

    @property
    def carried(self) -> Carried:
        """What the next window begins with. Kept, it can be given back after other text was read in between."""
        return (self._start,)

    @carried.setter
    def carried(self, state: Carried) -> None:
        self.h = self._start = state[0]

    def forward(self, xs: Array) -> Array:
        """Read a window.

        Args:
            xs: (N, T, D).

        Returns:
            The states after each step, hs (N, T, H).

        Raises:
            ConfigError: If xs does not fit the weights, or has another batch size than the state that is carried on.
        """
        Wx, dtype = self.params[0], self.params[0].dtype
        check_shape("xs", xs, ("N", "T", len(Wx)), f"Wx has shape {Wx.shape}")
        n_rows, n_steps, _ = xs.shape
        start = self._state_to_begin_with("h", self._start, n_rows)
        if self._size != (n_steps, n_rows):
            self._size = n_steps, n_rows
            self._hs = np.empty(
                (n_steps + 1, n_rows, self.hidden_size), dtype
            )  # the state before, then after each step
            self._sums = np.empty((n_steps, n_rows, Wx.shape[1]), dtype)  # of a step, or its gates
            self._times_Wh = RepeatedProduct(n_rows, self.hidden_size, Wx.shape[1], n_steps, dtype)
            self._times_Wh_T: RepeatedProduct | None = None
            self._allocate(n_steps, n_rows)
        self._x = time_major(xs, dtype).reshape(n_steps * n_rows, -1)
        np.matmul(self._x, Wx, out=self._sums.reshape(n_steps * n_rows, -1))
        self._sums += self.params[2]
        self._hs[0] = 0 if start is None else start
        self._times_Wh.lay_out(self.params[1])
        self._begin()
        for t in range(n_steps):
            self._step(t)
        self.h = self._hs[-1].copy()
        self._start = self.h if self.stateful else None
        return self._hs[1:].swapaxes(0, 1)

    def backward(self, dhs: Array) -> Array:
        """Go back through the window.

        Args:
            dhs: dL/dhs from the layer above, (N, T, H).

        Returns:
            dL/dxs (N, T, D).
        """
        n_steps, n_rows = self._size
        check_shape("dhs", dhs, (n_rows, n_steps, self.hidden_size), "forward gave that shape")
        Wx, Wh = self.params[:2]
        d_outputs = time_major(dhs, Wx.dtype)
        if self._times_Wh_T is None:
            self._times_Wh_T = RepeatedProduct(n_rows, Wh.shape[1], self.hidden_size, n_steps, Wx.dtype)
            self._d_sums = np.empty_like(self._sums)
            self._dxs = np.empty((n_steps, n_rows, len(Wx)), Wx.dtype)
        self._times_Wh_T.lay_out(Wh.T)
        d_hidden = d_outputs[-1].copy()
        self._d_states = np.empty_like(self._hs[1:]) if self.keeps_gradients else None
        for t in reversed(range(n_steps)):
            if self._d_states is not None:
                self._d_states[t] = d_hidden
            carried = self._step_back(t, d_hidden, self._times_Wh_T)
            if t:
                np.add(d_outputs[t - 1], carried, out=d_hidden)
        self.dh = carried.copy()
        rows = n_steps * n_rows
        d_sums, d_hidden_sums = self._d_sums.reshape(rows, -1), self._d_hidden_sums().reshape(rows, -1)
        np.matmul(self._x.T, d_sums, out=self.grads[0])
        np.matmul(self._hs[:-1].reshape(rows, -1).T, d_hidden_sums, out=self.grads[1])
        np.matmul(np.ones(rows, Wx.dtype), d_sums, out=self.grads[2])  # the sum of the rows
        np.matmul(d_sums, Wx.T, out=self._dxs.reshape(rows, -1))
        return self._dxs.swapaxes(0, 1)

    def trace(self, row: int = 0) -> RecurrentTrace:
        """Every number of the last window for one of its sequences, as copies that last."""
        (Wx, Wh, b), n_steps = self.params[:3], len(self._hs) - 1
        x, hidden = self._x.reshape(n_steps, -1, len(Wx))[:, row].copy(), self._hs[:, row].copy()
        return self._traced(row, x, x @ Wx + b, hidden[:-1] @ Wh, hidden)

    def trace_back(self, row: int = 0) -> RecurrentGradients:
        """The gradients of the same; after `backward`, and if the layer `keeps_gradients`."""
        if self._d_states is None:
            raise ConfigError(
                "The layer kept no gradients of its states. Expected keeps_gradients=True before backward(): set it, and call "
                "forward() and backward() again."
            )
        parts = (self._dxs[:, row], self._d_states[:, row], self._d_sums[:, row])
        return RecurrentGradients(*(part.copy() for part in parts))

    @abstractmethod
    def _traced(self, row: int, x: Array, from_input: Array, from_hidden: Array, hidden: Array) -> RecurrentTrace:
        """The trace of a sequence, from what all layers have in common."""

    def _in_gates(self, sums: Array) -> Array:
        """(T, gates H) -> (T, gates, H), as a copy."""
        return sums.reshape(len(sums), self.n_gates, -1).copy()

    @abstractmethod
    def _step(self, t: int) -> None:
        """From `_hs[t]` and the input's sums in `_sums[t]` to `_hs[t + 1]`."""

    @abstractmethod
    def _step_back(self, t: int, d_hidden: Array, times_Wh_T: RepeatedProduct) -> Array:
        """From d_hidden, dL/dh_t (may be overwritten), to `_d_sums[t]` and to the answer dL/dh_{t-1}; all (N, ...)."""

    def _allocate(self, n_steps: int, n_rows: int) -> None:
        """Make further buffers for windows of this size."""

    def _begin(self) -> None:
        """Before the first step of a window."""

    def _d_hidden_sums(self) -> Array:
        """The gradient of what h Wh gave, (T, N, gates H)."""
        return self._d_sums

    def _checked_state(self, name: str, state: Array) -> Array:
        check_shape(name, state, ("N", self.hidden_size), f"Wh has shape {self.params[1].shape}")
        return np.array(state, self.params[1].dtype)

    def _state_to_begin_with(self, name: str, state: Array | None, n_rows: int) -> Array | None:
        if state is not None and len(state) != n_rows:
            raise ConfigError(
                f"The state {name} has {len(state)} rows, but the window has {n_rows} sequences, expected equally many: row by "
                "row they go on where the last ones ended. Call reset_state() before reading other text."
            )
        return state


class TimeRNN(TimeRecurrent):
    """T steps of `RNN`, with its weights."""

    n_gates = 1

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, {"b": b}, stateful)

    def _traced(self, row: int, x: Array, from_input: Array, from_hidden: Array, hidden: Array) -> RecurrentTrace:
        sums = self._in_gates(from_input + from_hidden)
        return RecurrentTrace(x, from_input, from_hidden, sums, hidden[1:, None], hidden)

    def _step(self, t: int) -> None:
        sums = self._sums[t]
        sums += self._times_Wh(self._hs[t])
        np.tanh(sums, out=self._hs[t + 1])

    def _step_back(self, t: int, d_hidden: Array, times_Wh_T: RepeatedProduct) -> Array:
        self._loops.rnn_backward(self._hs[t + 1], d_hidden, self._d_sums[t])
        return times_Wh_T(self._d_sums[t])


class TimeLSTM(TimeRecurrent):
    """T steps of `LSTM`, with its weights.

    Attributes:
        c: The cell (N, H) after the last window.
        dc: dL/d(the cell that the window began with), (N, H), after `backward`.
    """

    n_gates = 4
    c: Array | None
    dc: Array

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, {"b": b}, stateful)
        self.c = None
        self._start_cell: Array | None = None

    def set_state(self, h: Array, c: Array | None = None) -> None:
        """Let the next window begin with state h and cell c, each (N, H); without c the cell begins with zeros."""
        super().set_state(h)
        self._start_cell = None if c is None else self._checked_state("c", c)

    def reset_state(self) -> None:
        """Let the next window begin with zeros."""
        self.carried = (None, None)

    @property
    def carried(self) -> Carried:
        """State and cell that the next window begins with."""
        return self._start, self._start_cell

    @carried.setter
    def carried(self, state: Carried) -> None:
        self.h, self.c = self._start, self._start_cell = state

    def forward(self, xs: Array) -> Array:
        """As every recurrent layer, (N, T, D) -> (N, T, H)."""
        hs = super().forward(xs)
        self.c = self._cells[-1].copy()
        self._start_cell = self.c if self.stateful else None
        return hs

    def backward(self, dhs: Array, dc_last: Array | None = None) -> Array:
        """As every recurrent layer; dc_last (N, H) is dL/d(the last cell), where something was made of it."""
        self.dc = np.zeros_like(self._cells[0]) if dc_last is None else self._checked_state("dc_last", dc_last)
        return super().backward(dhs)

    def _allocate(self, n_steps: int, n_rows: int) -> None:
        self._cells = np.empty_like(self._hs)
        self._cell_tanhs = np.empty_like(self._hs[1:])

    def _begin(self) -> None:
        start = self._state_to_begin_with("c", self._start_cell, self._cells.shape[1])
        self._cells[0] = 0 if start is None else start

    def _traced(self, row: int, x: Array, from_input: Array, from_hidden: Array, hidden: Array) -> RecurrentTrace:
        sums, gates, cell = (
            self._in_gates(from_input + from_hidden),
            self._in_gates(self._sums[:, row]),
            self._cells[:, row].copy(),
        )
        i, f, g = (gates[:, place] for place in range(3))
        before = cell[:-1]
        return RecurrentTrace(
            x,
            from_input,
            from_hidden,
            sums,
            gates,
            hidden,
            cell,
            kept=f * before,
            dropped=(1 - f) * before,
            written=i * g,
        )

    def _step(self, t: int) -> None:
        sums = self._sums[t]
        sums += self._times_Wh(self._hs[t])
        self._loops.lstm_forward(sums, self._cells[t], self._cells[t + 1], self._cell_tanhs[t], self._hs[t + 1])

    def _step_back(self, t: int, d_hidden: Array, times_Wh_T: RepeatedProduct) -> Array:
        self._loops.lstm_backward(
            self._sums[t], self._cells[t], self._cell_tanhs[t], d_hidden, self.dc, self._d_sums[t]
        )
        return times_Wh_T(self._d_sums[t])


class TimeGRU(TimeRecurrent):
    """T steps of `GRU`, with its weights."""

    n_gates = 3

    def __init__(self, Wx: Array, Wh: Array, bx: Array, bh: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, {"bx": bx, "bh": bh}, stateful)

    def backward(self, dhs: Array) -> Array:
        """As every recurrent layer, (N, T, H) -> (N, T, D)."""
        dxs = super().backward(dhs)
        np.sum(self._d_from_hidden, axis=(0, 1), out=self.grads[3])
        return dxs

    def _allocate(self, n_steps: int, n_rows: int) -> None:
        self._hidden_sums, self._d_from_hidden = np.empty_like(self._sums), np.empty_like(self._sums)

    def _traced(self, row: int, x: Array, from_input: Array, from_hidden: Array, hidden: Array) -> RecurrentTrace:
        gates = self._in_gates(self._sums[:, row])
        z, n = gates[:, 1], gates[:, 2]
        from_hidden = from_hidden + self.params[3]
        return RecurrentTrace(
            x, from_input, from_hidden, None, gates, hidden, kept=z * hidden[:-1], written=(1 - z) * n
        )

    def _step(self, t: int) -> None:
        hidden_sums = np.add(self._times_Wh(self._hs[t]), self.params[3], out=self._hidden_sums[t])
        self._loops.gru_forward(self._sums[t], hidden_sums, self._hs[t], self._hs[t + 1])

    def _step_back(self, t: int, d_hidden: Array, times_Wh_T: RepeatedProduct) -> Array:
        d_hidden_sums = self._d_from_hidden[t]
        self._loops.gru_backward(
            self._sums[t], self._hidden_sums[t], self._hs[t], d_hidden, self._d_sums[t], d_hidden_sums
        )
        carried = times_Wh_T(d_hidden_sums)
        carried += d_hidden
        return carried

    def _d_hidden_sums(self) -> Array:
        return self._d_from_hidden


def time_major(rows: Array, dtype: np.dtype) -> Array:  # type: ignore[type-arg]
    """(N, T, ...) as (T, N, ...) in one piece of memory; nothing is copied where it lies that way already."""
    return np.ascontiguousarray(rows.swapaxes(0, 1), dtype)
