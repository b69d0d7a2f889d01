import json
import shutil
import sys
from pathlib import Path

import pytest
from conftest import Malmoi

import malmoi as package
from malmoi.cli.describe import script


def test_info_of_a_run(malmoi: Malmoi, char_run: Path) -> None:
    code, out, err = malmoi("info", char_run)
    facts = dict(line.split("\t", 1) for line in out.splitlines()[1:])
    n_parameters = sum(p.numel() for p in package.load(char_run, engine="torch").model.network.parameters())  # type: ignore[attr-defined]
    size = (char_run / "model.safetensors").stat().st_size
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == str(char_run)
    assert facts["family"] == "lstm: gates and a memory cell"
    assert facts["parameters"] == f"{n_parameters:,} ({size / 1000:,.1f} kB)"
    assert facts["tokenizer"].startswith("char, ")
    assert facts["trained on"] == "corpus.txt (12.3 kB, sha256 000000000000)"
    assert facts["command"] == "malmoi train lstm corpus.txt"


def test_info_of_a_run_as_json(malmoi: Malmoi, char_run: Path) -> None:
    report = json.loads(malmoi("info", char_run, "--json").out)
    assert (report["kind"], report["family"], report["can_resume"]) == ("run", "lstm", False)
    assert report["model"]["hidden_size"] == 7
    assert report["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json"}


def test_info_of_a_run_without_weights_and_with_damaged_ones(malmoi: Malmoi, char_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "copy"
    shutil.copytree(char_run, run)
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    code, out, err = malmoi("info", run)
    assert (code, out) == (2, "")
    assert f"{weights} is damaged or cut off" in err
    assert "Copy the run again from where it was made, or train again." in err
    weights.unlink()
    assert "parameters\tno weights saved yet\n" in malmoi("info", run).out


def test_info_of_a_text(malmoi: Malmoi, tmp_path: Path) -> None:
    text = tmp_path / "글.txt"
    text.write_bytes("\ufeff말 말 ab\r\n日か 1!\n\n".encode())
    code, out, err = malmoi("info", text)
    facts = dict(line.split("\t", 1) for line in out.splitlines()[1:])
    assert code == 0
    assert facts["lines"] == "3"
    assert facts["words"] == "5, 4 distinct"
    assert facts["characters"] == "14, 8 distinct"
    assert facts["bytes"] == "22 as UTF-8"
    assert facts["scripts"] == (
        "spaces 27.3%, Hangul 18.2%, Latin 18.2%, Han 9.1%, Hiragana 9.1%, digits 9.1%, punctuation 9.1%"
    )
    assert facts["longest line"] == "number 1, 6 characters"
    assert facts["frequent words"].startswith("말 ")
    assert facts["a line as word"] == "말│말│ab"
    assert facts["a line as jamo"] == "ㅁ│ㅏ│ㄹ│ │ㅁ│ㅏ│ㄹ│ │a│b"
    assert err.splitlines() == [f"{text}: byte order mark dropped", f"{text}: CRLF line ends read as LF"]


def test_info_of_a_text_as_json(malmoi: Malmoi, corpus: Path) -> None:
    report = json.loads(malmoi("info", corpus, "--unit", "documents", "--json").out)
    assert (report["kind"], report["files"], report["lines"], report["documents"]) == ("text", 1, 15, 1)
    assert sum(report["scripts"].values()) == pytest.approx(1)
    assert report["sample"]["word"] == ["the", "cat", "sat", "on", "the", "mat"]
    assert report["bytes"] == corpus.stat().st_size


def test_info_of_nothing(malmoi: Malmoi, in_folder: Path) -> None:
    code, out, err = malmoi("info", "corpsu.txt")
    assert (code, out) == (2, "")
    assert err.startswith(
        "There is no 'corpsu.txt', neither a file or folder here nor a run under runs/. Expected a run"
    )


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("한", "Hangul"),
        ("ﾡ", "Hangul"),
        ("é", "Latin"),
        ("漢", "Han"),
        ("я", "Cyrillic"),
        ("٣", "digits"),
        ("\t", "other"),
    ],
)
def test_scripts(character: str, name: str) -> None:
    assert script(character) == name


def test_doctor_measures_and_lists(malmoi: Malmoi, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x").write_bytes(bytes(1500))
    code, out, _ = malmoi("doctor", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["malmoi"] == package.__version__
    assert report["gflops"].keys() == {"float32", "bfloat16"}
    assert min(report["gflops"].values()) > 0
    assert report["packages"]["torch"]
    assert report["extras"].keys() >= {"neural", "ko", "data"}
    assert report["cache"] == {"folder": str(tmp_path / "cache"), "bytes": 1500}
    assert report["memory_free_bytes"] > 0


def test_doctor_without_pytorch_says_what_to_install(malmoi: Malmoi, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    real = metadata.version

    def version(name: str) -> str:
        if name in ("torch", "kiwipiepy"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = malmoi("doctor")
    assert code == 0
    assert "torch\tnot installed\n" in out
    assert "Extra [neural] lacks torch. Type: pip install 'malmoi[neural]'\n" in err
    assert "Extra [ko] lacks kiwipiepy. Type: pip install 'malmoi[ko]'\n" in err
    assert "GFLOP/s" not in out
