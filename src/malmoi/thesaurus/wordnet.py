"""Finds WordNet on this machine and opens it; nothing is ever fetched from a network.

The files are those of Princeton WordNet 3.x ("WNDB"): `index.noun` names the senses of each noun, `data.noun` holds their
concepts with pointers to the concepts above and below, and so on for verbs, adjectives and adverbs. Debian has them in the
package wordnet-base.

Source: Miller 1995, "WordNet: a lexical database for English"; the manual pages wndb(5WN) and cntlist(5WN).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from malmoi.errors import DataError, MissingExtraError
from malmoi.thesaurus.files import INSTALL, IRREGULAR, PARTS, SENSE_COUNTS, understood

if TYPE_CHECKING:
    from malmoi.thesaurus.reader import Reader

VARIABLE = "MALMOI_WORDNET"
USUAL_PLACE = Path("/usr/share/wordnet")
NEEDED = [f"{kind}.{part}" for part in PARTS for kind in ("index", "data")]
LARGEST = 256 << 20  # bytes of one file; WordNet's own largest has 15 MB


def find_data(data: str | Path | None = None) -> Path:
    """The folder with WordNet's files: the one given, or that of MALMOI_WORDNET, or Debian's.

    Raises:
        DataError: If files are missing there, or are far too large.
    """
    folder = Path(data or os.environ.get(VARIABLE) or USUAL_PLACE)
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        found = f"There is no {missing[0]} in {folder}" if folder.is_dir() else f"There is no folder {folder}"
        raise DataError(
            f"{found}. Expected the files of WordNet 3.x (index.noun, data.noun and so on). Type: {INSTALL}; or name a folder "
            f"that has them with --data, or in {VARIABLE}."
        )
    for name in (*NEEDED, *IRREGULAR, SENSE_COUNTS):
        path = folder / name
        if path.is_file() and path.stat().st_size > LARGEST:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes. Expected at most {LARGEST:,}. Give the files of WordNet 3.x."
            )
    return folder


def open_reader(folder: Path) -> "Reader":
    """NLTK's reader over these files; reading the indexes takes about a second.

    Raises:
        MissingExtraError: If NLTK is not installed.
        DataError: If a file is damaged.
    """
    try:
        from malmoi.thesaurus.reader import Reader
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "nltk":
            raise
        raise MissingExtraError("nltk", "thesaurus", "The thesaurus") from None
    with understood(folder):
        return Reader(folder)
