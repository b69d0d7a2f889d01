"""Why a network of `scratch/word2vec.py` expects a word between its neighbours.

    rows of W_in of the neighbours -> their mean h -> s = h W_out -> softmax, or a sigmoid for each word

It is no language model: it says nothing about a text, only about words and their neighbours.

Shapes: C context words, V vocabulary, D vector width.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from malmoi.errors import DataError
from malmoi.explain.cells import sigmoid
from malmoi.explain.explanation import Explanation, Numbers, Step
from malmoi.explain.softmax import listed, log_softmax, probability_step, surprisal_step, units
from malmoi.pages.language import Language, Teller
from malmoi.scratch.checks import check_finite
from malmoi.scratch.word2vec import CBOW, SimpleCBOW

LIKELIEST = 10


def explain_cbow(
    network: SimpleCBOW | CBOW,
    context_ids: Sequence[int],
    target_id: int,
    names: Sequence[str],
    *,
    language: Language = "en",
) -> Explanation:
    """Why the network expects the target among those neighbours.

    Args:
        network: A trained network; the simple one ends in a softmax, the other answers yes or no for each word.
        context_ids: The words around.
        target_id: The word between.
        names: What each id of the vocabulary is called, (V,).
        language: Of titles and sentences.

    Raises:
        DataError: If there is no neighbour, an id is not in the vocabulary, or the names are not as many as its words.
        ConfigError: If the weights are no finite numbers.
    """
    tell = Teller(language, "explanation")
    W_in = _checked(network, [*context_ids, target_id], names)
    if not len(context_ids):
        raise DataError("There are no context words. At least one was expected: give the ids of the words around.")
    rows = W_in[list(context_ids)]
    h = rows.mean(axis=0)
    around = [names[i] for i in context_ids]
    (count, width), vocab = rows.shape, len(names)
    steps = [
        Step(
            "neighbours",
            tell("neighbours"),
            "W_in[id_1], …, W_in[id_C]",
            f"({vocab}, {width})[{count}] → ({count}, {width})",
            tell("say_neighbours", n_words=count, width=width),
            (Numbers("W_in[id]", rows, ("context", "unit"), {0: around}),),
        ),
        Step(
            "mean",
            tell("mean"),
            "h = (W_in[id_1] + … + W_in[id_C]) / C",
            f"({count}, {width}) → ({width},)",
            tell("say_mean", strongest=units(h)),
            (Numbers("h", h, ("unit",)),),
        ),
    ]
    text = " ".join([*around[: count // 2], "___", *around[count // 2 :]])
    loss = None
    if isinstance(network, SimpleCBOW):
        loss = network.forward(np.array([list(context_ids)]), np.array([target_id]))
    return _explanation(tell, network, text, steps, h, target_id, names, loss)


def _checked(
    network: SimpleCBOW | CBOW, ids: Sequence[int], names: Sequence[str]
) -> Float64[np.ndarray, "vocab width"]:
    """W_in in float64."""
    W_in = network.word_vectors
    for name, array in zip(("W_in", "W_out"), network.params, strict=True):
        check_finite(name, array)
    if len(names) != len(W_in):
        raise DataError(
            f"{len(names)} names were given for a vocabulary of {len(W_in)} words. One for each was expected, in the order of "
            "the ids."
        )
    for word_id in ids:
        if not 0 <= word_id < len(W_in):
            raise DataError(
                f"The id {word_id} is not in the vocabulary. Expected 0 to {len(W_in) - 1}: use the ids of its training."
            )
    return np.asarray(W_in, np.float64)


def _explanation(
    tell: Teller,
    network: SimpleCBOW | CBOW,
    text: str,
    steps: list[Step],
    h: Float64[np.ndarray, " width"],
    target: int,
    names: Sequence[str],
    loss: float | None,
) -> Explanation:
    """The scores against all words and what follows from them."""
    is_softmax = isinstance(network, SimpleCBOW)
    W_out = np.asarray(network.params[1], np.float64)
    W_out = W_out if is_softmax else W_out.T  # (D, V)
    scores = h @ W_out
    width, vocab = W_out.shape
    rank = int((scores > scores[target]).sum()) + 1
    label = {0: names}
    steps.append(
        Step(
            "word_scores",
            tell("word_scores"),
            "s = h W_out",
            f"(1, {width}) ({width}, {vocab}) → (1, {vocab})",
            tell("say_word_scores", vocab=vocab, word=names[target], score=f"{scores[target]:.3f}", rank=rank),
            (Numbers("W_out[w]", W_out[:, target], ("unit",)), Numbers("s", scores, ("token",), label)),
        )
    )
    log_probs = log_softmax(scores)
    values = np.exp(log_probs) if is_softmax else np.asarray(sigmoid(scores))
    if is_softmax:
        steps += [probability_step(tell, values, names), surprisal_step(tell, names[target], float(log_probs[target]))]
    else:
        said = tell("say_yes_or_no", word=names[target], answer=f"{values[target]:.4f}", highest=listed(values, names))
        numbers = (Numbers("σ(s)", values, ("token",), label, "probability"),)
        steps.append(Step("yes_or_no", tell("yes_or_no"), "σ(s_w) = 1 / (1 + exp(−s_w))", f"({vocab},)", said, numbers))
    best = np.argsort(-values, kind="stable")[:LIKELIEST]
    return Explanation(
        text=text,
        family="cbow",
        run=type(network).__name__,
        language=tell.language,
        place=0,
        target=names[target],
        probability=float(values[target]),
        steps=tuple(steps),
        surprisals={},
        agreement={} if loss is None else {"scratch": abs(float(loss) + float(log_probs[target]))},
        likeliest=[(names[i], float(values[i])) for i in best],
    )
