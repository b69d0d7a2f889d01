import errno
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Malmoi

import malmoi as package
from malmoi import cli
from malmoi.cli import vectors
from malmoi.errors import DataError

VERBS = [verb for verb, *_ in cli.VERBS]


def modules_after(*words: str) -> set[str]:
    """Names of the packages that one command has imported."""
    script = (
        "import sys; from malmoi.cli import main; main(sys.argv[1:]);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert "Usage: malmoi" in done.stdout
    return set(done.stderr.split())


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    assert not modules_after("--help") & {"torch", "numba", "numpy", "scipy", "tokenizers", "pydantic", "pyarrow"}


def test_help_on_a_rung_imports_no_tensor_library() -> None:
    assert not modules_after("train", "lstm", "--help") & {"torch", "numba", "numpy", "tokenizers"}


def test_help_shows_verbs_in_the_order_of_use(malmoi: Malmoi) -> None:
    code, out, _ = malmoi("--help")
    places = [out.index(f" {verb} ") for verb in VERBS]
    assert code == 0
    assert places == sorted(places)


COMMANDS = [*((verb,) for verb in VERBS if verb != "vectors"), *(("vectors", name) for name, *_ in vectors.COMMANDS)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_verb_explains_itself_and_offers_json(malmoi: Malmoi, words: tuple[str, ...]) -> None:
    verb = " ".join(words)
    code, out, err = malmoi(*words, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: malmoi {verb}" in out
    assert "--json" in out


def test_version_through_python_m() -> None:
    done = subprocess.run([sys.executable, "-m", "malmoi", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], r'Unknown command "trian". Did you mean "train"?'),
        (
            ["eval", "a", "b", "--stream", "4"],
            "Unknown option: --stream. Did you mean --streams? See: malmoi eval --help",
        ),
        (["next", "a", "b", "-k", "ten"], 'Invalid value for -k: unable to convert "ten" into int.'),
        (["next"], 'Command "next" parameter RUN requires an argument. See: malmoi next --help'),
        (["generate", "a", "b"], "Too many words: b. See: malmoi generate --help"),
        (["train", "lstm", "a", "--bugdet", "9m"], "Unknown option: --bugdet. Did you mean --budget?"),
        (["train", "lstm", "a", "--tokenizer", "wrod"], 'Did you mean "word"? See: malmoi train lstm --help'),
        (["score", "a", "-", "--xyzzy"], "Unknown option: --xyzzy. See: malmoi score --help"),
    ],
)
def test_wrong_usage_is_one_message_and_exit_code_2(malmoi: Malmoi, words: list[str], message: str) -> None:
    code, out, err = malmoi(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert "\0" not in err


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(words: list[str], started: float) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", run)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("There is no x.txt. Expected a file."), 2, "There is no x.txt. Expected a file.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (
            MemoryError(),
            2,
            "Memory ran out (MemoryError). Close other programs; in training, use a smaller --batch-size",
        ),
        (RuntimeError("CUDA out of memory. Tried"), 2, "Memory ran out (CUDA out of memory. Tried). Close"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
            2,
            "The disk is full while writing /tmp/x (No space left on device). Free some space, or set TMPDIR",
        ),
    ],
)
def test_what_stops_a_command_is_one_message(
    malmoi: Malmoi, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    raising(monkeypatch, error)
    answer = malmoi("doctor")
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(message)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), PermissionError(errno.EACCES, "Permission denied")])
def test_a_bug_keeps_its_traceback(malmoi: Malmoi, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    raising(monkeypatch, error)
    with pytest.raises(type(error)):
        malmoi("doctor")


def test_a_closed_pipe_ends_a_command_without_a_word(char_run: Path) -> None:
    command = [sys.executable, "-m", "malmoi", "generate", str(char_run), "--max-tokens", "3000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(2)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_message_that_repeats_what_was_typed_writes_no_control_character(malmoi: Malmoi) -> None:
    code, _, err = malmoi("info", "a\x1b[31mb.txt")
    assert code == 2
    assert "\x1b" not in err
    code, _, err = malmoi("train", "ngram", "a\x1b[31mb.txt")
    assert code == 2
    assert "\\x1b[31mb.txt" in err
    assert "\x1b" not in err
