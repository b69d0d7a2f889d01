"""A tiny thesaurus for all tests here."""

from pathlib import Path

import pytest
from tiny_wordnet import write_wordnet

from malmoi.thesaurus import Thesaurus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_wordnet(tmp_path / "wordnet")


@pytest.fixture
def tiny(folder: Path) -> Thesaurus:
    return Thesaurus(folder)
