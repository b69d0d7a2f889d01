"""The Python front door: train a model, load one, use it.

    run = malmoi.train("lstm", "corpus.txt", budget="10m")
    run.next("나는"); run.generate("옛날 옛적에"); run.evaluate("test.txt").bits_per_byte

Every verb of the command line and every route of a server calls what is here.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from malmoi.background import in_background
from malmoi.errors import ConfigError, MissingExtraError
from malmoi.models.registry import find_rung
from malmoi.runs.folder import RunConfig, read_config, run_path
from malmoi.runs.opening import load_vectors as load_vectors
from malmoi.runs.opening import open_model

if TYPE_CHECKING:
    from malmoi.data.tokens import TokenView
    from malmoi.evaluation.perplexity import Evaluation
    from malmoi.explain.explanation import Explanation
    from malmoi.generation.completion import Completer, Completion, NextToken
    from malmoi.generation.sampling import SamplingOptions
    from malmoi.models.interface import LanguageModel
    from malmoi.pages.language import Language
    from malmoi.text.sources import TextSource
    from malmoi.text.tokenizers import Tokenizer
    from malmoi.training.progress import Reporter
    from malmoi.vectors import Vectors

ENGINES = ("auto", "torch", "numpy")
Text = "str | Path | Sequence[str | Path] | TextSource"


class Once(cached_property[Any]):
    """A cached property of a `Run`, made by the first of the threads that ask for it; the others wait."""

    def __get__(self, run: Any, owner: Any = None) -> Any:
        if run is None:
            return self
        with run._lock:
            return super().__get__(run, owner)


if TYPE_CHECKING:
    once = cached_property
else:
    once = Once


class Run:
    """A trained model with its tokenizer, read from its folder.

    Args:
        folder: A run folder, or the name of one under runs/.
        device: Where the model computes: "cpu", "cuda" and so on; "auto" is the GPU where there is one.
        engine: What computes a neural model: "numpy" (NumPy alone, on the CPU, ready at once), "torch" (PyTorch), or "auto":
            NumPy on the CPU, PyTorch elsewhere. Both give the same answers up to rounding; counts need neither.

    Raises:
        RunError: If the folder is no run, or one of its files is damaged.
        ConfigError: If there is no such engine, or it cannot compute on this device.
    """

    def __init__(self, folder: str | Path, device: str = "cpu", engine: str = "auto") -> None:
        if engine not in ENGINES:
            raise ConfigError(f"There is no engine {engine!r}. Engines are: {', '.join(ENGINES)}.")
        if engine == "numpy" and device not in ("cpu", "auto"):
            raise ConfigError(
                f"The engine numpy cannot compute on {device!r}: NumPy knows the CPU alone. Use the device cpu, or the "
                "engine torch."
            )
        self.folder = run_path(folder)
        self.device, self.engine = device, engine
        self._lock = RLock()
        self.config: RunConfig = read_config(self.folder)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes open the folder for themselves."""
        return type(self), (self.folder, self.device, self.engine)

    def __repr__(self) -> str:
        return f"<malmoi.Run {self.config.family} at {self.folder}>"

    @once
    def tokenizer(self) -> "Tokenizer":
        from malmoi.text.tokenizers import Tokenizer

        return Tokenizer.load(self.folder)

    @once
    def model(self) -> "LanguageModel":
        return open_model(self.folder, self.config, lambda: self.tokenizer, self.device, self.engine)

    def load(self) -> None:
        """Read weights and tokenizer now, side by side; otherwise each is read when it is first needed."""
        completion = in_background(lambda: import_module("malmoi.generation.completion"))  # most questions need it next
        _ = self.model
        completion()

    @once
    def vectors(self) -> "Vectors":
        """The vectors of a run of word2vec, glove or cooccurrence."""
        return load_vectors(self.folder)

    @once
    def completer(self) -> "Completer":
        from malmoi.generation.completion import Completer

        return Completer(self.model, self.tokenizer)

    def next(self, context: str, k: int = 10, *, whole_words: bool = True) -> "list[NextToken]":
        """The k likeliest next words (or tokens) after `context`, with their probabilities."""
        return self.completer.next_words(context, k, whole_words=whole_words)

    def complete(self, text: str, k: int = 5) -> "list[Completion]":
        """The k likeliest ways to finish the half-typed last word of `text`."""
        return self.completer.complete(text, k)

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 100,
        options: "SamplingOptions | None" = None,
        n: int = 1,
        seed: int = 0,
        stop: Sequence[str] = (),
        **sampling: Any,
    ) -> list[str]:
        """n continuations of `prompt`. `sampling` are the fields of SamplingOptions: temperature, top_k, top_p, ..."""
        from malmoi.generation.sampling import SamplingOptions, generate

        options = options or SamplingOptions(**sampling)
        return generate(
            self.model, self.tokenizer, prompt, max_tokens=max_tokens, options=options, n=n, seed=seed, stop=stop
        )

    def stream(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 100,
        options: "SamplingOptions | None" = None,
        seed: int = 0,
        stop: Sequence[str] = (),
        **sampling: Any,
    ) -> Iterator[str]:
        """One continuation of `prompt`, piece by piece."""
        from malmoi.generation.sampling import SamplingOptions, stream

        options = options or SamplingOptions(**sampling)
        return stream(self.model, self.tokenizer, prompt, max_tokens=max_tokens, options=options, seed=seed, stop=stop)

    def evaluate(
        self, text: "str | Path | Sequence[str | Path] | TextSource | TokenView", **options: Any
    ) -> "Evaluation":
        """Perplexity and bits per byte of a text; `options` are those of malmoi.evaluation.perplexity.evaluate."""
        from malmoi.evaluation.perplexity import evaluate

        return evaluate(self.model, self.tokenizer, as_source(text), **options)

    def score(self, lines: Iterable[str]) -> Iterator[float]:
        """ln P of each line, its end included, in nats; unknown words pay for their spelling."""
        from malmoi.evaluation.rescoring import score_lines

        return score_lines(self.model, self.tokenizer, lines)

    def explain(
        self,
        text: str = "",
        *,
        step: int | str = "last",
        train_step: bool = False,
        learning_rate: float | int | None = None,
        seed: int = 0,
        language: "Language" = "en",
    ) -> "Explanation":
        """Why a token of `text` got its probability, step by step, and what every token and word of the text cost.

        Of a run of word2vec: what one update does at that word of the text, from the words around it to the rows that move.

        Args:
            text: What is explained; no line end is added.
            step: Which token: its number from 1, "last", or "next" for the likeliest one after the text.
            train_step: Also show what a training step on that token does; of word2vec it is always shown.
            learning_rate: Of that step; 0.1 if left out, and of word2vec what training began with.
            seed: Of the window and the wrong words that word2vec draws.
            language: Of titles and sentences.
        """
        from malmoi.explain.question import AskedOfRun
        from malmoi.explain.registry import find_run_explainer

        explain_run = find_run_explainer(self.config.family)
        asked = AskedOfRun(
            folder=self.folder,
            config=self.config,
            tokenizer=self.tokenizer,
            model=lambda: self.model,
            engines=lambda: self._other_engines,
            text=text,
            step=step,
            train_step=train_step,
            learning_rate=learning_rate,
            seed=seed,
            language=language,
        )
        return explain_run(asked)

    @once
    def _other_engines(self) -> "dict[str, LanguageModel]":
        """What else can compute this run here, by the name that people know."""
        if not find_rung(self.config.family).is_network:
            return {}
        from malmoi.engines.numpy_engine import NumPyLanguageModel

        if not isinstance(self.model, NumPyLanguageModel):
            return {"NumPy": Run(self.folder, engine="numpy").model}
        try:
            return {"PyTorch": Run(self.folder, engine="torch").model}
        except MissingExtraError:
            return {}

    def export(self, out: str | Path, to: str = "arpa") -> Path:
        """Write the model as a file that other programs read, and give its path; see malmoi.interop.exchange."""
        from malmoi.interop.exchange import export_run

        return export_run(self.folder, out, to)


def load(folder: str | Path, device: str = "cpu", engine: str = "auto") -> Run:
    """The run in that folder; the arguments are those of `Run`."""
    return Run(folder, device, engine)


def train(
    rung: str,
    text: "str | Path | Sequence[str | Path] | TextSource",
    *,
    out: str | Path | None = None,
    reporter: "Reporter | None" = None,
    **options: Any,
) -> Run:
    """Train a model on a text and return it.

    Args:
        rung: A name from the ladder, as ngram or lstm.
        text: Files, folders, globs, or a TextSource.
        out: The run folder to make; runs/RUNG-TEXT by default.
        reporter: Told what happens; a silent one by default.
        options: The other arguments of malmoi.training.pipeline.train: budget, epochs, steps, valid, test, tokenizer,
            vocab_size, seed, device, precision, recipe, resume, and every field of the rung's config and of
            TrainingSettings by its name.
    """
    from malmoi.training.pipeline import train as train_run

    request: dict[str, Any] = {"rung": rung, "text": text, "out": out, **options}
    return Run(train_run(request, reporter), device=str(options.get("device", "cpu")))


def import_arpa(path: str | Path, out: str | Path, *, tokenizer_from: str | Path | None = None) -> Run:
    """Make a run out of an ARPA file and return it.

    Args:
        path: The file, plain or packed with gzip.
        out: The run folder to make.
        tokenizer_from: A run whose tokenizer split the text of the model; without it, its words are the vocabulary.
    """
    from malmoi.interop.exchange import import_run

    return Run(import_run(path, out, tokenizer_from=tokenizer_from))


def as_source(text: Any) -> Any:
    """Paths become a TextSource; a TextSource or a token view stays as it is."""
    from malmoi.text.sources import TextSource

    if isinstance(text, (str, Path)) or (isinstance(text, Sequence) and not hasattr(text, "counts")):
        return TextSource(text)
    return text
