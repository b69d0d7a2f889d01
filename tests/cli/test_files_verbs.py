import gzip
import json
from pathlib import Path

import pytest
from conftest import LINES, Malmoi

import malmoi as package
from malmoi.errors import ConfigError
from malmoi.interop.exchange import export_run


def counted(folder: Path, kind: str, **options: int) -> Path:
    """A small run of n-grams."""
    text = package.TextSource.from_texts(LINES * 2)
    return package.train("ngram", text, tokenizer=kind, order=3, threads=1, out=folder, **options).folder


@pytest.fixture(scope="module")
def ngram_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return counted(tmp_path_factory.mktemp("runs") / "counted", "word")


def test_a_run_becomes_a_file_and_the_file_the_same_run(malmoi: Malmoi, ngram_run: Path, tmp_path: Path) -> None:
    path, folder = tmp_path / "model.arpa", tmp_path / "back"
    code, out, err = malmoi("export", ngram_run, "--to", "arpa", "--out", path)
    assert (code, err) == (0, "")
    assert out == f"file\t{path}\nsize\t{path.stat().st_size / 1000:.1f} kB\n"
    code, out, err = malmoi("import", path, "--out", folder)
    assert code == 0
    before, after = package.load(ngram_run), package.load(folder)
    assert after.config.family == "ngram"
    assert after.tokenizer.all_tokens == before.tokenizer.all_tokens
    counts = before.model.tables.level_counts()  # type: ignore[attr-defined]
    assert out == f"run\t{folder}\nn-grams\t{' + '.join(map(str, counts))}\n"
    assert err == f'Try it:  malmoi next {folder} "..."\n'
    assert list(after.score([*LINES, "the cat"])) == list(before.score([*LINES, "the cat"]))
    assert after.next("the", 3) == before.next("the", 3)


def test_json_says_what_was_made(malmoi: Malmoi, ngram_run: Path, tmp_path: Path) -> None:
    path, folder = tmp_path / "model.arpa.gz", tmp_path / "back"
    report = json.loads(malmoi("export", ngram_run, "--to", "arpa", "--out", path, "--json").out)
    assert report == {"run": str(ngram_run), "to": "arpa", "out": str(path), "bytes": path.stat().st_size}
    assert gzip.decompress(path.read_bytes()).startswith(b"\\data\\\n")
    answer = malmoi("import", path, "--out", folder, "--json")
    run = package.load(folder)
    assert json.loads(answer.out) == {
        "run": str(folder),
        "family": "ngram",
        "order": 3,
        "ngrams": run.model.tables.level_counts(),  # type: ignore[attr-defined]
        "vocab_size": run.tokenizer.vocab_size,
        "notes": [],
    }
    assert answer.err == ""


def test_an_imported_run_tells_where_it_comes_from(malmoi: Malmoi, ngram_run: Path, tmp_path: Path) -> None:
    path, folder = tmp_path / "model.arpa", tmp_path / "back"
    malmoi("export", ngram_run, "--to", "arpa", "--out", path)
    lines = path.read_text(encoding="utf-8").replace("\t<unk>\t", "\tzebra\t")
    path.write_text(lines, encoding="utf-8")
    answer = malmoi("import", path, "--out", folder)
    note = "the file has no <unk>: words that it does not know have probability 0"
    assert answer.err.startswith(f"{note}\n")
    config, card = package.load(folder).config, (folder / "README.md").read_text(encoding="utf-8")
    assert config.command == f"malmoi import {path} --out {folder}"
    assert config.data["imported"]["file"] == str(path)
    assert config.figures["notes"] == [note]
    for expected in ("# back\n", f"* {note}\n", f"{path.stat().st_size:,} bytes", config.command, "License:"):
        assert expected in card
    code, out, err = malmoi("info", folder)
    assert (code, err) == (0, "")
    assert "model\tvocab_size=" in out
    assert "smoothing" not in out


@pytest.mark.parametrize("kind", ["char", "jamo", "bpe", "unigram"])
def test_subwords_come_back_with_their_tokenizer(malmoi: Malmoi, kind: str, tmp_path: Path) -> None:
    sizes = {"bpe": {"vocab_size": 280}, "unigram": {"vocab_size": 400}}
    run = counted(tmp_path / "run", kind, **sizes.get(kind, {}))
    path = tmp_path / "model.arpa"
    malmoi("export", run, "--to", "arpa", "--out", path)
    code, _, err = malmoi("import", path, "--out", tmp_path / "back", "--tokenizer-from", run)
    assert (code, "Try it" in err) == (0, True)
    before, after = package.load(run), package.load(tmp_path / "back")
    assert after.tokenizer.fingerprint() == before.tokenizer.fingerprint()
    assert list(after.score(LINES)) == list(before.score(LINES))
    assert malmoi("import", path, "--out", tmp_path / "words").code == 0
    words = package.load(tmp_path / "words").tokenizer
    assert words.kind == "word"
    if kind != "bpe":
        assert "▁" in path.read_text(encoding="utf-8")
        assert any("%20" in piece for piece in words.all_tokens)


def test_the_same_from_python(ngram_run: Path, tmp_path: Path) -> None:
    run = package.load(ngram_run)
    path = run.export(tmp_path / "model.arpa")
    back = package.import_arpa(path, tmp_path / "back", tokenizer_from=ngram_run)
    assert list(back.score(LINES)) == list(run.score(LINES))
    with pytest.raises(ConfigError, match="to='onnx' is no form that models are exported in. Choose one of: arpa"):
        export_run(ngram_run, tmp_path / "x", "onnx")


def test_what_cannot_be_exported_is_refused(malmoi: Malmoi, char_run: Path, ngram_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.arpa"
    code, _, err = malmoi("export", char_run, "--to", "arpa", "--out", out)
    assert code == 2
    assert err.startswith(
        f"{char_run} is a run of the rung lstm, which cannot be written as arpa: that form holds counted"
    )
    assert not out.exists()
    out.write_text("mine")
    code, _, err = malmoi("export", ngram_run, "--to", "arpa", "--out", out)
    assert (code, err) == (2, f"{out} exists already and was not changed. Choose another --out, or remove it first.\n")
    assert out.read_text() == "mine"
    assert malmoi("export", ngram_run, "--to", "arpa", "--out", out / "inside").code == 2


def test_what_cannot_be_imported_is_refused(malmoi: Malmoi, ngram_run: Path, char_run: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "model.arpa", tmp_path / "run"
    malmoi("export", ngram_run, "--to", "arpa", "--out", path)
    code, _, err = malmoi("import", path, "--out", ngram_run)
    assert code == 2
    assert err == f"{ngram_run} exists already and is not empty; nothing in it was changed. Choose another --out.\n"
    text = path.read_text(encoding="utf-8")
    for content, message in (
        (text[:-9], f"{path}:"),
        (text.replace("</s>", "<end>"), f"{path}: The model has no </s> among its 1-grams."),
        (
            "\\data\\\nngram 1=1\n\n\\1-grams:\n-1\t</s>\n\n\\end\\\n",
            f"{path} has no words but <s>, </s> and <unk>. Expected",
        ),
    ):
        path.write_text(content, encoding="utf-8")
        code, out_text, err = malmoi("import", path, "--out", out)
        assert (code, out_text) == (2, "")
        assert err.splitlines()[-1].startswith(message)
        assert not out.exists()
    path.write_text(text, encoding="utf-8")
    code, _, err = malmoi("import", path, "--out", out, "--tokenizer-from", char_run)
    assert code == 2
    assert "words of the model are no tokens of the tokenizer" in err
    assert "There is no" in malmoi("import", tmp_path / "gone", "--out", out).err
