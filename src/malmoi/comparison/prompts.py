"""How each model goes on with the same beginning of a line."""

from collections.abc import Sequence
from typing import Any

from malmoi.models.interface import LanguageModel
from malmoi.text.tokenizers import Tokenizer

SAMPLING: dict[str, Any] = {"temperature": 0.8, "top_p": 0.95}
SAMPLE_LENGTH = {"char": 160, "jamo": 320}  # tokens; other kinds take 50
PROMPT_WORDS, PROMPT_LINE = 4, (8, 60)  # words of the prompt, and of the line it is taken from


def choose_prompt(lines: Sequence[str]) -> tuple[str, str]:
    """(the first words of a line of the text, the rest of the line): one of usual length, from the middle of the text."""
    middle_out = sorted(range(len(lines)), key=lambda number: abs(number - len(lines) // 2))
    least, most = PROMPT_LINE
    fitting = (number for number in middle_out if least <= len(lines[number].split()) <= most)
    number = next(fitting, max(range(len(lines)), key=lambda number: len(lines[number].split())))
    words = lines[number].split()
    n_given = min(PROMPT_WORDS, max(1, len(words) // 2))
    return " ".join(words[:n_given]), " ".join(words[n_given:])


def continue_prompt(model: LanguageModel, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    """How a model goes on."""
    from malmoi.generation.sampling import SamplingOptions, generate

    length = SAMPLE_LENGTH.get(tokenizer.kind, 50)
    return generate(model, tokenizer, prompt, max_tokens=length, options=SamplingOptions(**SAMPLING), seed=seed)[0]
