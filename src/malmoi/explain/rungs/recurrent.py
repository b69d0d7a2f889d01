"""Why a recurrent network gave a token its probability: what all recurrent rungs share. Their cells have files of their own.

    id -> row of E -> z = x Wx + h Wh + b -> gates -> c, h -> (each layer) -> scores -> softmax -> -ln P

and, with a learning rate, the training step on this one token: P - y, the gradient through time, the rows of E that move,
W <- W - eta * gradient, and the probability computed again.

Every number is one of the scratch network's (`scratch/rnnlm.py`), computed in float64 from the run's arrays, apart from any
engine. Of a long text, the last RECENT tokens are; the state before them is the engine's.

Shapes: T steps traced, E embed_dim, H hidden width, G gates, V vocab_size.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from malmoi.explain.conversions import length, lengths
from malmoi.explain.embedding_rows import rows_step
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Answer, Question
from malmoi.explain.softmax import error_step, hidden_step, prediction_steps, update_steps
from malmoi.models.interface import State
from malmoi.models.options.recurrent import RecurrentConfig
from malmoi.pages.language import Teller
from malmoi.scratch.conversion import traced_network_of
from malmoi.scratch.rnnlm import WEIGHTS
from malmoi.scratch.traces import Lengths, PredictionTrace, RecurrentTrace, StepTrace

BANDS = 64  # steps whose gates are shown, and through which a training step goes back
SYMBOLS = ("Wx", "Wh", "b", "c")  # of the weights of a layer, as scratch orders them
Vector = Float64[np.ndarray, "_"]


class Cell(NamedTuple):
    """What is said of one kind of layer.

    Attributes:
        gates: Their names, in the order in which their weights lie; a layer without gates has one, of its state.
        sums: The formula of what comes in, from the token and from what is remembered.
        steps: Tells the steps from there to the state h_t; `times` names the tokens that were read.
        has_hidden_bias: Whether what is remembered has a bias of its own.
    """

    gates: tuple[str, ...]
    sums: str
    steps: Callable[[Teller, RecurrentTrace, Sequence[str]], list[Step]]
    has_hidden_bias: bool = False


def explain_recurrent(question: Question, tell: Teller, cell: Cell) -> Answer:
    """The steps from the ids to -ln P, and those of a training step if one is asked for."""
    subject, config = question.subject, question.subject.config
    assert isinstance(config, RecurrentConfig)
    network = traced_network_of(config, subject.weights, subject.tokenizer.eos_id)
    ids = question.recent_ids
    if question.n_earlier:
        network.carried = carried_arrays(question.earlier)
    else:
        ids = np.concatenate([[subject.tokenizer.eos_id], ids])
    step = None
    if question.learning_rate is not None:
        step = network.trace_step(ids, question.target_id, question.learning_rate, n_last=BANDS)
    found = network.trace(ids, n_last=BANDS) if step is None else step.prediction
    layers, top, is_tied = _traced(found), _hidden_name(found), config.tie_embeddings
    times = [subject.tokens[i] for i in found.ids]
    steps = [*_reading(question, tell, found, len(ids)), *_layers(cell, tell, layers, times)]
    steps += prediction_steps(question, tell, found, top, is_tied=is_tied)
    notes = []
    if question.n_earlier:
        notes.append(tell("note_earlier", n_earlier=question.n_earlier, n_recent=len(ids)))
    if len(ids) > BANDS:
        notes.append(tell("note_bands", n_shown=BANDS, n_steps=len(ids)))
    if step is not None:
        steps += [
            error_step(question, tell, step.error),
            hidden_step(tell, top, (len(found.logits), len(found.top)), step.d_top, is_tied),
            _through_time(tell, step, times),
            rows_step(question, tell, step, times),
            *update_steps(question, tell, _moving(step, len(layers)), found.log_probs, step.log_probs),
        ]
        if len(ids) > BANDS:
            notes.append(tell("note_back", n_steps=BANDS))
    return Answer(steps, found.log_probs, notes)


def carried_arrays(state: State) -> list[tuple[NDArray[Any] | None, ...]]:
    """What an engine's state carries for its first sequence, (1, H) each, as NumPy arrays whatever the engine."""
    layers: Any = state.carried  # type: ignore[attr-defined]
    return [
        tuple(np.asarray(part.cpu() if hasattr(part, "cpu") else part, np.float64)[:1] for part in layer)
        for layer in layers
    ]


def _traced(found: PredictionTrace) -> list[RecurrentTrace]:
    return [layer for layer in found.layers if isinstance(layer, RecurrentTrace)]


def _reading(question: Question, tell: Teller, found: PredictionTrace, n_ids: int) -> list[Step]:
    """Text to ids, and the row of E."""
    tokens, shown, row = question.subject.tokens, found.ids, found.rows[-1]
    vocab, width, last = len(found.logits), len(row), int(found.ids[-1])
    key = "say_ids" if question.n_earlier or n_ids > 1 else "say_ids_start"
    return [
        Step(
            "ids",
            tell("ids"),
            "w_1 … w_t → id_1 … id_t",
            f"({n_ids},)",
            tell(key, n_before=question.n_earlier + len(question.recent_ids), vocab=vocab),
            (Numbers("id", shown, ("time",), {0: [tokens[i] for i in shown]}, "plain"),),
        ),
        Step(
            "embedding",
            tell("embedding"),
            "x_t = E[id_t]",
            f"({vocab}, {width})[{last}] → (1, {width})",
            tell("say_embedding", token=tokens[last], id=last, width=width, length=f"{length(row):.3f}"),
            (Numbers("x_t", row, ("unit",)),),
        ),
    ]


def _layers(cell: Cell, tell: Teller, layers: Sequence[RecurrentTrace], times: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    for depth, layer in enumerate(layers, start=1):
        told = [_sums(tell, cell, layer), *cell.steps(tell, layer, times)]
        steps += [_on_layer(tell, step, depth) for step in told] if len(layers) > 1 else told
    return steps


def _on_layer(tell: Teller, step: Step, depth: int) -> Step:
    """The step with the number of its layer; what the second layer reads is the first one's h."""
    below = f"h⁽{_raised(depth - 1)}⁾_t" if depth > 1 else "x_t"
    numbers = tuple(replace(part, name=part.name.replace("x_t", below)) for part in step.numbers)
    formula, title = step.formula.replace("x_t", below), tell("on_layer", title=step.title, layer=depth)
    return replace(step, name=f"{step.name} {depth}", title=title, formula=formula, numbers=numbers)


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _hidden_name(found: PredictionTrace) -> str:
    n_layers = len(found.layers)
    return "h_t" if n_layers == 1 else f"h⁽{_raised(n_layers)}⁾_t"


def _sums(tell: Teller, cell: Cell, trace: RecurrentTrace) -> Step:
    """What comes in: from the token, and from what is remembered."""
    names, size, width = cell.gates, trace.hidden.shape[1], trace.x.shape[1]
    from_input, from_hidden = (part[-1].reshape(-1, size) for part in (trace.from_input, trace.from_hidden))
    labels = {0: names}
    gates = from_input.size
    parts = [Numbers("x_t Wx + b", from_input, ("gate", "unit"), labels)]
    parts.append(Numbers("h_{t−1} Wh" + " + c" * cell.has_hidden_bias, from_hidden, ("gate", "unit"), labels))
    if trace.sums is not None:
        parts.append(Numbers("z", trace.sums[-1], ("gate", "unit"), labels))
    key, told = (
        "say_sums" if len(names) > 1 else "say_sums_rnn",
        [f"{length(part):.3f}" for part in (from_input, from_hidden)],
    )
    return Step(
        "sums",
        tell("sums"),
        cell.sums,
        f"(1, {width}) ({width}, {gates}) + (1, {size}) ({size}, {gates}) + ({gates},) → (1, {gates})",
        tell(key, n_gates=len(names), from_token=told[0], from_memory=told[1]),
        tuple(parts),
    )


def bands(trace: RecurrentTrace, names: Sequence[str], times: Sequence[str], signed: Sequence[str]) -> list[Numbers]:
    """Each gate over the last steps, (time, unit)."""
    return [
        Numbers(f"{name}_1 … {name}_t", trace.gates[:, place], ("time", "unit"), {0: times}, _kind(name, signed))
        for place, name in enumerate(names)
    ]


def _kind(name: str, signed: Sequence[str]) -> Any:
    return "signed" if name in signed else "gate"


def last(part: NDArray[Any] | None) -> Vector:
    """Of the last step; what the kind of layer has."""
    assert part is not None
    return np.asarray(part[-1])


def extreme(gate: Vector, *, lowest: bool = False) -> str:
    """The unit at which a gate is most open, or most closed."""
    place = int(gate.argmin() if lowest else gate.argmax())
    return f"{place} ({gate[place]:.3f})"


# The training step


def _through_time(tell: Teller, step: StepTrace, times: Sequence[str]) -> Step:
    """How long the gradient of h is at each step: how far back the model could learn from this token."""
    hidden = [layer.hidden for layer in step.layers]  # (T, H) each
    norms = np.array([lengths(part) for part in hidden])  # (layers, T)
    first, last = norms[:, 0].max(), norms[:, -1].max()
    share = first / last if last else 0.0
    names = [tell("layer", layer=depth + 1) for depth in range(len(hidden))]
    return Step(
        "through_time",
        tell("through_time"),
        "∂L/∂h_{t−1} = (∂z_t/∂h_{t−1})ᵀ ∂L/∂z_t + …",
        " ".join(str(part.shape) for part in hidden),
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
            Numbers("∂L/∂h_τ", hidden[-1], ("time", "unit"), {0: times}),
        ),
        part="backward",
    )


def _moving(step: StepTrace, n_layers: int) -> list[tuple[str, Lengths]]:
    """Each weight by its symbol in the formulas."""
    names = {"embedding.weight": "E"}
    for depth in range(n_layers):
        level = _raised(depth + 1) if n_layers > 1 else ""
        names |= {f"layers.{depth}.{name}": f"{symbol}{level}" for name, symbol in zip(WEIGHTS, SYMBOLS, strict=True)}
    names |= {"output.weight": "U", "output.bias": "b_s"}
    return [(symbol, step.lengths[name]) for name, symbol in names.items() if name in step.lengths]
