"""The ladder by name: what a user types after `malmoi train`, and every class that a rung needs.

A row names classes and functions by dotted path, "package.module:name", so that the ladder is known without importing any of
them; they are imported when they are first asked for, from whatever floor they stand on.
"""

import contextlib
import difflib
import importlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from malmoi.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from malmoi.models.network import NextTokenNetwork
    from malmoi.models.options.base import ModelConfig
    from malmoi.settings import Settings

# What a rung is. A language model gives P(next token | before), a conditional one given a source; vectors are of words.
Kind = Literal["language model", "vectors", "conditional", "masked", "classifier"]


@cache
def resolve(path: str) -> Any:
    """What a path like "malmoi.models.lstm:LSTMLanguageModel" names; its module is imported."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class Rung(NamedTuple):
    """One rung of the ladder. What a rung does not have is None.

    Attributes:
        name: The word used everywhere: command, module, test, page, recipe.
        summary: What it is, in a line.
        kind: What it is to those who use it.
        options: The class of its options, a `ModelConfig`.
        settings: The class that says how it is trained, a `Settings`.
        trains: Trains a new run: a function of (rung, folder, a `training.request.Asked`, reporter).
        resumes: Goes on with a run that was stopped; a function of (rung, folder, its `RunConfig`, asked,
            reporter). None where training is one pass and begins again.
        opens: Makes what a run holds into a model: a function of a `models.opening.Opening`.
        network: The PyTorch module that is trained step by step.
        objective: What its training minimises, and what it is validated by: a `training.objectives.Objective`.
        numpy: The same network for the NumPy engine, an `engines.networks.network.Network`.
        scratch: The same network to read, check against and explain with, a `scratch.language_network.TracedNetwork`.
        learns: Of vectors: what makes them of a text.
        explains: Explains one of its predictions: a function of (question, teller).
        explains_run: Explains a run of it: a function of an `explain.question.AskedOfRun`.
        begins_from_vectors: Whether its training may begin from vectors that are there (`--initialise-from`).
        is_one_pass: Whether it reads the text once, however much time there is.
        exports: Formats of other programs that `malmoi export` can write it in.
    """

    name: str
    summary: str
    kind: Kind
    options: str
    settings: str
    trains: str
    resumes: str | None = None
    opens: str | None = None
    network: str | None = None
    objective: str | None = None
    numpy: str | None = None
    scratch: str | None = None
    learns: str | None = None
    explains: str | None = None
    explains_run: str | None = None
    begins_from_vectors: bool = False
    is_one_pass: bool = False
    exports: tuple[str, ...] = ()

    @property
    def config(self) -> "type[ModelConfig]":
        """The class of its options."""
        options: type[ModelConfig] = resolve(self.options)
        return options

    @property
    def training_settings(self) -> "type[Settings]":
        """The class that says how it is trained."""
        settings: type[Settings] = resolve(self.settings)
        return settings

    @property
    def is_network(self) -> bool:
        """Whether it is trained step by step, in PyTorch."""
        return self.network is not None

    @property
    def is_explained(self) -> bool:
        """Whether `malmoi explain` has an answer; of a language model, `explains_run` asks `explains`."""
        return (self.explains if self.kind == "language model" else self.explains_run) is not None


def _network(name: str, summary: str, options: str, **paths: Any) -> Rung:
    """A network that predicts the next token, trained on windows of a text."""
    return Rung(
        name,
        summary,
        "language model",
        f"malmoi.models.options.{options}",
        settings="malmoi.training.settings:TrainingSettings",
        trains="malmoi.training.steps:train",
        resumes="malmoi.training.steps:resume",
        opens="malmoi.engines.opening:open_network",
        objective="malmoi.training.objectives.next_token:NextToken",
        explains_run="malmoi.explain.explaining:explain_run",
        begins_from_vectors=True,
        **paths,
    )


def _vectors(name: str, summary: str, options: str, settings: str, learns: str, **paths: Any) -> Rung:
    """Vectors of words."""
    return Rung(
        name,
        summary,
        "vectors",
        f"malmoi.models.options.vectors:{options}",
        f"malmoi.training.settings:{settings}",
        trains="malmoi.training.vectors.train:train_vectors",
        resumes="malmoi.training.vectors.train:resume_vectors",
        learns=f"malmoi.training.vectors.{learns}",
        exports=("word2vec", "word2vec-binary", "glove"),
        **paths,
    )


RUNGS = {
    rung.name: rung
    for rung in (
        _vectors(
            "cooccurrence",
            "which words stand near each other: counts, PPMI, SVD",
            "CooccurrenceConfig",
            "PairCountingSettings",
            "cooccurrence:learn_cooccurrence",
            is_one_pass=True,
        ),
        _vectors(
            "word2vec",
            "vectors from guessing words and their neighbours",
            "Word2VecConfig",
            "Word2VecTrainingSettings",
            "word2vec:learn_word2vec",
            begins_from_vectors=True,
            explains_run="malmoi.explain.word2vec.explaining:explain_word2vec",
        ),
        _vectors(
            "glove",
            "vectors whose products are the logarithms of counts",
            "GloVeConfig",
            "GloVeTrainingSettings",
            "glove:learn_glove",
        ),
        Rung(
            "ngram",
            "counts of short sequences, smoothed",
            "language model",
            "malmoi.models.options.ngram:NGramConfig",
            "malmoi.training.settings:CountingSettings",
            trains="malmoi.training.counts:train",
            opens="malmoi.models.ngram.opening:open_ngram",
            explains="malmoi.explain.rungs.ngram:explain_next",
            explains_run="malmoi.explain.explaining:explain_run",
            is_one_pass=True,
            exports=("arpa",),
        ),
        _network(
            "nnlm",
            "a fixed window of embeddings and a tanh layer",
            "nnlm:NNLMConfig",
            network="malmoi.models.nnlm:NNLM",
            numpy="malmoi.engines.networks.nnlm:NNLMNetwork",
            scratch="malmoi.scratch.nnlm:NNLM",
            explains="malmoi.explain.rungs.nnlm:explain_next",
        ),
        _network(
            "rnn",
            "Elman recurrence",
            "recurrent:RNNConfig",
            network="malmoi.models.rnn:RNNLanguageModel",
            numpy="malmoi.engines.networks.rnn:RNNNetwork",
            scratch="malmoi.scratch.rnnlm:RNNNetwork",
            explains="malmoi.explain.rungs.rnn:explain_next",
        ),
        _network(
            "lstm",
            "gates and a memory cell",
            "recurrent:LSTMConfig",
            network="malmoi.models.lstm:LSTMLanguageModel",
            numpy="malmoi.engines.networks.lstm:LSTMNetwork",
            scratch="malmoi.scratch.rnnlm:LSTMNetwork",
            explains="malmoi.explain.rungs.lstm:explain_next",
        ),
        _network(
            "gru",
            "two gates, no separate cell",
            "recurrent:GRUConfig",
            network="malmoi.models.gru:GRULanguageModel",
            numpy="malmoi.engines.networks.gru:GRUNetwork",
            scratch="malmoi.scratch.rnnlm:GRUNetwork",
            explains="malmoi.explain.rungs.gru:explain_next",
        ),
        _network(
            "mgu",
            "one gate, no separate cell",
            "mgu:MGUConfig",
            network="malmoi.models.mgu:MGULanguageModel",
            numpy="malmoi.engines.networks.mgu:MGUNetwork",
            scratch="malmoi.scratch.mgu:MGUNetwork",
            explains="malmoi.explain.rungs.mgu:explain_next",
        ),
    )
}

LANGUAGE_MODELS = {name: rung for name, rung in RUNGS.items() if rung.kind == "language model"}


def find_rung(name: object) -> Rung:
    """The rung of that name.

    Raises:
        ConfigError: If there is none, with the nearest name, or that is no name at all.
    """
    if not isinstance(name, str):  # as from a recipe
        raise ConfigError(f'rung={name!r} names no rung. The name of one was expected, as rung = "lstm".')
    if name in RUNGS:
        return RUNGS[name]
    near = difflib.get_close_matches(name, RUNGS, n=1)
    hint = f"Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"There is no rung named {name!r}. Rungs are: {', '.join(RUNGS)}. {hint}".rstrip())


def rung_of(config: "ModelConfig") -> Rung | None:
    """The rung that these options belong to; None if there is none."""
    path = f"{type(config).__module__}:{type(config).__name__}"
    return next((rung for rung in RUNGS.values() if rung.options == path), None)


def load_ahead(rung: Rung, precision: Callable[[], str]) -> None:
    """Import what the rung's network is made of and trained with, and get its compiled loops ready: seconds, the first time.

    What cannot be had is told by those who need it.

    Args:
        rung: A rung that is trained by steps.
        precision: Tells what it will probably be computed in; called when PyTorch is there.
    """
    assert rung.network is not None, f"{rung.name} has no network"
    with contextlib.suppress(Exception):  # whatever it is, it comes again where it is needed
        importlib.import_module("torch._dynamo")  # which every optimiser of PyTorch imports
        module = importlib.import_module(rung.network.partition(":")[0])
        if hasattr(module, "warm_up") and precision() == "bfloat16":
            module.warm_up()


def build_model(rung: Rung, config: "ModelConfig", seed: int = 0, *, start_id: int | None = None) -> "NextTokenNetwork":
    """A new model with random weights, which are a function of config and seed.

    Args:
        rung: One that is trained step by step.
        config: Its options.
        seed: Of the weights.
        start_id: The token that stands before a text, the tokenizer's eos_id. A network that looks back at tokens (nnlm)
            cannot begin a text without.

    Raises:
        MissingExtraError: If PyTorch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError("PyTorch", "neural", f"The rung {rung.name}") from None
    assert rung.network is not None, f"{rung.name} has no network"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: NextTokenNetwork = resolve(rung.network)(config)
    model.start_id = start_id
    return model
