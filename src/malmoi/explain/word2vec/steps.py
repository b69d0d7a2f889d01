"""The steps of one word2vec update as they are told: from the words around a place to the rows that move.

Shapes: as in scratch/word2vec_update.py. H vectors h, S rows of W_out that are asked about, D width, V words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from malmoi.explain.conversions import lengths
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.softmax import SHOWN
from malmoi.pages.language import Teller
from malmoi.scratch.word2vec_update import Update, UpdateTrace


@dataclass(frozen=True)
class Scene:
    """Who takes part in an update, by name.

    Attributes:
        target: The right word.
        hidden: What each h stands for, (H,).
        asked: What each asked row is called, (S,).
        inputs, outputs: The rows that take part, (I,) and (O,).
        n_rows: Rows of both matrices together.
        rate: Learning rate.
        objective: What the scores become.
    """

    target: str
    hidden: Sequence[str]
    asked: Sequence[str]
    inputs: Sequence[str]
    outputs: Sequence[str]
    n_rows: int
    rate: float
    objective: Literal["negative", "hierarchical", "softmax"]


def forward_steps(tell: Teller, scene: Scene, update: Update, trace: UpdateTrace) -> list[Step]:
    """Scores, answers, loss."""
    found = trace.before
    (n_hidden, n_asked), width = found.scores.shape, found.hidden.shape[1]
    is_yes = update.right == 1
    steps = [
        Step(
            "scores",
            tell("pair_scores"),
            "s = h W_outᵀ",
            f"({n_hidden}, {width}) ({width}, {n_asked}) → ({n_hidden}, {n_asked})",
            tell("say_pair_scores", n_hidden=n_hidden, n_asked=n_asked, n_scores=n_hidden * n_asked),
            (_pairs("s", found.scores, scene),),
        )
    ]
    if scene.objective == "softmax":
        formula, sentence = (
            "P(w) = exp(s_w) / Σ_v exp(s_v)",
            tell("say_pair_softmax", answers=_said(found.probs, scene)),
        )
        losses, total = found.losses[:, is_yes][:, 0], "L = Σ_h −ln P(w_1)"
        shown = Numbers("−ln P", losses, ("context",), {0: scene.hidden}, "plain")
    else:
        yes, no = (_mean(found.probs[:, which]) for which in (is_yes, ~is_yes))
        formula = "σ(s) = 1 / (1 + exp(−s))"
        sentence = tell(f"say_pair_{scene.objective}", yes=yes, no=no, product=f"{found.probability:.4g}")
        total = "L = Σ_yes −ln σ(s) + Σ_no −ln σ(−s)"
        shown = _pairs("L", found.losses, scene, "plain")
    steps.append(
        Step(
            "answers",
            tell("pair_answers"),
            formula,
            f"({n_hidden}, {n_asked})",
            sentence,
            (_pairs("P" if scene.objective == "softmax" else "σ(s)", found.probs, scene, "probability"),),
        )
    )
    steps.append(
        Step(
            "loss",
            tell("pair_loss"),
            total,
            f"({n_hidden}, {n_asked}) → ()",
            tell("say_pair_loss", loss=f"{found.loss:.4f}", blind=f"{trace.blind_loss:.4f}"),
            (shown, Numbers("L", np.array(found.loss), kind="plain")),
        )
    )
    return steps


def backward_steps(tell: Teller, scene: Scene, update: Update, trace: UpdateTrace) -> list[Step]:
    """Errors, gradients, the rows that move, and the same questions again."""
    found, gradients, after = trace.before, trace.gradients, trace.after
    (n_hidden, n_asked), width = found.scores.shape, found.hidden.shape[1]
    letter = "P" if scene.objective == "softmax" else "σ(s)"
    wrong = np.abs(gradients.scores)
    worst = divmod(int(wrong.argmax()), n_asked)
    is_yes = update.right == 1
    return [
        Step(
            "error",
            tell("pair_error"),
            f"∂L/∂s = {letter} − y",
            f"({n_hidden}, {n_asked}) − ({n_asked},)",
            tell(
                "say_pair_error",
                yes=_mean(gradients.scores[:, is_yes], "+.4f"),
                no=_mean(gradients.scores[:, ~is_yes], "+.4f"),
                hidden=scene.hidden[worst[0]],
                asked=scene.asked[worst[1]],
            ),
            (
                Numbers("y", update.right, ("token",), {0: scene.asked}, "plain"),
                _pairs(f"{letter} − y", gradients.scores, scene),
            ),
            part="backward",
        ),
        Step(
            "gradients",
            tell("pair_gradients"),
            "∂L/∂W_out[w] = Σ_h ∂L/∂s_hw h;  ∂L/∂h = Σ_w ∂L/∂s_hw W_out[w]",
            f"({n_asked}, {n_hidden}) ({n_hidden}, {width}) → ({n_asked}, {width});  "
            f"({n_hidden}, {n_asked}) ({n_asked}, {width}) → ({n_hidden}, {width})",
            tell("say_pair_gradients"),
            (
                Numbers("∂L/∂W_out[w]", gradients.outputs, ("token", "unit"), {0: scene.outputs}),
                Numbers("∂L/∂h", gradients.hidden, ("context", "unit"), {0: scene.hidden}),
            ),
            part="backward",
        ),
        _rows_step(tell, scene, update, trace),
        Step(
            "after",
            tell("pair_after"),
            "s′ = h′ W_out′ᵀ",
            f"({n_hidden}, {width}) ({width}, {n_asked}) → ({n_hidden}, {n_asked})",
            tell(
                "say_pair_after_better" if after.loss < found.loss else "say_pair_after_worse",
                before=f"{found.loss:.4f}",
                after=f"{after.loss:.4f}",
            ),
            (
                _pairs("s′", after.scores, scene),
                _pairs(f"{letter}′ − {letter}", after.probs - found.probs, scene),
                Numbers(
                    "L, L′",
                    np.array([found.loss, after.loss]),
                    ("moment",),
                    {0: [tell("before"), tell("after_it")]},
                    "plain",
                ),
            ),
            part="backward",
        ),
    ]


def _rows_step(tell: Teller, scene: Scene, update: Update, trace: UpdateTrace) -> Step:
    """Which rows of both matrices move, and how far."""
    moves = np.concatenate([lengths(trace.input_moves), lengths(trace.output_moves)])
    long = np.concatenate([lengths(update.inputs), lengths(update.outputs)])
    names = [f"W_in {name}" for name in scene.inputs] + [f"W_out {name}" for name in scene.outputs]
    far = int(moves.argmax())
    said = tell(
        "say_pair_rows" if not _undivided(update) else "say_pair_rows_whole",
        n_moved=len(names),
        n_rows=scene.n_rows,
        n_in=len(scene.inputs),
        n_out=len(scene.outputs),
        rate=f"{scene.rate:g}",
        row=names[far],
        step=f"{moves[far]:.4g}",
        length=f"{long[far]:.4g}",
    )
    return Step(
        "rows",
        tell("pair_rows"),
        "W_in[c] ← W_in[c] − η ∂L/∂W_in[c];  W_out[w] ← W_out[w] − η ∂L/∂W_out[w]",
        f"({len(scene.inputs)}, {update.inputs.shape[1]});  ({len(scene.outputs)}, {update.inputs.shape[1]})",
        said,
        (
            Numbers("‖η ∂L/∂W‖", moves, ("row",), {0: names}, "plain"),
            Numbers("‖W‖", long, ("row",), {0: names}, "plain"),
            Numbers("−η ∂L/∂W_in", trace.input_moves, ("row", "unit"), {0: scene.inputs}),
            Numbers("−η ∂L/∂W_out", trace.output_moves, ("row", "unit"), {0: scene.outputs}),
        ),
        part="backward",
    )


def _undivided(update: Update) -> bool:
    """Whether rows move further than calculus has it: by the whole gradient of their mean."""
    return not update.divide and any(len(part) > 1 for part in update.parts)


def _pairs(
    name: str, values: NDArray[np.float64], scene: Scene, kind: Literal["signed", "plain", "probability"] = "signed"
) -> Numbers:
    """A number for each h and each asked row."""
    return Numbers(name, values, ("context", "token"), {0: scene.hidden, 1: scene.asked}, kind)


def _said(values: Float64[np.ndarray, "H S"], scene: Scene) -> str:
    """The right word's values, some of them; it comes first."""
    shown = [f"‘{name}’ {value:.4f}" for name, value in zip(scene.hidden, values[:, 0], strict=True)]
    return ", ".join(shown[: SHOWN + 2]) + (", …" if len(shown) > SHOWN + 2 else "")


def _mean(values: Float64[np.ndarray, "H _"], form: str = ".4f") -> str:
    """As a sentence has it."""
    return format(float(values.mean()), form) if values.size else "–"
