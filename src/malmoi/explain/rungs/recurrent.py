"""Why a recurrent network gave a token its probability: rnn, lstm, gru.

    id -> row of E -> z = x Wx + h Wh + b -> gates -> c, h -> (each layer) -> scores -> softmax -> -ln P

and, with a learning rate, the training step on this one token: P - y, the gradient through time, the rows of E that move,
W <- W - eta * gradient, and the probability computed again.

Everything is computed here in float64 from the run's arrays, apart from any engine. Of a long text, the last RECENT tokens are;
the state before them is the engine's.

Shapes: T steps traced, E embed_dim, H hidden width, G gates, V vocab_size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.explain.cells import Gradients, Layer, Trace, run_back, run_layer
from malmoi.explain.embedding_rows import RowGradients, row_gradients, rows_step
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Answer, Question, Subject
from malmoi.explain.softmax import (
    error_step,
    hidden_step,
    log_softmax,
    long,
    prediction_steps,
    scores,
    transposed_product,
    units,
    update_steps,
)
from malmoi.models.interface import State
from malmoi.models.options.recurrent import RecurrentConfig
from malmoi.pages.language import Teller

BANDS = 64  # steps whose gates are shown, and through which a training step goes back
GATE_NAMES = {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n")}
SUMS = {
    "rnn": "z = x_t Wx + h_{t−1} Wh + b",
    "lstm": "z = x_t Wx + h_{t−1} Wh + b",
    "gru": "a = x_t Wx + b;  u = h_{t−1} Wh + c",
}
GATES = {
    "lstm": "i = σ(z_i);  f = σ(z_f);  g = tanh(z_g);  o = σ(z_o)",
    "gru": "r = σ(a_r + u_r);  z = σ(a_z + u_z);  n = tanh(a_n + r ⊙ u_n)",
}
Vector = Float64[np.ndarray, "_"]


@dataclass(frozen=True)
class Network:
    """A recurrent run's weights, as the explanation computes with them."""

    embedding: NDArray[Any]  # (V, E), as stored
    layers: Sequence[Layer]
    output: NDArray[Any]  # (V, W), as stored; the embedding itself where the config ties them
    bias: NDArray[Any]
    is_tied: bool


def explain_next(question: Question, tell: Teller) -> Answer:
    """The steps from the ids to -ln P, and those of a training step if one is asked for."""
    network = network_of(question.subject)
    ids = question.recent_ids
    if not question.n_earlier:
        ids = np.concatenate([[question.subject.tokenizer.eos_id], ids])
    starts = _starts(network, question)
    x = np.asarray(network.embedding[ids], np.float64)
    traces = run(network.layers, x, starts)
    hidden = traces[-1].output[-1]
    logits = scores(network.output, network.bias, hidden)
    log_probs = log_softmax(logits)
    steps = [*_reading(question, tell, network, ids), *_layers(question, tell, network, traces, ids)]
    steps += prediction_steps(question, tell, hidden, logits, log_probs, _hidden_name(network), network.is_tied)
    notes = []
    if question.n_earlier:
        notes.append(tell("note_earlier", n_earlier=question.n_earlier, n_recent=len(ids)))
    if len(ids) > BANDS:
        notes.append(tell("note_bands", n_shown=BANDS, n_steps=len(ids)))
    if question.learning_rate is not None:
        steps += _training(question, tell, network, ids, starts, traces, log_probs)
        if len(ids) > BANDS:
            notes.append(tell("note_back", n_steps=BANDS))
    return Answer(steps, log_probs, notes)


def network_of(subject: Subject) -> Network:
    """The weights of a recurrent run, input first."""
    config = subject.config
    assert isinstance(config, RecurrentConfig)
    layers = []
    for depth in range(config.n_layers):
        part = f"layers.{depth}"
        second = f"{part}.from_hidden.bias"
        layers.append(
            Layer(
                subject.family,
                subject.weight(f"{part}.from_input.weight").T,
                subject.weight(f"{part}.from_hidden.weight").T,
                subject.weight(f"{part}.from_input.bias"),
                subject.weight(second) if second in subject.weights else None,
            )
        )
    embedding = subject.weights["embedding.weight"]
    output = embedding if config.tie_embeddings else subject.weights["output.weight"]
    return Network(embedding, layers, output, subject.weights["output.bias"], config.tie_embeddings)


def run(
    layers: Sequence[Layer], x: Float64[np.ndarray, "time width"], starts: Sequence[tuple[Vector, Vector]]
) -> list[Trace]:
    """All layers, one above the other."""
    traces: list[Trace] = []
    for layer, (hidden, cell) in zip(layers, starts, strict=True):
        traces.append(run_layer(layer, traces[-1].output if traces else x, hidden, cell))
    return traces


def _starts(network: Network, question: Question) -> list[tuple[Vector, Vector]]:
    """(hidden, cell) of each layer before the first traced step."""
    if not question.n_earlier:
        return [(np.zeros(layer.size), np.zeros(layer.size)) for layer in network.layers]
    found = []
    for layer, carried in zip(network.layers, carried_arrays(question.earlier), strict=True):
        found.append((carried[0], carried[1] if len(carried) > 1 else np.zeros(layer.size)))
    return found


def carried_arrays(state: State) -> list[tuple[Vector, ...]]:
    """What an engine's state carries for its first sequence, layer by layer, as NumPy arrays whatever the engine."""
    layers: Any = state.carried  # type: ignore[attr-defined]
    return [
        tuple(np.asarray(part.cpu() if hasattr(part, "cpu") else part, np.float64)[0] for part in layer)
        for layer in layers
    ]


def _reading(question: Question, tell: Teller, network: Network, ids: Int64[np.ndarray, " time"]) -> list[Step]:
    """Text to ids, and the row of E."""
    tokens = question.subject.tokens
    vocab, width = network.embedding.shape
    shown = ids[-BANDS:]
    last = int(ids[-1])
    row = np.asarray(network.embedding[last], np.float64)
    key = "say_ids" if question.n_earlier or len(ids) > 1 else "say_ids_start"
    return [
        Step(
            "ids",
            tell("ids"),
            "w_1 … w_t → id_1 … id_t",
            f"({len(ids)},)",
            tell(key, n_before=question.n_earlier + len(question.recent_ids), vocab=vocab),
            (Numbers("id", shown, ("time",), {0: [tokens[i] for i in shown]}, "plain"),),
        ),
        Step(
            "embedding",
            tell("embedding"),
            "x_t = E[id_t]",
            f"({vocab}, {width})[{last}] → (1, {width})",
            tell("say_embedding", token=tokens[last], id=last, width=width, length=f"{np.linalg.norm(row):.3f}"),
            (Numbers("x_t", row, ("unit",)),),
        ),
    ]


def _layers(
    question: Question, tell: Teller, network: Network, traces: Sequence[Trace], ids: Int64[np.ndarray, " time"]
) -> list[Step]:
    steps: list[Step] = []
    times = [question.subject.tokens[i] for i in ids[-BANDS:]]
    for depth, (layer, trace) in enumerate(zip(network.layers, traces, strict=True), start=1):
        found = [_sums(tell, layer, trace), *_CELLS[layer.family](tell, layer, trace, times)]
        if len(network.layers) > 1:
            found = [_on_layer(tell, step, depth) for step in found]
        steps += found
    return steps


def _on_layer(tell: Teller, step: Step, depth: int) -> Step:
    """The step with the number of its layer; what the second layer reads is the first one's h."""
    below = f"h⁽{_raised(depth - 1)}⁾_t" if depth > 1 else "x_t"
    numbers = tuple(replace(part, name=part.name.replace("x_t", below)) for part in step.numbers)
    formula, title = step.formula.replace("x_t", below), tell("on_layer", title=step.title, layer=depth)
    return replace(step, name=f"{step.name} {depth}", title=title, formula=formula, numbers=numbers)


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _hidden_name(network: Network) -> str:
    n_layers = len(network.layers)
    return "h_t" if n_layers == 1 else f"h⁽{_raised(n_layers)}⁾_t"


def _sums(tell: Teller, layer: Layer, trace: Trace) -> Step:
    """What comes in: from the token, and from what is remembered."""
    names, size = GATE_NAMES[layer.family], layer.size
    from_input, from_hidden = (part[-1].reshape(-1, size) for part in (trace.from_input, trace.from_hidden))
    labels = {0: names}
    width, gates = layer.Wx.shape
    parts = [Numbers("x_t Wx + b", from_input, ("gate", "unit"), labels)]
    parts.append(Numbers("h_{t−1} Wh" + " + c" * (layer.c is not None), from_hidden, ("gate", "unit"), labels))
    if layer.c is None:
        parts.append(Numbers("z", from_input + from_hidden, ("gate", "unit"), labels))
    from_token, from_memory = (f"{np.linalg.norm(part):.3f}" for part in (from_input, from_hidden))
    bias = f"({gates},)"
    return Step(
        "sums",
        tell("sums"),
        SUMS[layer.family],
        f"(1, {width}) ({width}, {gates}) + (1, {size}) ({size}, {gates}) + {bias} → (1, {gates})",
        tell(
            "say_sums" if len(names) > 1 else "say_sums_rnn",
            n_gates=len(names),
            from_token=from_token,
            from_memory=from_memory,
        ),
        tuple(parts),
    )


def _bands(trace: Trace, names: Sequence[str], times: Sequence[str], signed: Sequence[str]) -> list[Numbers]:
    """Each gate over the last steps, (time, unit)."""
    return [
        Numbers(f"{name}_1 … {name}_t", trace.gates[-BANDS:, place], ("time", "unit"), {0: times}, _kind(name, signed))
        for place, name in enumerate(names)
    ]


def _kind(name: str, signed: Sequence[str]) -> Any:
    return "signed" if name in signed else "gate"


def _rnn(tell: Teller, layer: Layer, trace: Trace, times: Sequence[str]) -> list[Step]:
    size, hidden = layer.size, trace.output[-1]
    full = int((np.abs(hidden) > 0.9).sum())
    return [
        Step(
            "hidden",
            tell("hidden"),
            "h_t = tanh(z)",
            f"(1, {size})",
            tell("say_hidden_rnn", strongest=units(hidden), n_full=full, n_units=size),
            (
                Numbers("h_{t−1}", trace.hidden[-2], ("unit",)),
                Numbers("h_t", hidden, ("unit",)),
                Numbers("h_1 … h_t", trace.output[-BANDS:], ("time", "unit"), {0: times}),
            ),
        )
    ]


def _lstm(tell: Teller, layer: Layer, trace: Trace, times: Sequence[str]) -> list[Step]:
    size, names = layer.size, GATE_NAMES["lstm"]
    i, f, g, o = gates = trace.gates[-1]
    before, cell, hidden = trace.cell[-2], trace.cell[-1], trace.output[-1]
    kept, written, dropped = f * before, i * g, (1 - f) * before
    return [
        Step(
            "gates",
            tell("gates"),
            GATES["lstm"],
            f"4 × (1, {size})",
            tell(
                "say_gates_lstm",
                most_forget=_extreme(f),
                least_forget=_extreme(f, lowest=True),
                most_input=_extreme(i),
                mean_forget=f"{f.mean():.2f}",
                mean_input=f"{i.mean():.2f}",
            ),
            (Numbers("i, f, g, o", gates, ("gate", "unit"), {0: names}), *_bands(trace, names, times, ("g",))),
        ),
        Step(
            "cell",
            tell("cell"),
            "c_t = f ⊙ c_{t−1} + i ⊙ g",
            f"(1, {size}) ⊙ (1, {size}) + (1, {size}) ⊙ (1, {size})",
            tell("say_cell", kept=units(kept), dropped=units(dropped), written=units(written)),
            (
                Numbers("c_{t−1}", before, ("unit",)),
                Numbers("f ⊙ c_{t−1}", kept, ("unit",)),
                Numbers("i ⊙ g", written, ("unit",)),
                Numbers("c_t", cell, ("unit",)),
            ),
        ),
        Step(
            "hidden",
            tell("hidden"),
            "h_t = o ⊙ tanh(c_t)",
            f"(1, {size}) ⊙ (1, {size})",
            tell("say_hidden_lstm", most_output=_extreme(o), strongest=units(hidden)),
            (Numbers("o", o, ("unit",), kind="gate"), Numbers("h_t", hidden, ("unit",))),
        ),
    ]


def _gru(tell: Teller, layer: Layer, trace: Trace, times: Sequence[str]) -> list[Step]:
    size, names = layer.size, GATE_NAMES["gru"]
    r, z, n = gates = trace.gates[-1]
    before, hidden = trace.hidden[-2], trace.output[-1]
    return [
        Step(
            "gates",
            tell("gates"),
            GATES["gru"],
            f"3 × (1, {size})",
            tell(
                "say_gates_gru",
                most_update=_extreme(z),
                least_update=_extreme(z, lowest=True),
                least_reset=_extreme(r, lowest=True),
                mean_update=f"{z.mean():.2f}",
            ),
            (Numbers("r, z, n", gates, ("gate", "unit"), {0: names}), *_bands(trace, names, times, ("n",))),
        ),
        Step(
            "hidden",
            tell("hidden"),
            "h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}",
            f"(1, {size}) ⊙ (1, {size}) + (1, {size}) ⊙ (1, {size})",
            tell("say_hidden_gru", kept=units(z * before), written=units((1 - z) * n)),
            (
                Numbers("h_{t−1}", before, ("unit",)),
                Numbers("z ⊙ h_{t−1}", z * before, ("unit",)),
                Numbers("(1 − z) ⊙ n", (1 - z) * n, ("unit",)),
                Numbers("h_t", hidden, ("unit",)),
            ),
        ),
    ]


_CELLS = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}


def _extreme(gate: Vector, *, lowest: bool = False) -> str:
    """The unit at which a gate is most open, or most closed."""
    place = int(gate.argmin() if lowest else gate.argmax())
    return f"{place} ({gate[place]:.3f})"


# The training step


def _training(
    question: Question,
    tell: Teller,
    network: Network,
    ids: Int64[np.ndarray, " time"],
    starts: Sequence[tuple[Vector, Vector]],
    traces: Sequence[Trace],
    log_probs: Float64[np.ndarray, " vocab"],
) -> list[Step]:
    """Backwards through softmax, layers and time; then the same prediction with the moved weights."""
    assert question.learning_rate is not None
    hidden = traces[-1].output[-1]
    error = np.exp(log_probs)
    error[question.target_id] -= 1  # P - y
    d_hidden = transposed_product(error, network.output)
    gradients = back(network.layers, traces, d_hidden)
    read_ids = ids[-BANDS:]
    rows = row_gradients(read_ids, gradients[0].x, error, hidden, network.is_tied)
    moved = _predict_again(network, ids, starts, gradients, rows, question.learning_rate)
    times = [question.subject.tokens[i] for i in read_ids]
    return [
        error_step(question, tell, error),
        hidden_step(tell, _hidden_name(network), network.output.shape, d_hidden, network.is_tied),
        _through_time(tell, gradients, times),
        rows_step(question, tell, rows, gradients[0].x, times),
        *update_steps(question, tell, _norms(network, gradients, rows), log_probs, moved),
    ]


def back(layers: Sequence[Layer], traces: Sequence[Trace], d_hidden: Vector) -> list[Gradients]:
    """Gradients of every layer from that of the last h of the last one, through the last BANDS steps."""
    recent = [trace.last(BANDS) for trace in traces]
    d_output = np.zeros_like(recent[-1].output)
    d_output[-1] = d_hidden
    found: list[Gradients] = []
    for layer, trace in zip(reversed(layers), reversed(recent), strict=True):
        found.append(run_back(layer, trace, found[-1].x if found else d_output))
    return found[::-1]


def _predict_again(
    network: Network,
    ids: Int64[np.ndarray, " time"],
    starts: Sequence[tuple[Vector, Vector]],
    gradients: Sequence[Gradients],
    rows: RowGradients,
    rate: float,
) -> Float64[np.ndarray, " vocab"]:
    """ln P of every token with all weights moved; what is large is never copied."""
    layers = [layer.moved(part.weights, rate) for layer, part in zip(network.layers, gradients, strict=True)]
    x = np.asarray(network.embedding[ids], np.float64) - rate * rows.of(ids)
    hidden = run(layers, x, starts)[-1].output[-1]
    return log_softmax(rows.moved_scores(network.output, network.bias, hidden, rate))


def _through_time(tell: Teller, gradients: Sequence[Gradients], times: Sequence[str]) -> Step:
    """How long the gradient of h is at each step: how far back the model could learn from this token."""
    norms = np.array([np.linalg.norm(part.hidden, axis=1) for part in gradients])  # (layers, time)
    first, last = norms[:, 0].max(), norms[:, -1].max()
    share = first / last if last else 0.0
    names = [tell("layer", layer=depth + 1) for depth in range(len(gradients))]
    return Step(
        "through_time",
        tell("through_time"),
        "∂L/∂h_{t−1} = (∂z_t/∂h_{t−1})ᵀ ∂L/∂z_t + …",
        " ".join(str(part.hidden.shape) for part in gradients),
        tell(
            "say_through_time",
            n_steps=norms.shape[1],
            last=f"{last:.4g}",
            first_token=times[0],
            first=f"{first:.4g}",
            share=f"{share:.2%}",
        ),
        (
            Numbers("‖∂L/∂h_τ‖", norms, ("layer", "time"), {0: names, 1: times}, "plain"),
            Numbers("∂L/∂h_τ", gradients[-1].hidden, ("time", "unit"), {0: times}),
        ),
        part="backward",
    )


def _norms(network: Network, gradients: Sequence[Gradients], rows: RowGradients) -> list[tuple[str, float, float]]:
    """Of each weight: name, length, length of its gradient."""
    found = [("E", long(network.embedding), rows.length)]
    for depth, (layer, part) in enumerate(zip(network.layers, gradients, strict=True), start=1):
        level = _raised(depth) if len(network.layers) > 1 else ""
        for name, array in layer.parts().items():
            found.append((f"{name}{level}", long(array), long(part.weights[name])))
    if not network.is_tied:
        found.append(("U", long(network.output), long(rows.error) * long(rows.hidden)))
    return [*found, ("b_s", long(network.bias), long(rows.error))]
