"""Why a feed-forward network over a fixed window gave a token its probability.

    ids of the window -> their rows of E side by side -> tanh layers -> (projection, direct connection) -> scores -> softmax

and, with a learning rate, the training step on this one token. Every number is one of the scratch network's
(`scratch/nnlm.py`), computed in float64 from the run's arrays.

Shapes: C context_size, E embed_dim, H hidden_size, V vocab_size.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from malmoi.explain.conversions import length, lengths
from malmoi.explain.embedding_rows import rows_step
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Answer, Question
from malmoi.explain.softmax import error_step, hidden_step, prediction_steps, units, update_steps
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.pages.language import Teller
from malmoi.scratch.conversion import traced_network_of
from malmoi.scratch.traces import Lengths, StepTrace, WindowTrace


def explain_next(question: Question, tell: Teller) -> Answer:
    """The steps from the window to -ln P, and those of a training step if one is asked for."""
    subject, config = question.subject, question.subject.config
    assert isinstance(config, NNLMConfig)
    network = traced_network_of(config, subject.weights, subject.tokenizer.eos_id)
    ids = window_of(question, config.context_size)
    step = None
    if question.learning_rate is not None:
        step = network.trace_step(ids, question.target_id, question.learning_rate)
    found = network.trace(ids) if step is None else step.prediction
    assert isinstance(found, WindowTrace)
    names = [subject.tokens[i] for i in ids]
    steps = _forward(tell, config, found, names)
    steps += prediction_steps(question, tell, found, "h", is_tied=config.tie_embeddings)
    if step is not None:
        steps += [
            error_step(question, tell, step.error),
            hidden_step(tell, "h", (len(found.logits), len(found.top)), step.d_top, config.tie_embeddings),
            _to_layer(tell, step, names),
            rows_step(question, tell, step, names),
            *update_steps(question, tell, _moving(step, len(found.layers)), found.log_probs, step.log_probs),
        ]
    return Answer(steps, found.log_probs)


def window_of(question: Question, size: int) -> Int64[np.ndarray, " window"]:
    """The last C tokens; before the first of a text stand line ends."""
    ends = np.full(size, question.subject.tokenizer.eos_id)
    return np.concatenate([ends, question.recent_ids])[-size:]


def _forward(tell: Teller, config: NNLMConfig, found: WindowTrace, names: Sequence[str]) -> list[Step]:
    size, width = found.rows.shape
    steps = [
        Step(
            "window",
            tell("window"),
            "x = [E[id_1]; …; E[id_C]]",
            f"{size} × (1, {width}) → (1, {found.rows.size})",
            tell("say_window", n_tokens=size, width=width),
            (
                Numbers("id", found.ids, ("time",), {0: names}, "plain"),
                Numbers("x", found.rows, ("time", "unit"), {0: names}),
            ),
        )
    ]
    for depth, layer in enumerate(found.layers, start=1):
        hidden = layer.hidden
        full, n_from, n_to = int((np.abs(hidden) > 0.9).sum()), len(layer.x), len(hidden)
        step = Step(
            "hidden",
            tell("hidden"),
            f"z = {'x' if depth == 1 else 'a'} W + b;  a = tanh(z)",
            f"(1, {n_from}) ({n_from}, {n_to}) + ({n_to},)",
            tell("say_hidden_rnn", strongest=units(hidden), n_full=full, n_units=n_to),
            (Numbers("z", layer.sums, ("unit",)), Numbers("a", hidden, ("unit",))),
        )
        if len(found.layers) > 1:
            step = replace(step, name=f"hidden {depth}", title=tell("on_layer", title=step.title, layer=depth))
        steps.append(step)
    n_from, n_to, n_window = len(found.layers[-1].hidden), len(found.projected), found.rows.size
    is_projected = config.tie_embeddings and n_from != n_to
    if is_projected:
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
    if found.past is not None:
        symbol = "p" if is_projected else "a"
        said = tell(
            "say_direct",
            past="x D",
            past_length=f"{length(found.past):.3f}",
            hidden=symbol,
            hidden_length=f"{length(found.projected):.3f}",
        )
        numbers = (Numbers("x D", found.past, ("unit",)), Numbers("h", found.top, ("unit",)))
        shapes = f"(1, {n_to}) + (1, {n_window}) ({n_window}, {n_to})"
        steps.append(Step("direct", tell("direct"), f"h = {symbol} + x D", shapes, said, numbers))
    elif config.direct:
        said = tell("say_direct_beside", window=n_window, hidden=n_to)
        shapes = f"(1, {n_to}); (1, {n_window})"
        steps.append(Step("direct", tell("direct"), "h = [a; x]", shapes, said, (Numbers("h", found.top, ("unit",)),)))
    return steps


def _to_layer(tell: Teller, step: StepTrace, names: Sequence[str]) -> Step:
    """What the error says to the layers and to the window."""
    first, slots = step.layers[-1].hidden, step.d_rows
    return Step(
        "to_layer",
        tell("to_layer"),
        "∂L/∂z = ∂L/∂a ⊙ (1 − a²);  ∂L/∂x = ∂L/∂z Wᵀ",
        f"(1, {len(first)}) → (1, {slots.size})",
        tell("say_to_layer", top=f"{length(first):.4g}", window=f"{length(slots):.4g}"),
        (
            Numbers("‖∂L/∂x‖", lengths(slots), ("time",), {0: names}, "plain"),
            Numbers("∂L/∂x", slots, ("time", "unit"), {0: names}),
        ),
        part="backward",
    )


def _moving(step: StepTrace, n_layers: int) -> list[tuple[str, Lengths]]:
    """Each weight by its symbol in the formulas."""
    names = {"embedding.weight": "E", "direct.weight": "D", "projection.weight": "P"}
    for name, symbol in (("weight", "W"), ("bias", "b")):
        for depth in range(n_layers):
            names[f"layers.{depth}.{name}"] = f"{symbol}{depth + 1}" if n_layers > 1 else symbol
    names |= {"output.weight": "U", "output.bias": "b_s"}
    return [(symbol, step.lengths[name]) for name, symbol in names.items() if name in step.lengths]
