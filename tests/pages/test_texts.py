"""Everything that malmoi says to people is there in English and Korean, with the same values in both."""

import re
from typing import get_args

import pytest

from malmoi.pages.language import Catalogue, read_texts

CATALOGUES = get_args(Catalogue)


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_both_languages_say_every_text_with_the_same_values(catalogue: Catalogue) -> None:
    for key, text in read_texts(catalogue).items():
        assert text.keys() == {"en", "ko"}, key
        counts = []
        for sentence in text.values():
            fields = re.findall(r"\{(\d*)", sentence)
            counts.append({int(field) if field else place for place, field in enumerate(fields)})
        assert counts[0] == counts[1], key
