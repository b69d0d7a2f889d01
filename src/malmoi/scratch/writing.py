"""How any network writes: ask it for the scores of the next token, draw one, and go on."""

from collections.abc import Callable, Sequence

import numpy as np

from malmoi.errors import ConfigError
from malmoi.scratch.checks import Array, check_ids
from malmoi.scratch.functions import softmax


def write(
    next_scores: Callable[[list[int], int], Array],
    vocab_size: int,
    start_ids: Sequence[int],
    skip_ids: Sequence[int] = (),
    sample_size: int = 100,
    rng: np.random.Generator | None = None,
    *,
    temperature: float | int = 1.0,
    eos_id: int | None = None,
) -> list[int]:
    """Each token is drawn from P(next | all before), read, and so on.

    Args:
        next_scores: Gives the scores (V,) of the next token from all ids so far, the last n of which it has not yet seen.
        vocab_size: V.
        start_ids: What stands at the beginning, at least one token.
        skip_ids: Tokens never to be drawn, as that of unknown words.
        sample_size: How many tokens to add.
        rng: Draws them; without it those of seed 0.
        temperature: Divides the scores; 0 always takes the likeliest token.
        eos_id: Stop after this token.

    Returns:
        start_ids, and what was added.
    """
    if not len(start_ids):
        raise ConfigError(
            "start_ids is empty, expected at least one token. Give for example the id of <eos>, the end of a line."
        )
    skipped = np.array(sorted(set(skip_ids)), dtype=np.int64)
    if skipped.size:
        check_ids(skipped, vocab_size, "skip_ids")
    if len(skipped) == vocab_size:
        raise ConfigError(f"skip_ids names all {vocab_size} tokens, expected that one is left. Skip fewer tokens.")
    if not temperature >= 0:
        raise ConfigError(f"temperature={temperature}, expected 0 or more. Give 1 for the model's own probabilities.")
    rng = rng or np.random.default_rng(0)
    ids = [int(token) for token in start_ids]
    n_new = len(ids)
    for _ in range(sample_size):
        scores = next_scores(ids, n_new).astype(np.float64)
        scores[skipped] = -np.inf
        if temperature == 0:
            ids.append(int(scores.argmax()))
        else:
            ids.append(int(rng.choice(vocab_size, p=softmax(scores / temperature))))
        n_new = 1
        if ids[-1] == eos_id:
            break
    return ids
