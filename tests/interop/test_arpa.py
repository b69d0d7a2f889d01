"""ARPA files: what is read, what is refused, and that every written file reads back as it was."""

import gzip
import math
import os
import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from backoff_dict import BackoffDict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from malmoi.errors import DataError, RunError
from malmoi.interop import arpa
from malmoi.interop.arpa import read_arpa, tables_from_arpa, write_arpa
from malmoi.models.ngram.model import NGramModel
from malmoi.models.ngram.tables import Level, NGramTables, load_tables, save_tables, tables_from_levels
from malmoi.text.vocabulary import SPECIALS

SECTIONS = [
    [
        "-99\t<s>\t-0.3",
        "-0.9\t</s>",
        "-1.2\t<unk>",
        "-0.7\tboat\t-0.2",
        "-0.8\t배가\t-0.1",
        "-1.05\tcame\t0.25",
        "-1.5\tback\t-0.375",
    ],
    ["-0.4\t<s> boat\t-0.15", "-0.6\tboat came\t-0.05", "-0.3\tcame </s>", "-0.5\t배가 came\t0", "-2\tcame back\t-1"],
    ["-0.2\t<s> boat came", "-0.125\tboat came </s>", "-0.25\tboat came back"],
]
WORDS = ["boat", "배가", "came", "back", "never-seen"]


def arpa_text(sections: Sequence[Sequence[str]], before: str = "") -> str:
    header = [f"ngram {n}={len(lines)}" for n, lines in enumerate(sections, 1)]
    parts = [[f"\\{n}-grams:", *lines, ""] for n, lines in enumerate(sections, 1)]
    return before + "\n".join(["\\data\\", *header, "", *(line for part in parts for line in part), "\\end\\", ""])


TEXT = arpa_text(SECTIONS)


def put(folder: Path, content: str | bytes, name: str = "model.arpa") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def tables_of(path: Path, notes: list[str] | None = None) -> tuple[NGramTables, list[str]]:
    return tables_from_arpa(read_arpa(path), note=[].append if notes is None else notes.append)


def assert_same(left: NGramTables, right: NGramTables) -> None:
    assert left.arrays().keys() == right.arrays().keys()
    for name, array in left.arrays().items():
        np.testing.assert_array_equal(array, right.arrays()[name], name)


def random_sentences(words: Sequence[str], n: int = 50, seed: int = 1) -> list[list[str]]:
    chance = random.Random(seed)
    return [chance.choices(words, k=chance.randrange(12)) for _ in range(n)]


def scores(tables: NGramTables, tokens: list[str], sentence: Sequence[str]) -> list[float]:
    """ln P of each word and of the end, by the model."""
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    model = NGramModel(tables, 2, 3, n_threads=1)
    token_ids = np.array([[ids.get(word, 1) for word in sentence] + [3]])
    return [float(value) for value in model.score(token_ids, model.start())[0][0]]


# Reading


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    model = read_arpa(put(tmp_path, TEXT))
    assert model.words == ["<s>", "</s>", "<unk>", "boat", "배가", "came", "back"]
    assert [level.ids.tolist() for level in model.levels] == [
        [[0], [1], [2], [3], [4], [5], [6]],
        [[0, 3], [3, 5], [5, 1], [4, 5], [5, 6]],
        [[0, 3, 5], [3, 5, 1], [3, 5, 6]],
    ]
    for level, log10_probs, log10_weights in zip(
        model.levels,
        ([-math.inf, -0.9, -1.2, -0.7, -0.8, -1.05, -1.5], [-0.4, -0.6, -0.3, -0.5, -2], [-0.2, -0.125, -0.25]),
        ([-0.3, 0, 0, -0.2, -0.1, 0.25, -0.375], [-0.15, -0.05, 0, 0, -1], [0, 0, 0]),
        strict=True,
    ):
        assert level.log_probs.dtype == level.backoffs.dtype == np.float32
        np.testing.assert_array_equal(level.log_probs, np.float32(np.array(log10_probs) * math.log(10)))
        np.testing.assert_array_equal(level.backoffs, np.float32(np.array(log10_weights) * math.log(10)))


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "spaces": lambda text: text.replace("\t", "  ").encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "blank lines": lambda text: text.replace("\n", "\n \t\n").encode(),
    "white space around": lambda text: re.sub(r"(?m)^(-\d.*)$", " \\1 \t", text).encode(),
    "text before": lambda text: b"This model\nwas made\tby hand.\n\n" + text.encode(),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "no last line end": lambda text: text.rstrip("\n").encode(),
    "wide header": lambda text: text.replace("ngram 1=", "ngram  1 =  ").encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip in parts": lambda text: gzip.compress(text.encode()[:99]) + gzip.compress(text.encode()[99:]),
    "back-off weights of 0 at the top": lambda text: text.replace("boat came back", "boat came back\t0.0").encode(),
    "-inf for log 0": lambda text: text.replace("-99\t<s>", "-inf\t<s>").encode(),
    "a probability for <s>, as KenLM writes it": lambda text: text.replace("-99\t<s>", "0\t<s>").encode(),
    "other digits": lambda text: text.replace("-0.5", "-.500").replace("-0.25", "-25e-2").replace("-2\tc", "-2.\tc").encode(),
    "nothing at the highest order": lambda text: text.encode(),
}  # fmt: skip


@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
def test_other_spellings_say_the_same(spelling: str, tmp_path: Path) -> None:
    want, got = read_arpa(put(tmp_path, TEXT)), read_arpa(put(tmp_path, SPELLINGS[spelling](TEXT)))
    assert got.words == want.words
    for theirs, ours in zip(got.levels, want.levels, strict=True):
        for field in ("ids", "log_probs", "backoffs"):
            np.testing.assert_array_equal(getattr(theirs, field), getattr(ours, field))


@pytest.mark.parametrize("block", [1, 2, 37, 1000])
def test_blocks_change_nothing(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want, _ = tables_of(put(tmp_path, TEXT))
    monkeypatch.setattr(arpa, "BLOCK", block)
    monkeypatch.setattr(arpa, "ROWS", 2)
    told: list[tuple[int, int]] = []
    model = read_arpa(put(tmp_path, TEXT), progress=lambda done, total: told.append((done, total)))
    assert_same(tables_from_arpa(model)[0], want)
    assert told[-1] == (len(TEXT.encode()), len(TEXT.encode()))
    packed = put(tmp_path, gzip.compress(TEXT.encode()), "packed.txt")
    assert_same(tables_of(packed)[0], want)


def test_the_order_of_lines_changes_nothing(tmp_path: Path) -> None:
    want, tokens = tables_of(put(tmp_path, TEXT))
    shuffled = [SECTIONS[0], *(random.Random(3).sample(lines, len(lines)) for lines in SECTIONS[1:])]
    got, others = tables_of(put(tmp_path, arpa_text(shuffled)))
    assert others == tokens
    assert_same(got, want)


@given(
    st.floats(-50, 0) | st.floats(-1e-3, 0) | st.floats(-1e-30, 0),
    st.sampled_from(["{!r}", "{:.3f}", "{:.12e}", "{:g}", "{:E}"]),
)
@example(-99.0, "{!r}")
@example(-0.0, "{!r}")
@example(-123456789.123456789, "{:.25f}")
def test_numbers_are_read_to_the_last_bit(value: float, form: str) -> None:
    text = form.format(value)
    (got,) = _numbers_read([text])
    want = -np.inf if float(text) == -99 else np.float32(float(text) * math.log(10))
    assert got == pytest.approx(want, rel=6e-8, abs=1e-45)


def _numbers_read(texts: list[str]) -> list[float]:
    """The logarithms that a file with these numbers as probabilities of 1-grams holds."""
    from malmoi.interop import arpa_loops as loops

    data = np.frombuffer("".join(f"{text} w\n" for text in texts).encode(), np.uint8)
    nothing, (n, one) = arpa.Vocabulary.empty(), (len(texts), (len(texts),))
    log_probs, backoffs, lines = np.zeros(one, np.float32), np.zeros(one, np.float32), np.zeros(one, np.int64)
    ids, spans = np.zeros((n, 1), np.uint32), np.zeros((n, 2), np.int64)
    why, *_ = loops.read_lines(data, 0, 1, False, *nothing, ids, spans, log_probs, backoffs, lines)
    assert why == loops.END
    return log_probs.tolist()


# Hostile files


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


REFUSED = {
    "too few": (changed("-0.3\tcame </s>\n", ""), r":21: only 4 2-grams before this line, and the header promises 5"),
    "too many": (
        changed("-0.3\tcame </s>\n", "-0.3\tcame </s>\n-1\tback back\n"),
        r":21: more 2-grams than the 5 that the header promises.*Correct the header",
    ),
    "too many words": (changed("=7", "=6"), r":13: more 1-grams than the 6"),
    "none promised": (changed("ngram 1=7", "ngram 1=0"), r"the header promises no 1-grams"),
    "no counts": (re.sub(r"ngram.*\n", "", TEXT), r"the header promises no 1-grams"),
    "1 GB": (changed("ngram 3=3", "ngram 3=99999999"), r"promises 100,000,011 n-grams, which take at least 800,.* file has 3"),
    "10^18": (changed("ngram 2=5", "ngram 2=999999999999999999"), r"Expected counts that fit"),
    "more digits": (changed("ngram 2=5", "ngram 2=" + "9" * 5000), r":3: found 'ngram 2=9+' in the header"),
    "negative count": (changed("ngram 2=5", "ngram 2=-5"), r":3: found 'ngram 2=-5' in the header. Expected 'ngram 2='"),
    "count twice": (changed("ngram 2=5", "ngram 1=7"), r":3: found 'ngram 1=7' in the header. Expected 'ngram 2='"),
    "count left out": (changed("ngram 2=5\n", ""), r":3: found 'ngram 3=3' in the header"),
    "order 9": (
        changed("ngram 3=3", "\n".join(f"ngram {n}=1" for n in range(3, 10))),
        r":10: n-grams of length 9. Expected at most 8",
    ),
    "positive": (changed("-0.6", "0.6"), r":17: the log probability '0.6' is above 0. Expected 0 or less"),
    "hardly positive": (changed("-0.7", "1e-7"), r":10: the log probability '1e-7' is above 0"),
    "infinite": (changed("-0.7", "inf"), r":10: the log probability 'inf' is above 0"),
    "NaN": (changed("-0.6", "NaN"), r":17: the log probability is 'NaN'. Expected a number of 0 or less"),
    "no number": (changed("-0.6", "x"), r":17: found 'x' where a log probability should stand. Expected: log10 .* 2 words"),
    "half a number": (changed("-0.6", "-0.6.1"), r":17: found '-0.6.1' where a log probability"),
    "only a sign": (changed("-0.6", "-"), r":17: found '-' where a log probability"),
    "only a number": (changed("\tboat came\t-0.05", ""), r":17: fewer than 2 words for a 2-gram"),
    "missing word": (changed("boat came\t", "boat\t"), r":17: the word '-0.05' is none of the 1-grams"),
    "empty word": (changed("-0.9\t</s>", "-0.9\t\t</s>"), r":8: fewer than 1 word for a 1-gram"),
    "another order": (changed("boat came\t-0.05", "<s> boat came"), r":17: 'came' is left over after 2 words of a 2-gram"),
    "another order with spaces": (
        changed("-0.6\tboat came\t-0.05", "-0.6 <s> boat came"),
        r":17: found 'came' where a back-off weight or the end of the line should stand",
    ),
    "one word too many": (changed("-0.9\t</s>", "-0.9\t</s> </s> -0.5"), r":8: '</s>' is left over after 1 word of a 1-gram"),
    "more after the weight": (changed("-0.05", "-0.05\t-0.05"), r":17: '-0.05' is left over after 2 words"),
    "back-off NaN": (changed("-0.05", "nan"), r":17: found 'nan' where a back-off weight"),
    "back-off infinite": (changed("-0.05", "-inf"), r":17: found '-inf' where a back-off weight"),
    "back-off too large": (changed("-0.05", "1e60"), r":17: found '1e60' where a back-off weight"),
    "back-off at the top": (
        changed("boat came back", "boat came back\t-1"),
        r":25: a back-off weight, '-1', for an n-gram of the highest order",
    ),
    "unknown word": (changed("boat came\t", "boat sank\t"), r":17: the word 'sank' is none of the 1-grams"),
    "word twice": (changed("\tback\t", "\tboat\t"), r":13: the word 'boat' was there before. Expected every n-gram once"),
    "n-gram twice": (
        changed("배가 came\t0", "<s> boat"),
        r":19: the n-gram '<s> boat' was there before, in line 16. Expected every n-gram once",
    ),
    "NUL in a word": (changed("\tback\t", "\tba\0ck\t"), r":13: a NUL byte"),
    "NUL before": ("\0" + TEXT, r":1: a NUL byte"),
    "UTF-16": (TEXT.encode("utf-16"), r":1: a NUL byte"),
    "not UTF-8": (changed("배가", "#").encode().replace(b"#", b"\xb9\xe8\xb0\xa1"), r":11: the word '.*' is not UTF-8.*cp949"),
    "wrong section": (changed("\\2-grams:", "\\3-grams:"), r":15: found .*3-grams:'. Expected \\2-grams: there"),
    "section left out": (TEXT[: TEXT.index("\\2-grams:")] + TEXT[TEXT.index("\\3-grams:") :], r"Expected \\2-grams: there"),
    "section too many": (changed("\\end\\", "\\4-grams:"), r":27: found .* Expected \\end\\ there"),
    "no end": (changed("\\end\\\n", ""), r"it ends after 3 of 3 3-grams, without \\end\\.*cut off"),
    "cut off": (TEXT[: TEXT.index("came back")], r":20: fewer than 2 words for a 2-gram"),
    "cut off at a line end": (TEXT[: TEXT.index("-0.5")], r":18: it ends after 3 of 5 2-grams, without \\end\\"),
    "cut off in the header": (TEXT[: TEXT.index("ngram 3")], r"it ends within the header"),
    "two files": (TEXT + TEXT, r":28: found .*data.* after \\end\\. Expected nothing there"),
    "empty": ("", r"no line says \\data\\"),
    "other text": ("the boat came back\n" * 9, r"no line says \\data\\. Expected an ARPA file"),
    "much other text": ("the boat came back\n" * 99_999, r":10001: more than 10,000 lines that are no n-grams"),
    "one long line": ("x" * (5 << 20), r":1: a line of more than 1,048,576 bytes"),
    "one long line of zeros": (changed("-0.6", "-0." + "0" * (5 << 20)), r":17: a line of more than 1,048,576 bytes"),
    "many blank lines": (changed("\n\n", "\n" * (2 << 20)), r"more than 10,000 lines that are no n-grams"),
    "gzip cut off": (gzip.compress(TEXT.encode())[:-9], r"is damaged: .*Expected a whole file"),
    "gzip with a wrong sum": (gzip.compress(TEXT.encode())[:-8] + bytes(8), r"is damaged: .*CRC"),
    "gzip with junk": (gzip.compress(TEXT.encode())[:30] + bytes(50), r"is damaged: "),
    "gzip and 1 GB": (
        gzip.compress(changed("ngram 3=3", "ngram 3=99999999").encode()),
        r"promises 100,000,011 n-grams, .* \(packed\)",
    ),
    "gzip of something": (gzip.compress(bytes(99)), r":\d+: a NUL byte|no line says"),
    "KenLM binary": (b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(99), r"is a binary model of KenLM"),
    "SRILM binary": (b"SRILM_BINARY_NGRAM_002\n", r"is a binary model of SRILM; write it as text"),
    "xz": (b"\xfd7zXZ\0", r"is packed with xz; unpack it first"),
    "mark without escapes": (changed("\\data\\", f"{arpa.ESCAPES}\n\\data\\").replace("boat", "bo%41at"), r"'bo%41at' is not"),
    "mark with broken escapes": (
        changed("\\data\\", f"{arpa.ESCAPES}\n\\data\\").replace("boat", "%FF"),
        r"'%FF' is not escaped as the comment",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_wrong_file_is_refused_with_one_message(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    path = put(tmp_path, content)
    with pytest.raises(DataError, match=re.compile(f"^{re.escape(str(path))}.*{message}", re.DOTALL)) as refused:
        read_arpa(path)
    assert len(str(refused.value)) < 600
    assert "Expected" in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no .*gone.arpa. Expected an ARPA file"):
        read_arpa(tmp_path / "gone.arpa")
    with pytest.raises(DataError, match="is a folder. Expected an ARPA file"):
        read_arpa(tmp_path)


def mutated(text: bytes, chance: random.Random) -> bytes:
    """The text with one thing changed, where it hurts."""
    lines = text.split(b"\n")
    place = chance.randrange(len(lines))
    words = [
        b"-99",
        b"nan",
        b"-inf",
        b"1e999",
        b"-1e-400",
        b"5",
        b"<s>",
        b"</s>",
        b"<unk>",
        b"<UNK>",
        b"sank",
        b"",
        b"-",
    ]
    kind = chance.randrange(13)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(chance.randrange(len(lines)), lines[place])
    elif kind == 2:
        other = chance.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == 3:
        fields = re.split(rb"([\t ])", lines[place])
        fields[chance.randrange(len(fields))] = chance.choice(words)
        lines[place] = b"".join(fields)
    elif kind == 4:
        lines[place] = re.sub(
            rb"\d+", str(chance.choice([0, 1, 4, 6, 8, 10**6, 10**12])).encode(), lines[place], count=1
        )
    elif kind == 5:
        lines[place] = lines[place].replace(b"\t", b" " * chance.randrange(3))
    elif kind == 6:
        lines[place] += chance.choice([b"\r", b"\t", b" ", b"\t0", b"\t-3", b"\0", b"\xff", b"\\"])
    elif kind == 7:
        lines.insert(place, chance.choice([b"", b"\\end\\", b"\\data\\", b"\\3-grams:", b"ngram 4=1", b"# comment"]))
    else:
        raw = bytearray(text)
        if kind == 8:
            del raw[chance.randrange(len(raw)) :]
        elif kind == 9 and raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        elif kind == 10 and raw:
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        elif kind == 11:
            begin, end = sorted(chance.choices(range(len(raw) + 1), k=2))
            raw[begin:end] = raw[begin:end] * 2
        else:
            raw[chance.randrange(len(raw) + 1) : 0] = chance.choice([b"\0", b"\n", b"\t", b" ", b"-1\t<s>\n"])
        return bytes(raw) or b"\n"
    return b"\n".join(lines)


@pytest.mark.parametrize("seed", range(6))
def test_any_damage_gives_a_sound_model_or_one_message(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    n_read = longest = 0
    for _ in range(120):
        content = TEXT.encode()
        for _ in range(chance.choice([1, 1, 2, 4])):
            content = mutated(content, chance)
        if chance.random() < 0.15:
            content = gzip.compress(content)
            if chance.random() < 0.7:
                content = mutated(content, chance)
        path = put(tmp_path, content)
        try:
            tables, tokens = tables_of(path)
        except DataError as error:
            longest = max(longest, len(str(error)))
            continue
        n_read += 1
        save_tables(tmp_path / "tables", tables)
        load_tables(tmp_path / "tables", tables.order, tables.vocab_size)  # checks every index
        assert not np.isnan(tables.log_probs).any()
        assert tables.log_probs.max() <= 0
        assert np.isfinite(tables.backoffs).all()
        assert not np.isnan(scores(tables, tokens, WORDS * 2)).any()
        write_arpa(tmp_path / "again.arpa", tables, tokens)
        again, others = tables_of(tmp_path / "again.arpa")
        assert others == tokens
        assert_same(again, tables)
    assert n_read > 5
    assert longest < 700


# To tables


def test_a_model_scores_as_the_recursion_says(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT))
    slow = BackoffDict(TEXT)
    assert tokens == [*SPECIALS, "boat", "배가", "came", "back"]
    for sentence in random_sentences(WORDS):
        assert scores(tables, tokens, sentence) == pytest.approx(slow.score(sentence), rel=1e-6)


def test_the_padding_and_the_start_are_never_predicted(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT.replace("-99\t<s>", "-1\t<s>")))
    assert tables.vocab_size == len(tokens) == 8
    assert tables.log_probs[[0, 2]].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("seed", range(5))
def test_what_pruning_left_out_is_added_without_changing_an_answer(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    names = ["<s>", "</s>", "<unk>", *WORDS[:-1]]
    sections = [[f"{-chance.random():.4f}\t{word}\t{chance.uniform(-1, 0.2):.4f}" for word in names]]
    for n in range(2, 6):  # most contexts and suffixes are missing
        ngrams = sorted({tuple(chance.choices(names, k=n)) for _ in range(9)})
        weights = [f"\t{chance.uniform(-1, 0):.4f}" if n < 5 and chance.random() < 0.7 else "" for _ in ngrams]
        sections.append(
            [
                f"{-chance.random():.4f}\t{' '.join(words)}{weight}"
                for words, weight in zip(ngrams, weights, strict=True)
            ]
        )
    text, notes = arpa_text(sections), list[str]()
    tables, tokens = tables_of(put(tmp_path, text), notes)
    assert re.fullmatch(
        r"n-grams added because longer ones begin or end with them, .* changes no answer: \d+", notes[0]
    )
    assert sum(tables.level_counts()) > sum(map(len, sections)) + 1
    slow = BackoffDict(text)
    for sentence in random_sentences(WORDS, seed=seed):
        want = np.minimum(slow.score(sentence), 0)
        assert np.minimum(scores(tables, tokens, sentence), 0) == pytest.approx(want, rel=1e-5, abs=1e-6)


def test_capital_unk_is_the_unknown_word(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT.replace("<unk>", "<UNK>")))
    want, _ = tables_of(put(tmp_path, TEXT))
    assert "<UNK>" not in tokens
    assert_same(tables, want)


def test_beside_unk_the_capital_one_is_a_word(tmp_path: Path) -> None:
    tables, tokens = tables_of(
        put(tmp_path, changed("-1.5\tback\t", "-1.5\t<UNK>\t").replace("came back", "came <UNK>"))
    )
    assert tokens[-1] == "<UNK>"
    write_arpa(tmp_path / "again", tables, tokens)
    assert "%3CUNK>" in (tmp_path / "again").read_text(encoding="utf-8")
    assert_same(tables_from_arpa(read_arpa(tmp_path / "again"), tokens)[0], tables)


def test_without_unk_unknown_words_have_no_probability(tmp_path: Path) -> None:
    sections = [[line for line in SECTIONS[0] if "<unk>" not in line], *SECTIONS[1:]]
    notes: list[str] = []
    tables, _ = tables_of(put(tmp_path, arpa_text(sections)), notes)
    assert notes == ["the file has no <unk>: words that it does not know have probability 0"]
    assert tables.log_probs[1] == -np.inf


def test_without_a_start_a_line_begins_without_context(tmp_path: Path) -> None:
    sections = [[line for line in lines if "<s>" not in line] for lines in SECTIONS]
    notes: list[str] = []
    tables, tokens = tables_of(put(tmp_path, arpa_text(sections)), notes)
    assert notes == ["the file has no <s>: the first word of a line is predicted without a context"]
    assert scores(tables, tokens, ["boat"])[0] == pytest.approx(-0.7 * math.log(10))


def test_without_an_end_a_model_is_refused(tmp_path: Path) -> None:
    sections = [[line for line in lines if "</s>" not in line] for lines in SECTIONS]
    with pytest.raises(DataError, match="The model has no </s> among its 1-grams. Expected one, since every line ends"):
        tables_of(put(tmp_path, arpa_text(sections)))


def test_words_become_what_a_text_can_hold(tmp_path: Path) -> None:
    notes: list[str] = []
    text = (
        TEXT.replace("배가", unicodedata.normalize("NFD", "배가")).replace("back", "<eos>").replace("boat", "a\u00a0b")
    )
    tables, tokens = tables_of(put(tmp_path, text), notes)
    assert tokens[4:] == ["a%C2%A0b", "배가", "came", "%3Ceos>"]
    assert notes == [
        "words brought into Unicode normal form NFC, as text is before it is read: 1",
        "words escaped (%XX), as they hold white space or are named like a special token: 2",
    ]
    assert_same(tables, tables_of(put(tmp_path, TEXT))[0])


def test_words_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    text = changed("\tback\t", "\t<eos>\t").replace("came back", "came <eos>").replace("배가", "%3Ceos>")
    with pytest.raises(DataError, match=r"Two words of the model become '%3Ceos>' when they are normalised"):
        tables_of(put(tmp_path, text))


def test_words_that_a_tokenizer_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"2 of the 7 words of the model are no tokens of the tokenizer, the first is '배가'"
    ):
        tables_from_arpa(read_arpa(put(tmp_path, TEXT)), [*SPECIALS, "came", "boat", "sank"])


def test_a_level_without_ngrams_is_dropped_where_that_changes_nothing(tmp_path: Path) -> None:
    sections = [SECTIONS[0], ["-0.4\t<s> boat", "-0.3\tcame </s>"], []]
    assert tables_of(put(tmp_path, arpa_text(sections)))[0].order == 2
    sections[1][1] += "\t-0.5"
    tables, tokens = tables_of(put(tmp_path, arpa_text(sections)))
    assert (tables.order, tables.level_counts()) == (3, [8, 2, 0])
    write_arpa(tmp_path / "again", tables, tokens)
    assert_same(tables_of(tmp_path / "again")[0], tables)


# Writing


def test_a_small_model_is_written_like_this(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT))
    path = tmp_path / "written.arpa"
    told: list[tuple[int, int]] = []
    write_arpa(path, tables, tokens, progress=lambda done, total: told.append((done, total)))
    want = [
        ["-1.2\t<unk>\t0", "-99\t<s>\t-0.3", "-0.9\t</s>\t0", "-0.7\tboat\t-0.2", "-0.8\t배가\t-0.1"],
        [
            "-0.4\t<s> boat\t-0.15",
            "-0.6\tboat came\t-0.05",
            "-0.5\t배가 came\t0",
            "-0.3\tcame </s>\t0",
            "-2\tcame back\t-1",
        ],
        ["-0.2\t<s> boat came", "-0.125\tboat came </s>", "-0.25\tboat came back"],
    ]
    want[0] += ["-1.05\tcame\t0.25", "-1.5\tback\t-0.375"]
    assert path.read_text(encoding="utf-8") == arpa_text(want)
    assert told == [(7, 15), (12, 15), (15, 15)]


@given(
    st.lists(st.floats(-100, 0, width=32) | st.floats(max_value=0, width=32, allow_nan=False), min_size=1, max_size=9),
    st.lists(st.floats(-9, 9, width=32) | st.floats(-(2.0**99), 2.0**99, width=32), min_size=9, max_size=9),
)
@settings(max_examples=60)
@example([np.finfo(np.float32).tiny * -1.0, -1e-45, -1e-7, -9.9999999, -0.1], [0.0] * 9)
def test_numbers_come_back_to_the_last_bit(probs: list[float], weights: list[float]) -> None:
    path = Path(os.environ["MALMOI_CACHE"]) / "numbers.arpa"
    n = len(probs)
    log_probs = np.array(probs, np.float32)
    log_probs[np.abs(log_probs / np.log(10) + 99) < 1e-4] = -np.inf  # the file's own way to write 0
    level = Level(np.arange(3, 3 + n, dtype=np.uint32)[:, None], log_probs, np.array(weights[:n], np.float32))
    above = Level(np.array([[3, 3]], np.uint32), np.zeros(1, np.float32), np.zeros(1, np.float32))
    tables = tables_from_levels([level, above], 3 + n)
    tokens = [*SPECIALS, *(f"w{i}" for i in range(n - 1))]
    write_arpa(path, tables, tokens)
    assert_same(tables_from_arpa(read_arpa(path), tokens)[0], tables)


TOKENS = st.text(st.sampled_from("ab%▁ \t\n\r2AF0<>/skun\u00a0\u3000\u2028\x1c\x00\x7f각ㄱ"), min_size=1, max_size=6)


@given(st.lists(TOKENS | st.sampled_from(["<s>", "</s>", "<UNK>", "%3Cs>"]), min_size=1, max_size=9, unique=True))
@example([" ", "%20", "%2520"])
@example(["▁", " "])
@example(["<s>", "%3Cs>", "<UNK>"])
@settings(max_examples=60)
def test_any_token_can_be_written_and_read_back(tokens: list[str]) -> None:
    path = Path(os.environ["MALMOI_CACHE"]) / "tokens.arpa"
    tokens = [*SPECIALS, *(token for token in tokens if token not in SPECIALS)]
    n = len(tokens)
    words = Level(
        np.arange(n, dtype=np.uint32)[:, None], -np.arange(1, n + 1, dtype=np.float32), np.zeros(n, np.float32)
    )
    words.log_probs[[0, 2]] = -np.inf
    pairs = np.array([[2, n - 1], [n - 1, 3]], np.uint32)
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    tables = tables_from_levels([words, Level(pairs, np.full(2, -0.5, np.float32), np.zeros(2, np.float32))], n)
    write_arpa(path, tables, tokens)
    assert_same(tables_from_arpa(read_arpa(path), tokens)[0], tables)
    others = {line.split("\t")[1] for line in path.read_text(encoding="utf-8").split("\n") if line.count("\t") == 2}
    assert len(others) == n - 1  # the padding is not there
    assert not any(re.search(r"\s", word) for word in others)


def test_ordinary_words_are_written_as_they_are(tmp_path: Path) -> None:
    words = ["%20", "▁the", "50%", "한국어", "#tag", "\\data\\"]
    sections = [["-99\t<s>\t-1", "-1\t</s>", "-2\t<unk>", *(f"-1\t{word}" for word in words)], [f"-1\t<s> {words[-1]}"]]
    tables, tokens = tables_of(put(tmp_path, arpa_text(sections)))
    assert tokens[4:] == words
    write_arpa(tmp_path / "again", tables, tokens)
    text = (tmp_path / "again").read_text(encoding="utf-8")
    assert text.startswith("\\data\\\n")
    assert all(f"\t{word}\t" in text for word in words)


def test_spaces_become_a_visible_sign_where_no_token_has_it(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT))
    write_arpa(tmp_path / "a", tables, [*tokens[:4], " the", " ", "a\tb", "%41"])
    text = (tmp_path / "a").read_text(encoding="utf-8")
    assert text.startswith("# malmoi: in words %XX is a byte of UTF-8 and U+2581 a space\n\\data\\\n")
    assert "-2\ta%09b %2541\t-1\n" in text
    assert "-0.4\t<s> ▁the\t-0.15\n" in text
    write_arpa(tmp_path / "b", tables, [*tokens[:4], " the", " ", "▁", "%41"])
    text = (tmp_path / "b").read_text(encoding="utf-8")
    assert text.startswith("# malmoi: in words %XX is a byte of UTF-8\n\\data\\\n")
    assert "-0.4\t<s> %20the\t-0.15\n" in text


def test_quantised_tables_are_written_by_their_values(tmp_path: Path) -> None:
    from malmoi.models.ngram.pruning import quantise

    tables, tokens = tables_of(put(tmp_path, TEXT))
    codes = quantise(tables)
    write_arpa(tmp_path / "codes", codes, tokens)
    write_arpa(tmp_path / "plain", codes.plain(), tokens)
    assert codes.is_quantised
    assert (tmp_path / "codes").read_bytes() == (tmp_path / "plain").read_bytes()


def test_a_packed_file_is_the_same_every_time(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT))
    for name in ("a.arpa.gz", "b.arpa.GZ", "c.arpa"):
        write_arpa(tmp_path / name, tables, tokens)
    packed = (tmp_path / "a.arpa.gz").read_bytes()
    assert packed == (tmp_path / "b.arpa.GZ").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "c.arpa").read_bytes()
    assert_same(tables_of(tmp_path / "a.arpa.gz")[0], tables)


def test_a_padding_token_that_is_used_is_written(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT))
    tables.log_probs[0] = -1
    write_arpa(tmp_path / "a", tables, tokens)
    assert read_arpa(tmp_path / "a").words[0] == "<pad>"


def test_what_rounding_left_above_certainty_is_written_as_certain(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT))
    tables.log_probs[-1] = 1e-7
    write_arpa(tmp_path / "a", tables, tokens)
    assert tables_of(tmp_path / "a")[0].log_probs[-1] == 0


def test_nothing_is_written_of_what_does_not_fit(tmp_path: Path) -> None:
    tables, tokens = tables_of(put(tmp_path, TEXT))
    out = tmp_path / "out.arpa"
    with pytest.raises(DataError, match="7 tokens were given as names of 8 ids, 7 of them different"):
        write_arpa(out, tables, tokens[:-1])
    with pytest.raises(DataError, match="8 tokens were given as names of 8 ids, 7 of them different and not empty"):
        write_arpa(out, tables, [*tokens[:-1], tokens[-2]])
    with pytest.raises(DataError, match="The tables hold NaN or infinity"):
        write_arpa(out, replace(tables, backoffs=np.full_like(tables.backoffs, np.nan)), tokens)
    with pytest.raises(RunError, match="Cannot write .*choose another file"):
        write_arpa(put(tmp_path, "", "file") / "out.arpa", tables, tokens)
    assert not out.exists()
