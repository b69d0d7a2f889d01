"""The model card of a run of word vectors."""

from pathlib import Path
from typing import Any

from malmoi.files import write_bytes
from malmoi.runs import RunConfig


def write_vector_card(folder: Path, config: RunConfig) -> None:
    """README.md, from the config alone."""
    figures, model, training = config.figures, config.model, config.training
    rows = [
        ("words", f"{figures['words']:,}"),
        (
            "numbers in a vector",
            f"{model['embed_dim']}" if model.get("reduction") != "none" else "one for each word, sparse",
        ),
        ("options", ", ".join(f"{name}={value}" for name, value in model.items() if name != "vocab_size")),
        ("training", _lasted(figures, training, config.seed)),
        *([("promise", figures["promise"])] if "promise" in figures else []),
        ("training text", f"{config.data['train']['bytes']:,} bytes, sha256 {config.data['train']['sha256'][:16]}"),
        ("tokenizer", f"{config.tokenizer.get('kind')}, {config.tokenizer.get('vocab_size'):,} tokens"),
    ]
    if config.data.get("initialised_from"):
        rows.append(("went on from", config.data["initialised_from"]))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    text = f"""# {folder.name}

Vectors of words by `{config.family}`, trained with malmoi {config.versions.get("malmoi", "")}.

| what | value |
|---|---|
{table}

How good they are, measure with `malmoi vectors eval {folder.name} --sets SET`.

Reproduce: `{config.command or "malmoi train, with the settings in config.json"}`

License: not stated. Say here under which licence the text, and so these vectors, may be used.

Intended use: looking for words that are used alike, and as a start for other models. Nearness is that of the training text, its
prejudices included; it is no statement about the world.
"""
    write_bytes(folder / "README.md", text.encode())


def _lasted(figures: dict[str, Any], training: dict[str, Any], seed: int) -> str:
    parts = [f"{figures['tokens']:,} tokens"]
    if "epochs" in figures:
        parts.append(f"{figures['epochs']:g} epochs")
    if figures.get("losses"):
        parts.append(f"mean loss {figures['losses'][-1]:.4f} in the last one")
    budget = training.get("budget_seconds")
    parts.append(f"{figures['training_seconds']:g} s{f' of a budget of {budget:g} s' if budget else ''}")
    return ", ".join([*parts, f"seed {seed}"])
