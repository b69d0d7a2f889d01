"""`malmoi info` and `doctor`: what a run, a text or this machine is."""

import os
import platform
import re
import shlex
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from malmoi.cli.console import emit, note, number, print_facts, print_table, size
from malmoi.cli.options import Encoding, Json, TextField, TextUnit
from malmoi.errors import DataError, RunError
from malmoi.runs.folder import RUN_NAME, RunConfig, read_config, run_path
from malmoi.text.sources import TextSource, Unit

MOST_WORDS = 1_000_000  # distinct words that are counted, so that memory stays bounded
SAMPLE = 60  # characters of the sample line
MODEL_FILE, VECTORS_FILE = "model.safetensors", "vectors.safetensors"


def info(
    thing: Annotated[str, Parameter(name="RUN|TEXT", help="A run folder or its name, or a text.")],
    /,
    *,
    field: TextField = None,
    encoding: Encoding = "utf-8",
    unit: TextUnit = "lines",
    json: Json = False,
) -> None:
    path = Path(thing)
    if (path / "config.json").is_file() or (RUN_NAME.fullmatch(thing) and (Path("runs") / thing).is_dir()):
        _run_info(run_path(thing), json)
        return
    if thing != "-" and not path.exists() and not any(c in thing for c in "*?["):
        raise DataError(
            f"There is no {thing!r}, neither a file or folder here nor a run under runs/. Expected a run that "
            "`malmoi train` wrote, or a text. Check the name."
        )
    _text_info(thing, field, encoding, unit, json)


# A run


def _run_info(folder: Path, json: bool) -> None:
    config = read_config(folder)
    has_vectors = (folder / VECTORS_FILE).is_file()
    parameters = (
        config.figures.get("parameters") if has_vectors else None
    )  # of those that were trained, not all are kept
    if parameters is None:
        parameters = count_parameters(folder / (VECTORS_FILE if has_vectors else MODEL_FILE))
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    can_resume = (folder / "checkpoint").is_dir()
    if json:
        about = {"kind": "run", "run": str(folder), "parameters": parameters, "can_resume": can_resume, "files": files}
        emit({**about, **config.model_dump(exclude={"format"})})
        return
    try:
        facts = list(_run_facts(folder, config, parameters, files))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder}/config.json has figures that cannot be told ({error}). Expected those that `malmoi train` wrote. "
            "The file was changed by hand or damaged; restore it or train again."
        ) from None
    print_facts(facts, title=str(folder))
    parts = [(name, config.figures[name]) for name in ("valid", "test") if config.figures.get(name)]
    if parts:
        rows = [[name, number(p["bits_per_byte"], 4), number(p["perplexity"]), f"{p['tokens']:,}"] for name, p in parts]
        print_table(["text", "bits per byte", "perplexity", "tokens"], rows)
    if can_resume:
        note(f"Training was stopped before its end. Go on with: malmoi train --resume --out {shlex.quote(str(folder))}")


def _run_facts(
    folder: Path, config: RunConfig, parameters: int | None, files: dict[str, int]
) -> Iterator[tuple[str, str]]:
    from malmoi.models.registry import RUNGS
    from malmoi.runs.vector_card import training_told

    rung = RUNGS.get(config.family)
    yield "family", f"{config.family}{f': {rung.summary}' if rung else ''}"
    if "ngrams" in config.figures:
        told = " + ".join(f"{count:,}" for count in config.figures["ngrams"])
        yield "n-grams", f"{told} of length 1, 2, ... ({size(files[MODEL_FILE])})"
    elif VECTORS_FILE in files:
        yield "vectors", f"of {config.figures.get('words', 0):,} words ({size(files[VECTORS_FILE])})"
    elif parameters is None:
        yield "parameters", "no weights saved yet"
    else:
        yield "parameters", f"{parameters:,} ({size(files[MODEL_FILE])})"
    yield "model", ", ".join(f"{name}={value}" for name, value in config.model.items())
    tokenizer = config.tokenizer
    if tokenizer:
        yield "tokenizer", f"{tokenizer.get('kind')}, {tokenizer.get('vocab_size', 0):,} tokens"
    train = config.data.get("train") or {}
    if train:
        inputs = ", ".join(train.get("inputs") or ["text given in memory"])
        yield "trained on", f"{inputs} ({size(train.get('bytes', 0))}, sha256 {str(train.get('sha256'))[:12]})"
    figures = config.figures
    if "steps" in figures:
        lasted = f"{figures['training_seconds']:,.0f} s"
        yield "training", f"{figures['steps']:,} steps, {figures['epochs']:g} epochs, {lasted}, seed {config.seed}"
    elif VECTORS_FILE in files and "training_seconds" in figures:
        yield "training", training_told(config)
    if figures.get("hardly_trained"):
        yield "hardly trained", figures["hardly_trained"]
    if "promise" in figures:
        yield "promise", figures["promise"]
    if config.versions:
        yield "made with", ", ".join(f"{name} {version}" for name, version in config.versions.items())
    if config.command:
        yield "command", config.command


def count_parameters(path: Path) -> int | None:
    """Numbers in a safetensors file, from its header alone; None if there is no such file."""
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{path} is damaged or cut off ({error}). Expected the weights that `malmoi train` wrote. Copy the run "
            "again from where it was made, or train again."
        ) from None
    total = 0
    for shape in shapes:
        product = 1
        for length in shape:
            product *= length
        total += product
    return total


# A text


def _text_info(text: str, field: str | None, encoding: str, unit: Unit, json: bool) -> None:
    source = TextSource(text, field=field, encoding=encoding, unit=unit)
    report = {"kind": "text", "text": text, "files": len(source.files), **_look(source), "notes": source.notes}
    if json:
        emit(report)
        return
    documents = f" in {report['documents']:,} documents" if report["documents"] else ""
    many = "at least " if report["distinct_words"] >= MOST_WORDS else ""
    shares = [f"{name} {share:.1%}" for name, share in report["scripts"].items() if share >= 0.001]
    longest, sample = report["longest_line"], report["sample"]
    kinds = [kind for kind in ("word", "char", "jamo") if kind != "jamo" or sample["jamo"] != sample["char"]]
    facts = [
        ("lines", f"{report['lines']:,}{documents}"),
        ("words", f"{report['words']:,}, {many}{report['distinct_words']:,} distinct"),
        ("characters", f"{report['characters']:,}, {report['distinct_characters']:,} distinct"),
        ("bytes", f"{report['bytes']:,} as UTF-8"),
        ("scripts", ", ".join(shares)),
        ("longest line", f"number {longest['line']:,}, {longest['characters']:,} characters"),
        ("frequent words", " ".join(report["frequent_words"])),
        *((f"a line as {kind}", "│".join(sample[kind])) for kind in kinds),
    ]
    print_facts(facts, title=source.describe())
    for remark in source.notes:
        note(remark)


def _look(source: TextSource) -> dict[str, Any]:
    """Read a text once, in bounded memory, and count. Characters and bytes include one for each line end."""
    n_lines = n_documents = n_words = n_bytes = longest = longest_at = 0
    characters, words = Counter[str](), Counter[str]()
    sample = ""
    for line in source.lines():
        n_lines += 1
        n_documents += line.starts_document
        n_bytes += len(line.text.encode()) + 1
        found = line.text.split()
        n_words += len(found)
        characters.update(line.text)
        if len(words) < MOST_WORDS:
            words.update(found)
        if len(line.text) > longest:
            longest, longest_at = len(line.text), n_lines
        sample = sample or line.text.strip()[:SAMPLE]
    n_characters = sum(characters.values())
    scripts = Counter[str]()
    for character, count in characters.items():
        scripts[script(character)] += count
    return {
        "lines": n_lines,
        "documents": n_documents or None,
        "words": n_words,
        "distinct_words": len(words),
        "bytes": n_bytes,
        "characters": n_characters + n_lines,
        "distinct_characters": len(characters),
        "scripts": {name: count / n_characters for name, count in scripts.most_common()},
        "longest_line": {"line": longest_at, "characters": longest},
        "frequent_words": [word for word, _ in words.most_common(10)],
        "sample": {"line": sample, "word": sample.split(), "char": list(sample), "jamo": _jamo(sample)},
    }


def _jamo(text: str) -> list[str]:
    from malmoi.text.hangul import is_syllable, parts

    pieces: list[str] = []
    for character in text:
        pieces += filter(None, parts(character)) if is_syllable(character) else [character]
    return pieces


def script(character: str) -> str:
    """What a character is, in one word a person knows: a script such as Hangul or Latin, or digits, spaces, marks."""
    kind = unicodedata.category(character)[0]
    if kind != "L":
        return {"N": "digits", "Z": "spaces", "P": "punctuation", "S": "symbols", "M": "marks"}.get(kind, "other")
    words = unicodedata.name(character, "other").split()
    first = words[1] if words[0] in ("HALFWIDTH", "FULLWIDTH") else words[0]
    return {"CJK": "Han"}.get(first, first.capitalize())


# This machine


def doctor(*, json: Json = False) -> None:
    from malmoi.files import default_cache_dir

    cache = default_cache_dir()
    cache_bytes = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) if cache.is_dir() else 0
    disk = shutil.disk_usage(Path.cwd()).free
    packages, extras = _packages()
    report: dict[str, Any] = {
        "malmoi": metadata.version("malmoi"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": packages,
        "extras": extras,
        "disk_free_bytes": disk,
        "cache": {"folder": str(cache), "bytes": cache_bytes},
        **_measured(),
    }
    if json:
        emit(report)
        return
    speeds = report["gflops"]
    facts = [
        ("malmoi", report["malmoi"]),
        ("Python", f"{report['python']} on {report['system']}"),
        ("processor cores", str(report["cores"])),
        *((f"{name} products", f"{speed:,.0f} GFLOP/s") for name, speed in speeds.items()),
        *((f"device {name}", what) for name, what in report["devices"].items()),
        *([("free memory", size(report["memory_free_bytes"]))] if report["memory_free_bytes"] else []),
        ("free disk", f"{size(disk)} in {Path.cwd()}"),
        ("cache", f"{size(cache_bytes)} in {cache} (MALMOI_CACHE moves it)"),
        *((name, version or "not installed") for name, version in packages.items()),
    ]
    print_facts(facts)
    if speeds:
        faster = speeds["bfloat16"] / speeds["float32"]
        note(f"bfloat16 runs at {faster:.1f} times the speed of float32 here; `malmoi train` takes whichever pays.")
    for extra, missing in extras.items():
        if missing:
            note(f"Extra [{extra}] lacks {', '.join(missing)}. Type: pip install 'malmoi[{extra}]'")


def _packages() -> tuple[dict[str, str | None], dict[str, list[str]]]:
    """(version of each declared dependency, None where it is missing; what each extra lacks)."""
    versions: dict[str, str | None] = {}
    extras: dict[str, list[str]] = {}
    for requirement in metadata.requires("malmoi") or []:
        match = re.match(r"([A-Za-z0-9._-]+)", requirement)
        condition = re.search(r"""extra\s*==\s*['"]([a-z]+)['"]""", requirement)
        extra = condition[1] if condition else None
        if match is None or match[1] == "malmoi" or extra in ("test", "bench", "all"):
            continue
        try:
            versions[match[1]] = metadata.version(match[1])
        except metadata.PackageNotFoundError:
            versions[match[1]] = None
        if extra:
            extras.setdefault(extra, [])
            if versions[match[1]] is None:
                extras[extra].append(match[1])
    return versions, extras


def _measured() -> dict[str, Any]:
    """Speeds, devices and free memory, which PyTorch tells; empty where it is not installed."""
    report: dict[str, Any] = {"gflops": {}, "devices": {}, "memory_free_bytes": None}
    try:
        import torch
    except ModuleNotFoundError:
        return report
    from malmoi.machine import available_memory, measure_matmul

    report["gflops"] = {name: round(measure_matmul(name), 1) for name in ("float32", "bfloat16")}
    for index in range(torch.cuda.device_count()):
        report["devices"][f"cuda:{index}"] = torch.cuda.get_device_name(index)
    report["memory_free_bytes"] = available_memory(torch.device("cpu"))
    return report
