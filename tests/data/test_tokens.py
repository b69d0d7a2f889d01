import hashlib
import json
import math
import multiprocessing
import os
import resource
import signal
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.data import tokens as tokens_module
from malmoi.data.tokens import (
    TextCounts,
    TokenFile,
    TokenView,
    encode_to_disk,
    split_token_file,
)
from malmoi.errors import DataError, TrainingError
from malmoi.files import default_cache_dir
from malmoi.text.sources import TextSource

N_SPECIALS = 4


class ToyTokenizer:
    """Words become ids by their length, so that any test can predict them; words beyond `longest` are unknown."""

    unk_id, bos_id, eos_id = 1, 2, 3

    def __init__(self, longest: int = 50, vocab_size: int = 100) -> None:
        self.longest, self.vocab_size, self.n_encoded = longest, vocab_size, 0

    def encode_stream(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        self.n_encoded += len(lines)
        ids: list[int] = []
        for line in lines:
            ids += [len(word) - 1 + N_SPECIALS if len(word) <= self.longest else self.unk_id for word in line.split()]
            ids.append(self.eos_id)
        unknown = [word for line in lines for word in line.split() if len(word) > self.longest]
        return np.array(ids, np.int32), 0.25 * np.array([*map(len, unknown)])

    def count_unknown(self, line: str) -> int:
        return sum(len(word) > self.longest for word in line.split())

    def spelling_nats(self, line: str) -> float:
        return 0.25 * sum(len(word) for word in line.split() if len(word) > self.longest)

    def layout_nats(self, lines: Sequence[str], n_words: np.ndarray) -> np.ndarray:
        assert [len(line.split()) for line in lines] == n_words.tolist()
        return np.array([0.125 * len(line) for line in lines])

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.longest} {self.vocab_size}".encode()).hexdigest()


def poem(n_lines: int) -> list[str]:
    """Lines of different lengths, some of them empty, in two scripts."""
    return ["말 " * (i % 7) + "word" * (i % 3) for i in range(n_lines)]


def counted(lines: list[str], tokenizer: ToyTokenizer) -> TextCounts:
    return TextCounts(
        n_tokens=sum(len(line.split()) + 1 for line in lines),
        n_lines=len(lines),
        n_words=sum(len(line.split()) for line in lines),
        n_characters=sum(len(line) + 1 for line in lines),
        n_bytes=sum(len(line.encode()) + 1 for line in lines),
        n_unknown=sum(map(tokenizer.count_unknown, lines)),
        spelling_nats=math.fsum(map(tokenizer.spelling_nats, lines)),
        layout_nats=0.125 * sum(map(len, lines)),
    )


def lines_of(view: TokenView) -> list[list[int]]:
    """The ids of a view, cut at line ends."""
    ids = view.read(0, len(view))
    assert ids[-1] == ToyTokenizer.eos_id
    return [piece.tolist() for piece in np.split(ids, np.flatnonzero(ids == ToyTokenizer.eos_id)[:-1] + 1)]


# Encoding


def test_each_line_becomes_its_tokens_and_one_end(tmp_path: Path) -> None:
    """Worked by hand: word lengths 1 and 3, an empty line, an unknown word of seven letters."""
    tokenizer = ToyTokenizer(longest=5)
    tokens = encode_to_disk(TextSource.from_texts(["나 말모이", "", "unknown a"]), tokenizer, tmp_path)
    assert tokens.ids.tolist() == [4, 6, 3, 3, 1, 4, 3]
    assert tokens.ids.dtype == np.uint16
    assert tokens.counts == TextCounts(
        n_tokens=7,
        n_lines=3,
        n_words=4,
        n_characters=6 + 1 + 10,
        n_bytes=14 + 1 + 10,
        n_unknown=1,
        spelling_nats=1.75,
        layout_nats=0.125 * 14,
    )


def test_documents_begin_with_bos(tmp_path: Path) -> None:
    source = TextSource.from_texts(["a\nbb", "c"], unit="documents")
    tokens = encode_to_disk(source, ToyTokenizer(), tmp_path)
    assert tokens.ids.tolist() == [2, 4, 3, 5, 3, 2, 4, 3]
    assert tokens.counts == TextCounts(
        n_tokens=8, n_lines=3, n_words=3, n_characters=7, n_bytes=7, n_unknown=0, spelling_nats=0.0, layout_nats=0.5
    )


def test_counts_and_ids_do_not_depend_on_how_the_work_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, tokenizer = poem(1_999), ToyTokenizer(longest=3)
    whole = encode_to_disk(TextSource.from_texts(lines), tokenizer, tmp_path / "whole")
    monkeypatch.setattr(tokens_module, "_BATCH", (37, 211))
    monkeypatch.setattr(tokens_module, "_LONGEST_TABLE", 5)
    pieces = encode_to_disk(TextSource.from_texts(lines), tokenizer, tmp_path / "pieces")
    assert whole.counts == pieces.counts == counted(lines, tokenizer)
    np.testing.assert_array_equal(whole.ids, pieces.ids)
    assert len(pieces.blocks) < 10 < len(whole.blocks)


def test_a_lossless_tokenizer_is_not_asked_for_unknown_words(tmp_path: Path) -> None:
    class Lossless(ToyTokenizer):
        is_lossless = True

        def spell_unknown(self, line: str) -> tuple[int, float]:
            raise AssertionError

    tokens = encode_to_disk(TextSource.from_texts(["a"]), Lossless(), tmp_path)
    assert (tokens.counts.n_unknown, tokens.counts.spelling_nats) == (0, 0.0)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_ids_are_as_narrow_as_the_vocabulary_allows(tmp_path: Path, vocab_size: int, dtype: type) -> None:
    word = "x" * (vocab_size - N_SPECIALS)
    tokenizer = ToyTokenizer(longest=len(word), vocab_size=vocab_size)
    tokens = encode_to_disk(TextSource.from_texts([word]), tokenizer, tmp_path)
    assert tokens.ids.dtype == dtype
    assert tokens.ids.tolist() == [vocab_size - 1, 3]


def test_progress_goes_from_a_part_to_the_whole(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(((99 * "word ")[:-1] + "\n") * 3_000)
    seen: list[tuple[int, int]] = []
    encode_to_disk(TextSource(tmp_path / "a.txt"), ToyTokenizer(), tmp_path, lambda *done: seen.append(done))
    assert seen == sorted(seen)
    assert seen[0][0] < seen[-1][0] == seen[-1][1] == 3_000 * 99 * 5


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(("말을모으고또모은다" * 40 + "\n") * 40_000)  # 43 MB
    encode_to_disk(
        TextSource.from_texts(["가"]), ToyTokenizer(), tmp_path
    )  # modules that are imported first need memory, too
    tracemalloc.start()
    try:
        tokens = encode_to_disk(TextSource(path), ToyTokenizer(longest=400, vocab_size=500), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 25e6
    finally:
        tracemalloc.stop()
    assert tokens.counts.n_tokens == 80_000


# The cache


def test_the_second_call_does_not_encode_again_and_tells_the_same_notes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\nb\r\n")
    tokenizer = ToyTokenizer()
    first = encode_to_disk(TextSource(path), tokenizer, tmp_path / "cache")
    second = encode_to_disk(TextSource(path), tokenizer, tmp_path / "cache")
    assert tokenizer.n_encoded == 2
    assert second.counts == first.counts
    assert second.notes == first.notes == [f"{path}: CRLF line ends read as LF"]


def test_another_text_or_tokenizer_is_another_file(tmp_path: Path) -> None:
    for text, longest in (("a", 1), ("b", 1), ("a", 2)):
        encode_to_disk(TextSource.from_texts([text]), ToyTokenizer(longest), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def cut(content: bytes) -> bytes:
    return content[:-60]


def lengthened(content: bytes) -> bytes:
    return content[:16] + bytes(8) + content[16:]


def recounted(content: bytes) -> bytes:
    return content.replace(b'"n_bytes": 4', b'"n_bytes": 5')


def foreign(content: bytes) -> bytes:
    return b"x" * len(content)


def empty(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("tamper", [cut, lengthened, recounted, foreign, empty])
def test_a_damaged_file_is_noticed_and_made_again(tmp_path: Path, tamper: Callable[[bytes], bytes]) -> None:
    source, tokenizer = TextSource.from_texts(["a", "b"]), ToyTokenizer()
    path = encode_to_disk(source, tokenizer, tmp_path).path
    whole = path.read_bytes()
    path.write_bytes(tamper(whole))
    assert path.read_bytes() != whole
    with pytest.raises(DataError, match=r"\.tokens is not a whole file of token ids: .*Expected a file as.*Delete it"):
        TokenFile.open(path)
    assert encode_to_disk(source, tokenizer, tmp_path).ids.tolist() == [4, 3, 4, 3]
    assert path.read_bytes() == whole


def test_the_file_of_another_text_under_this_name_is_not_used(tmp_path: Path) -> None:
    other = encode_to_disk(TextSource.from_texts(["long word"]), ToyTokenizer(), tmp_path).path
    ours = encode_to_disk(TextSource.from_texts(["a"]), ToyTokenizer(), tmp_path).path
    os.replace(other, ours)
    assert encode_to_disk(TextSource.from_texts(["a"]), ToyTokenizer(), tmp_path).ids.tolist() == [4, 3]


@given(content=st.binary(max_size=200), where=st.integers(0, 400))
def test_no_damage_escapes_as_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, where: int
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = encode_to_disk(TextSource.from_texts(["a", "b"]), ToyTokenizer(), folder).path
    whole = path.read_bytes()
    path.write_bytes(whole[:where] + content + whole[where + len(content) :])
    with suppress(DataError):
        assert len(TokenFile.open(path).ids) > 0


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        TokenFile.open(tmp_path / "none.tokens")


def test_a_text_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"word\n" * 100_000 + b"\xff\n")
    with pytest.raises(DataError, match="byte 500000"):
        encode_to_disk(TextSource(path), ToyTokenizer(), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_text_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("word\n")
    source = TextSource(path)
    with pytest.raises(DataError, match=r"a.txt .*changed while it was being read. Expected.*Start again"):
        encode_to_disk(source, ToyTokenizer(), tmp_path / "cache", lambda done, total: path.write_text("more\nwords\n"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """No file may grow beyond 100 kB for a while: the operating system then refuses writes as a full disk does."""
    source = TextSource.from_texts(["word " * 9] * 20_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"Cannot write .*File too large.*Free some space, or set MALMOI_CACHE"):
            encode_to_disk(source, ToyTokenizer(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []


def encode_when_told(cache: Path, start: Callable[[], object], report: Callable[[object], None]) -> None:
    start()
    tokens = encode_to_disk(TextSource.from_texts(poem(9_973)), ToyTokenizer(), cache)
    report(hashlib.sha256(tokens.ids.tobytes()).hexdigest())


def test_processes_that_encode_the_same_text_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.SimpleQueue()
    workers = [context.Process(target=encode_when_told, args=(tmp_path, barrier.wait, answers.put)) for _ in range(2)]
    for worker in workers:
        worker.start()
    digests = {answers.get() for _ in workers}
    for worker in workers:
        worker.join()
    assert len(digests) == 1
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_cache_stands_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALMOI_CACHE", str(tmp_path / "own"))
    assert encode_to_disk(TextSource.from_texts(["a"]), ToyTokenizer()).path.parent == tmp_path / "own" / "tokens"
    monkeypatch.delenv("MALMOI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "malmoi"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "malmoi"


# Reading


@given(data=st.data())
def test_parts_read_like_the_list_they_stand_for(data: st.DataObject) -> None:
    ids = np.arange(100, 131, dtype=np.uint16)
    edges = data.draw(st.lists(st.integers(0, 31), unique=True, min_size=2, max_size=9).map(sorted))
    ranges = list(zip(edges[::2], edges[1::2], strict=False))
    view = TokenView(ids, TextCounts(0, 0, 0, 0, 0, 0, 0.0), ranges)
    joined = [int(i) for start, stop in ranges for i in ids[start:stop]]
    start = data.draw(st.integers(0, len(joined)))
    stop = data.draw(st.integers(start, len(joined)))
    got = view.read(start, stop)
    assert len(view) == len(joined)
    assert got.dtype == np.int64
    assert got.tolist() == joined[start:stop]


def test_a_view_of_the_whole_is_the_file(tmp_path: Path) -> None:
    tokens = encode_to_disk(TextSource.from_texts(poem(50)), ToyTokenizer(), tmp_path)
    view = tokens.view()
    assert len(view) == tokens.counts.n_tokens
    assert view.counts == tokens.counts
    np.testing.assert_array_equal(view.read(3, 17), tokens.ids[3:17])


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 32), (5, 4)])
def test_reading_outside_is_an_error(start: int, stop: int) -> None:
    view = TokenView(np.arange(31), TextCounts(31, 0, 0, 0, 0, 0, 0.0))
    with pytest.raises(IndexError, match=f"ids {start} to {stop} of a text of 31 ids"):
        view.read(start, stop)


# Splitting


@pytest.mark.parametrize(
    ("n_lines", "max_tokens"), [(300, 200_000), (5_003, 200_000), (20_011, 200_000), (20_011, 2_500)]
)
def test_a_split_is_whole_lines_with_exact_counts(tmp_path: Path, n_lines: int, max_tokens: int) -> None:
    lines, tokenizer = poem(n_lines), ToyTokenizer(longest=6)
    whole = encode_to_disk(TextSource.from_texts(lines), tokenizer, tmp_path)
    train, valid = split_token_file(whole, max_tokens=max_tokens)

    ends = np.cumsum([len(line.split()) + 1 for line in lines])
    for view in (train, valid):
        inside = [i for i, end in enumerate(ends) if any(start < end <= stop for start, stop in view.ranges)]
        assert view.counts == counted([lines[i] for i in inside], tokenizer)
        assert len(view) == view.counts.n_tokens
        assert lines_of(view) == [tokenizer.encode_stream([lines[i]])[0].tolist() for i in inside]
    assert sorted(train.ranges + valid.ranges) == [
        (start, stop) for start, stop in sorted(train.ranges + valid.ranges) if start < stop
    ]
    assert len(train) + len(valid) == len(whole.ids)
    wanted = min(0.05 * len(whole.ids), max_tokens)
    assert 0.7 * wanted <= len(valid) <= 1.7 * wanted


def test_a_split_samples_the_whole_text_in_stretches_and_is_always_the_same(tmp_path: Path) -> None:
    tokens = encode_to_disk(TextSource.from_texts(poem(20_011)), ToyTokenizer(), tmp_path)
    _, valid = split_token_file(tokens)
    _, again = split_token_file(TokenFile.open(tokens.path))
    assert valid.ranges == again.ranges
    middles = np.array([(start + stop) / 2 / len(tokens.ids) for start, stop in valid.ranges])
    assert len(middles) >= 5
    assert np.diff([0, *middles, 1]).max() < 2.2 / len(middles)  # no long stretch goes without
    assert valid.counts.n_lines / len(valid.ranges) > 150


def test_a_text_of_long_lines_can_be_split_too(tmp_path: Path) -> None:
    tokens = encode_to_disk(TextSource.from_texts(["word " * 3_000] * 7), ToyTokenizer(), tmp_path)
    train, valid = split_token_file(tokens)
    assert (len(train), len(valid)) == (6 * 3_001, 3_001)


def test_a_text_of_a_few_lines_cannot_be_split(tmp_path: Path) -> None:
    tokens = encode_to_disk(TextSource.from_texts(poem(16)), ToyTokenizer(), tmp_path)
    with pytest.raises(DataError, match=r"The text has 16 lines, too few.*Expected more than 16 lines.*--valid FILE"):
        split_token_file(tokens)


def test_the_header_can_be_read_by_other_programs(tmp_path: Path) -> None:
    """The layout that the module describes, read here by hand from the end."""
    content = encode_to_disk(TextSource.from_texts(["a", "bb"]), ToyTokenizer(), tmp_path).path.read_bytes()
    assert content[:16] == content[-16:] == b"malmoi tokens 2\n"
    size = int.from_bytes(content[-24:-16], "little")
    header = json.loads(content[-24 - size : -24])
    assert header["counts"]["n_tokens"] == 4
    assert np.frombuffer(content, np.uint16, 4, offset=16).tolist() == [4, 3, 5, 3]
    assert np.frombuffer(content, np.float64, 8, offset=24).tolist() == list(header["counts"].values())
