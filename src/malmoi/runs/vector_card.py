"""The model card of a run of word vectors."""

from pathlib import Path

from malmoi.files import write_bytes
from malmoi.runs.folder import RunConfig


def write_vector_card(folder: Path, config: RunConfig) -> None:
    """README.md, from the config alone."""
    figures, model = config.figures, config.model
    is_sparse = model.get("reduction") == "none"
    rows = [
        ("words", f"{figures['words']:,}"),
        ("numbers in a vector", "as many as words, most of them 0" if is_sparse else f"{model['embed_dim']}"),
        ("options", ", ".join(f"{name}={value}" for name, value in model.items() if name != "vocab_size")),
        ("training", training_told(config)),
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

How good they are on sets of pairs and analogies: `malmoi vectors eval {folder.name} --sets all`

Reproduce: `{config.command or "malmoi train, with the settings in config.json"}`

License: not stated. Say here under which licence the text, and so these vectors, may be used.

Intended use: looking for words that are used alike, and as a start for other models. Nearness is that of the training text, its
prejudices included; it is no statement about the world.
"""
    write_bytes(folder / "README.md", text.encode())


def training_told(config: RunConfig) -> str:
    """How much was read, for how long, and what the loss was in the end, in one line."""
    figures, budget = config.figures, config.training.get("budget_seconds")
    parts = [f"{figures['tokens']:,} tokens"]
    if "epochs" in figures:
        parts.append(f"{figures['epochs']:g} epochs")
    if figures.get("losses"):
        parts.append(f"mean loss {figures['losses'][-1]:.4f} in the last one")
    parts.append(f"{figures['training_seconds']:g} s{f' of a budget of {budget:g} s' if budget else ''}")
    return ", ".join([*parts, f"seed {config.seed}"])
