"""Which tokenizer suits a text, where nobody says."""

from collections.abc import Iterable

SMALL_TEXT, BEGINNING = 300_000, 1 << 22  # bytes: below the first characters are the tokens; how much is looked at
MOST_WORD_TYPES = 60_000


def choose_tokenizer(lines: Iterable[str], n_bytes: int) -> tuple[str, int | None, str]:
    """(kind, vocabulary size or None for the kind's own, reason), from the beginning of the text.

    Args:
        lines: The text; only its first megabytes are looked at.
        n_bytes: The size of the whole on disk, which is less than that of the text if it is compressed.
    """
    beginning: list[str] = []
    read = 0
    for line in lines:
        beginning.append(line)
        read += len(line.encode()) + 1
        if read > BEGINNING:
            n_bytes = max(n_bytes, read)
            break
    else:
        n_bytes = read
    if any("<unk>" in line for line in beginning) and _has_few_types(beginning):
        return "word", None, "the text has a closed vocabulary already (it contains <unk>)"
    if n_bytes < SMALL_TEXT:
        return "char", None, f"{n_bytes:,} bytes are too few to learn larger units from"
    vocab_size = 8000 if n_bytes > 8_000_000 else 4000 if n_bytes > 2_000_000 else 2000
    if n_bytes > 100_000_000:
        vocab_size = 16000
    return "bpe", vocab_size, "lossless on any text, no unknown words"


def _has_few_types(lines: Iterable[str]) -> bool:
    """Whether <unk> is a word of the text, as where the rare ones were replaced by it, and there are not too many others."""
    types = {word for line in lines for word in line.split()}
    return "<unk>" in types and len(types) <= MOST_WORD_TYPES
