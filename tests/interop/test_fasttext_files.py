"""Models of fastText: what is read, and what is refused."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.vectors.files import fasttext as fasttext_files
from malmoi.vectors.files.fasttext import read_fasttext
from malmoi.vectors.files.reading import read_vectors

WORDS = [b"</s>", "말모이".encode(), b"going", b"caf\xe9", b"\x82b"]
DIM, N_BUCKETS = 3, 11


def hashed(n_gram: bytes) -> int:
    number = 2166136261
    for byte in n_gram:
        number = ((number ^ (byte if byte < 128 else byte + 0xFFFFFF00)) * 16777619) % 2**32
    return number


def spelt(word: bytes, shortest: int = 3, longest: int = 4) -> list[bytes]:
    """n-grams of the bytes of a word, cut where no byte goes on with a character (10xxxxxx)."""
    whole = b"<" + word + b">"
    cuts = [i for i in range(len(whole)) if whole[i] & 0xC0 != 0x80] + [len(whole)]
    return [
        whole[cuts[i] : cuts[j]]
        for i in range(len(cuts))
        for j in range(i + shortest, min(i + longest, len(cuts) - 1) + 1)
    ]


def matrix(n_rows: int = len(WORDS) + N_BUCKETS, dim: int = DIM) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal((n_rows, dim)).astype("<f4")


def model(words: list[bytes] = WORDS, inputs: NDArray[np.float32] | None = None, **changes: Any) -> bytes:
    """A file as fastText writes it, with changes for bad ones."""
    inputs = matrix() if inputs is None else inputs
    labels: list[bytes] = changes.get("labels", [b"__label__x"])
    head = {
        "magic": 793712314, "version": 12, "dim": DIM, "ws": 5, "epoch": 5, "min_count": 1, "neg": 5, "word_n_grams": 1,
        "loss": 2, "model": 2, "bucket": N_BUCKETS, "minn": 3, "maxn": 4, "rate": 100, "t": 1e-4,
        "size": len(words) + len(labels), "n_words": len(words), "n_labels": len(labels), "n_tokens": 99, "pruned": -1,
    }  # fmt: skip
    head.update({name: value for name, value in changes.items() if name in head})
    entries = [word + struct.pack("<bqb", 0, 7, changes.get("kind", 0)) for word in words]
    entries += [label + struct.pack("<bqb", 0, 7, 1) for label in labels]
    rows, columns = changes.get("shape", inputs.shape)
    return b"".join(
        [
            struct.pack("<14id3i2q", *head.values()),
            *entries,
            struct.pack("<bqq", changes.get("quant", 0), rows, columns) + inputs.tobytes(),
            struct.pack("<bqq", 0, len(words), inputs.shape[1]) + bytes(4 * len(words) * inputs.shape[1]),
        ]
    )


def written(folder: Path, data: bytes, name: str = "model.bin") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("version", [11, 12])
@pytest.mark.parametrize("at_once", [1, 40, 1 << 22])
def test_vectors_are_means_of_rows(tmp_path: Path, version: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasttext_files, "N_GRAMS_AT_ONCE", at_once)
    rows, told = matrix(), []
    path = written(tmp_path, model(version=version))
    vectors = read_vectors(path, progress=lambda *done: told.append(done))
    assert vectors.words == ["</s>", "말모이", "going", "caf\\xe9", "\\x82b"]
    assert told[-1] == (len(model()), len(model()))
    for i, word in enumerate(WORDS):
        n_grams = [] if word == b"</s>" else [len(WORDS) + hashed(n_gram) % N_BUCKETS for n_gram in spelt(word)]
        assert bool(n_grams) == (i > 0)
        np.testing.assert_allclose(vectors.matrix[i], rows[[i, *n_grams]].mean(axis=0), rtol=0, atol=1e-6)
    unseen = [len(WORDS) + hashed(n_gram) % N_BUCKETS for n_gram in spelt("말모".encode())]
    np.testing.assert_allclose(vectors["말모"], rows[unseen].mean(axis=0), rtol=0, atol=1e-6)
    with pytest.raises(DataError, match="There is no vector for ''"):
        vectors[""]
    first = read_vectors(path, limit=2)
    assert first.words == vectors.words[:2]
    np.testing.assert_array_equal(first.matrix, vectors.matrix[:2])
    np.testing.assert_array_equal(first["going"], vectors.unknown("going"))  # type: ignore[misc]


@pytest.mark.parametrize(("minn", "maxn"), [(3, 0), (5, 4)])
def test_a_model_without_n_grams_has_its_rows_alone(tmp_path: Path, minn: int, maxn: int) -> None:
    n_buckets = N_BUCKETS if maxn else 0
    inputs = matrix(len(WORDS) + n_buckets)
    vectors = read_vectors(written(tmp_path, model(inputs=inputs, minn=minn, maxn=maxn, bucket=n_buckets, labels=[])))
    np.testing.assert_array_equal(vectors.matrix, inputs[: len(WORDS)])
    assert vectors.unknown is None


def broken(place: tuple[int, int]) -> NDArray[np.float32]:
    inputs = matrix()
    inputs[place] = np.nan
    return inputs


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it does not begin as models of fastText do"),
        (model()[1:], "it does not begin as models of fastText do"),
        (model()[:90], "it ends after 90 bytes, before the first word. The file was cut off"),
        (model(version=13), "a model of version 13. Expected version 11 or 12"),
        (model(model=3), "a supervised model.*fastText print-word-vectors"),
        (model(pruned=4), "a pruned model, as quantise -cutoff makes them. Expected a whole model"),
        (model(quant=1), r"a quantised model \(.ftz\).*Give the .bin file that it was made from"),
        (model(model=9), "model 9.*Expected counts that fit together"),
        (model(dim=0), "0 numbers each"),
        (model(dim=2**30), "1,073,741,824 numbers each"),
        (model(dim=4), "an input matrix of 16 rows of 3 .*Expected 16 rows of 4"),
        (model(n_words=4), "promises 4 words and 1 labels of 6"),
        (model(n_words=2**31 - 7, size=2**31 - 6), "promises 2,147,483,641 words"),
        (model(n_labels=-1, size=4), "-1 labels of 4"),
        (model(maxn=2**31 - 1), "n-grams from 3 to 2147483647"),
        (model(maxn=-1), "n-grams from 3 to -1"),
        (model(bucket=0), "in 0 buckets"),
        (model(bucket=-5), "in -5 buckets"),
        (model(bucket=2_000_000), "Expected 2,000,005 rows of 3, which end at byte 24,000"),
        (model(shape=(15, 3)), "an input matrix of 15 rows of 3"),
        (model(shape=(2**62, 2**62)), "an input matrix of 4,611,686,018,427,387,904 rows"),
        (model(kind=1), r"entry 1 is of kind 1. Expected 5 words \(0\) and then 1 labels \(1\)"),
        (model(words=[b"a", b"", b"c", b"d", b"e"]), "the word after 1 of 6 is empty"),
        (model(words=[b"a" * 65_537, b"b", b"c", b"d", b"e"]), "the word after 0 of 6 .*more than 65,536 bytes"),
        (model(words=[b"a", b"a", b"c", b"d", b"e"]), "The word 'a' is there twice, at 0 and 1"),
        (model()[:-1], "an output matrix of 5 rows of 3 .*The file was cut off"),
        (model()[: -(17 + 4 * 5 * DIM)], "it ends before the output matrix"),
        (model(inputs=broken((2, 0))), "vector of 'going' holds NaN"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(DataError, match=message) as caught:
        read_fasttext(path)
    assert str(caught.value).startswith(str(path))


def test_broken_rows_of_n_grams_are_told_when_they_are_used(tmp_path: Path) -> None:
    words = [b"</s>"]
    inputs = matrix(1 + N_BUCKETS)
    inputs[1:] = np.inf
    vectors = read_vectors(written(tmp_path, model(words=words, inputs=inputs)))
    with pytest.raises(DataError, match=r"model.bin: the n-grams of 'unseen' hold NaN or infinity"):
        vectors["unseen"]


def test_files_that_are_not_there_or_packed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no .*x.bin. Expected a model of fastText"):
        read_fasttext(tmp_path / "x.bin")
    with pytest.raises(DataError, match="is a folder"):
        read_fasttext(tmp_path)
    path = written(tmp_path, model())
    with pytest.raises(ConfigError, match="At most 0 words were to be read"):
        read_fasttext(path, limit=0)
    with pytest.raises(DataError, match="is a model of fastText; leave its format out"):
        read_vectors(path, "glove")
    packed = written(tmp_path, gzip.compress(model()), "model.bin.gz")
    with pytest.raises(DataError, match="a model of fastText packed with gzip. Expected it unpacked. Type: gunzip"):
        read_vectors(packed)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_one_message(tmp_path: Path, data: st.DataObject) -> None:
    bad = bytearray(model())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 220) | st.integers(0, len(bad) - 1))
        new = data.draw(st.binary(max_size=4) | st.sampled_from([b"\xff" * 4, b"\0" * 8, b"\0\0\0\x7f"]))
        bad[at : at + data.draw(st.integers(0, len(new)))] = new
    message = "Expected"
    try:
        vectors = read_fasttext(written(tmp_path, bytes(bad)))
        assert np.isfinite(vectors.matrix).all()
        if vectors.unknown is not None:
            vectors.unknown("unseen")
    except DataError as error:
        message = str(error)
    assert "Expected" in message or "The file was cut off" in message
