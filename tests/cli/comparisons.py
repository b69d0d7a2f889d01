"""Results of comparisons that were never made."""

from pathlib import Path
from typing import Any

from malmoi.comparison.bootstrap import Difference
from malmoi.comparison.comparison import Breakdown, Comparison, Contrast, Failure
from malmoi.comparison.ladder import tell_steps
from malmoi.comparison.measured import Measured
from malmoi.comparison.split import Size
from malmoi.data.overlap import Overlap
from malmoi.evaluation.perplexity import Evaluation

LN_2 = 0.6931471805599453


def measured(name: str, bits_per_byte: float, **changes: Any) -> Measured:
    """A model whose test text has 1,000 bytes."""
    nats = bits_per_byte * 1000 * LN_2
    figures: dict[str, Any] = {
        **{"name": name, "family": "" if "+" in name else name, "run": None, "members": (), "weights": ()},
        **{"tokenizer": "char", "tokenizer_id": "x", "vocab_size": 99, "streams": 1, "parameters": 1234},
        "evaluation": Evaluation(500, 90, 1000, 800, 10, 0, nats, 0.0, 0.5),
        **{"train_seconds": 1.5, "disk_bytes": 3000, "memory_bytes": 250_000_000, "ms_per_token": 0.2},
        **{"tokens_per_second": 5000.0, "curve": ((1.0, 3.0), (2.0, bits_per_byte)), "sample": " 끝", "seconds": 2.0},
    }
    return Measured(**{**figures, **changes})


def comparison(*, p: float = 0.0002, failures: dict[str, str] | None = None, **bits: float) -> Comparison:
    """A ladder of these models; every difference has this p."""
    models = tuple(measured(name, value) for name, value in bits.items())
    names = list(bits)
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    gaps = {(i, j): bits[names[i]] - bits[names[j]] for i, j in pairs}
    line = Contrast(3, (10.0, 30.0), (("the", 4.0, 9.0), (" cat", 5.0, 20.0), ("", 1.0, 1.0)), False)
    nothing = Breakdown((), dict.fromkeys(names, ()))
    found = Comparison(
        text="text.txt (9 MB)",
        folder=Path("runs/c"),
        report=Path("runs/c/report.html"),
        verb="ladder",
        command="malmoi ladder text.txt",
        seed=0,
        budget=60.0,
        sizes={name: Size(100, 0, 1000) for name in ("train", "valid", "test")},
        overlap=Overlap(0.01, 0.005, 0.02),
        models=models,
        failures=tuple(Failure(name, reason) for name, reason in (failures or {}).items()),
        differences=tuple(Difference(i, j, gap, gap - 0.1, gap + 0.1, p, p) for (i, j), gap in gaps.items()),
        n_blocks=50,
        drawn="stretches",
        by_frequency=nothing,
        by_position=nothing,
        contrasts={(names[b], names[a]): (line,) for a, b in (*pairs, *((j, i) for i, j in pairs))},
        prompt="the",
        goes_on="cat",
        machine="2 cores",
    )
    return tell_steps(found)
