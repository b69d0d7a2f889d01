import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import LINES, Malmoi

import malmoi as package


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_next_prints_what_python_returns(malmoi: Malmoi, word_run: Path) -> None:
    code, out, err = malmoi("next", word_run, "the cat", "-k", "3")
    want = package.load(word_run).next("the cat", 3)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["word\tprobability", *(f"{row.text}\t{row.probability:.6f}" for row in want)]


def test_next_tokens_as_json(malmoi: Malmoi, char_run: Path) -> None:
    code, out, err = malmoi("next", char_run, "고양", "--tokens", "-k", "4", "--json")
    want = package.load(char_run).next("고양", 4, whole_words=False)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert json.loads(out) == {"run": str(char_run), "context": "고양", "next": [row._asdict() for row in want]}


def test_a_run_is_found_by_its_name_under_runs(
    malmoi: Malmoi, char_run: Path, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_folder / "runs").symlink_to(char_run.parent)
    assert json.loads(malmoi("next", char_run.name, "a", "--json").out)["run"] == f"runs/{char_run.name}"


def test_a_context_may_begin_with_a_hyphen(malmoi: Malmoi, char_run: Path) -> None:
    assert json.loads(malmoi("next", char_run, "- the cat", "--json").out)["context"] == "- the cat"
    assert json.loads(malmoi("next", char_run, "--json", "--", "-the").out)["context"] == "-the"


@pytest.mark.parametrize("verb", ["next", "generate", "complete", "info"])
def test_a_missing_run_is_one_message(malmoi: Malmoi, in_folder: Path, verb: str) -> None:
    code, out, err = malmoi(verb, "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith(("There is no run at 'nowhere'. Expected a folder", "There is no 'nowhere', neither a file"))


def test_unknown_words_are_told(malmoi: Malmoi, word_run: Path) -> None:
    assert (
        malmoi("next", word_run, "the zebra").err == "1 word is not in the vocabulary; the model reads it as <unk>.\n"
    )
    told = malmoi("generate", word_run, "--prompt", "a zebra, 얼룩말", "--max-tokens", "1").err
    assert told == "2 words are not in the vocabulary; the model reads them as <unk>.\n"


@pytest.fixture(scope="module")
def control_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose words hold characters that a terminal acts upon, each as likely as any."""
    folder = tmp_path_factory.mktemp("controls")
    (folder / "text.txt").write_text("\x1b[31m \x03 \x9b2J a\x19b\n" * 99, encoding="utf-8")
    return package.train("ngram", folder / "text.txt", out=folder / "run", tokenizer="word", prune="0").folder


def test_no_verb_shows_a_raw_control_character(
    malmoi: Malmoi, control_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\\x1b[31m" in malmoi("next", control_run).out.split()
    assert "a\\x19b" in malmoi("explain", control_run, "\x1b[31m \x03 \x9b2J a\x19b").out
    assert "\\x03" in malmoi("info", control_run.parent / "text.txt").out
    piped(monkeypatch, b"a")
    assert malmoi("complete", control_run).out == "a\\x19b\n"
    for verb in (("next",), ("explain", "\x03 a\x19b"), ("info",)):
        out = malmoi(verb[0], control_run, *verb[1:]).out
        assert not set(out) & {chr(point) for point in range(32)} - {"\n", "\t"}


def test_json_and_text_for_a_program_are_exact(
    malmoi: Malmoi, control_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = malmoi("next", control_run, "--json")
    assert code == 0
    assert "\x1b[31m" in {row["text"] for row in json.loads(out)["next"]}
    options = ("--prompt", "\x1b[31m", "--max-tokens", "3", "--temperature", "0")
    assert malmoi("generate", control_run, *options).out == "\x1b[31m \x03 \x9b2J a\x19b\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert malmoi("generate", control_run, *options).out == "\\x1b[31m \\x03 \\x9b2J a\\x19b\n"


def test_one_answer_waits_for_nothing_that_it_does_not_need(word_run: Path) -> None:
    heavy = {"torch", "scipy", "numba", "jaxtyping", "tokenizers", "sentencepiece", "kiwipiepy", "rich"}
    program = f"""
import sys
from malmoi.cli import main
code = main(["next", {str(word_run)!r}, "the"])
print(sorted(set(sys.modules) & {heavy!r}), file=sys.stderr)
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize(("verb", "collects"), [("next", False), ("info", True)])
def test_a_process_with_one_answer_collects_no_garbage(word_run: Path, verb: str, collects: bool) -> None:
    program = """
import atexit, gc, sys
from malmoi.cli import main
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() == 0, file=sys.stderr))
sys.exit(main())
"""
    command = [sys.executable, "-c", program, verb, str(word_run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, f"{collects} {collects}\n")


def test_generate_streams_prompt_and_text(malmoi: Malmoi, char_run: Path) -> None:
    options = ("--prompt", "the ", "--max-tokens", "30", "--temperature", "0.7", "--top-k", "20", "--seed", "5")
    code, out, err = malmoi("generate", char_run, *options)
    want = package.load(char_run).generate("the ", max_tokens=30, temperature=0.7, top_k=20, seed=5)
    assert (code, out, err) == (0, f"the {want[0]}\n", "")


def test_generate_several_samples(malmoi: Malmoi, char_run: Path) -> None:
    code, out, _ = malmoi("generate", char_run, "-n", "2", "--max-tokens", "9", "--top-p", "0.9", "--min-p", "0.01")
    want = package.load(char_run).generate(n=2, max_tokens=9, top_p=0.9, min_p=0.01)
    assert (code, out) == (0, f"--- 1 ---\n{want[0]}\n\n--- 2 ---\n{want[1]}\n")


def test_generate_as_json_stops_where_it_is_told(malmoi: Malmoi, char_run: Path) -> None:
    options = ("--stop", r"\n", "--stop", "t", "-n", "4", "--max-tokens", "40", "--repetition-penalty", "1.1", "--json")
    code, out, _ = malmoi("generate", char_run, *options)
    answer = json.loads(out)
    assert (code, answer["prompt"], answer["seed"], len(answer["texts"])) == (0, "", 0, 4)
    assert not {"\n", "t"} & set("".join(answer["texts"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--temperature", "-1"], "temperature=-1.0 cannot be used. A number of at least 0 was expected"),
        (["--top-k", "0"], "top_k=0 would leave no token to choose from"),
        (["--max-tokens", "0"], "max_tokens=0 would generate nothing"),
        (["-n", "0"], "n=0 samples cannot be made at once"),
    ],
)
def test_generate_refuses_before_it_prints(malmoi: Malmoi, char_run: Path, words: list[str], message: str) -> None:
    code, out, err = malmoi("generate", char_run, "--prompt", "the", *words)
    assert (code, out) == (2, "")
    assert err.startswith(message)


def test_complete_answers_each_piped_line_with_one(
    malmoi: Malmoi, char_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["the ca", "", "고양ㅇ", "\ufffd\ufffdq"]
    piped(monkeypatch, "the ca\r\n\n고양ㅇ\n".encode() + b"\xff\xffq")
    code, out, _ = malmoi("complete", char_run, "-k", "2")
    run = package.load(char_run)
    assert code == 0
    assert out.splitlines() == ["\t".join(row.completion for row in run.complete(line, 2)) for line in lines]


def test_complete_as_json_is_one_object(malmoi: Malmoi, char_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"the ca\na d\n")
    code, out, _ = malmoi("complete", char_run, "-k", "3", "--json")
    answer = json.loads(out)
    assert code == 0
    assert [line["text"] for line in answer["lines"]] == ["the ca", "a d"]
    first = answer["lines"][0]["completions"]
    assert len(first) == 3
    assert first[0].keys() == {"text", "completion", "log_prob"}
    assert first[0]["text"] == f"the {first[0]['completion']}"


def test_complete_asks_a_person_until_an_empty_line(
    malmoi: Malmoi, word_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["the c", "zzz", ""])
    monkeypatch.setattr("builtins.input", lambda asks: next(typed))
    stdin = io.StringIO()
    stdin.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", stdin)
    code, out, err = malmoi("complete", word_run)
    (found,) = package.load(word_run).complete("the c")
    assert code == 0
    assert out == f"  {np.exp(found.log_prob):8.2g}  cat\n"
    assert err.splitlines() == [
        "Type the beginning of a text and press Enter. An empty line or Ctrl-D ends.",
        "  (nothing in this vocabulary begins like that)",
    ]


def test_complete_ends_at_ctrl_d(malmoi: Malmoi, word_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(asks: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    stdin = io.StringIO()
    stdin.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", stdin)
    assert malmoi("complete", word_run)[:2] == (0, "\n")


def test_the_sample_lines_are_known_to_the_word_run(word_run: Path) -> None:
    assert not sum(map(package.load(word_run).tokenizer.count_unknown, LINES))
