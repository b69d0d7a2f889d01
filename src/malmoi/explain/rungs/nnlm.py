"""Why a feed-forward network over a fixed window gave a token its probability.

    ids of the window -> their rows of E side by side -> tanh layers -> (projection, direct connection) -> scores -> softmax

and, with a learning rate, the training step on this one token. Everything is computed in float64 from the run's arrays.

Shapes: C context_size, E embed_dim, H hidden_size, V vocab_size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.explain.embedding_rows import row_gradients, rows_step
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
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.pages.language import Teller

Vector = Float64[np.ndarray, "_"]
Matrix = Float64[np.ndarray, "_ _"]


@dataclass(frozen=True)
class Network:
    """The weights between the window and the softmax, input first."""

    layers: Sequence[tuple[Matrix, Vector]]
    projection: Matrix | None  # where tied widths differ
    direct: Matrix | None  # from the window to the vector that the softmax reads
    joins_window: bool  # the softmax reads the window beside the last layer
    output: NDArray[Any]  # (V, W), as stored
    bias: NDArray[Any]
    is_tied: bool


@dataclass(frozen=True)
class Pass:
    """What one prediction computed."""

    window: Vector  # (C E,)
    hiddens: Sequence[Vector]  # after each tanh
    projected: Vector  # the last of them, or its projection
    top: Vector  # what the softmax reads


def explain_next(question: Question, tell: Teller) -> Answer:
    """The steps from the window to -ln P, and those of a training step if one is asked for."""
    subject, config = question.subject, question.subject.config
    assert isinstance(config, NNLMConfig)
    network = network_of(subject)
    ids = window_of(question, config.context_size)
    rows = np.asarray(subject.weights["embedding.weight"][ids], np.float64)  # (C, E)
    found = predict(network, rows.reshape(-1))
    logits = scores(network.output, network.bias, found.top)
    log_probs = log_softmax(logits)
    steps = _forward(question, tell, network, found, ids, rows)
    steps += prediction_steps(question, tell, found.top, logits, log_probs, "h", network.is_tied)
    if question.learning_rate is not None:
        steps += _training(question, tell, network, found, ids, rows, log_probs)
    return Answer(steps, log_probs)


def window_of(question: Question, size: int) -> Int64[np.ndarray, " window"]:
    """The last C tokens; before the first of a text stand line ends."""
    ends = np.full(size, question.subject.tokenizer.eos_id)
    return np.concatenate([ends, question.recent_ids])[-size:]


def network_of(subject: Subject) -> Network:
    config = subject.config
    assert isinstance(config, NNLMConfig)

    def matrix(name: str) -> Matrix | None:
        return subject.weight(name).T if name in subject.weights else None

    layers = [
        (subject.weight(f"layers.{i}.weight").T, subject.weight(f"layers.{i}.bias")) for i in range(config.n_layers)
    ]
    output = subject.weights["embedding.weight" if config.tie_embeddings else "output.weight"]
    return Network(
        layers,
        matrix("projection.weight"),
        matrix("direct.weight"),
        config.direct and not config.tie_embeddings,
        output,
        subject.weights["output.bias"],
        config.tie_embeddings,
    )


def predict(network: Network, window: Vector) -> Pass:
    hiddens: list[Vector] = []
    hidden = window
    for W, b in network.layers:
        hidden = np.tanh(hidden @ W + b)
        hiddens.append(hidden)
    projected = hidden if network.projection is None else hidden @ network.projection
    top = projected if network.direct is None else projected + window @ network.direct
    return Pass(window, hiddens, projected, np.concatenate([top, window]) if network.joins_window else top)


def _forward(
    question: Question,
    tell: Teller,
    network: Network,
    found: Pass,
    ids: Int64[np.ndarray, " window"],
    rows: Float64[np.ndarray, "window embed"],
) -> list[Step]:
    names = [question.subject.tokens[i] for i in ids]
    size, width = rows.shape
    steps = [
        Step(
            "window",
            tell("window"),
            "x = [E[id_1]; …; E[id_C]]",
            f"{size} × (1, {width}) → (1, {size * width})",
            tell("say_window", n_tokens=size, width=width),
            (Numbers("id", ids, ("time",), {0: names}, "plain"), Numbers("x", rows, ("time", "unit"), {0: names})),
        )
    ]
    for depth, ((W, b), hidden) in enumerate(zip(network.layers, found.hiddens, strict=True), start=1):
        below = found.hiddens[depth - 2] if depth > 1 else found.window
        full = int((np.abs(hidden) > 0.9).sum())
        step = Step(
            "hidden",
            tell("hidden"),
            f"z = {'x' if depth == 1 else 'a'} W + b;  a = tanh(z)",
            f"(1, {W.shape[0]}) ({W.shape[0]}, {W.shape[1]}) + ({len(b)},)",
            tell("say_hidden_rnn", strongest=units(hidden), n_full=full, n_units=len(hidden)),
            (Numbers("z", below @ W + b, ("unit",)), Numbers("a", hidden, ("unit",))),
        )
        if len(network.layers) > 1:
            step = replace(step, name=f"hidden {depth}", title=tell("on_layer", title=step.title, layer=depth))
        steps.append(step)
    if network.projection is not None:
        n_from, n_to = network.projection.shape
        steps.append(
            Step(
                "projection",
                tell("projection"),
                "p = a P",
                f"(1, {n_from}) ({n_from}, {n_to})",
                tell("say_projection", hidden=n_from, embedding=n_to),
                (Numbers("p", found.projected, ("unit",)),),
            )
        )
    if network.direct is not None:
        past = found.window @ network.direct
        n_from, n_to = network.direct.shape
        symbol = "a" if network.projection is None else "p"
        said = tell(
            "say_direct",
            past="x D",
            past_length=f"{np.linalg.norm(past):.3f}",
            hidden=symbol,
            hidden_length=f"{np.linalg.norm(found.projected):.3f}",
        )
        numbers = (Numbers("x D", past, ("unit",)), Numbers("h", found.top, ("unit",)))
        shapes = f"(1, {n_to}) + (1, {n_from}) ({n_from}, {n_to})"
        steps.append(Step("direct", tell("direct"), f"h = {symbol} + x D", shapes, said, numbers))
    elif network.joins_window:
        said = tell("say_direct_beside", window=len(found.window), hidden=len(found.projected))
        shapes = f"(1, {len(found.projected)}); (1, {len(found.window)})"
        steps.append(Step("direct", tell("direct"), "h = [a; x]", shapes, said, (Numbers("h", found.top, ("unit",)),)))
    return steps


def _training(
    question: Question,
    tell: Teller,
    network: Network,
    found: Pass,
    ids: Int64[np.ndarray, " window"],
    rows: Float64[np.ndarray, "window embed"],
    log_probs: Float64[np.ndarray, " vocab"],
) -> list[Step]:
    """Backwards through softmax and layers; then the same prediction with the moved weights."""
    rate = question.learning_rate
    assert rate is not None
    error = np.exp(log_probs)
    error[question.target_id] -= 1  # P - y
    d_top = transposed_product(error, network.output)
    d_hidden, d_window = d_top, np.zeros_like(found.window)
    gradients: dict[str, tuple[Matrix, Matrix]] = {}  # name -> weight, gradient
    if network.joins_window:
        d_hidden, d_window = np.split(d_top, [len(found.projected)])
    direct, projection = network.direct, network.projection
    if direct is not None:
        d_window = direct @ d_top
        gradients["D"] = direct, np.outer(found.window, d_top)
    if projection is not None:
        gradients["P"] = projection, np.outer(found.hiddens[-1], d_hidden)
        d_hidden = projection @ d_hidden
    layers: list[tuple[Matrix, Vector]] = []
    first = d_hidden
    for depth in reversed(range(len(network.layers))):
        (W, b), hidden = network.layers[depth], found.hiddens[depth]
        below = found.hiddens[depth - 1] if depth else found.window
        d_sums = d_hidden * (1 - hidden**2)
        number = str(depth + 1) if len(network.layers) > 1 else ""
        gradients[f"W{number}"], gradients[f"b{number}"] = (W, np.outer(below, d_sums)), (b, d_sums)
        layers.insert(0, (W - rate * np.outer(below, d_sums), b - rate * d_sums))
        d_hidden = W @ d_sums
    d_rows = (d_window + d_hidden).reshape(rows.shape)
    moving = row_gradients(ids, d_rows, error, found.top, network.is_tied)
    moved = replace(
        network,
        layers=layers,
        projection=None if projection is None else projection - rate * gradients["P"][1],
        direct=None if direct is None else direct - rate * gradients["D"][1],
    )
    again = predict(moved, (rows - rate * moving.of(ids)).reshape(-1))
    after = log_softmax(moving.moved_scores(network.output, network.bias, again.top, rate))
    names = [question.subject.tokens[i] for i in ids]
    lengths = [("E", long(question.subject.weights["embedding.weight"]), moving.length)]
    lengths += [(name, long(weight), long(gradient)) for name, (weight, gradient) in sorted(gradients.items())]
    if not network.is_tied:
        lengths.append(("U", long(network.output), long(error) * long(found.top)))
    lengths.append(("b_s", long(network.bias), long(error)))
    slots = np.linalg.norm(d_rows, axis=1)
    return [
        error_step(question, tell, error),
        hidden_step(tell, "h", network.output.shape, d_top, network.is_tied),
        Step(
            "to_layer",
            tell("to_layer"),
            "∂L/∂z = ∂L/∂a ⊙ (1 − a²);  ∂L/∂x = ∂L/∂z Wᵀ",
            f"(1, {len(first)}) → (1, {len(found.window)})",
            tell("say_to_layer", top=f"{np.linalg.norm(first):.4g}", window=f"{np.linalg.norm(d_rows):.4g}"),
            (
                Numbers("‖∂L/∂x‖", slots, ("time",), {0: names}, "plain"),
                Numbers("∂L/∂x", d_rows, ("time", "unit"), {0: names}),
            ),
            part="backward",
        ),
        rows_step(question, tell, moving, d_rows, names),
        *update_steps(question, tell, lengths, log_probs, after),
    ]
