r"""ARPA files: n-gram models as text, which KenLM, SRILM and most speech recognisers read and write.

    \data\
    ngram 1=5                            how many n-grams of each length there are
    ngram 2=4

    \1-grams:
    -99       <s>       -0.301           log10 P <tab> the n-gram <tab> log10 of its back-off weight
    -0.699    </s>      0
    ...
    \end\

`<s>` and `</s>` begin and end a sentence, `<unk>` (or `<UNK>`) is the unknown word, -99 stands for log 0, and a missing
back-off weight is 1. Tabs or spaces stand between the fields, and anything may stand before `\data\`.

No word of such a file can hold white space. Where a vocabulary has a token that does, `write_arpa` escapes: %XX is a byte of
UTF-8, and U+2581 a space if no token has that character itself. A comment at the head of the file says so, and `read_arpa`
undoes it. Files without that comment are taken literally.

Source: Doug Paul's format as SRILM documents it (ngram-format(5)), and what KenLM (Heafield 2011) accepts.
"""

import gzip
import os
import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.files import atomic_file, packed
from malmoi.interop import arpa_loops as loops
from malmoi.models.ngram.tables import LARGEST_ORDER, MOST_NODES, Level, NGramTables, tables_from_levels
from malmoi.text.inputs import explained
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.vocabulary import SpecialIds, word_vocabulary

Progress = Callable[[int, int], None]  # told (how much is done, of how much)

BLOCK = 1 << 22  # bytes read at a time
ROWS = 1 << 17  # n-grams read or written at a time
LONGEST_LINE = 1 << 20  # bytes
MOST_OTHER_LINES = 10_000  # in the header, or before it
GZIP = b"\x1f\x8b"
LARGEST_EXPANSION = 1032  # of what gzip has packed
OTHER_FILES = {
    b"mmap lm http://kheafield.com/code": "is a binary model of KenLM; use the ARPA file that it was built from",
    b"SRILM_BINARY_NGRAM": "is a binary model of SRILM; write it as text: ngram -lm FILE -write-lm FILE.arpa",
    b"\xfd7zXZ": "is packed with xz; unpack it first: unxz FILE",
    b"BZh": "is packed with bzip2; unpack it first: bunzip2 FILE",
    b"\x28\xb5\x2f\xfd": "is packed with zstd; unpack it first: unzstd FILE",
    b"PK\x03\x04": "is a zip archive; unpack it first: unzip FILE",
}

ESCAPES = "# malmoi: in words %XX is a byte of UTF-8"
ESCAPES_AND_SPACES = f"{ESCAPES} and U+2581 a space"
SPACE_SIGN = "\u2581"
UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
RESERVED = {UNKNOWN, BEGIN, END, "<UNK>"}
DATA = b"\\data\\"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEEDS_ESCAPE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
_TO_ESCAPE = re.compile(rf"%(?=[0-9A-F]{{2}})|{_NEEDS_ESCAPE.pattern}")
_ESCAPED = re.compile(r"(?:%[0-9A-F]{2})+")
_STAYS_ESCAPED = re.compile("(?:<|%(?:25)*3C)(?:/?s|unk|UNK)>")  # so that no token takes the name of a special one
_COUNT = re.compile(rb"ngram\s+(\d{1,9})\s*=\s*(\d{1,18})")


@dataclass(frozen=True)
class ArpaModel:
    """What an ARPA file says."""

    words: list[str]  # the 1-grams in the order of the file, <s>, </s> and <unk> among them
    levels: list[Level]  # levels[n - 1]: n-grams of length n in the order of the file; their ids index `words`


class Vocabulary(NamedTuple):
    """The words of a file, so that compiled loops find them; see `arpa_loops`."""

    letters: NDArray[np.uint8]
    starts: NDArray[np.int64]
    seed: np.uint64
    codes: NDArray[np.uint64]
    slots: NDArray[np.int32]

    @classmethod
    def empty(cls) -> "Vocabulary":
        nothing = np.zeros(0, np.uint8)
        return cls(nothing, np.zeros(1, np.int64), np.uint64(0), nothing.astype(np.uint64), nothing.astype(np.int32))


class Section(NamedTuple):
    """The n-grams of one length as they were read."""

    level: Level
    lines: NDArray[np.int64]  # where each of them stands
    letters: NDArray[np.uint8]  # of single words: see `arpa_loops`


# Reading


def read_arpa(path: str | Path, progress: Progress | None = None) -> ArpaModel:
    """Read an ARPA file, plain or packed with gzip.

    Every n-gram is there once, its words are 1-grams, its log probability is at most 0 and its weight is finite. log 0 is
    -inf, and so is what stands beside <s>, which is never predicted.

    Args:
        progress: Told how many bytes of the file have been read, and how many there are.

    Raises:
        DataError: If the file is missing, damaged, or no ARPA file; with the number of the line where that shows.
    """
    path = Path(path)
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"There is no {path}"
        raise DataError(f"{what}. Expected an ARPA file, plain or packed with gzip. Check the name.")
    with explained(str(path)), open(path, "rb") as raw:
        file = _File(path, raw, progress)
        counts, is_escaped, has_spaces = _read_header(file)
        vocabulary = Vocabulary.empty()
        levels, words = list[Level](), list[str]()
        for n, count in enumerate(counts, start=1):
            section = _read_section(file, n, counts, vocabulary)
            if n == 1:
                vocabulary = _index(file, section)
                words = _decoded(file, section, vocabulary)
            elif count:
                _refuse_repeated(file, section, words)
            levels.append(section.level)
        _check_end(file)
    while len(levels) > 1 and not len(levels[-1].ids) and not levels[-2].backoffs.any():
        del levels[-1]
    if is_escaped:
        words = [_unescaped(file, word, has_spaces) for word in words]
    if BEGIN in words:
        levels[0].log_probs[words.index(BEGIN)] = -np.inf
    return ArpaModel(words, levels)


class _File:
    """A file of lines, read in blocks, and how far it was read."""

    def __init__(self, path: Path, raw: BinaryIO, progress: Progress | None) -> None:
        self.path, self.size = path, os.fstat(raw.fileno()).st_size
        self.data = np.frombuffer(b"\n", np.uint8)  # whole lines
        self.at, self.line = 1, 1  # where the next line begins, and its number
        self._raw, self._progress = raw, progress
        self._text, self._rest = b"\n", b""
        self._n_single = 0  # lines that were read one by one
        head = raw.read(64)
        raw.seek(0)
        self.most_bytes = self.size  # that it can hold, unpacked
        self._stream = raw
        if head.startswith(GZIP):
            self.most_bytes *= LARGEST_EXPANSION
            self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        for magic, what in OTHER_FILES.items():
            if head.startswith(magic):
                raise DataError(f"{path} {what}. Expected an ARPA file, plain or packed with gzip.")

    def refuse(self, problem: str, line: int | None = None) -> NoReturn:
        raise DataError(f"{self.path}{'' if line is None else f':{line}'}: {problem}.")

    def load(self) -> bool:
        """The next block of lines in place of the last one; False at the end of the file."""
        block = self._stream.read(BLOCK)
        if self._progress is not None:
            self._progress(self._raw.tell(), self.size)
        text = self._rest + block
        cut = text.rfind(b"\n") + 1 if block else len(text)
        self._text, self._rest = text[:cut], text[cut:]
        if len(self._rest) > LONGEST_LINE:
            self.refuse(
                f"a line of more than {LONGEST_LINE:,} bytes. Expected one n-gram a line, and lines that end with a line feed. "
                "This is no ARPA file, or it is damaged: make it again",
                self.line + self._text.count(b"\n"),
            )
        if self._text and not self._text.endswith(b"\n"):
            self._text += b"\n"
        self.data, self.at = np.frombuffer(self._text or b"\n", np.uint8), 0 if self._text else 1
        return bool(block or self._text)

    def next_line(self) -> bytes | None:
        """The next line, stripped, or None at the end of the file. For the few lines that are no n-grams."""
        while self.at == len(self.data):
            if not self.load():
                return None
        end = self._text.index(b"\n", self.at)
        line = self._text[self.at : end].strip()
        self._n_single += 1
        if self._n_single > MOST_OTHER_LINES:
            self.refuse(
                rf"more than {MOST_OTHER_LINES:,} lines that are no n-grams. Expected \data\ and a short header. {_WANTED}",
                self.line,
            )
        self.at, self.line = end + 1, self.line + 1
        return line

    def field(self, begin: int) -> str:
        """What stands between white space at a place of the block, for messages."""
        fields = self._text[begin : begin + 200].split(b"\n")[0].split()
        return _shown(fields[0]) if fields else "the end of the line"


def _shown(text: bytes) -> str:
    return repr(text[:60].decode(errors="backslashreplace"))


def _read_header(file: _File) -> tuple[list[int], bool, bool]:
    """(how many n-grams there are of each length, whether words are escaped, whether U+2581 is a space)."""
    comments = set[bytes]()
    while (line := file.next_line()) is None or line.removeprefix(BYTE_ORDER_MARK) != DATA:
        if line is None:
            file.refuse(rf"no line says \data\. Expected an ARPA file, which has one. {_WANTED}")
        if b"\0" in line:
            file.refuse(
                "a NUL byte. Expected an ARPA file, which is text. Give the text form of the model", file.line - 1
            )
        if line.startswith(b"#"):
            comments.add(line)
    counts = list[int]()
    while True:
        line = file.next_line()
        if line is None:
            file.refuse(rf"it ends within the header. Expected a count for each length, then \1-grams:. {_CUT_OFF}")
        if not line:
            continue
        if line.startswith(b"\\"):
            break
        match = _COUNT.fullmatch(line)
        if match is None or int(match[1]) != len(counts) + 1:
            file.refuse(
                f"found {_shown(line)} in the header. Expected 'ngram {len(counts) + 1}=' and a count, or \\1-grams:. Correct "
                "this line",
                file.line - 1,
            )
        if len(counts) == LARGEST_ORDER:
            file.refuse(
                f"n-grams of length {LARGEST_ORDER + 1}. Expected at most {LARGEST_ORDER}, which is what malmoi reads. Make a "
                "model of a lower order",
                file.line - 1,
            )
        counts.append(int(match[2]))
    if not counts or not counts[0]:
        file.refuse("the header promises no 1-grams. Expected at least one word. Make the file again")
    least = sum(count * (2 * n + 2) for n, count in enumerate(counts, start=1))  # a digit, a letter for each word, gaps
    if least > file.most_bytes or sum(counts) > MOST_NODES:
        file.refuse(
            f"the header promises {sum(counts):,} n-grams, which take at least {least:,} bytes, and the file has {file.size:,}"
            f"{' (packed)' if file.most_bytes > file.size else ''}. Expected counts that fit. {_CUT_OFF}"
        )
    _check_section(file, line, 1, len(counts))
    is_escaped = not comments.isdisjoint({ESCAPES.encode(), ESCAPES_AND_SPACES.encode()})
    return counts, is_escaped, ESCAPES_AND_SPACES.encode() in comments


_WANTED = "Give the file that an n-gram toolkit wrote as text, as `lmplz --arpa` or `ngram-count -lm`"
_CUT_OFF = "The file was cut off or changed by hand: fetch or make it again"


def _check_section(file: _File, line: bytes, n: int, order: int) -> None:
    r"""Refuse a line that does not begin the section of n-grams, or `\end\`, where n is above the order."""
    expected = f"\\{n}-grams:" if n <= order else "\\end\\"
    if line != expected.encode():
        file.refuse(f"found {_shown(line)}. Expected {expected} there. Correct this line, or the header", file.line - 1)


def _check_end(file: _File) -> None:
    """Read what is left of the file, which must be blank; a packed file proves whole by that."""
    nothing = Vocabulary.empty()
    ids, spans, numbers, lines = (
        np.empty((0, 1), np.uint32),
        np.empty((0, 2), np.int64),
        np.empty(0, np.float32),
        np.empty(0, np.int64),
    )
    while True:
        why, file.at, file.line, _, place = loops.read_lines(
            file.data, file.at, file.line, True, *nothing, ids, spans, numbers, numbers, lines
        )
        if why != loops.END:
            file.refuse(
                rf"found {file.field(place)} after \end\. Expected nothing there. If two models were joined, take them apart; "
                "otherwise remove it",
                file.line,
            )
        if not file.load():
            return


def _read_section(file: _File, n: int, counts: Sequence[int], vocabulary: Vocabulary) -> Section:
    """All n-grams of length n, and the line that begins what comes after them."""
    count, is_highest = counts[n - 1], n == len(counts)
    parts: list[tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]] = []
    letters = [np.zeros(0, np.uint8)]
    n_read = 0
    while True:
        room = min(count - n_read, ROWS)
        ids, lines = np.zeros((room, n), np.uint32), np.empty(room, np.int64)
        log_probs, backoffs = np.empty(room, np.float32), np.empty(room, np.float32)
        spans = np.empty((room if n == 1 else 0, 2), np.int64)
        why, file.at, file.line, m, place = loops.read_lines(
            file.data, file.at, file.line, is_highest, *vocabulary, ids, spans, log_probs, backoffs, lines
        )
        parts.append((ids[:m].copy(), log_probs[:m].copy(), backoffs[:m].copy(), lines[:m].copy()))
        if n == 1:
            letters.append(np.empty(int((spans[:m, 1] - spans[:m, 0] + 1).sum()), np.uint8))
            loops.gather(file.data, spans[:m], letters[-1])
        n_read += m
        if why == loops.END:
            if not file.load():
                file.refuse(
                    f"it ends after {n_read:,} of {count:,} {n}-grams, without \\end\\. Expected all that the header promises. "
                    f"{_CUT_OFF}",
                    file.line - 1,
                )
        elif why == loops.FULL and n_read == count:
            file.refuse(f"more {n}-grams than the {count:,} that the header promises. {_COUNTS_DIFFER}", file.line)
        elif why == loops.SECTION:
            break
        elif why != loops.FULL:
            file.refuse(_problem(why, file.field(place), n, is_highest), file.line)
    if n_read < count:
        file.refuse(
            f"only {n_read:,} {n}-grams before this line, and the header promises {count:,}. {_COUNTS_DIFFER}",
            file.line,
        )
    line = file.next_line()
    assert line is not None
    _check_section(file, line, n + 1, len(counts))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    ids, log_probs, backoffs, lines = columns
    if n == 1:
        ids = np.arange(count, dtype=np.uint32)[:, None]
    return Section(Level(ids, log_probs, backoffs), lines, np.concatenate(letters))


_COUNTS_DIFFER = "Expected as many n-grams as the header says. Correct the header, or fetch or make the file again"


def _problem(why: int, field: str, n: int, is_highest: bool) -> str:
    """What is wrong with a line, from what `read_lines` says and the field where it stumbled."""
    backoff = "" if is_highest else " <tab> log10 back-off weight"
    form = f"Expected: log10 probability <tab> {n} word{'s' * (n > 1)}{backoff}. Correct this line"
    return {
        loops.NOT_A_NUMBER: f"found {field} where a log probability should stand. {form}",
        loops.NAN: f"the log probability is {field}. Expected a number of 0 or less. Make the model again",
        loops.POSITIVE: (
            f"the log probability {field} is above 0. Expected 0 or less, as no probability is above 1. Make the model again"
        ),
        loops.FEW_WORDS: f"fewer than {n} word{'s' * (n > 1)} for a {n}-gram. {form}",
        loops.MANY_FIELDS: f"{field} is left over after {n} word{'s' * (n > 1)} of a {n}-gram. {form}",
        loops.NOT_A_BACKOFF: f"found {field} where a back-off weight or the end of the line should stand. {form}",
        loops.TOP_BACKOFF: (
            f"a back-off weight, {field}, for an n-gram of the highest order. Expected none, as nothing backs off from it. "
            "Remove it, or correct the header"
        ),
        loops.NUL: "a NUL byte. Expected text. The file is damaged: fetch or make it again",
        loops.UNKNOWN_WORD: f"the word {field} is none of the 1-grams. {form}, with words that are 1-grams",
    }[why]


def _index(file: _File, section: Section) -> Vocabulary:
    """The words of a file, each once."""
    ends = np.flatnonzero(section.letters == ord("\n"))
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    slots = np.full(1 << (2 * len(ends)).bit_length(), -1, np.int32)
    codes = np.zeros(len(ends), np.uint64)
    seed = np.uint64(secrets.randbits(64))
    repeated = loops.index_words(section.letters, starts, seed, codes, slots)
    if repeated >= 0:
        word = section.letters[starts[repeated] : starts[repeated + 1] - 1].tobytes()
        file.refuse(f"the word {_shown(word)} was there before. {_ONCE}", int(section.lines[repeated]))
    return Vocabulary(section.letters, starts, seed, codes, slots)


_ONCE = "Expected every n-gram once. Remove one of the two lines, or make the file again"


def _decoded(file: _File, section: Section, vocabulary: Vocabulary) -> list[str]:
    try:
        return section.letters.tobytes().decode().split("\n")[:-1]
    except UnicodeDecodeError as error:
        word = int(np.searchsorted(vocabulary.starts, error.start, side="right")) - 1
        found = section.letters[vocabulary.starts[word] : vocabulary.starts[word + 1] - 1].tobytes()
        file.refuse(
            f"the word {_shown(found)} is not UTF-8. Expected UTF-8 throughout. Convert the file first, for example: "
            "iconv -f cp949 -t utf-8",
            int(section.lines[word]),
        )


def _refuse_repeated(file: _File, section: Section, words: Sequence[str]) -> None:
    ids = section.level.ids
    order = loops.sorting_order(ids, len(words))
    place = loops.first_repeated(ids, order)
    if place >= 0:
        first, second = order[place - 1], order[place]
        file.refuse(
            f"the n-gram {' '.join(words[i] for i in ids[second])!r} was there before, in line {section.lines[first]}. {_ONCE}",
            int(section.lines[second]),
        )


def _unescaped(file: _File, word: str, has_spaces: bool) -> str:
    token = word.replace(SPACE_SIGN, " ") if has_spaces else word
    try:
        token = _ESCAPED.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode(), token)
    except UnicodeDecodeError:
        token = ""
    if word not in RESERVED and _escaped(token, SPACE_SIGN if has_spaces else "%20") != word:
        file.refuse(
            f"the word {word[:60]!r} is not escaped as the comment before \\data\\ says. Expected a file that malmoi wrote. If "
            "words were changed since, remove the comment"
        )
    return word if word in RESERVED or _STAYS_ESCAPED.fullmatch(token) else token


# From a file to a model


def tables_from_arpa(
    model: ArpaModel,
    tokens: Sequence[str] | None = None,
    note: Callable[[str], object] = lambda text: None,
    special_ids: SpecialIds = Tokenizer.special_ids,
) -> tuple[NGramTables, list[str]]:
    """The tables of an n-gram model, and its tokens by their ids.

    <unk>, <s> and </s> become the special tokens of those ids; the other words follow in the order of the file. Pruning may
    leave a file without n-grams that longer ones begin or end with. They are added with the probability that backing off
    gives, so that no answer changes.

    Args:
        model: What was read.
        tokens: The vocabulary of a tokenizer; without it the words of the file make up a new one.
        note: Told what was added or changed.
        special_ids: Those of that tokenizer; by default those of a new one.

    Raises:
        DataError: If the model lacks </s>, or has words that `tokens` lacks.
    """
    if END not in model.words:
        raise DataError(
            "The model has no </s> among its 1-grams. Expected one, since every line ends and its end is predicted. Make the "
            "model from text whose sentences are marked, as lmplz and ngram-count do by themselves."
        )
    vocabulary = _vocabulary(model.words, note) if tokens is None else list(tokens)
    specials = set(special_ids.all)
    ids_of = {
        _escaped(token, "%20") if _STAYS_ESCAPED.fullmatch(token) else token: token_id
        for token_id, token in enumerate(vocabulary)
        if token_id not in specials
    }
    names = {name: token_id for token_id, name in _names_of(special_ids).items()}
    if UNKNOWN not in model.words:
        if "<UNK>" in model.words:
            names["<UNK>"] = special_ids.unk
        else:
            note("the file has no <unk>: words that it does not know have probability 0")
    if BEGIN not in model.words:
        note("the file has no <s>: the first word of a line is predicted without a context")
    if tokens is None:
        others = iter(range(len(specials), len(vocabulary)))
        ids = [names[word] if word in names else next(others) for word in model.words]
    else:
        ids = [names[word] if word in names else ids_of.get(word, -1) for word in model.words]
        unknown = [word for word, token_id in zip(model.words, ids, strict=True) if token_id < 0]
        if unknown:
            raise DataError(
                f"{len(unknown):,} of the {len(ids):,} words of the model are no tokens of the tokenizer, the first is "
                f"{unknown[0][:60]!r}. Expected a model over the tokens of this tokenizer. Choose the tokenizer that split its "
                "training text, or none."
            )
    token_ids = np.array(ids, np.uint32)
    levels = [
        _sorted(Level(token_ids[level.ids], level.log_probs, level.backoffs), len(vocabulary)) for level in model.levels
    ]
    n_added = _complete(levels, len(vocabulary))
    if n_added:
        note(
            "n-grams added because longer ones begin or end with them, with the probability that backing off gives, which "
            f"changes no answer: {n_added:,}"
        )
    return tables_from_levels(levels, len(vocabulary)), vocabulary


def _vocabulary(words: Sequence[str], note: Callable[[str], object]) -> list[str]:
    """The special tokens and the words of a file, as they can stand in a text that was normalised and split at white space."""
    names = RESERVED - {"<UNK>"} if UNKNOWN in words else RESERVED
    known = set(words)
    tokens = word_vocabulary(()).pieces
    specials = set(tokens)
    n_normalised = n_escaped = 0
    for word in words:
        if word in names:
            continue
        token = word
        if word.split() != [word] or word in specials:
            token = _escaped(word, "%20") if word not in specials else f"%3C{word[1:]}"
            n_escaped += 1
        elif not word.isascii() and (nfc := unicodedata.normalize("NFC", word)) not in known:
            token = nfc
            n_normalised += 1
        tokens.append(token)
    if len(set(tokens)) < len(tokens):
        repeated = next(token for token, count in Counter(tokens).items() if count > 1)
        raise DataError(
            f"Two words of the model become {repeated!r} when they are normalised (NFC) or escaped. Expected words that stay "
            "different. Rename one of them in the file."
        )
    if n_normalised:
        note(f"words brought into Unicode normal form NFC, as text is before it is read: {n_normalised:,}")
    if n_escaped:
        note(f"words escaped (%XX), as they hold white space or are named like a special token: {n_escaped:,}")
    return tokens


def _sorted(level: Level, n_words: int) -> Level:
    order = loops.sorting_order(level.ids, n_words)
    return Level(level.ids[order], level.log_probs[order], level.backoffs[order])


def _contexts(rows: NDArray[np.uint32], longer: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Where each of the sorted n-grams `longer`, without its last word, stands among the sorted `rows`, or -1."""
    return loops.locate(rows, np.ascontiguousarray(longer[:, :-1]), np.arange(len(longer)))


def _suffixes(rows: NDArray[np.uint32], longer: NDArray[np.uint32], n_words: int) -> NDArray[np.int64]:
    """Where each of `longer`, without its first word, stands among the sorted `rows`, or -1."""
    wanted = np.ascontiguousarray(longer[:, 1:])
    return loops.locate(rows, wanted, loops.sorting_order(wanted, n_words))


def _complete(levels: list[Level], n_words: int) -> int:
    """Add to the sorted levels each n-gram that is missing though a longer one begins or ends with it; how many there were."""
    added: dict[int, NDArray[np.uint32]] = {}
    for n in range(len(levels), 2, -1):  # every word is a 1-gram
        level, shorter = levels[n - 1], levels[n - 2]
        no_context = _contexts(shorter.ids, level.ids) < 0
        no_suffix = _suffixes(shorter.ids, level.ids, n_words) < 0
        missing = np.concatenate([level.ids[no_context, :-1], level.ids[no_suffix, 1:]])
        if len(missing):
            missing = np.unique(missing, axis=0)
            nothing = np.full(len(missing), np.nan, np.float32)
            merged = Level(
                np.concatenate([shorter.ids, missing]),
                np.concatenate([shorter.log_probs, nothing]),
                np.concatenate([shorter.backoffs, np.zeros_like(nothing)]),
            )
            levels[n - 2], added[n - 1] = _sorted(merged, n_words), missing
    for n, missing in sorted(added.items()):
        shorter = levels[n - 2]
        weights = shorter.backoffs[_contexts(shorter.ids, missing)]
        log_probs = weights + shorter.log_probs[_suffixes(shorter.ids, missing, n_words)]
        is_added = np.isnan(levels[n - 1].log_probs)
        levels[n - 1].log_probs[is_added] = np.minimum(log_probs, 0)  # both are in sorted order
    return sum(map(len, added.values()))


# Writing


def write_arpa(
    path: str | Path,
    tables: NGramTables,
    tokens: Sequence[str],
    progress: Progress | None = None,
    special_ids: SpecialIds = Tokenizer.special_ids,
) -> None:
    """Write a model as an ARPA file, packed with gzip if its name ends in .gz; what stands there is replaced.

    N-grams lie in the order of the tables, with a back-off weight for all but the longest, as KenLM writes them. Numbers have
    as many digits as it takes to read the same float32 back, seven to nine. The padding token is left out.

    Args:
        tables: The n-grams.
        tokens: What each id is called; special ones become <unk>, <s> and </s>.
        progress: Told how many n-grams have been written, and how many there are.
        special_ids: Which ones these are.

    Raises:
        DataError: If `tokens` does not fit the tables, or the tables hold NaN or infinity.
        RunError: If the file cannot be written.
        TrainingError: If the disk is full.
    """
    path = Path(path)
    if len(tokens) != tables.vocab_size or len(set(tokens)) != len(tokens) or "" in tokens:
        raise DataError(
            f"{len(tokens):,} tokens were given as names of {tables.vocab_size:,} ids, {len(set(tokens) - {''}):,} of them "
            "different and not empty. Expected one name for each id. Give the vocabulary of the model's own tokenizer."
        )
    tables = tables.plain()
    if not ((tables.log_probs < np.inf).all() and (tables.backoffs < np.inf).all()):
        raise DataError(
            "The tables hold NaN or infinity where a logarithm should stand. Expected numbers. They are damaged: copy the run "
            "again from where it was made, or train again."
        )
    names, comment = _names(tokens, special_ids)
    encoded = [name.encode() for name in names]
    letters = np.frombuffer(b"\n".join(encoded) + b"\n", np.uint8)
    starts = np.cumsum([0] + [len(name) + 1 for name in encoded], dtype=np.int64)
    is_listed = np.ones(tables.vocab_size, np.bool_)
    pad = special_ids.pad
    is_listed[pad] = np.isfinite(tables.log_probs[pad]) or (tables.words[tables.vocab_size :] == pad).any()
    counts = tables.level_counts()
    counts[0] = int(is_listed.sum())
    while len(counts) > 1 and not counts[-1] and not tables.backoffs[slice(*tables.level_range(len(counts) - 1))].any():
        del counts[-1]
    done, total = 0, sum(counts)
    with atomic_file(path, advice="choose another file") as file, packed(path, file) as stream:
        header = [comment] * bool(comment) + ["\\data\\"]
        header += [f"ngram {n}={count}" for n, count in enumerate(counts, start=1)]
        stream.write("\n".join([*header, ""]).encode())
        for n in range(1, len(counts) + 1):
            stream.write(f"\n\\{n}-grams:\n".encode())
            first, after = tables.level_range(n)
            nodes, ids = np.arange(first, after), tables.level_ids(n)
            if n == 1:
                nodes, ids = nodes[is_listed], ids[is_listed]
            for begin in range(0, len(nodes), ROWS):
                part = nodes[begin : begin + ROWS]
                stream.write(_lines(tables, ids[begin : begin + ROWS], part, n < len(counts), letters, starts))
                done += len(part)
                if progress is not None:
                    progress(done, total)
        stream.write(b"\n\\end\\\n")


def _lines(
    tables: NGramTables,
    ids: NDArray[np.uint32],
    nodes: NDArray[np.int64],
    has_backoffs: bool,
    letters: NDArray[np.uint8],
    starts: NDArray[np.int64],
) -> bytes:
    lengths = np.diff(starts)
    out = np.empty(int(lengths[ids].sum()) + len(ids) * (2 * loops.LONGEST_NUMBER + 3), np.uint8)
    log_probs = np.minimum(tables.log_probs[nodes], 0)  # rounding may leave one above 0, and no reader would take it
    backoffs = tables.backoffs[nodes] if has_backoffs else np.zeros(0, np.float32)
    return out[: loops.write_lines(ids, log_probs, backoffs, letters, starts, out)].tobytes()


def _names_of(special_ids: SpecialIds) -> dict[int, str]:
    """What special tokens are called in a file, by their ids."""
    return {special_ids.unk: UNKNOWN, special_ids.bos: BEGIN, special_ids.eos: END}


def _names(tokens: Sequence[str], special_ids: SpecialIds) -> tuple[list[str], str]:
    """What tokens are called in a file, and the comment that says how they are escaped, if any is."""
    special = _names_of(special_ids)
    comment, space = "", "%20"
    others = [token for token_id, token in enumerate(tokens) if token_id not in special]
    is_needed = any(_NEEDS_ESCAPE.search(token) or _STAYS_ESCAPED.fullmatch(token) for token in others)
    if is_needed:
        comment = ESCAPES
        if any(" " in token for token in others) and not any(SPACE_SIGN in token for token in others):
            comment, space = ESCAPES_AND_SPACES, SPACE_SIGN
    return [
        special.get(token_id) or (_escaped(token, space) if is_needed else token)
        for token_id, token in enumerate(tokens)
    ], comment


def _escaped(token: str, space: str) -> str:
    """A token without white space and control characters, and not named like a special one."""
    if token in RESERVED:
        return f"%3C{token[1:]}"
    return _TO_ESCAPE.sub(
        lambda match: space if match[0] == " " else "".join(f"%{byte:02X}" for byte in match[0].encode()), token
    )
