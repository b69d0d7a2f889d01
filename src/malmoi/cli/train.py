"""`malmoi train`: one command for each rung, with a flag for each field of its config and of TrainingSettings.

The flags are made from the classes, so an option is written once. Nothing here imports a tensor library before training
begins.
"""

import inspect
import shlex
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from cyclopts import App, Group, Parameter
from pydantic_core import PydanticUndefined

from malmoi.cli.console import ConsoleReporter, duration, emit, note, number, print_facts, print_table
from malmoi.cli.options import DEVICE, ENCODING, FIELD, JSON, UNIT, TokenizerKind
from malmoi.models.registry import RUNGS, Rung, find_rung
from malmoi.settings import Settings
from malmoi.text.sources import Unit

if TYPE_CHECKING:
    from malmoi.runs.folder import RunConfig

PLANNED = {  # fields that malmoi.training.planner fills in when they are left out
    *("embed_dim", "hidden_size", "dropout_input", "dropout_hidden", "dropout_output"),
    *("batch_size", "window", "optimiser", "learning_rate", "layer_rate", "precision", "evaluate_every"),
}
ONE_PASS = {
    "budget",
    "epochs",
    "device",
    "resume",
    "initialise_from",
}  # options that a rung which counts has no use for
NO_VECTORS = {"valid", "test", "device"}  # nor one that makes vectors
DEFAULTS = {  # of common options, where vectors differ: in words
    "tokenizer": "word",
    "vocab_size": "all words",
    "min_count": "5 in a large text",
    "budget": "epochs instead",
    "epochs": "5 to 30 by size; 25 for glove",
}
TEXT, RUN, MODEL, TRAINING = (
    Group(name, sort_key=place) for place, name in enumerate(("Text", "Run", "Model", "Training"), start=1)
)


def _in(group: Group, help: str = "", *, default: str | bool = False) -> Parameter:
    """How one option is shown; `default` is what happens without it, in words."""
    if not help:  # options.py says it
        return Parameter(group=group, show_default=default)
    return Parameter(group=group, show_default=default, help=help)


def _common(
    *,
    valid: Annotated[str | None, _in(TEXT, "Text to watch training on.", default="a twentieth of TEXT")] = None,
    test: Annotated[str | None, _in(TEXT, "Text to score when training is over.")] = None,
    tokenizer: Annotated[TokenizerKind | None, _in(TEXT, "What a token is.", default="planned")] = None,
    tokenizer_from: Annotated[str | None, _in(TEXT, "Take the tokenizer of this run as it is.")] = None,
    initialise_from: Annotated[
        str | None, _in(TEXT, "Begin with these word vectors: a run of vectors, a folder or a file.")
    ] = None,
    vocab_size: Annotated[int | None, _in(TEXT, "Most tokens the vocabulary may have.", default="planned")] = None,
    min_count: Annotated[int | None, _in(TEXT, "How often a token must occur to be one.", default="planned")] = None,
    field: Annotated[str | None, FIELD, _in(TEXT)] = None,
    encoding: Annotated[str | None, ENCODING, _in(TEXT, default="utf-8")] = None,
    unit: Annotated[Unit | None, UNIT, _in(TEXT, default="lines")] = None,
    out: Annotated[str | None, _in(RUN, "The run folder to make.", default="runs/RUNG-TEXT")] = None,
    budget: Annotated[
        str | None, _in(RUN, "Time in all, as 90s, 10m or 1h; all else is planned from it.", default="10m")
    ] = None,
    epochs: Annotated[float | None, _in(RUN, "Passes over the text, instead of a budget; or name --steps.")] = None,
    device: Annotated[str | None, DEVICE, _in(RUN, default="cpu")] = None,
    recipe: Annotated[str | None, _in(RUN, "TOML file with any of these options; flags win over it.")] = None,
    resume: Annotated[
        bool, Parameter(negative=()), _in(RUN, "Go on with the run in --out, from its last checkpoint.")
    ] = False,
    json: Annotated[bool, JSON, _in(RUN)] = False,
    started: Annotated[float, Parameter(parse=False)],
    command: Annotated[str, Parameter(parse=False)],
) -> None:
    """Options that every rung has; only the signature is used."""


def _bare(annotation: Any) -> Any:
    """The type itself: limits and "or None" taken off."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def _flags(
    settings: type[Settings], group: Group, prefix: str = "", planned: Collection[str] = ()
) -> Iterator[inspect.Parameter]:
    """One keyword for each field; those of nested settings have dotted flags, as --schedule.warmup."""
    for name, field in settings.model_fields.items():
        kind, default = _bare(field.annotation), field.default
        if isinstance(kind, type) and issubclass(kind, Settings):
            yield from _flags(kind, group, f"{prefix}{name}.")
            continue
        shown = "planned" if not prefix and name in planned else default
        flag = f"--{prefix}{name}".replace("_", "-")
        about = Parameter(
            name=flag,
            negative=f"--no-{flag[2:]}" if kind is bool else (),
            group=group,
            help=f"{(field.description or name)[:1].upper()}{(field.description or name)[1:]}.",
            show_default=False if shown is None or shown is PydanticUndefined else str(shown),
        )
        keyword = f"{prefix}{name}".replace(".", "__")
        yield inspect.Parameter(
            keyword, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, about]
        )


def _command(rung: Rung | None) -> Callable[..., None]:
    """The function that cyclopts calls for one rung, or (None) where the words do not begin with one."""
    common = list(inspect.signature(_common).parameters.values())
    known = {parameter.name for parameter in common}
    flags: dict[str, inspect.Parameter] = {}
    for candidate in [rung] if rung else RUNGS.values():
        planned = PLANNED if candidate.is_network else ()
        both = (candidate.config, MODEL), (candidate.training_settings, TRAINING)
        for parameter in (flag for settings, group in both for flag in _flags(settings, group, planned=planned)):
            if parameter.name not in known:
                flags.setdefault(parameter.name, parameter)
    hidden = Parameter(show=False)
    if rung is not None:  # taken, so that one command line fits every rung, or refused with a reason
        unused = _without_use(rung)
        common = [_seen_by(option, rung, hidden if option.name in unused else None) for option in common]
    if rung is None:  # the help of a rung lists them
        flags = {name: flag.replace(annotation=Annotated[flag.annotation, hidden]) for name, flag in flags.items()}
    about = Parameter(name="TEXT", help="Files, folders, globs, or - for standard input.", show=rung is not None)
    words = inspect.Parameter("text", inspect.Parameter.VAR_POSITIONAL, annotation=Annotated[str, about])

    def run(*text: str, **options: Any) -> None:
        _train(rung.name if rung else None, text, **options)

    parameters = [words, *common, *flags.values()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _without_use(rung: Rung) -> set[str]:
    """The common options that this rung has no use for."""
    counts = rung.name in ("ngram", "cooccurrence")
    unused = (ONE_PASS if counts else set()) | (NO_VECTORS if rung.kind == "vectors" else set())
    return unused | ({"initialise_from"} if rung.name == "glove" else set())


def _seen_by(option: inspect.Parameter, rung: Rung, hidden: Parameter | None) -> inspect.Parameter:
    """A common option as the help of this rung shows it."""
    if hidden is not None:
        return option.replace(annotation=Annotated[option.annotation, hidden])
    if rung.kind == "vectors" and option.name in DEFAULTS:
        option = option.replace(annotation=Annotated[option.annotation, Parameter(show_default=DEFAULTS[option.name])])
    if rung.kind == "vectors" and option.name == "epochs":
        return option.replace(annotation=Annotated[option.annotation, Parameter(help="Times that the text is read.")])
    return option


def _train(rung: str | None, text: Sequence[str], *, json: bool = False, resume: bool = False, **options: Any) -> None:
    """Train, then say where the run is, how good it is, and what to type next."""
    from malmoi.training.pipeline import train

    if rung is None and text and not resume and options.get("recipe") is None:
        rung, text = find_rung(text[0]).name, text[1:]
    request: dict[str, Any] = {"rung": rung, "text": list(text) or None, "resume": resume or None}
    for name, value in options.items():
        outer, _, inner = name.partition("__")
        if value is not None and inner:
            request.setdefault(outer, {})[inner] = value
        elif value is not None:
            request[name] = value
    with ConsoleReporter() as reporter:
        try:
            folder = train(request, reporter)
        except KeyboardInterrupt as stopped:
            reporter.finished()
            raise KeyboardInterrupt(_stopped(str(stopped), reporter, options.get("out"))) from None
    _show(str(folder), json)


def _stopped(folder: str, reporter: ConsoleReporter, out: str | None) -> str:
    """What to say after Ctrl-C; `folder` is what Interrupted carries, and "" if nothing was saved just now."""
    step, epoch = (reporter.latest.step, reporter.latest.epoch) if reporter.latest else (0, None)
    if folder:
        place = f" at step {step:,}" if epoch is None else f" after {epoch:.2f} epochs"
        told = place if reporter.latest else ""  # stopped again before anything was reported
        return f"Stopped{told}. Saved. Go on with: malmoi train --resume --out {shlex.quote(folder)}"
    if step:
        where = shlex.quote(out) if out else "the run's folder"
        return f"Stopped before the figures at the end were made. Go on with: malmoi train --resume --out {where}"
    return "Stopped before training began."


def _show(folder: str, json: bool) -> None:
    from pathlib import Path

    from malmoi.runs.folder import read_config

    config = read_config(Path(folder))
    figures = config.figures
    if json:
        emit({"run": folder, "family": config.family, **figures})
        return
    if find_rung(config.family).kind == "vectors":
        _show_vectors(folder, config)
        return
    facts = [("run", folder), ("parameters", f"{figures['parameters']:,}")]
    lasted = duration(figures["training_seconds"])
    if "ngrams" in figures:
        facts += [("n-grams", " + ".join(f"{count:,}" for count in figures["ngrams"])), ("counted", lasted)]
    else:
        facts.append(("trained", f"{figures['steps']:,} steps, {figures['epochs']:g} epochs, {lasted}"))
    print_facts(facts)
    parts = [(name, figures[name]) for name in ("valid", "test") if name in figures]
    print_table(
        ["text", "bits per byte", "perplexity"],
        [[name, number(part["bits_per_byte"], 4), number(part["perplexity"])] for name, part in parts],
    )
    place = shlex.quote(folder)
    note(f'\nTry it:  malmoi next {place} "..."\n         malmoi generate {place}')


def _show_vectors(folder: str, config: "RunConfig") -> None:
    figures = config.figures
    facts = [("run", folder), ("words", f"{figures['words']:,}"), ("parameters", f"{figures['parameters']:,}")]
    if "pairs" in figures:
        facts.append(("different pairs", f"{figures['pairs']:,}"))
    if "share_of_squares" in figures:
        facts.append(("kept of the matrix", f"{figures['share_of_squares']:.1%} of the sum of squares"))
    if "epochs" in figures:
        facts.append(("trained", f"{figures['epochs']:g} epochs, {duration(figures['training_seconds'])}"))
    else:
        facts.append(("counted in", duration(figures["training_seconds"])))
    if figures.get("losses"):
        facts.append(("loss", " → ".join(f"{loss:.4f}" for loss in (figures["losses"][0], figures["losses"][-1]))))
    if "words_per_second" in figures:
        facts.append(("speed", f"{figures['words_per_second']:,.0f} words/s"))
    if "promise" in figures:
        facts.append(("promise", figures["promise"]))
    print_facts(facts)
    place = shlex.quote(folder)
    note(f"\nTry it:  malmoi vectors similar {place} WORD\n         malmoi vectors map {place} --html map.html")


def rung_first(words: Sequence[str]) -> list[str]:
    """The same words with the rung, if the first word that is no option names one, moved to the front."""
    alone = {"--json", "--resume", "--help", "-h"}  # flags that take no value
    for rung in RUNGS.values():
        for name, field in rung.config.model_fields.items():
            if field.annotation is bool:
                alone |= {f"--{name}".replace("_", "-"), f"--no-{name}".replace("_", "-")}
    takes_value = False
    for place, word in enumerate(words):
        if not takes_value and not word.startswith("-"):
            return [word, *words[:place], *words[place + 1 :]] if word in RUNGS else list(words)
        takes_value = word.startswith("--") and "=" not in word and word not in alone
    return list(words)


def _make_app() -> App:
    app = App(
        name="train",
        help="Train a model on a text; a time budget plans everything.",
        usage="Usage: malmoi train RUNG TEXT... [OPTIONS]\n       malmoi train --resume --out RUN",
        help_epilogue="malmoi train lstm --help lists all options of a rung.",
    )
    app["--help"].group = app["--version"].group = Group("Session", show=False)
    for place, rung in enumerate(RUNGS.values()):
        usage = f"Usage: malmoi train {rung.name} TEXT... [OPTIONS]"
        planned = "What is planned follows from the text, the clock and the measured speed of this machine."
        epilogue = planned if rung.is_network else ""
        summary = f"{rung.summary[:1].upper()}{rung.summary[1:]}."
        command = App(name=rung.name, help=summary, usage=usage, help_epilogue=epilogue, sort_key=place)
        command.default(_command(rung))
        app.command(command)
    app.default(_command(None))
    return app


app = _make_app()
