"""Special tokens may have any ids: with every id renamed, all that counts or learns gives the same, renamed."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from streams import Ids

from malmoi.models.baselines import UniformModel, UnigramModel
from malmoi.models.combined import Interpolated, LastTokenBuckets
from malmoi.models.cooccurrence import PairSettings, count_pairs
from malmoi.models.ngram.estimate import estimate
from malmoi.models.ngram.model import NGramModel
from malmoi.models.options.ngram import NGramConfig
from malmoi.models.phrases import PhraseSettings, find_phrases
from malmoi.models.word2vec import Word2VecOptions
from malmoi.models.word2vec.training import train
from malmoi.store import Store
from malmoi.text.vocabulary import SpecialIds

V = 19
OURS = SpecialIds(0, 1, 2, 3)
RENAMED = np.concatenate([[11, 6, 18, 9], np.setdiff1d(np.arange(V), [11, 6, 18, 9])])  # words keep their order
THEIRS = SpecialIds(*map(int, RENAMED[:4]))


def text(seed: int = 0) -> np.ndarray:
    """Words 4 to 18, some of them often together, unknown ones among them, in lines."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.arange(4, V), 3000, p=np.arange(15, 0, -1) / 120)
    ids[rng.random(3000) < 0.05] = OURS.unk
    places = np.flatnonzero(rng.random(2999) < 0.1)
    ids[places], ids[places + 1] = 7, 12
    ids[9::10] = OURS.eos
    return ids


IDS = text()


def test_pairs_of_words() -> None:
    ours = count_pairs(Ids(IDS), V, PairSettings(window=2), special_ids=OURS)
    theirs = count_pairs(Ids(RENAMED[IDS]), V, PairSettings(window=2), special_ids=THEIRS)
    assert_array_equal(theirs.token_ids, RENAMED[ours.token_ids])
    assert_array_equal(theirs.counts.toarray(), ours.counts.toarray())


def test_phrases() -> None:
    asked = PhraseSettings(min_count=2, threshold=1.5)
    ours = find_phrases(Ids(IDS), np.bincount(IDS, minlength=V), asked, special_ids=OURS)
    theirs = find_phrases(Ids(RENAMED[IDS]), np.bincount(RENAMED[IDS], minlength=V), asked, special_ids=THEIRS)
    assert [7, 12] in ours.pairs.tolist()
    assert sorted(theirs.pairs.tolist()) == sorted(RENAMED[ours.pairs].tolist())


def test_a_phrase_may_be_made_of_id_0() -> None:
    ids = np.array([0, 0, 1, 5, 0, 0, 2, 5, 0, 0, 3, 4, 5])
    specials = SpecialIds(pad=6, unk=7, bos=8, eos=5)
    counts = np.bincount(ids, minlength=9)
    found = find_phrases(Ids(ids), counts, PhraseSettings(min_count=1, threshold=0.5), special_ids=specials)
    assert found.pairs.tolist() == [[0, 0]]
    assert found.join(Ids(ids), Store()).ids.tolist() == [9, 1, 5, 9, 2, 5, 9, 3, 4, 5]


def test_vectors_of_words() -> None:
    options = Word2VecOptions(dim=6, epochs=1, subsample_threshold=0.0, objective="softmax")
    ours = train(Ids(IDS), np.bincount(IDS, minlength=V), options, special_ids=OURS)
    theirs = train(Ids(RENAMED[IDS]), np.bincount(RENAMED[IDS], minlength=V), options, special_ids=THEIRS)
    assert theirs.figures.words == ours.figures.words
    assert theirs.figures.pairs == ours.figures.pairs  # the same windows; the vectors begin as other random numbers
    assert_array_equal(
        np.flatnonzero(~theirs.inputs.any(axis=1)), np.sort(RENAMED[np.flatnonzero(~ours.inputs.any(axis=1))])
    )


def test_counted_probabilities() -> None:
    def counted(ids: np.ndarray, specials: SpecialIds) -> NGramModel:
        config = NGramConfig(vocab_size=V, order=3)
        found = estimate(Ids(ids), config, Store(), special_ids=specials, memory=1 << 30, n_threads=1)
        return NGramModel(found.tables, specials.bos, specials.eos)

    ours, theirs = counted(IDS, OURS), counted(RENAMED[IDS], THEIRS)
    line = np.array([[7, 12, 4, 3, 5, 7]])
    expected, got = ours.score(line, ours.start())[0], theirs.score(RENAMED[line], theirs.start())[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_special_tokens_that_the_text_lacks_are_never_counted_on() -> None:
    masked = SpecialIds(*OURS[:4], others=(V, V + 1))
    ids = np.where(IDS == 18, V + 1, IDS)  # the last one stands in the text
    config = NGramConfig(vocab_size=V + 2, order=2)
    found = estimate(Ids(ids), config, Store(), special_ids=masked, memory=1 << 30, n_threads=1)
    model = NGramModel(found.tables, masked.bos, masked.eos)
    probs = np.exp(model.step(np.array([[7]]), model.start())[0][0])
    assert probs.sum() == pytest.approx(1)
    assert np.flatnonzero(probs == 0).tolist() == [OURS.pad, OURS.bos, V]


def test_a_mixture_begins_after_the_end_of_a_line() -> None:
    models = [UniformModel(V), UnigramModel.fit(IDS, V)]
    buckets = (np.arange(V) == OURS.eos).astype(int)
    ours = Interpolated(models, [[0.5, 0.5], [0.0, 1.0]], LastTokenBuckets(buckets, OURS.eos))
    begins = ours.step(np.zeros((1, 0), int), ours.start())[0]
    np.testing.assert_allclose(begins, ours.step(np.array([[OURS.eos]]), ours.start())[0])
    np.testing.assert_allclose(begins[0], models[1].log_probs)
    other = Interpolated(models, [[0.5, 0.5], [0.0, 1.0]], LastTokenBuckets(buckets, THEIRS.eos))
    assert not np.allclose(other.step(np.zeros((1, 0), int), other.start())[0], begins)
