"""Subwords: which n-grams a word has, the rows they share, and vectors of unseen words."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from word2vec_reference import train

from malmoi.errors import ConfigError, DataError
from malmoi.models.word2vec import Word2VecOptions
from malmoi.models.word2vec.subwords import Subwords, SubwordSettings

# What fastText 0.9.2 says of these words with -minn 2 -maxn 3 -bucket 99991.
OF_FASTTEXT = {
    "goin": {
        **{"<g": 25511, "<go": 78255, "go": 23802, "goi": 49931, "oi": 10753, "oin": 9180},
        **{"in": 18933, "in>": 78240, "n>": 31884},
    },
    "말모이": {
        **{"<말": 79388, "<말모": 54565, "말모": 35137, "말모이": 60728, "모이": 23483, "모이>": 75395, "이>": 62482},
    },
    "é😀": {"<é": 97107, "<é😀": 34564, "é😀": 58117, "é😀>": 37157, "😀>": 55666},
}


@pytest.mark.parametrize("word", OF_FASTTEXT)
def test_n_grams_and_their_buckets_are_those_of_fasttext(word: str) -> None:
    settings = SubwordSettings(shortest=2, longest=3, n_buckets=99_991)
    assert dict(zip(settings.n_grams(word), settings.buckets(word).tolist(), strict=True)) == OF_FASTTEXT[word]


def test_single_characters_are_n_grams_and_marks_are_not() -> None:
    assert SubwordSettings(shortest=1, longest=2).n_grams("ab") == ["<a", "a", "ab", "b", "b>"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("나", ["<ㄴㅏ", "<ㄴㅏ∅", "<ㄴㅏ∅>", "ㄴㅏ∅", "ㄴㅏ∅>", "ㅏ∅>"]),
        (  # 11 symbols: 3-, 4- and 5-grams from each place, then two and three syllables
            "먹었다",
            [
                *[
                    "<ㅁㅓ",
                    "<ㅁㅓㄱ",
                    "<ㅁㅓㄱㅇ",
                    "ㅁㅓㄱ",
                    "ㅁㅓㄱㅇ",
                    "ㅁㅓㄱㅇㅓ",
                    "ㅓㄱㅇ",
                    "ㅓㄱㅇㅓ",
                    "ㅓㄱㅇㅓㅆ",
                ],
                *[
                    "ㄱㅇㅓ",
                    "ㄱㅇㅓㅆ",
                    "ㄱㅇㅓㅆㄷ",
                    "ㅇㅓㅆ",
                    "ㅇㅓㅆㄷ",
                    "ㅇㅓㅆㄷㅏ",
                    "ㅓㅆㄷ",
                    "ㅓㅆㄷㅏ",
                    "ㅓㅆㄷㅏ∅",
                ],
                *["ㅆㄷㅏ", "ㅆㄷㅏ∅", "ㅆㄷㅏ∅>", "ㄷㅏ∅", "ㄷㅏ∅>", "ㅏ∅>"],
                *["ㅁㅓㄱㅇㅓㅆ", "ㅁㅓㄱㅇㅓㅆㄷㅏ∅", "ㅇㅓㅆㄷㅏ∅"],
            ],
        ),
        (  # another character is a jamo and a syllable to itself; KB는, B는 and 는 are n-grams of jamo already
            "KB는",
            [
                *["<KB", "<KBㄴ", "<KBㄴㅡ", "KBㄴ", "KBㄴㅡ", "KBㄴㅡㄴ", "Bㄴㅡ", "Bㄴㅡㄴ", "Bㄴㅡㄴ>"],
                *["ㄴㅡㄴ", "ㄴㅡㄴ>", "ㅡㄴ>", "K", "KB", "B"],
            ],
        ),
        ("ㅋㅋ", ["<ㅋㅋ", "<ㅋㅋ>", "ㅋㅋ>"]),  # without a syllable: as characters, 3 to 6
        ("run", ["<ru", "<run", "<run>", "run", "run>", "un>"]),
    ],
)
def test_n_grams_of_jamo_by_hand(word: str, expected: list[str]) -> None:
    settings = SubwordSettings(kind="jamo")
    assert settings.n_grams(word) == expected
    assert len(settings.buckets(word)) == len(expected)
    assert settings.buckets(unicodedata.normalize("NFD", word)).tolist() == settings.buckets(word).tolist()


def hashed(n_gram: str, n_buckets: int) -> int:
    """FNV-1a, in which a byte from 128 on is a negative number."""
    number = 2166136261
    for byte in n_gram.encode("utf-8", "surrogatepass"):
        number = ((number ^ (byte if byte < 128 else byte + 0xFFFFFF00)) * 16777619) % 2**32
    return number % n_buckets


WORDS = st.text(st.sampled_from("ab<é가각힣ㄱㅏ한글😀\0 ") | st.characters(exclude_categories=["Cs"]), max_size=9)


@given(
    st.lists(WORDS, max_size=5),
    st.sampled_from(["characters", "jamo"]),
    st.tuples(st.integers(1, 4), st.integers(0, 4)),
    st.tuples(st.integers(1, 4), st.integers(0, 8)),
    st.tuples(st.integers(1, 3), st.integers(0, 3)),
    st.sampled_from([1, 7, 200_000, 2_000_000]),
)
def test_rows_are_the_hashes_of_the_n_grams(
    words: list[str],
    kind: str,
    characters: tuple[int, int],
    jamo: tuple[int, int],
    syllables: tuple[int, int],
    n_buckets: int,
) -> None:
    lengths = [n for least, more in (characters, jamo, syllables) for n in (least, least + more)]
    settings = SubwordSettings(kind, *lengths, n_buckets=n_buckets)
    words = [unicodedata.normalize("NFC", word) for word in words]
    subwords = Subwords.build(words, settings)
    assert subwords.n_rows == len(words) + n_buckets
    assert (subwords.starts.dtype, subwords.rows.dtype) == (np.int64, np.int32)
    for i, word in enumerate(words):
        rows = subwords.rows[subwords.starts[i] : subwords.starts[i + 1]].tolist()
        expected = [hashed(n_gram, n_buckets) for n_gram in settings.n_grams(word)]
        assert rows == [i, *(len(words) + bucket for bucket in expected)]
        assert settings.buckets(word).tolist() == expected
    assert subwords.starts[-1] == len(subwords.rows)


def test_a_vector_is_the_mean_of_rows() -> None:
    settings = SubwordSettings(shortest=2, longest=2, n_buckets=50)
    subwords = Subwords.build(["", "ab", "aaa"], settings)
    inputs = np.random.default_rng(0).standard_normal((53, 6)).astype(np.float32)
    ab = [3 + hashed(n_gram, 50) for n_gram in ("<a", "ab", "b>")]
    aaa = [3 + hashed(n_gram, 50) for n_gram in ("<a", "aa", "aa", "a>")]
    expected = [inputs[0], inputs[[1, *ab]].mean(axis=0), inputs[[2, *aaa]].mean(axis=0)]
    np.testing.assert_allclose(subwords.vectors(inputs), expected, rtol=0, atol=1e-6)
    unseen = [3 + hashed(n_gram, 50) for n_gram in ("<b", "ba", "a>")]
    found = subwords.compose("ba", inputs[3:])
    assert found is not None
    np.testing.assert_allclose(found, inputs[unseen].mean(axis=0), rtol=0, atol=1e-6)
    assert Subwords.build([], SubwordSettings(shortest=4)).compose("a", np.zeros((200_000, 2), np.float32)) is None
    assert subwords.compose("", inputs[3:]) is None


def test_matrices_of_another_height_are_refused() -> None:
    subwords = Subwords.build(["ab"], SubwordSettings(n_buckets=50))
    with pytest.raises(DataError, match="A matrix of 50 rows, and 51 are needed: 1 words and 50 buckets"):
        subwords.vectors(np.zeros((50, 3), np.float32))
    with pytest.raises(DataError, match="51 rows for n-grams, and 50 are needed"):
        subwords.compose("a", np.zeros((51, 3), np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "bytes"}, "kind='bytes' of subwords is not known. Choose 'characters' or 'jamo'"),
        ({"shortest": 0}, "from shortest=0 to longest=6 are not possible. Choose two whole numbers from 1 to 100"),
        ({"shortest_jamo": 6}, "from shortest_jamo=6 to longest_jamo=5 are not possible"),
        ({"longest_syllables": 101}, "to longest_syllables=101 are not possible"),
        ({"n_buckets": 0}, "n_buckets=0 is out of range. Choose a whole number from 1 to 100,000,000"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SubwordSettings(**changes)  # type: ignore[arg-type]


# Training

STEMS = {"가": "학교 회사 시장", "먹": "밥 빵 국", "읽": "책 신문 소설", "입": "옷 치마 바지"}
ENDINGS = {
    "가": ["간다", "갔다", "가고", "가면", "가지만", "갔는데", "가서", "갑니다"],
    "먹": ["먹는다", "먹었다", "먹고", "먹으면", "먹지만", "먹었는데", "먹어서", "먹습니다"],
    "읽": ["읽는다", "읽었다", "읽고", "읽으면", "읽지만", "읽었는데", "읽어서", "읽습니다"],
    "입": ["입는다", "입었다", "입고", "입으면", "입지만", "입었는데", "입어서", "입습니다"],
}
UNSEEN = {"가": ["갔습니다", "갔지만"], "먹": ["먹었습니다", "먹었지만"], "읽": ["읽었습니다"], "입": ["입었습니다"]}


class Sentences:
    """Each stem has nouns of its own; a sentence is nouns of one stem and two of its forms."""

    def __init__(self) -> None:
        forms = [form for stem in STEMS for form in (*STEMS[stem].split(), *ENDINGS[stem])]
        self.words = ["", "", "", "", *forms]
        place = {word: i for i, word in enumerate(self.words)}
        rng, ids = np.random.default_rng(0), []
        for _ in range(2500):
            stem = str(rng.choice(list(STEMS)))
            chosen = [*rng.choice(STEMS[stem].split(), 3), *rng.choice(ENDINGS[stem], 2)]
            ids += [place[str(word)] for word in rng.permutation(chosen)] + [3]
        self.ids = np.array(ids, np.int64)
        self.counts = np.bincount(self.ids, minlength=len(self.words))

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.ids[start:stop]

    def release(self) -> None:
        pass


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_unseen_forms_of_a_verb_lie_near_the_seen_ones(method: str) -> None:
    text = Sentences()
    subwords = Subwords.build(text.words, SubwordSettings(kind="jamo", n_buckets=5000))
    options = Word2VecOptions(method=method, dim=20, window=4, subsample_threshold=0.0, epochs=10, learning_rate=0.05)
    trained = train(text, text.counts, options, seed=1, subwords=subwords)
    assert trained.inputs.shape == (subwords.n_rows, 20)
    vectors = subwords.vectors(trained.inputs)[4:]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for stem, forms in UNSEEN.items():
        for form in forms:
            assert form not in text.words
            unseen = subwords.compose(form, trained.inputs[len(text.words) :])
            assert unseen is not None
            nearest = np.argsort(-vectors @ unseen)[:5]
            assert {text.words[4 + i] for i in nearest} <= {*STEMS[stem].split(), *ENDINGS[stem]}
    again = train(text, text.counts, options, seed=1, subwords=subwords)
    assert again.inputs.tobytes() == trained.inputs.tobytes()
