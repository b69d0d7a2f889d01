"""A lossless tokenizer over a handful of pieces, whose tokens carry the space before a word."""

from collections.abc import Sequence

import numpy as np

from malmoi.text.tokenizers import Tokenizer


class Letters(Tokenizer):
    """Takes the longest piece that fits, from the left; the text must consist of pieces."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.kind, self.vocab_size, self.is_lossless = "bpe", 4 + len(pieces), True
        self.known = list(pieces)

    def encode(self, text):
        ids = []
        while text:
            if text[0] == "\n":
                ids.append(3)
                text = text[1:]
                continue
            piece = max((piece for piece in self.known if text.startswith(piece)), key=len)
            ids.append(4 + self.known.index(piece))
            text = text.removeprefix(piece)
        return np.array(ids, dtype=np.int32)

    def encode_lines(self, lines):
        return (self.encode(line + "\n") for line in lines)

    def token_bytes(self):
        return [b"", b"", b"", b"\n", *(piece.encode() for piece in self.known)]

    def encode_stream(self, lines):
        return np.concatenate(list(self.encode_lines(lines))), np.zeros(0)

    def layout_nats(self, lines, n_words):
        return np.zeros(len(lines))

    def fingerprint(self):
        return repr(self.known)
