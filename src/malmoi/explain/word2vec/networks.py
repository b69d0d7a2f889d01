"""Why a network of `scratch/word2vec.py` expects a word between its neighbours.

    rows of W_in of the neighbours -> their mean h -> s = h W_out -> softmax, or a sigmoid for each word

It is no language model: it says nothing about a text, only about words and their neighbours.

Shapes: C context words, V vocabulary, D vector width.
"""

from collections.abc import Sequence

import numpy as np

from malmoi.errors import DataError
from malmoi.explain.explanation import Explanation, Numbers, Step
from malmoi.explain.softmax import listed, probability_step, surprisal_step, units
from malmoi.pages.language import Language, Teller
from malmoi.scratch.checks import check_finite
from malmoi.scratch.word2vec import CBOW, SimpleCBOW, WordTrace

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
    _check(network, [*context_ids, target_id], names)
    if not len(context_ids):
        raise DataError("There are no context words. At least one was expected: give the ids of the words around.")
    found = network.trace(np.array(context_ids))
    around = [names[i] for i in context_ids]
    (count, width), vocab = found.rows.shape, len(names)
    steps = [
        Step(
            "neighbours",
            tell("neighbours"),
            "W_in[id_1], …, W_in[id_C]",
            f"({vocab}, {width})[{count}] → ({count}, {width})",
            tell("say_neighbours", n_words=count, width=width),
            (Numbers("W_in[id]", found.rows, ("context", "unit"), {0: around}),),
        ),
        Step(
            "mean",
            tell("mean"),
            "h = (W_in[id_1] + … + W_in[id_C]) / C",
            f"({count}, {width}) → ({width},)",
            tell("say_mean", strongest=units(found.hidden)),
            (Numbers("h", found.hidden, ("unit",)),),
        ),
        *_answer_steps(tell, network, found, target_id, names),
    ]
    best = np.argsort(-found.probs, kind="stable")[:LIKELIEST]
    return Explanation(
        text=" ".join([*around[: count // 2], "___", *around[count // 2 :]]),
        family="cbow",
        run=type(network).__name__,
        language=language,
        place=0,
        target=names[target_id],
        probability=float(found.probs[target_id]),
        steps=tuple(steps),
        surprisals={},
        agreement=_agreement(network, found, context_ids, target_id),
        likeliest=[(names[i], float(found.probs[i])) for i in best],
    )


def _check(network: SimpleCBOW | CBOW, ids: Sequence[int], names: Sequence[str]) -> None:
    for name, array in zip(("W_in", "W_out"), network.params, strict=True):
        check_finite(name, array)
    vocab = len(network.word_vectors)
    if len(names) != vocab:
        raise DataError(
            f"{len(names)} names were given for a vocabulary of {vocab} words. One for each was expected, in the order of "
            "the ids."
        )
    for word_id in ids:
        if not 0 <= word_id < vocab:
            raise DataError(
                f"The id {word_id} is not in the vocabulary. Expected 0 to {vocab - 1}: use the ids of its training."
            )


def _answer_steps(
    tell: Teller, network: SimpleCBOW | CBOW, found: WordTrace, target: int, names: Sequence[str]
) -> list[Step]:
    """The scores against all words and what follows from them."""
    scores, label = found.scores, {0: names}
    rank, (vocab, width) = int((scores > scores[target]).sum()) + 1, network.word_vectors.shape
    W_out = network.params[1].astype(np.float64)
    column = W_out[:, target] if isinstance(network, SimpleCBOW) else W_out[target]
    step = Step(
        "word_scores",
        tell("word_scores"),
        "s = h W_out",
        f"(1, {width}) ({width}, {vocab}) → (1, {vocab})",
        tell("say_word_scores", vocab=vocab, word=names[target], score=f"{scores[target]:.3f}", rank=rank),
        (Numbers("W_out[w]", column, ("unit",)), Numbers("s", scores, ("token",), label)),
    )
    if found.log_probs is not None:
        cost = surprisal_step(tell, names[target], float(found.log_probs[target]))
        return [step, probability_step(tell, found.probs, names), cost]
    said = tell(
        "say_yes_or_no", word=names[target], answer=f"{found.probs[target]:.4f}", highest=listed(found.probs, names)
    )
    numbers = (Numbers("σ(s)", found.probs, ("token",), label, "probability"),)
    return [step, Step("yes_or_no", tell("yes_or_no"), "σ(s_w) = 1 / (1 + exp(−s_w))", f"({vocab},)", said, numbers)]


def _agreement(
    network: SimpleCBOW | CBOW, found: WordTrace, context_ids: Sequence[int], target: int
) -> dict[str, float]:
    """How far the loss of the network's own forward pass is from this; where words are drawn, it is another each time."""
    if found.log_probs is None:
        return {}
    loss = network.forward(np.array([list(context_ids)]), np.array([target]))
    return {"scratch": abs(float(loss) + float(found.log_probs[target]))}
