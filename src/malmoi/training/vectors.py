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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError, RunError
from malmoi.files import atomic_file, recover_folder
from malmoi.models.config import VectorConfig
from malmoi.models.registry import Rung, find_rung
from malmoi.runs import RunConfig, write_arrays, write_config
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.wording import WordedSource, Wording
from malmoi.training.checkpoint import FOLDER as CHECKPOINT
from malmoi.training.earlier_vectors import Earlier
from malmoi.training.progress import Interrupted, Reporter
from malmoi.training.request import Request, parse_budget
from malmoi.training.settings import settings_of
from malmoi.training.texts import describe_tokenizer, described, make_tokenizer, read_source, recorded_source, versions
from malmoi.training.vector_card import write_vector_card
from malmoi.training.vector_rungs import LEARN, MODEL, PHRASES, STATE, Job, Made, subword_settings
from malmoi.vectors.storage import write_files

MIN_COUNT, SMALL_TEXT = 5, 1_000_000  # bytes: of a smaller text rarer words are learnt, too
MOST_TOKENS_IN_MEMORY = 20_000_000  # of a text whose words were joined
READ_AT_ONCE = 1 << 22  # tokens
NO_USE = {  # options of `malmoi train` that have no meaning here, and why
    "valid": "vectors are learnt from the whole text, and judged by: malmoi vectors eval RUN --sets all",
    "test": "vectors are judged by: malmoi vectors eval RUN --sets all",
}


def train_vectors(
    rung: Rung,
    folder: Path,
    asked: Request,
    model_options: dict[str, Any],
    training_options: dict[str, Any],
    started: float,
    reporter: Reporter,
) -> Path:
    """Train vectors and write their run.

    Raises:
        MalmoiError: With one message, if anything asked for cannot be done.
        Interrupted: If training was stopped; the checkpoint is saved.
    """
    _refuse_what_does_not_fit(rung, asked)
    earlier = None if asked.initialise_from is None else Earlier.open(rung, asked.initialise_from)
    if earlier is not None:
        model_options = earlier.options_with(model_options)
    model = rung.config.parse({"vocab_size": 1, **model_options})
    assert isinstance(model, VectorConfig)
    settings = settings_of(rung).parse(training_options)
    options: Any = {"field": asked.field, "encoding": asked.encoding, "unit": asked.unit}
    source = read_source(asked.text, options)
    tokenizer, model = _tokenizer(asked, source, model, earlier, reporter)
    config = RunConfig(
        family=rung.name,
        model={**model.model_dump(), "vocab_size": tokenizer.vocab_size},
        training={
            **settings.model_dump(),
            "epochs": asked.epochs,
            "budget_seconds": parse_budget(asked.budget),
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
    with _job(rung, folder, config, source, tokenizer, earlier, started, reporter) as job:
        _learn(job)
    return folder


def resume_vectors(folder: Path, config: RunConfig, text: Any, started: float, reporter: Reporter) -> Path:
    """Go on with a training of vectors that was stopped.

    Raises:
        RunError: If there is nothing to go on from, or the text has changed.
    """
    rung = find_rung(config.family)
    recover_folder(folder / CHECKPOINT)
    if not (folder / CHECKPOINT / STATE).is_file():
        done = (folder / MODEL).is_file()
        state = "Its training is finished" if done else "It was stopped before its first checkpoint"
        raise RunError(f"{folder} has no checkpoint to resume from. {state}; train a new run with another --out.")
    source = recorded_source(folder, config, "train", text)
    assert source is not None
    reporter.stage(f"resuming {folder}")
    with _job(rung, folder, config, source, Tokenizer.load(folder), None, started, reporter) as job:
        _learn(job)
    return folder


def subword_composer(folder: Path, config: RunConfig) -> Callable[[str], NDArray[np.float32] | None]:
    """What gives the vector (D,) of an unseen word from its pieces, or None; theirs are read when first needed."""
    from malmoi.models.word2vec.subwords import Subwords

    model: Any = find_rung(config.family).config.parse(config.model)
    subwords = Subwords.build([], subword_settings(model))
    rows: list[NDArray[np.float32]] = []

    def compose(word: str) -> NDArray[np.float32] | None:
        if not rows:
            from malmoi.runs import read_arrays

            rows.append(read_arrays(folder / MODEL)["subwords"])
        return subwords.compose(word.lower() if model.lower else word, rows[0])

    return compose


def _refuse_what_does_not_fit(rung: Rung, asked: Request) -> None:
    for name, why in NO_USE.items():
        if getattr(asked, name) is not None:
            raise ConfigError(f"--{name} does not fit {rung.name}: {why}. Leave --{name} out.")
    if asked.budget is not None and asked.epochs is not None:
        raise ConfigError("--budget and --epochs both say how long to train. Give one of them.")
    if rung.name == "cooccurrence" and asked.epochs is not None:
        raise ConfigError(f"--epochs does not fit {rung.name}: it counts the text once. Leave --epochs out.")
    if rung.name != "cooccurrence" and asked.epochs is not None and asked.epochs != int(asked.epochs):
        raise ConfigError(f"--epochs {asked.epochs:g} does not fit {rung.name}: a whole number was expected, as 5.")
    if rung.name != "word2vec" and asked.initialise_from is not None:
        raise ConfigError(
            f"--initialise-from does not fit {rung.name}: its vectors follow from the counts. Expected the rung word2vec, or a "
            "neural language model. Leave it out."
        )


def _tokenizer(
    asked: Request, source: TextSource, model: VectorConfig, earlier: Earlier | None, reporter: Reporter
) -> tuple[Tokenizer, VectorConfig]:
    """What cuts the text into words, and the config with the wording that this cutting wants."""
    if asked.tokenizer_from is None:
        asked = asked.model_copy(update={"tokenizer": asked.tokenizer or (earlier.kind if earlier else "word")})
    kind = asked.tokenizer
    if asked.tokenizer_from is not None:
        kind = make_tokenizer(asked, source, reporter).kind
    if kind != "word":  # the others find their own way through punctuation
        model = model.model_copy(update={"split": "spaces"})
    elif asked.min_count is None and asked.tokenizer_from is None and source.n_bytes() > SMALL_TEXT:
        asked = asked.model_copy(update={"min_count": MIN_COUNT})
        reporter.stage(f"words that occur {MIN_COUNT} times or more are learnt (--min-count)")
    if model.split == "words":
        reporter.stage(f"words are letters and digits{', in lower case' * model.lower} (--split, --lower)")
    tokenizer = make_tokenizer(asked, _worded(source, model), reporter)
    return (tokenizer if earlier is None else earlier.grown(tokenizer)), model


def _worded(source: TextSource, model: Any) -> WordedSource:
    return WordedSource(source, Wording(lower=model.lower, split=model.split))


@contextmanager
def _job(
    rung: Rung,
    folder: Path,
    config: RunConfig,
    source: TextSource,
    tokenizer: Tokenizer,
    earlier: Earlier | None,
    started: float,
    reporter: Reporter,
) -> Iterator[Job]:
    """Everything ready for training: the text as ids, its words joined where that was asked for."""
    from malmoi.data.tokens import encode_to_disk
    from malmoi.models.ngram.counting import open_store

    model: Any = rung.config.parse(config.model)
    worded = _worded(source, model)
    reporter.stage(f"reading {source.describe()}")
    tokens: Any = encode_to_disk(worded, tokenizer, progress=reporter.preparing).view()
    for remark in worded.notes:
        reporter.stage(remark)
    words, counts = word_names(tokenizer), count_tokens(tokens, tokenizer.vocab_size)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open_store(len(tokens) > MOST_TOKENS_IN_MEMORY, folder.parent) as store:
        phrases = _phrases(folder, model, tokens, counts, words, earlier, reporter)
        if phrases is not None:
            tokens = phrases.join(tokens, store)
            words = words + phrases.names(words)
            counts = count_tokens(tokens, len(words))
        budget = config.training["budget_seconds"]
        seconds = None if budget is None else max(0.1, 0.98 * budget - (time.monotonic() - started))
        yield Job(folder, rung, model, config, tokenizer, tokens, counts, words, phrases, earlier, seconds, reporter)


def _phrases(
    folder: Path, model: Any, tokens: Any, counts: Any, words: list[str], earlier: Earlier | None, reporter: Reporter
) -> Any:
    """Which words are joined: those of the run that goes on, or what is found in the text; None for none."""
    path = folder / PHRASES
    if path.is_file():
        from malmoi.models.phrases import Phrases

        return Phrases.from_json(path.read_text(encoding="utf-8"))
    if earlier is not None and (carried := earlier.phrases(len(words))) is not None:
        return carried
    if not model.phrases:
        return None
    from malmoi.models.phrases import PhraseSettings, find_phrases

    reporter.stage("looking for words that belong together")
    settings = PhraseSettings(passes=model.phrases, threshold=model.phrase_threshold)
    found = find_phrases(tokens, counts, settings)
    reporter.stage(f"{len(found.pairs):,} pairs of words are joined, as {', '.join(found.names(words)[:3])}")
    return found if len(found.pairs) else None


def count_tokens(tokens: Any, vocab_size: int) -> NDArray[np.int64]:
    """How often each id occurs."""
    counts = np.zeros(vocab_size, np.int64)
    for start in range(0, len(tokens), READ_AT_ONCE):
        counts += np.bincount(tokens.read(start, min(start + READ_AT_ONCE, len(tokens))), minlength=vocab_size)
        tokens.release()
    return counts


def word_names(tokenizer: Tokenizer) -> list[str]:
    """How a person names the token of each id: different for each.

    A morpheme goes by its form alone, verbs and adjectives by the form that dictionaries have (먹다 for 먹/VV); of two that
    share a name, the rarer one keeps its tag.
    """
    if tokenizer.kind == "word":
        return tokenizer.all_tokens
    names, taken = list[str](), set[str]()
    for token_id, piece in enumerate(tokenizer.all_tokens):
        name = piece
        if tokenizer.kind == "morpheme" and token_id > tokenizer.eos_id:
            form, _, tag = piece.rpartition("/")
            name = f"{form}다" if tag.split("-")[0] in ("VV", "VA", "VX", "VCN") else form
        elif tokenizer.kind != "morpheme":
            name = tokenizer.token(token_id)
        if not name or name in taken:
            name = piece if piece not in taken else f"{piece}#{token_id}"
        names.append(name)
        taken.add(name)
    return names


def _learn(job: Job) -> None:
    """Train, and write all files of the run."""
    began = time.monotonic()
    try:
        made = LEARN[job.rung.name](job)
    except KeyboardInterrupt:
        if (job.folder / CHECKPOINT / STATE).is_file():
            raise Interrupted(str(job.folder)) from None
        raise
    job.reporter.finished()
    job.reporter.stage("saving")
    figures = {"words": len(made.token_ids), "tokens": len(job.tokens), **made.figures}
    figures["training_seconds"] = round(made.figures.get("training_seconds", time.monotonic() - began), 2)
    config = job.config.model_copy(update={"figures": figures})
    job.begin_folder()
    _write(job, made)
    write_vector_card(job.folder, config)
    write_config(job.folder, config)
    shutil.rmtree(job.folder / CHECKPOINT, ignore_errors=True)


def _write(job: Job, made: Made) -> None:
    write_files(job.folder, [job.words[i] for i in made.token_ids.tolist()], made.vectors)
    write_arrays(job.folder / MODEL, {"token_ids": made.token_ids, "counts": made.counts, **made.model})
    with atomic_file(job.folder / "metrics.jsonl") as file:
        file.write("".join(json.dumps(line) + "\n" for line in made.metrics).encode())
