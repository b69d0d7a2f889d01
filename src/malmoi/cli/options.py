"""Options that several verbs share, so that each is described once."""

from typing import Annotated, Literal

from cyclopts import Parameter

RUN = Parameter(name="RUN", help="A run folder, or the name of one under runs/.")
JSON = Parameter(
    name="--json", negative=(), show_default=False, help="One JSON object on standard output, and nothing else there."
)
DEVICE = Parameter(help="Where the model computes: cpu, cuda, or auto for the GPU where there is one.")
ENGINE = Parameter(
    help="What computes a neural model: numpy is NumPy alone and starts at once, torch is PyTorch; auto: numpy on the CPU."
)
FIELD = Parameter(help="Column or JSON key that holds the text; a number counts from 1 in a table without header.")
ENCODING = Parameter(help="How the text is encoded, as cp949.")
UNIT = Parameter(help="lines: each line stands for itself. documents: each row or file is one text of several lines.")

RunName = Annotated[str, RUN]
Json = Annotated[bool, JSON]
Device = Annotated[str, DEVICE]
Engine = Annotated[Literal["auto", "torch", "numpy"], ENGINE]  # malmoi.api.ENGINES, unimported
TextField = Annotated[str | None, FIELD]
Encoding = Annotated[str, ENCODING]
TextUnit = Annotated[Literal["lines", "documents"], UNIT]  # malmoi.text.sources.Unit, unimported
TokenizerKind = Literal[
    "word", "char", "jamo", "bpe", "unigram", "morpheme"
]  # malmoi.text.tokenizers.KINDS, unimported
