"""The command line: each verb calls one public function of malmoi and shows what it returns.

Results go to standard output; progress, notes and errors to standard error. A wrong input is one message and exit code
2, Ctrl-C is exit code 130. Verbs live in the modules beside this one and are imported when they are called, so that
`malmoi --help` answers at once.
"""

import atexit
import errno
import gc
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from malmoi.background import AHEAD
from malmoi.errors import MalmoiError

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

# "-" is standard input, and "- a list item" is a text, though cyclopts takes both for flags; no argument can hold NUL
LOOKS_LIKE_A_FLAG, SHIELD = re.compile(r"-|-(?![\w.-]+=)\S*\s.*", re.DOTALL), "\0"
OK, WRONG_INPUT, INTERRUPTED, CLOSED_PIPE = 0, 2, 130, 141

VERBS = (  # in the order in which a new user needs them: verb, where it lives, what it does, its usage
    ("demo", "demo:demo", "The tour in two minutes: train, compare, predict, generate.", "[OPTIONS]"),
    ("train", "train:app", "Train a model on a text; a time budget plans everything.", ""),
    (
        "eval",
        "measure:evaluate",
        "Perplexity and bits per byte; several runs side by side.",
        "RUN... TEXT [OPTIONS]",
    ),
    (
        "compare",
        "compare:compare",
        "Train rungs under one budget and set them side by side in a report.",
        "TEXT --rungs A,B,C [OPTIONS]",
    ),
    ("ladder", "compare:ladder", "What each idea buys on a text, in bits.", "TEXT [OPTIONS]"),
    ("next", "use:next_words", "The likeliest next words after a context.", 'RUN "CONTEXT" [OPTIONS]'),
    ("generate", "use:generate", "Text that the model makes up.", "RUN [OPTIONS]"),
    (
        "complete",
        "use:complete",
        "Finish half-typed words, as you type or from a pipe.",
        "RUN [OPTIONS]",
    ),
    ("explain", "explain:explain", "Why a token got its probability, number by number.", 'RUN "TEXT" [OPTIONS]'),
    ("vectors", "vectors:app", "Word vectors at work: neighbours, analogies, evaluation, a map.", ""),
    ("thesaurus", "thesaurus:thesaurus", "What WordNet knows of a word, beside its vectors.", "WORD [WORD] [OPTIONS]"),
    ("score", "measure:score", "One log-probability a line; --rescore orders n-best lists.", "RUN FILE [OPTIONS]"),
    (
        "export",
        "files:export",
        "A run as a file of other programs: ARPA, vectors.",
        "RUN --to FORM --out FILE [OPTIONS]",
    ),
    ("import", "files:import_file", "A run out of such a file.", "FILE --out RUN [OPTIONS]"),
    ("info", "describe:info", "What a run or a text is.", "RUN|TEXT [OPTIONS]"),
    ("doctor", "describe:doctor", "What this machine and this installation can do.", "[OPTIONS]"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    Args:
        argv: The words after `malmoi`; those of this process if left out.
    """
    started = time.monotonic()
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None and words[:1] == ["next"]:
        _collect_no_garbage()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # text that the terminal cannot show must not end a command
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    code = _code(words, started)
    if argv is None and any(thread.name == AHEAD and thread.is_alive() for thread in threading.enumerate()):
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # seconds of imports that nobody needs any more cannot be stopped otherwise
    return code


def _code(words: list[str], started: float) -> int:
    """Run one command; the exit code, whatever happens."""
    try:
        code = _run(words, started)
        sys.stdout.flush()
        return code
    except MalmoiError as error:
        return _refuse(str(error))
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "Stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # as in `malmoi generate RUN | head`
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return CLOSED_PIPE
    except (MemoryError, RuntimeError, OSError) as error:
        if (message := _exhausted(error)) is None:
            raise
        return _refuse(message)


def _collect_no_garbage() -> None:
    """For a process that ends with one answer: what it imports is no garbage, and all memory goes with it."""
    gc.disable()
    atexit.register(gc.freeze)  # the interpreter would look through every object once more as it ends


def _run(words: list[str], started: float) -> int:
    from cyclopts import CycloptsError

    app = build_app()
    try:
        shielded = [f"{SHIELD}{word}" if LOOKS_LIKE_A_FLAG.fullmatch(word) else word for word in _train_words(words)]
        command, bound, ignored = app.parse_args(shielded, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _refuse(_usage_message(error))
    about: dict[str, Any] = {"started": started, "command": shlex.join(["malmoi", *words])}
    command(*_bared(bound.args), **_bared(bound.kwargs), **{name: about[name] for name in ignored})
    return OK


def _bared(value: Any) -> Any:
    """What the user typed, without shields."""
    if isinstance(value, str):
        return value.removeprefix(SHIELD)
    if isinstance(value, dict):
        return {name: _bared(item) for name, item in value.items()}
    return type(value)(map(_bared, value)) if isinstance(value, (list, tuple)) else value


def build_app() -> "App":
    """All verbs; none of their modules is imported yet."""
    from cyclopts import App

    from malmoi._version import __version__

    app = App(
        name="malmoi",
        help="Your own text, turned into a language model that you understand, own and can ship.",
        help_epilogue="First time here? malmoi demo        Help on a verb: malmoi VERB --help",
        usage="Usage: malmoi VERB [OPTIONS]",
        version=__version__,
        version_format="plaintext",
        help_format="plaintext",
    )
    for place, (verb, home, summary, usage) in enumerate(VERBS):
        options: dict[str, Any] = {"usage": f"Usage: malmoi {verb} {usage}", "help_epilogue": ""} if usage else {}
        app.command(f"malmoi.cli.{home}", name=verb, help=summary, sort_key=place, **options)
    return app


def _train_words(words: list[str]) -> list[str]:
    """The rung decides the options: `train --budget 10m lstm TEXT` becomes `train lstm --budget 10m TEXT`."""
    if words[:1] != ["train"]:
        return words
    from malmoi.cli.train import rung_first

    return ["train", *rung_first(words[1:])]


def _usage_message(error: "CycloptsError") -> str:
    from cyclopts import UnusedCliTokensError

    error.verbose = False
    told = str(error)
    if isinstance(error, UnusedCliTokensError):
        told = f"Too many words: {' '.join(error.unused_tokens or ())}."
    verb = [word for word in error.command_chain or () if word != "malmoi"]
    return f"{told} See: {' '.join(['malmoi', *verb, '--help'])}".replace(SHIELD, "")


def _refuse(message: str) -> int:
    from malmoi.text.printable import printable_text

    with suppress(BrokenPipeError):
        print(printable_text(message), file=sys.stderr)  # it may repeat what was typed, or what a file holds
    return WRONG_INPUT


def _exhausted(error: BaseException) -> str | None:
    """One message if memory or the disk ran out; None for any other error, which is a bug and keeps its traceback."""
    if isinstance(error, OSError):
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return None
        where = f" while writing {error.filename}" if error.filename else ""
        advice = "Free some space, or set TMPDIR and MALMOI_CACHE to another disk."
        return f"The disk is full{where} ({error.strerror}). {advice}"
    told = str(error)
    if isinstance(error, MemoryError) or "out of memory" in told.lower() or "allocate memory" in told:
        return (
            f"Memory ran out ({(told or type(error).__name__).splitlines()[0]}). Close other programs; in training, "
            "use a smaller --batch-size, --hidden-size or --vocab-size. `malmoi doctor` tells what is free."
        )
    return None
