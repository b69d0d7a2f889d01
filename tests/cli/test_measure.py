import io
import json
import sys
from pathlib import Path

import pytest
from conftest import LINES, Malmoi, make_run

import malmoi as package

NBEST_TSV = "utt-1\t-12.5\tthe cat sat\nutt-1\t-12.1\tthe cap sat\nutt-2\t-1\ta <b>\n"
NBEST_JSON = '\n{"id": "utt-1", "hypotheses": [{"text": "the cat", "score": -3}, {"text": "the", "score": -2}]}\n'


def figures(report: dict[str, object]) -> dict[str, object]:
    told = ("run", "family", "text", "seconds", "sees_test_text")
    return {name: value for name, value in report.items() if name not in told}


def test_eval_of_one_run_is_one_json_object(malmoi: Malmoi, char_run: Path, corpus: Path) -> None:
    code, out, err = malmoi("eval", char_run, corpus, "--json")
    report = json.loads(out)
    want = package.load(char_run).evaluate(corpus).to_dict()
    assert (code, err) == (0, "")
    assert (report["run"], report["family"], report["text"]) == (str(char_run), "lstm", str(corpus))
    assert figures(report) == figures(want)
    assert report["sees_test_text"] is False
    wanted = "tokens words bytes nll_nats perplexity word_perplexity bits_per_byte bits_per_character unk_share seconds"
    assert set(wanted.split()) <= report.keys()


def test_eval_of_several_runs_stands_side_by_side(malmoi: Malmoi, char_run: Path, word_run: Path, corpus: Path) -> None:
    code, out, err = malmoi("eval", char_run, word_run, corpus)
    rows = dict(line.split("\t", 1) for line in out.splitlines())
    results = [package.load(run).evaluate(corpus) for run in (char_run, word_run)]
    assert code == 0
    assert rows[""] == f"{char_run}\t{word_run}"
    assert rows["bits per byte"] == "\t".join(f"{result.bits_per_byte:.4f}" for result in results)
    assert rows["tokens"] == "\t".join(f"{result.tokens:,}" for result in results)
    assert "perplexity: per token of the model's own vocabulary" in err
    assert "bits per byte: for every byte of the text" in err
    assert "These runs have different tokenizers" in err


def test_eval_of_several_runs_as_json(malmoi: Malmoi, char_run: Path, corpus: Path) -> None:
    code, out, _ = malmoi("eval", char_run, char_run, corpus, "--streams", "3", "--json")
    first, second = json.loads(out)["runs"]
    assert code == 0
    assert figures(first) == figures(second)
    assert first["tokens"] == sum(len(line) + 1 for line in LINES)


def test_eval_of_one_tokenizer_does_not_warn(malmoi: Malmoi, char_run: Path, corpus: Path) -> None:
    assert "different tokenizers" not in malmoi("eval", char_run, char_run, corpus).err


def test_eval_reads_tables_and_tells_what_it_did(malmoi: Malmoi, char_run: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("label\ttext\n1\tthe cat\n0\t개가\n", encoding="utf-8")
    code, out, err = malmoi("eval", char_run, table, "--json")
    assert (code, json.loads(out)["lines"]) == (0, 2)
    assert err == f"{table}: text taken from 'text'\n"


@pytest.mark.parametrize("words", [[], ["only-one"]])
def test_eval_needs_a_run_and_a_text(malmoi: Malmoi, words: list[str]) -> None:
    code, out, err = malmoi("eval", *words)
    given = "only-one" if words else "nothing"
    assert (code, out) == (2, "")
    assert err == f"malmoi eval was given {given}. Expected a run and a text: malmoi eval RUN... TEXT\n"


def rows_of(out: str) -> dict[str, list[str]]:
    """The cells of a printed table, by what stands first in the row."""
    return {first: cells for first, *cells in (line.split("\t") for line in out.splitlines())}


def test_eval_mixes_runs_and_tells_the_weights(malmoi: Malmoi, char_run: Path, corpus: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", "char", seed=8)
    code, out, err = malmoi("eval", char_run, other, corpus, "--interpolate")
    assert code == 0
    assert rows_of(out)[""] == [str(char_run), str(other), "mixture"]
    assert "No weights were tuned: those of the mixture are equal" in err
    assert f"weights of the mixture: {char_run} 0.500, {other} 0.500" in err
    given = malmoi("eval", char_run, other, corpus, "--interpolate", "--weights", "0.9,0.1", "--json")
    (mixture,) = json.loads(given.out)["mixtures"]
    assert mixture["weights"] == [[pytest.approx(0.9), pytest.approx(0.1)]]
    assert (mixture["mixed_by"], mixture["tuned_on"], mixture["sees_test_text"]) == ("token", None, False)
    tuned = malmoi("eval", char_run, other, corpus, "--interpolate", "--tune", corpus, "--buckets", "3", "--json")
    assert (tuned.code, tuned.err) == (0, "")
    report = json.loads(tuned.out)
    (best,) = report["mixtures"]
    assert best["tuned_on"] == str(corpus)
    assert len(best["weights"]) == 3
    assert (
        best["bits_per_byte"] <= min(run["bits_per_byte"] for run in report["runs"]) + 1e-4
    )  # untrained: nearly alike
    told = malmoi("eval", char_run, other, corpus, "--interpolate", "--tune", corpus, "--buckets", "3").err
    assert "weights of the mixture, bucket 3 of 3, rare to frequent: " in told


def test_eval_with_a_cache_keeps_a_column_of_its_own(malmoi: Malmoi, char_run: Path, corpus: Path) -> None:
    code, out, err = malmoi("eval", char_run, corpus, "--cache")
    assert code == 0
    assert rows_of(out)[""] == [str(char_run), f"{char_run} + cache (uses test text already seen)"]
    assert "those of the cache are the usual ones. --tune FILE" in err
    plain, cached = json.loads(malmoi("eval", char_run, corpus, "--cache", "--tune", corpus, "--json").out)["runs"]
    assert (plain["sees_test_text"], cached["sees_test_text"]) == (False, True)
    assert cached["cache"]
    assert all(part.startswith("states that agree") for part in cached["cache"])
    assert cached["bits_per_byte"] < plain["bits_per_byte"]


def test_eval_mixes_cached_runs_of_different_tokenizers(
    malmoi: Malmoi, char_run: Path, word_run: Path, corpus: Path
) -> None:
    code, out, err = malmoi("eval", char_run, word_run, corpus, "--interpolate", "--cache", "--tune", corpus)
    assert code == 0
    assert rows_of(out)[""][4:] == ["mixture", "mixture + cache (uses test text already seen)"]
    assert "different tokenizers: they are mixed word by word" in err
    assert "weights of the mixture + cache: " in err
    shown = [float(cell) for cell in rows_of(out)["bits per byte"]]
    assert shown[4] <= min(shown[:2])
    assert shown[5] <= min(shown[2:4])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--interpolate"], "One run cannot be interpolated"),
        (["--weights", "0.5,0.5"], "--weights are for --interpolate"),
        (["--interpolate", "--weights", "0.5,x"], "--weights 0.5,x cannot be read. Numbers with commas"),
        (["--buckets", "4"], "buckets=4 cannot be used"),
        (["--tune", "corpus.txt"], "--tune has nothing to tune"),
    ],
)
def test_eval_refuses_options_without_sense(
    malmoi: Malmoi, char_run: Path, corpus: Path, in_folder: Path, words: list[str], message: str
) -> None:
    code, out, err = malmoi("eval", char_run, corpus, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_score_is_one_number_a_line(malmoi: Malmoi, word_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("the cat\n\n개가 zebra\n", encoding="utf-8")
    want = list(package.load(word_run).score(["the cat", "", "개가 zebra"]))
    code, out, err = malmoi("score", word_run, path)
    assert (code, out, err) == (0, "".join(f"{value:.6f}\n" for value in want), "")
    assert json.loads(malmoi("score", word_run, path, "--json").out)["log_probs"] == pytest.approx(want)


def test_score_reads_a_pipe(malmoi: Malmoi, char_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("고양이\n".encode())))
    (want,) = package.load(char_run).score(["고양이"])
    assert malmoi("score", char_run, "-").out == f"{want:.6f}\n"


def combined(run: Path, score: float, text: str) -> float:
    (log_prob,) = package.load(run).score([text])
    return score - 0.5 * log_prob + 2 * len(text.split())


def test_rescored_tables_stay_tables(malmoi: Malmoi, char_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "nbest.tsv"
    path.write_text(NBEST_TSV, encoding="utf-8")
    code, out, _ = malmoi("score", char_run, path, "--rescore", "--lm-weight", "-0.5", "--word-bonus", "2")
    first = sorted([(-combined(char_run, s, t), t) for s, t in ((-12.5, "the cat sat"), (-12.1, "the cap sat"))])
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert [(key, text) for key, _, text in rows] == [
        ("utt-1", first[0][1]),
        ("utt-1", first[1][1]),
        ("utt-2", "a <b>"),
    ]
    assert [float(score) for _, score, _ in rows[:2]] == pytest.approx([-score for score, _ in first])


def test_rescored_json_lines_stay_json_lines(
    malmoi: Malmoi, char_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nbest.jsonl"
    path.write_text(NBEST_JSON, encoding="utf-8")
    code, out, _ = malmoi("score", char_run, path, "--rescore")
    assert code == 0
    assert json.loads(out)["id"] == "utt-1"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(NBEST_JSON.encode())))
    assert malmoi("score", char_run, "-", "--rescore").out == out
    (one,) = json.loads(malmoi("score", char_run, path, "--rescore", "--json").out)["lists"]
    assert one == json.loads(out)


def test_a_broken_list_is_named_by_its_line(malmoi: Malmoi, char_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "nbest.tsv"
    path.write_text("\nutt-1\t-1\ta\nutt-1 without tabs\n", encoding="utf-8")
    code, _, err = malmoi("score", char_run, path, "--rescore")
    assert code == 2
    assert err.startswith(f"{path}:3: expected 'id <tab> score <tab> text', found 'utt-1 without tabs'")
    assert "cannot be read (No such file" in malmoi("score", char_run, tmp_path / "none", "--rescore").err
