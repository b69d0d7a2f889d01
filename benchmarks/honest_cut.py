"""Validation figures of `malmoi train` without --valid, against those of who cuts the same lines off first.

    python -m benchmarks.honest_cut

The part that is held out is written to a file, the rest to another; an n-gram model is trained on the rest with that file as
--valid, so neither it nor its tokenizer has seen it. Both figures are told in bits per byte, for words and morphemes.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import malmoi
from benchmarks.plain_lstm import data_folder
from malmoi.data.cutting import hold_out


def texts() -> Iterator[tuple[str, list[str]]]:
    data = data_folder()
    rows = (data / "nsmc" / "ratings_train.txt").read_text(encoding="utf-8").splitlines()[1:5001]
    yield "nsmc, 5,000 reviews", [row.split("\t")[1] for row in rows]
    for name, path, n_lines in (
        ("ko-open-text, 2,600 lines", data / "ko-open-text" / "train.txt", 2600),
        ("wikitext-2, 0.6 MB", data / "wikitext-2" / "train.txt", 2000),
        ("ptb", data / "ptb" / "ptb.valid.txt", None),
        ("tiny shakespeare", next((data / "tinyshakespeare").glob("*.txt")), None),
    ):
        yield name, path.read_text(encoding="utf-8").splitlines()[:n_lines]


def main() -> None:
    for name, lines in texts():
        for kind in ("word", "morpheme"):
            with tempfile.TemporaryDirectory() as folder:
                paths = {part: Path(folder) / f"{part}.txt" for part in ("whole", "train", "valid")}
                paths["whole"].write_text("\n".join(lines) + "\n", encoding="utf-8")
                for part, source in zip(("train", "valid"), hold_out(malmoi.TextSource(paths["whole"])), strict=True):
                    paths[part].write_text("".join(f"{line.text}\n" for line in source.lines()), encoding="utf-8")
                options = {"tokenizer": kind, "order": 3}
                by_train = malmoi.train("ngram", paths["whole"], out=Path(folder) / "a", **options)
                honest = malmoi.train("ngram", paths["train"], valid=paths["valid"], out=Path(folder) / "b", **options)
                bits = [run.config.figures["valid"]["bits_per_byte"] for run in (by_train, honest)]
                row = {"text": name, "tokenizer": kind, "train": round(bits[0], 4), "honest": round(bits[1], 4)}
                print(
                    json.dumps({**row, "difference": round(bits[0] / bits[1] - 1, 5)}, ensure_ascii=False), flush=True
                )


if __name__ == "__main__":
    main()
