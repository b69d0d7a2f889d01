"""From a text to the run folder of a rung that counts: no steps, no clock, no PyTorch."""

import os
import time
from pathlib import Path
from typing import Any

from malmoi.errors import ConfigError
from malmoi.files import atomic_folder, make_folder
from malmoi.models.options.ngram import NGramConfig
from malmoi.models.registry import Rung
from malmoi.runs.folder import RunConfig, describe_tokenizer, versions, write_config
from malmoi.training.progress import Reporter
from malmoi.training.request import Asked, Request
from malmoi.training.settings import CountingSettings, parse_size
from malmoi.training.texts import Prepared, find_sources, prepare, tell_overlaps

ROOM_FOR_CONFIG = 16_000  # bytes of --max-disk: config.json, the model card
SCORED_AT_ONCE = 1 << 16  # tokens


def train(rung: Rung, folder: Path, order: Asked, reporter: Reporter) -> Path:
    """Estimate a model in one pass and write its folder, which appears only when it is complete.

    Raises:
        MalmoiError: With one message, if anything asked for cannot be done.
    """
    from malmoi.evaluation.perplexity import evaluate
    from malmoi.models.ngram.estimate import Estimate, estimate, needs_files
    from malmoi.models.ngram.model import NGramModel
    from malmoi.models.ngram.pruning import thresholds
    from malmoi.models.ngram.tables import save_tables
    from malmoi.runs.card import write_card
    from malmoi.store import open_store

    asked, model_options = order.request, order.model
    if asked.epochs is not None:
        raise ConfigError(f"--epochs does not fit {rung.name}: it counts the text once. Leave --epochs out.")
    if asked.initialise_from is not None:
        raise ConfigError(
            f"--initialise-from does not fit {rung.name}: counts have no embeddings to begin with. Leave it out, or train a "
            "network, as nnlm or lstm."
        )
    settings = CountingSettings.parse(order.training)
    given = NGramConfig.parse({"vocab_size": 1, **model_options})
    thresholds(given.prune, given.order)  # refuse what cannot be before any work is done
    max_disk = None if settings.max_disk is None else parse_size(settings.max_disk)
    if max_disk is not None and given.prune_entropy:
        raise ConfigError("--max-disk chooses by itself how much to prune. Leave out --prune-entropy.")
    memory, n_threads = parse_size(settings.memory), settings.threads or os.cpu_count() or 1
    prepared = prepare(asked, find_sources(asked), reporter)
    tokenizer = prepared.tokenizer
    config = NGramConfig.parse({**model_options, "vocab_size": tokenizer.vocab_size})
    began = time.monotonic()
    make_folder(folder.parent)
    with atomic_folder(folder) as unfinished:
        tokenizer.save(unfinished)
        taken = sum(file.stat().st_size for file in unfinished.iterdir()) + ROOM_FOR_CONFIG
        with open_store(needs_files(len(prepared.train), config.order, memory), folder.parent) as store:
            found: Estimate = estimate(
                prepared.train,
                config,
                store,
                special_ids=tokenizer.special_ids,
                memory=memory,
                n_threads=n_threads,
                max_bytes=None if max_disk is None else max_disk - taken,
                stage=reporter.stage,
                progress=reporter.preparing,
            )
            for note in found.notes:
                reporter.stage(note)
            reporter.stage("saving")
            save_tables(unfinished / "model.safetensors", found.tables)
            lasted = time.monotonic() - began
            model = NGramModel(found.tables, tokenizer.bos_id, tokenizer.eos_id, n_threads)
            figures: dict[str, Any] = {
                "parameters": found.tables.n_nodes + found.tables.n_inner,
                "ngrams": found.tables.level_counts(),
                "training_seconds": round(lasted, 2),
                "discounts": found.discounts,
                "notes": found.notes,
                "overlap": tell_overlaps(prepared.texts, order.budget, reporter),
            }
            for name, tokens in (("valid", prepared.valid), ("test", prepared.test)):
                if tokens is not None and len(tokens):
                    reporter.stage(f"evaluating on the {name} text")
                    figures[name] = evaluate(model, tokenizer, tokens, window=SCORED_AT_ONCE).to_dict()
        described = _describe(rung, config, settings, prepared, asked, figures)
        write_card(unfinished, described, name=folder.name)
        write_config(unfinished, described)
    return folder


def _describe(
    rung: Rung,
    config: NGramConfig,
    settings: CountingSettings,
    prepared: Prepared,
    asked: Request,
    figures: dict[str, Any],
) -> RunConfig:
    return RunConfig(
        family=rung.name,
        model=config.model_dump(),
        training=settings.model_dump(),
        tokenizer=describe_tokenizer(prepared.tokenizer),
        data=prepared.data,
        seed=settings.seed,
        versions=versions("numpy", "numba", "tokenizers", "safetensors"),
        figures=figures,
        command=asked.command or "",
    )
