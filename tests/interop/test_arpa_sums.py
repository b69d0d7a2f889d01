"""An ARPA file whose probabilities add up to more than 1 is told from a sound one, and gets no bits."""

import re
from pathlib import Path

import pytest

import malmoi
from malmoi.cli import main
from malmoi.comparison.compare import compare
from malmoi.errors import DataError
from malmoi.interop.exchange import largest_sum

LINES = [
    f"the {animal} {verb} in the {place}"
    for animal in ("cat", "dog", "bird")
    for verb in ("sat", "ran")
    for place in ("house", "tree", "boat", "wood")
] * 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> malmoi.Run:
    text = malmoi.TextSource.from_texts(LINES)
    return malmoi.train("ngram", text, out=tmp_path_factory.mktemp("runs") / "sound", tokenizer="word", order=3)


@pytest.fixture(scope="module")
def files(run: malmoi.Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file as it is exported, and one with every log-probability halved."""
    folder = tmp_path_factory.mktemp("arpa")
    sound = run.export(folder / "sound.arpa")
    halved = folder / "halved.arpa"
    halved.write_text(
        re.sub(
            r"^(-\d[\d.]*)\t",
            lambda found: f"{float(found[1]) / 2:.6f}\t",
            sound.read_text("utf-8"),
            flags=re.MULTILINE,
        ),
        encoding="utf-8",
    )
    return {"sound": sound, "halved": halved}


@pytest.mark.parametrize("which", ["sound", "halved"])
def test_the_sum_is_that_of_all_tokens_after_the_worst_context(
    which: str, files: dict[str, Path], tmp_path: Path
) -> None:
    imported = malmoi.import_arpa(files[which], tmp_path / which)
    figures = imported.config.figures
    assert figures["is_distribution"] == (which == "sound")
    assert imported.model.is_distribution == (which == "sound")
    assert figures["largest_sum"] == pytest.approx(largest_sum(imported.model), abs=1e-6)  # type: ignore[arg-type]
    assert figures["largest_sum"] < 1.001 if which == "sound" else figures["largest_sum"] > 1.5
    worst = max(
        sum(token.probability for token in imported.next(context, 10_000, whole_words=False))
        for context in ("", "the", "the cat", "cat sat", "in the", "sat in")
    )
    assert worst <= figures["largest_sum"] * (1 + 1e-3)


def test_no_bits_are_told_of_scores(files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, text = tmp_path / "run", tmp_path / "text.txt"
    text.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    assert main(["import", str(files["halved"]), "--out", str(out)]) == 0
    assert "its probabilities are none: after some contexts they add up to" in capsys.readouterr().err
    assert main(["eval", str(out), str(text)]) == 0
    told = capsys.readouterr().out
    assert "infinite" in told
    found = malmoi.load(out).evaluate(text)
    assert found.to_dict()["bits_per_byte"] is None
    assert found.nll_nats > 0
    assert next(malmoi.load(out).score(["the cat sat"])) < 0
    report = compare(text, ["ngram:word", str(out)], out=tmp_path / "c", measure_memory=False)
    assert not report.model(str(out)).is_judged
    assert report.differences == ()
    assert set(report.by_frequency.bits_per_byte[str(out)]) == {None}
    assert "add up to more than 1, so they are scores" in report.report.read_text(encoding="utf-8")


def test_a_model_of_lines_says_why_it_cannot_read_documents(run: malmoi.Run) -> None:
    documents = malmoi.TextSource.from_texts(["the cat sat\nthe dog ran"] * 3, unit="documents")
    with pytest.raises(
        DataError, match=r"beginning of a document no probability: it was trained on lines.*--unit documents"
    ):
        run.evaluate(documents)
