"""The model card: what a stranger must know before using a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from malmoi.files import write_bytes
from malmoi.models.options.base import NeuralConfig
from malmoi.models.registry import find_rung
from malmoi.runs.folder import RunConfig


def write_card(folder: Path, config: RunConfig, name: str | None = None) -> None:
    """README.md of a finished run, from its config alone; `name` is its title where the folder still has another name."""
    figures, training, rung = config.figures, config.training, find_rung(config.family)
    parts = {name: figures[name] for name in ("valid", "test") if figures.get(name)}
    if "steps" in figures:
        budget = training.get("budget_seconds")
        lasted = f"{budget:g} s budget" if budget else f"{training['steps']} steps"
        lasted += f", {figures['steps']:,} updates, {figures.get('epochs')} epochs, seed {config.seed}"
        read = "The text was read as 32 streams, each warmed up on the 256 tokens\nbefore it; `malmoi eval` reads one stream."
        options = rung.config.parse(config.model)
        assert isinstance(options, NeuralConfig)
        shape = options.shape
    else:
        lasted = f"counted once, in {figures['training_seconds']:g} s"
        read = "The text was read from its first token to its last."
        ngrams = ", ".join(f"{count:,}" for count in figures.get("ngrams", []))
        shape = ("n-grams of length 1, 2, ...", ngrams)
    table = _bits_and_perplexities(parts, read) if rung.kind == "language model" else _table(parts)
    if figures.get("hardly_trained"):
        table = (
            f"**Hardly trained**: {figures['hardly_trained']}. What stands here says nothing about the rung.\n\n{table}"
        )
    table += "".join(_overlap(name, told) for name, told in figures.get("overlap", {}).items() if name in parts)
    vectors = figures.get("initialised_from")
    beginning = (
        f"\n| embeddings began as | vectors of {vectors}, for {figures['initialised_tokens']:,} tokens "
        f"({figures['initialised_share']:.1%}) |"
        if vectors
        else ""
    )
    text = f"""# {name or folder.name}

A `{config.family}` {rung.kind}, trained with malmoi {config.versions.get("malmoi", "")}.

{table}

| what | value |
|---|---|
| parameters | {figures.get("parameters", 0):,} |
| {shape[0]} | {shape[1]} |
| tokenizer | {config.tokenizer.get("kind")}, {config.tokenizer.get("vocab_size"):,} tokens |{beginning}
| training | {lasted} |
| training text | {config.data["train"]["bytes"]:,} bytes, sha256 {config.data["train"]["sha256"][:16]} |

Reproduce: `{config.command or "malmoi train, with the settings in config.json"}`

License: not stated. Say here under which licence the text, and so this model, may be used.

Intended use: predicting, completing, scoring and generating text like the training text. It knows nothing else, repeats what
that text holds, private passages included, and states no facts.
"""
    write_bytes(folder / "README.md", text.encode())


def _bits_and_perplexities(parts: Mapping[str, Mapping[str, Any]], read: str) -> str:
    """The figures of a language model."""
    rows = "\n".join(
        f"| {name} | {_number(part['perplexity'])} | {_number(part['bits_per_byte'], 4)} | {_number(part['word_perplexity'])} "
        f"| {100 * part['unk_share']:.2f} % | {part['tokens']:,} |"
        for name, part in parts.items()
    )
    return f"""| text | perplexity | bits per byte | word perplexity | unknown | tokens |
|---|---|---|---|---|---|
{rows}

Perplexity counts this tokenizer's tokens and compares with models of the same tokenizer only; bits per byte (unknown words
spelled out, white space and line ends included) compare with any model. {read}"""


def _overlap(name: str, told: Mapping[str, Any]) -> str:
    """How much of a text the model has read before."""
    runs = "" if told["runs"] is None else f" and {told['runs']:.1%} of its runs of eight words"
    warning = " These figures say how well it remembers, not how well it predicts." if told["is_high"] else ""
    return f"\n\nOf the {name} text {told['lines']:.1%} of the lines{runs} stand in the training text, too.{warning}"


def _table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of any other objective, by their own names."""
    names = list(dict.fromkeys(name for part in parts.values() for name in part))
    rows = [[place, *(_number(part.get(name), 4) for name in names)] for place, part in parts.items()]
    lines = [["data", *(name.replace("_", " ") for name in names)], ["---"] * (1 + len(names)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _number(value: Any, digits: int = 2) -> str:
    return "too large" if value is None else f"{value:.{digits}f}"
