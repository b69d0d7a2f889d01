"""Files of word vectors for other programs: word2vec text and binary, GloVe text; see `vector_files` for how they are laid out.

Source: word2vec.c of Mikolov et al. 2013, and glove.c of Pennington et al. 2014, for the formats.
"""

from pathlib import Path

import numpy as np

from malmoi.errors import DataError
from malmoi.files import atomic_file, packed
from malmoi.vectors.files.reading import Format
from malmoi.vectors.files.stream import Progress
from malmoi.vectors.vectors import Vectors

ROWS = 1 << 13  # rows written at a time
NO_PIECES = "vectors of unseen words, which are made from pieces of the spelling, are not in it"  # for notes


def write_vectors(
    path: str | Path, vectors: Vectors, file_format: Format | None = None, progress: Progress | None = None
) -> None:
    """Write word vectors for other programs, packed with gzip if the name ends in .gz; what stands there is replaced.

    Numbers in text have nine digits, as many as it takes to read the same float32 back.

    Args:
        file_format: None takes word2vec-binary for names that end in .bin, and word2vec text for all others.
        progress: Told how many words have been written, and how many there are.

    Raises:
        DataError: If a word holds white space, or is one that its readers would take for something else.
        RunError: If the file cannot be written.
        TrainingError: If the disk is full.
    """
    path = Path(path)
    if vectors.is_sparse:
        raise DataError(
            f"The vectors are sparse: {len(vectors):,} words of {vectors.dim:,} numbers, nearly all of them 0, which such a "
            "file would hold one by one. Expected dense vectors. Make them so: malmoi train cooccurrence with --reduction "
            "randomised."
        )
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    file_format = file_format or ("word2vec-binary" if plain.suffix.lower() == ".bin" else "word2vec")
    for word in vectors.words:
        if word.split() != [word] or word.startswith("\ufeff"):
            raise DataError(
                f"The word {word[:60]!r} holds white space or a byte order mark, which readers of {file_format} files would "
                "take for the end of a word. Expected words without. Rename it, or keep the vectors with Vectors.save."
            )
    if file_format == "glove" and len(vectors) and vectors.dim == 1 and vectors.words[0].isdecimal():
        first = vectors.words[0]
        raise DataError(
            f"The first word, {first!r}, and its one number would be read as the header of a word2vec file. Expected another "
            "word first, or more numbers. Write format word2vec."
        )
    with atomic_file(path, advice="choose another file") as file, packed(path, file) as stream:
        if file_format != "glove":
            stream.write(f"{len(vectors)} {vectors.dim}\n".encode())
        form = " ".join(["%.9g"] * vectors.dim)
        for start in range(0, len(vectors), ROWS):
            words = vectors.words[start : start + ROWS]
            rows = vectors.rows(np.arange(start, start + len(words)))
            pairs = zip(words, rows, strict=True)
            if file_format == "word2vec-binary":
                little = rows.astype("<f4")
                out = b"".join(
                    word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(words, little, strict=True)
                )
            else:
                out = "".join(f"{word} {form % tuple(row.tolist())}\n" for word, row in pairs).encode()
            stream.write(out)
            if progress is not None:
                progress(start + len(words), len(vectors))
