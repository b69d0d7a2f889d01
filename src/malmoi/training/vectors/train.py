"""From a text to the run folder of a rung that makes vectors of words: cooccurrence, word2vec, glove.

    config.json          as in every run
    words.json           the words, most frequent first
    vectors.safetensors  their vectors
    model.safetensors    what training can go on from, and what an explanation needs: counts, output vectors, pieces of words
    tokenizer.json       (phrases.json, where words were joined)
    metrics.jsonl        one line an epoch
    checkpoint/          only while training can be resumed

The whole text is learnt from; nothing is held back, because vectors are judged by other means (`malmoi vectors eval`).
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from malmoi.arrays import write_arrays
from malmoi.errors import ConfigError
from malmoi.files import atomic_file, make_folder, write_bytes
from malmoi.models.options.vectors import VectorConfig
from malmoi.models.registry import Rung, resolve
from malmoi.runs.folder import RunConfig, describe_tokenizer, versions, write_config
from malmoi.runs.vector_card import write_vector_card
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import Tokenizer
from malmoi.training.budget import Budget
from malmoi.training.checkpoint import FOLDER as CHECKPOINT
from malmoi.training.progress import Interrupted, Reporter
from malmoi.training.request import Asked, Request
from malmoi.training.stopping import stop_requests, termination_interrupts
from malmoi.training.texts import described, read_source, recorded_source
from malmoi.training.vectors.earlier import Earlier
from malmoi.training.vectors.job import MODEL, PHRASES, Job, Made, saved_before
from malmoi.training.vectors.texts import choose_phrases, choose_words, count_tokens, word_names, worded
from malmoi.vectors.storage import write_files

MOST_TOKENS_IN_MEMORY = 20_000_000  # of a text whose words were joined
NO_USE = {  # options of `malmoi train` that have no meaning here, and why
    "valid": "vectors are learnt from the whole text, and judged by: malmoi vectors eval RUN --sets all",
    "test": "vectors are judged by: malmoi vectors eval RUN --sets all",
}


def train_vectors(rung: Rung, folder: Path, order: Asked, reporter: Reporter) -> Path:
    """Train vectors and write their run.

    Raises:
        MalmoiError: With one message, if anything asked for cannot be done.
        Interrupted: If training was stopped; the checkpoint is saved.
    """
    asked, model_options, training_options = order.request, order.model, order.training
    _refuse_what_does_not_fit(rung, asked)
    earlier = None if asked.initialise_from is None else Earlier.open(rung, asked.initialise_from)
    if earlier is not None:
        model_options = earlier.options_with(model_options)
    model = rung.config.parse({"vocab_size": 1, **model_options})
    assert isinstance(model, VectorConfig)
    settings = rung.training_settings.parse(training_options)
    options: Any = {"field": asked.field, "encoding": asked.encoding, "unit": asked.unit}
    source = read_source(asked.text, options)
    tokenizer, model = choose_words(asked, source, model, earlier, reporter)
    most = max(
        1, tokenizer.vocab_size - len(tokenizer.special_ids.all) - 1
    )  # directions that a table of these words has
    if model.factors_a_table and "embed_dim" not in model_options and model.embed_dim > most:
        reporter.stage(f"vectors of {most} numbers: the text has few words (--embed-dim)")
        model = model.model_copy(update={"embed_dim": most})
    config = RunConfig(
        family=rung.name,
        model={**model.model_dump(), "vocab_size": tokenizer.vocab_size},
        training={
            **settings.model_dump(),
            "epochs": asked.epochs,
            "budget_seconds": order.budget.seconds,
        },
        tokenizer=describe_tokenizer(tokenizer),
        data={
            "train": described(source, asked.text),
            "options": options,
            "initialised_from": asked.initialise_from,
        },
        seed=training_options.get("seed", 0),
        versions=versions("numpy", "scipy", "numba", "tokenizers", "safetensors"),
        command=asked.command or "",
    )
    with _job(rung, folder, config, source, tokenizer, earlier, order.budget, reporter) as job:
        _learn(job)
    return folder


def resume_vectors(rung: Rung, folder: Path, config: RunConfig, asked: Asked, reporter: Reporter) -> Path:
    """Go on with a training of vectors that was stopped.

    Raises:
        RunError: If the text has changed.
    """
    source = recorded_source(folder, config, "train", asked.request.text)
    assert source is not None
    reporter.stage(f"resuming {folder}")
    budget = Budget(config.training["budget_seconds"], asked.budget.started)
    with _job(rung, folder, config, source, Tokenizer.load(folder), None, budget, reporter) as job:
        _learn(job)
    return folder


def _refuse_what_does_not_fit(rung: Rung, asked: Request) -> None:
    for name, why in NO_USE.items():
        if getattr(asked, name) is not None:
            raise ConfigError(f"--{name} does not fit {rung.name}: {why}. Leave --{name} out.")
    if asked.budget is not None and asked.epochs is not None:
        raise ConfigError("--budget and --epochs both say how long to train. Give one of them.")
    if rung.is_one_pass and asked.epochs is not None:
        raise ConfigError(f"--epochs does not fit {rung.name}: it counts the text once. Leave --epochs out.")
    if asked.epochs is not None and asked.epochs != int(asked.epochs):
        raise ConfigError(f"--epochs {asked.epochs:g} does not fit {rung.name}: a whole number was expected, as 5.")
    if not rung.begins_from_vectors and asked.initialise_from is not None:
        raise ConfigError(
            f"--initialise-from does not fit {rung.name}: its vectors follow from the counts. Expected the rung word2vec, or a "
            "neural language model. Leave it out."
        )


@contextmanager
def _job(
    rung: Rung,
    folder: Path,
    config: RunConfig,
    source: TextSource,
    tokenizer: Tokenizer,
    earlier: Earlier | None,
    budget: Budget,
    reporter: Reporter,
) -> Iterator[Job]:
    """Everything ready for training: the text as ids, its words joined where that was asked for."""
    from malmoi.data.tokens import encode_to_disk
    from malmoi.store import TokenStream, open_store

    model = rung.config.parse(config.model)
    assert isinstance(model, VectorConfig)
    text = worded(source, model)
    reporter.stage(f"reading {source.describe()}")
    tokens: TokenStream = encode_to_disk(text, tokenizer, progress=reporter.preparing).view()
    for remark in text.notes:
        reporter.stage(remark)
    words, counts = word_names(tokenizer), count_tokens(tokens, tokenizer.vocab_size)
    make_folder(folder.parent)
    with (
        open_store(len(tokens) > MOST_TOKENS_IN_MEMORY, folder.parent) as store,
        tempfile.TemporaryDirectory(prefix=".malmoi-", dir=folder.parent) as name,
    ):
        room = Path(name)
        tokenizer.save(room)
        tokenizer.release()  # it takes more than the words
        phrases = choose_phrases(folder, model, tokens, counts, words, tokenizer.special_ids, earlier, reporter)
        if phrases is not None:
            write_bytes(room / PHRASES, phrases.to_json().encode())
            tokens = phrases.join(tokens, store)
            words = words + phrases.names(words)
            counts = count_tokens(tokens, len(words))
        before = saved_before(folder) if earlier is None else earlier.counts(words)
        seconds = budget.for_vectors()
        cut = (tokens, counts, words, tokenizer.special_ids, phrases)
        yield Job(folder, rung, model, config, room, *cut, before, earlier, seconds, reporter)


def _learn(job: Job) -> None:
    """Train, and write all files of the run."""
    began, learns = time.monotonic(), job.rung.learns
    assert learns is not None
    try:
        with termination_interrupts():
            made: Made = resolve(learns)(job)
    except KeyboardInterrupt:
        if job.can_resume:
            raise Interrupted(str(job.folder)) from None
        raise
    finally:
        job.reporter.finished()
    figures = {"words": len(made.token_ids), "tokens": len(job.tokens), **made.figures}
    figures["training_seconds"] = round(made.figures.get("training_seconds", time.monotonic() - began), 2)
    job.reporter.stage("saving")
    with stop_requests():  # Ctrl-C waits: writing takes seconds, and what was not written would have to be learnt again
        _write(job, made, job.config.model_copy(update={"figures": figures}))


def _write(job: Job, made: Made, config: RunConfig) -> None:
    """The files of the finished run. Until all are there, config.json is missing or the checkpoint still stands."""
    job.save_words()
    write_files(job.folder, [job.words[i] for i in made.token_ids], made.vectors)
    write_arrays(job.folder / MODEL, {"token_ids": made.token_ids, "counts": made.counts, **made.model})
    with atomic_file(job.folder / "metrics.jsonl") as file:
        file.write("".join(json.dumps(line) + "\n" for line in made.metrics).encode())
    write_vector_card(job.folder, config)
    write_config(job.folder, config)
    shutil.rmtree(job.folder / CHECKPOINT, ignore_errors=True)
