"""Going on from vectors that were trained before: word2vec on new text, with a vocabulary that grows.

Words are found again by their names, so that rows of the earlier matrices become rows of the new ones wherever they stand.
Words of the earlier run that the new text lacks stay as they are; new ones begin at random, as in any run.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from malmoi.arrays import Arrays, read_arrays
from malmoi.errors import ConfigError, RunError
from malmoi.models.registry import Rung
from malmoi.runs.folder import RunConfig, read_config, run_path
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.vocabulary import SpecialIds

if TYPE_CHECKING:
    from malmoi.models.phrases import Phrases
    from malmoi.vectors import Vectors


@dataclass(frozen=True)
class Earlier:
    """Vectors that training goes on from; of a file there are only those, of a run everything.

    Attributes:
        vectors: W words, D numbers each.
        model: Options of the earlier run.
        arrays: Its counts (W,), outputs (W, D) and, where they are not the vectors, inputs (W, D); subwords (buckets, D).
    """

    source: str
    vectors: "Vectors"
    folder: Path | None = None
    model: dict[str, Any] = field(default_factory=dict)
    tokenizer: Tokenizer | None = None
    arrays: Arrays = field(default_factory=dict)

    @classmethod
    def open(cls, rung: Rung, source: str) -> "Earlier":
        """Read them.

        Raises:
            MalmoiError: If there are none, or training cannot go on from them.
        """
        from malmoi.runs.opening import load_vectors

        vectors = load_vectors(source)
        if Path(source).is_file() or not _is_run(source):
            return cls(source, vectors)
        folder = run_path(source)
        config: RunConfig = read_config(folder)
        if config.family != rung.name:
            return cls(source, vectors)
        model: Any = rung.config.parse(config.model)
        if model.objective == "hierarchical":
            raise ConfigError(
                f"{folder} was trained with hierarchical softmax, whose output vectors belong to the old tree of words. "
                "Expected a run with negative sampling or the full softmax. Train on both texts together instead."
            )
        arrays = read_arrays(folder / "model.safetensors")
        _check_shapes(arrays, model, vectors, folder)
        return cls(source, vectors, folder, model.model_dump(), Tokenizer.load(folder), arrays)

    @property
    def kind(self) -> str:
        """Of the tokenizer."""
        return "word" if self.tokenizer is None else self.tokenizer.kind

    def options_with(self, given: dict[str, Any]) -> dict[str, Any]:
        """The options of the earlier run, and over them those given now.

        Raises:
            ConfigError: If the two cannot meet.
        """
        kept = {key: value for key, value in self.model.items() if key != "vocab_size"}
        options = {**kept, "embed_dim": self.vectors.dim, **given}
        for name in ("embed_dim", "subwords", "subword_buckets", "lower", "split") if self.model else ("embed_dim",):
            earlier = self.vectors.dim if name == "embed_dim" else kept[name]
            if options[name] != earlier:
                raise ConfigError(
                    f"{name}={options[name]} does not fit the vectors to go on from, {self.source}, which have {earlier}. "
                    f"Leave --{name.replace('_', '-')} out."
                )
        if self.model and options["objective"] == "hierarchical":
            raise ConfigError(
                f"objective=hierarchical does not fit the vectors to go on from, {self.source}: a tree of the new text has no "
                f"place for their output vectors. Leave --objective out, which goes on with {kept['objective']}."
            )
        if not self.model and options.get("subwords", "none") != "none":
            raise ConfigError(
                f"{self.source} holds vectors of whole words, from which vectors of their pieces cannot be told. Leave "
                "--subwords out, or go on from a run that has them."
            )
        return options

    def grown(self, tokenizer: Tokenizer) -> Tokenizer:
        """The vocabulary of the earlier run, and after it the words of the new text that it lacks."""
        if self.tokenizer is None or tokenizer.fingerprint() == self.tokenizer.fingerprint():
            return tokenizer
        return self.tokenizer.grown(tokenizer)

    def phrases(self, vocab_size: int) -> "Phrases | None":
        """The joined words of the earlier run, in a vocabulary that has grown to this size; None if it joined none."""
        path = None if self.folder is None else self.folder / "phrases.json"
        if path is None or not path.is_file():
            return None
        from malmoi.models.phrases import Phrases

        return Phrases.from_json(path.read_text(encoding="utf-8")).moved(vocab_size)

    def fill(
        self,
        words: list[str],
        special_ids: SpecialIds,
        inputs: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> int:
        """Put the earlier rows into new matrices (V + buckets, D) and (V, D); how many words were found again."""
        known, special = self.vectors.ids, set(special_ids.all)  # which are no words, whatever a file calls its own
        pairs = [(i, known[word]) for i, word in enumerate(words) if i not in special and word in known]
        new, old = np.array(pairs, np.int64).reshape(-1, 2).T
        inputs[new] = self.arrays["inputs"][old] if "inputs" in self.arrays else self.vectors.rows(old)
        if "outputs" in self.arrays:
            outputs[new] = self.arrays["outputs"][old]
        if "subwords" in self.arrays:
            inputs[len(words) :] = self.arrays["subwords"]
        return len(new)

    def counts(self, words: list[str]) -> NDArray[np.int64]:
        """How often each word (V,) was met before."""
        before = np.zeros(len(words), np.int64)
        if "counts" in self.arrays:
            for i, word in enumerate(words):
                place = self.vectors.ids.get(word)
                before[i] = 0 if place is None else self.arrays["counts"][place]
        return before


def _check_shapes(arrays: Arrays, model: Any, vectors: "Vectors", folder: Path) -> None:
    """Refuse matrices that are not of one run with the vectors and the options."""
    n_words, buckets = len(vectors), 0 if model.subwords == "none" else model.subword_buckets
    shapes = {"counts": (n_words,), "inputs": (n_words, vectors.dim), "outputs": (n_words, vectors.dim)}
    shapes["subwords"] = (buckets, vectors.dim)
    needed = {"counts", "outputs"} | ({"inputs", "subwords"} if buckets else set())
    for name, shape in shapes.items():
        got = arrays[name].shape if name in arrays else None
        if got != shape and (got is not None or name in needed):
            raise RunError(
                f"{folder}/model.safetensors: {name} has the shape {got}, and {shape} was expected, as config.json and the "
                "vectors say. The files are not of one run; copy the whole folder again."
            )


def _is_run(source: str) -> bool:
    return (Path(source) / "config.json").is_file() or (Path("runs") / source / "config.json").is_file()
