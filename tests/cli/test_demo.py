import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from comparisons import comparison
from conftest import LINES, Malmoi
from hypothesis import given
from hypothesis import strategies as st

from malmoi import demo
from malmoi.cli import demo as command
from malmoi.demo import Corpus, Figures, Tour, english_lines, frequent_contexts, hold_out, korean_lines, read_catalogue
from malmoi.errors import DataError
from malmoi.generation.completion import NextToken
from malmoi.models.registry import find_rung, load_ahead
from malmoi.runs.folder import read_config


def catalogue(messages: list[tuple[bytes, bytes]], order: str = "<") -> bytes:
    """A gettext catalogue, as msgfmt writes it."""
    tables, texts = [], b""
    start = 28 + 16 * len(messages)
    for column in (0, 1):
        for message in messages:
            tables += [len(message[column]), start + len(texts)]
            texts += message[column] + b"\0"
    head = struct.pack(f"{order}7I", 0x950412DE, 0, len(messages), 28, 28 + 8 * len(messages), 0, 0)
    return head + struct.pack(f"{order}{len(tables)}I", *tables) + texts


SENTENCES = [f"{number}번째 파일을 여는 데 실패했습니다" for number in range(6000)]


def write_catalogue(folder: Path, name: str, encoding: str, sentences: list[str]) -> Path:
    path = folder / "LC_MESSAGES" / f"{name}.mo"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = f"Content-Type: text/plain; charset={encoding}\nPlural-Forms: nplurals=1; plural=__import__('os');\n"
    messages = [(b"", header.encode())] + [(b"id %d" % i, s.encode(encoding)) for i, s in enumerate(sentences)]
    path.write_bytes(catalogue(messages))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_catalogue_gives_its_translations_and_not_its_header(tmp_path: Path, order: str) -> None:
    path = tmp_path / "x.mo"
    header = b"Content-Type: text/plain; charset=EUC-KR\n"
    path.write_bytes(catalogue([(b"", header), (b"a\0as", "하나\0여럿".encode("euc-kr"))], order))
    assert read_catalogue(path) == ["하나", "여럿"]


@given(at=st.integers(0, 200), byte=st.integers(0, 255), length=st.integers(0, 300))
def test_a_damaged_catalogue_never_fails(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, length: int
) -> None:
    data = bytearray(catalogue([(b"", b"charset=utf-8\n"), (b"one", "하나".encode()), (b"two", "둘".encode())]))
    data[at % len(data)] = byte
    path = tmp_path_factory.mktemp("mo") / "x.mo"
    path.write_bytes(bytes(data[:length]))
    assert all(isinstance(text, str) for text in read_catalogue(path))


def test_a_catalogue_that_is_missing_or_asks_for_too_much_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.mo"
    assert read_catalogue(path) == []
    path.write_bytes(struct.pack("<7I", 0x950412DE, 0, 2**31, 28, 28, 0, 0))
    assert read_catalogue(path) == []


def test_korean_is_found_in_the_folders_of_korean_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "LOCALES", (str(tmp_path), str(tmp_path / "missing")))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "missing"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "missing"))
    others = ["%d개의 파일을 여는 데 실패했습니다", "Cannot open file", "열기", SENTENCES[0], f"{SENTENCES[0]}\n"]
    write_catalogue(tmp_path / "ko", "program", "utf-8", SENTENCES[:3000] + others)
    write_catalogue(tmp_path / "ko_KR.EUC-KR", "program", "euc-kr", SENTENCES[3000:])
    write_catalogue(tmp_path / "kok", "konkani", "utf-8", ["다른 폴더에 있는 문장입니다"])
    assert korean_lines() == SENTENCES


def test_korean_is_found_inside_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_system_catalogues", lambda: iter(()))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site-packages")])
    write_catalogue(tmp_path / "site-packages" / "some" / "locale" / "ko", "django", "utf-8", SENTENCES)
    assert korean_lines() == SENTENCES


def test_too_little_korean_is_told_in_korean(malmoi: Malmoi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_system_catalogues", lambda: iter(()))
    monkeypatch.setattr(demo, "_package_catalogues", lambda: iter(()))
    code, out, err = malmoi("demo", "--lang", "ko")
    assert (code, out) == (2, "")
    assert err == (
        "이 컴퓨터에서 찾은 한국어 글은 0 kB뿐입니다 (150 kB 이상 필요). "
        "글 파일을 넘겨 주세요: malmoi demo --lang ko --text 파일\n"
    )


def test_english_is_whole_paragraphs_each_once() -> None:
    lines = english_lines()
    prose = [line for line in lines if not line.startswith(" ")]
    assert sum(len(line) for line in lines) > 200_000
    assert sum(len(line) > 200 for line in prose) > 100
    assert not [line for line in lines if set(line.strip()) == {"*"} or line != line.rstrip() or "\n" in line]


def test_a_python_without_its_reference_is_told(malmoi: Malmoi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    assert malmoi("demo").err.startswith("This Python comes without pydoc_data, the English text of the demo. Expected")


@given(n_lines=st.integers(100, 3000))
def test_a_twentieth_is_held_out(n_lines: int) -> None:
    lines = [str(number) for number in range(n_lines)]
    train, test = hold_out(lines)
    assert sorted(train + test, key=int) == lines
    assert 0.03 < len(test) / n_lines < 0.07


def test_a_text_too_short_to_hold_anything_out(malmoi: Malmoi, corpus: Path) -> None:
    with pytest.raises(DataError, match="has 15 lines. The demo needs at least 100.*malmoi demo --text FILE"):
        hold_out(LINES)
    assert malmoi("demo", "--text", corpus).err.startswith("The text has 15 lines. The demo needs at least 100")


def test_contexts_are_the_most_frequent_pairs() -> None:
    lines = ["of the of the , the end", "in a of the in a", "x y z, 1 2"]
    assert frequent_contexts(lines, n=3) == ("of the", "in a", "x y")
    assert frequent_contexts(["1 2"]) == ("",)


TOUR = Tour(
    folder=Path("runs/demo-en"),
    figures={"untrained": Figures(4.0, 2000.0), "unigram": Figures(2.5, 400.0), "lstm": Figures(1.0, 50.5)},
    ladder=comparison(uniform=4.0, unigram=2.5, lstm=1.0),
    next_words={"the": [NextToken("cat", 0.5), NextToken("개", 0.25)]},
    prompt="the",
    sample=" cat\nsat",
    speaker="lstm",
    explained="␣cat",
    explanation=["The token read last has the id 4."],
)


@pytest.fixture
def tours(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a tour was asked for; nothing is trained."""
    asked: list[dict[str, Any]] = []

    def run_tour(corpus: Corpus, **options: Any) -> Tour:
        asked.append({"corpus": corpus, **options})
        return TOUR

    monkeypatch.setattr(command, "run_tour", run_tour)
    return asked


def test_the_tour_in_english(malmoi: Malmoi, tours: list[dict[str, Any]]) -> None:
    code, out, err = malmoi("demo")
    assert code == 0
    assert (tours[0]["budget"], tours[0]["out"]) == ("90s", Path("runs/demo-en"))
    assert err.startswith("The text: the Python reference, which every Python brings along.")
    assert "reads it for 90s." in err
    assert "What each idea buys, in bits per byte of the held-out text\nmodel\tbits per byte\t" in out
    assert "\nlstm\t1.00\t1.5 s\t3.0 kB\t0.20\t−1.50  a memory that chooses what to keep\n" in out
    assert "the lstm needs 25% of what the untrained model (uniform) needs" in out
    assert "After “the” comes\nword\tprobability\ncat\t0.500000\n개\t0.250000\n" in out
    assert "A sample (lstm)\nthe cat\nsat\n" in out
    assert "Why “␣cat” after “the”?\n  The token read last has the id 4.\n" in out
    assert "All steps with all their numbers: runs/demo-en/why.html\n" in out
    assert '  malmoi next runs/demo-en "the"\n' in out


def test_the_tour_in_korean_speaks_korean(malmoi: Malmoi, tours: list[dict[str, Any]], tmp_path: Path) -> None:
    text = tmp_path / "글.txt"
    text.write_text("\n".join(SENTENCES[:200]), encoding="utf-8")
    code, out, err = malmoi("demo", "--lang", "ko", "--text", text, "--budget", "2m", "--out", "x")
    assert code == 0
    assert tours[0]["corpus"].contexts[0] == "데 실패했습니다"
    assert (tours[0]["budget"], tours[0]["out"]) == ("2m", "x")
    assert f"글: 주신 글 {text}. 배울 글 190줄, 시험용으로 떼어 둔 글 10줄" in err
    assert "2분 동안" in err
    assert "모델\t바이트당 비트\t학습 시간\t" in out
    assert "‘the’ 다음에 올 말\n단어\t확률\n" in out
    assert "이제 이렇게 해 보세요:\n" in out


def test_the_tour_as_json(malmoi: Malmoi, tours: list[dict[str, Any]]) -> None:
    report = json.loads(malmoi("demo", "--json").out)
    assert report["figures"]["lstm"] == {"bits_per_byte": 1.0, "perplexity": 50.5}
    assert report["next"] == {"the": [{"text": "cat", "probability": 0.5}, {"text": "개", "probability": 0.25}]}
    assert (report["run"], report["sample"]) == ("runs/demo-en", " cat\nsat")


@pytest.mark.parametrize(("lang", "told"), [("en", "Stopped. `malmoi demo` starts again"), ("ko", "멈췄습니다.")])
def test_ctrl_c_in_a_tour(malmoi: Malmoi, monkeypatch: pytest.MonkeyPatch, corpus: Path, lang: str, told: str) -> None:
    def run_tour(corpus: Corpus, **options: Any) -> Tour:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_tour", run_tour)
    corpus.write_text("\n".join(LINES * 9), encoding="utf-8")
    code, out, err = malmoi("demo", "--lang", lang, "--text", corpus)
    assert (code, out) == (130, "")
    assert told in err


def test_a_real_tour_leaves_a_run_that_the_next_one_replaces(malmoi: Malmoi, corpus: Path, in_folder: Path) -> None:
    load_ahead(find_rung("lstm"), lambda: "bfloat16")  # before the clock runs, whatever else the machine does
    corpus.write_text("\n".join(LINES * 40) + "\n", encoding="utf-8")
    words = ("demo", "--text", corpus, "--budget", "10s", "--out", "runs/tour", "--json")
    first = malmoi(*words)
    report = json.loads(first.out)
    figures = {name: values["bits_per_byte"] for name, values in report["figures"].items()}
    assert first.code == 0
    assert figures["untrained"] > figures["unigram"] > 0
    assert figures["lstm"] > 0  # how good it is, the clock decides
    assert len(report["next"]) == 3
    assert [step["name"] for step in report["ladder"]["steps"]] == ["uniform", "unigram", "ngram", "lstm", "ngram+lstm"]
    assert report["ladder"]["failures"] == []
    assert (in_folder / "runs/tour/ladder/report.html").is_file()
    assert "<canvas" in (in_folder / report["explanation"]).read_text(encoding="utf-8")
    assert report["sample"]
    config = read_config(in_folder / "runs/tour")
    assert config.command == f"malmoi demo --text {corpus} --budget 10s --out runs/tour --json"
    demo.remove_earlier_tour(in_folder / "runs/tour")
    assert not (in_folder / "runs/tour").exists()


def test_what_is_not_a_demos_run_is_never_removed(char_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("work of years")
    for folder in (char_run, tmp_path / "mine", tmp_path / "missing"):
        demo.remove_earlier_tour(folder)
    assert (char_run / "config.json").is_file()
    assert (tmp_path / "mine" / "thesis.txt").is_file()
