"""WordNet 3.x itself, where it is installed (apt-get install wordnet-base) or named by MALMOI_WORDNET."""

import pytest

from malmoi.errors import DataError
from malmoi.thesaurus import Thesaurus
from malmoi.thesaurus.wordnet import find_data

try:
    find_data()
except DataError:
    pytestmark = pytest.mark.skip(reason="no WordNet; apt-get install wordnet-base, or set MALMOI_WORDNET")


@pytest.fixture(scope="module")
def wordnet() -> Thesaurus:
    return Thesaurus()


def test_dog_and_cat_are_as_similar_as_published(wordnet: Thesaurus) -> None:
    # nltk.org/howto/wordnet: dog.n.01 and cat.n.01
    assert wordnet.similarity("dog", "cat") == 0.2
    assert wordnet.similarity("dog", "cat", "wup") == pytest.approx(0.857142857, abs=1e-9)
    found = wordnet.compare("dog", "cat")
    assert found.common is not None
    assert found.common.name == "carnivore.n.01"
    assert [concept.name for concept in found.up_first] == ["dog.n.01", "canine.n.02", "carnivore.n.01"]


def test_senses_and_what_stands_above(wordnet: Thesaurus) -> None:
    assert wordnet.synonyms("car", "noun")[:4] == ["auto", "automobile", "machine", "motorcar"]
    above = wordnet.graph(wordnet.senses("dog")[:1]).above
    assert above["dog.n.01"] == ["canine.n.02", "domestic_animal.n.01"]
    assert [name for name, parents in above.items() if not parents] == ["entity.n.01"]
    assert [concept.name for concept in wordnet.senses("geese")] == ["goose.n.01", "fathead.n.01", "goose.n.03"]


def test_information_content_is_that_of_all_nouns(wordnet: Thesaurus) -> None:
    told = wordnet.information()
    assert told is not None
    (top,) = wordnet.senses("entity")
    place = wordnet._known[top.name][1].offset()
    assert told.counts["n"][place] == told.counts["n"][0] > 150_000
    assert wordnet.similarity("dog", "cat", "lin") == pytest.approx(
        0.82, abs=0.02
    )  # 0.88 with the Brown corpus's counts
    assert wordnet.similarity("dog", "entity", "lin") == 0
