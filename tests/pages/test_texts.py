"""Everything that malmoi says to people is there in English and Korean, with the same values in both, and is said somewhere."""

import re
import string
from typing import get_args

import pytest
from asked_texts import COMPOSED, SOURCE, all_asked

from malmoi.pages.language import Catalogue, Teller, read_texts

CATALOGUES: tuple[Catalogue, ...] = get_args(Catalogue)
GUARDED = ("idea_", "gain_", "setting_", "axis_", "unit_", "part_", "method_")  # asked for only where there is one
ASKED = all_asked()
SCRIPTS = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "vectors" / "map").glob("*.js"))
IN_SCRIPTS = {f"script_{key}": values for key, values in re.findall(r'tell\("(\w+)"(?:, \{([^}]*))?', SCRIPTS)}


def holes(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_both_languages_say_every_text_with_the_same_values(catalogue: Catalogue) -> None:
    for key, text in read_texts(catalogue).items():
        assert text.keys() == {"en", "ko"}, key
        assert holes(text["en"]) == holes(text["ko"]), key
        assert all(name.isidentifier() for name in holes(text["en"])), key


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_every_text_that_the_code_asks_for_is_there(catalogue: Catalogue) -> None:
    texts = read_texts(catalogue)
    for asked in ASKED:
        if asked.catalogue == catalogue:
            missing = {
                key for key in asked.keys - texts.keys() if not key.startswith(GUARDED) and not key.endswith("_between")
            }
            assert not missing, f"{asked.file}:{asked.line}"
            assert asked.keys & texts.keys() or not asked.keys, f"{asked.file}:{asked.line}"


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_every_hole_gets_its_value(catalogue: Catalogue) -> None:
    texts = read_texts(catalogue)
    for asked in ASKED:
        if asked.catalogue == catalogue:
            for key in asked.keys & texts.keys():
                assert holes(texts[key]["en"]) <= asked.values, f"{asked.file}:{asked.line} asks for {key}"


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_every_text_is_said_somewhere(catalogue: Catalogue) -> None:
    said = {key for asked in ASKED if asked.catalogue == catalogue for key in asked.keys}
    if catalogue == "vector_map":
        said |= IN_SCRIPTS.keys()
    assert sorted(read_texts(catalogue).keys() - said) == []


def test_scripts_say_what_there_is_with_its_values() -> None:
    texts = read_texts("vector_map")
    for key, values in IN_SCRIPTS.items():
        assert holes(texts[key]["en"]) == set(
            re.findall(r"(\w+)(?::|,| \}|$)", re.sub(r": [^,}]+", "", values).strip())
        ), key


def test_what_is_declared_is_still_asked_for() -> None:
    assert {(asked.file, asked.written) for asked in ASKED} >= COMPOSED.keys()


def test_a_teller_says_a_text_in_its_language() -> None:
    assert Teller("en", "explanation")("layer", layer=2) == "layer 2"
    assert Teller("ko", "explanation")("layer", layer=2) == "2층"
    assert Teller("ko", "explanation").has("layer")
    assert not Teller("ko", "explanation").has("layers")
    with pytest.raises(KeyError, match="layer"):
        Teller("en", "explanation")("layer", depth=2)
