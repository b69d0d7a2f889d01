"""What is asked of a stored run, and when an answer is still the same.

NAME.answers.json holds questions with the answers that the run gave when it was made. A question is the name of a function
below and its arguments, as {"ask": "score", "line": "I like the cat."}; an answer is plain JSON.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import malmoi

TEXT = Path(__file__).parent / "text"


def _tokens(run: malmoi.Run, text: str) -> list[int]:
    return [int(token_id) for token_id in run.tokenizer.encode(text)]


def _score(run: malmoi.Run, line: str) -> float:
    return next(run.score([line]))


def _next(run: malmoi.Run, context: str, k: int) -> list[list[Any]]:
    return [[word.text, math.log(word.probability)] for word in run.next(context, k)]


def _complete(run: malmoi.Run, text: str, k: int) -> list[list[Any]]:
    return [[found.completion, found.log_prob] for found in run.complete(text, k)]


def _generate(run: malmoi.Run, prompt: str, **options: Any) -> list[str]:
    return run.generate(prompt, **options)


def _evaluate(run: malmoi.Run, text: str) -> dict[str, Any]:
    """As it was before words paid for their white space, which every stored run pays for by now."""
    found = replace(run.evaluate(TEXT / text), layout_nats=0.0).to_dict()
    return {name: figure for name, figure in found.items() if name not in ("seconds", "layout_nats", "is_distribution")}


def _figures(run: malmoi.Run, names: list[str]) -> dict[str, Any]:
    return {name: run.config.figures[name] for name in names}


def _words(run: malmoi.Run, n: int) -> list[str]:
    return run.vectors.words[:n]


def _similar(run: malmoi.Run, word: str, k: int) -> list[list[Any]]:
    return [[neighbour.word, neighbour.cosine] for neighbour in run.vectors.similar(word, k)]


def _cosine(run: malmoi.Run, first: str, second: str) -> float:
    return run.vectors.cosine(first, second)


def _vector(run: malmoi.Run, word: str, n: int) -> list[float]:
    return [float(number) for number in run.vectors[word][:n]]


def _explain(run: malmoi.Run, text: str, **options: Any) -> list[Any]:
    explanation = run.explain(text, **options)
    return [explanation.target, explanation.probability]


ASK: dict[str, Callable[..., Any]] = {
    "tokens": _tokens,
    "score": _score,
    "next": _next,
    "complete": _complete,
    "generate": _generate,
    "evaluate": _evaluate,
    "figures": _figures,
    "words": _words,
    "similar": _similar,
    "cosine": _cosine,
    "vector": _vector,
    "explain": _explain,
}


def answer(run: malmoi.Run, question: dict[str, Any]) -> Any:
    """What the run says now."""
    arguments = dict(question)
    return ASK[arguments.pop("ask")](run, **arguments)


def is_same(now: Any, then: Any, tolerance: float) -> bool:
    """Whether two answers are equal: strings, whole numbers and order exactly, other numbers within the tolerance.

    The tolerance is relative; for numbers below 1 it is absolute, since a logarithm or a cosine near 0 is the small difference
    of larger numbers.
    """
    if isinstance(then, dict):
        return (
            isinstance(now, dict)
            and now.keys() == then.keys()
            and all(is_same(now[key], then[key], tolerance) for key in then)
        )
    if isinstance(then, list):
        return (
            isinstance(now, list)
            and len(now) == len(then)
            and all(is_same(a, b, tolerance) for a, b in zip(now, then, strict=True))
        )
    if isinstance(then, float):
        return isinstance(now, float) and abs(now - then) <= tolerance * max(1.0, abs(then))
    return type(now) is type(then) and bool(now == then)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run, by its name in the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def environment() -> dict[str, str]:
    """Packages and processor: where they are the same, so is every byte of a training."""
    import llvmlite.binding  # type: ignore[import-untyped]
    import torch

    packages = ("numpy", "scipy", "numba", "torch", "tokenizers", "sentencepiece", "safetensors")
    processor = f"{llvmlite.binding.get_host_cpu_name()}, {torch.backends.cpu.get_cpu_capability()}"
    return {name: version(name) for name in packages} | {"processor": processor}
