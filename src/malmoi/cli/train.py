"""`malmoi train`: one command for each rung, with a flag for each field of its config and of TrainingSettings.

The flags are made from the classes, so an option is written once. Nothing here imports a tensor library before training
begins.
"""

import inspect
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import App, Group, Parameter

from malmoi.cli.console import ConsoleReporter, duration, emit, note, number, print_facts, print_table
from malmoi.cli.flags import bare, flags_of, given, with_parameters
from malmoi.cli.options import DEVICE, ENCODING, FIELD, JSON, UNIT, TokenizerKind
from malmoi.errors import ConfigError, MalmoiError
from malmoi.models.registry import RUNGS, Rung, find_rung
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
        bool,
        Parameter(negative=()),
        _in(RUN, "Go on with the run in --out, from its last checkpoint; with RUNG and TEXT, begin it if need be."),
    ] = False,
    json: Annotated[bool, JSON, _in(RUN)] = False,
    started: Annotated[float, Parameter(parse=False)],
    command: Annotated[str, Parameter(parse=False)],
) -> None:
    """Options that every rung has; only the signature is used."""


COMMON = list(inspect.signature(_common).parameters.values())
HIDDEN = Parameter(show=False)


def _command(rung: Rung) -> Callable[..., None]:
    """The function that cyclopts calls for a rung: its own flags beside those that every rung has."""
    unused = _without_use(rung)  # taken, so that one command line fits every rung, or refused with a reason
    common = [_seen_by(option, rung, HIDDEN if option.name in unused else None) for option in COMMON]

    def run(*text: str, **options: Any) -> None:
        _train(rung.name, text, **options)

    return with_parameters(run, [_text(shown=True), *common, *rung_flags(rung)])


def _command_without_rung() -> Callable[..., None]:
    """What is called where neither a word, nor a recipe, nor a run names a rung, so nothing can be trained.

    Flags of all rungs are taken, as text, and passed on to nobody, so that the message is about what is missing.
    """
    flags: dict[str, inspect.Parameter] = {}
    for rung in RUNGS.values():
        for flag in rung_flags(rung):
            kind, about = get_args(flag.annotation)[:2]
            taken = kind if bare(kind) is bool else str | None
            flags[flag.name] = flag.replace(annotation=Annotated[taken, about, HIDDEN])

    def run(*text: str, **options: Any) -> None:
        _train(None, text, **{name: value for name, value in options.items() if name not in flags})

    return with_parameters(run, [_text(shown=False), *COMMON, *flags.values()])


def _text(shown: bool) -> inspect.Parameter:
    about = Parameter(name="TEXT", help="Files, folders, globs, or - for standard input.", show=shown)
    return inspect.Parameter("text", inspect.Parameter.VAR_POSITIONAL, annotation=Annotated[str, about])


def rung_flags(rung: Rung) -> list[inspect.Parameter]:
    """The flags of this rung alone: those of its model, then those of its training."""
    left_out = dict.fromkeys(PLANNED, "planned") if rung.is_network else {}
    taken = {option.name for option in COMMON}
    return [
        *flags_of(rung.config, MODEL, left_out=left_out, without=taken),
        *flags_of(rung.training_settings, TRAINING, left_out=left_out, without=taken),
    ]


def _without_use(rung: Rung) -> set[str]:
    """The common options that this rung has no use for."""
    unused = (ONE_PASS if rung.is_one_pass else set()) | (NO_VECTORS if rung.kind == "vectors" else set())
    return unused | (set() if rung.begins_from_vectors else {"initialise_from"})


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
    request |= given(options)
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
    from malmoi.training.floor import way_out

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
    if figures.get("valid_share", 1.0) < 1:
        facts.append(("validated on", f"{figures['valid_share']:.0%} of the validation text, while training"))
    print_facts(facts)
    parts = [(name, figures[name]) for name in ("valid", "test") if name in figures]
    print_table(
        ["text", "bits per byte", "perplexity"],
        [[name, number(part["bits_per_byte"], 4), number(part["perplexity"])] for name, part in parts],
    )
    if figures.get("hardly_trained"):
        training, epochs = config.training, figures["epochs"]
        asked = training.get("budget_seconds"), training.get("steps") or 0, figures["steps"], epochs
        note(f"\nHardly trained: {figures['hardly_trained']}. Its figures say nothing about the rung.")
        note(f"Give it more:  {way_out(config.command, config.family, *asked)}")
        return
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
    """The same words with the rung in front: it decides which flags there are.

    It is the first word that is no option, or what the recipe names, or that of the run to be resumed.

    Raises:
        ConfigError: If a flag belongs to other rungs only.
    """
    options, plain = _options(words)
    place = plain[0] if plain else None
    if place is not None and words[place] in RUNGS:
        words = [words[place], *words[:place], *words[place + 1 :]]
    elif (rung := _rung_elsewhere(options)) is not None:
        words = [rung, *words]
    if words and words[0] in RUNGS:
        _refuse_flags_of_others(RUNGS[words[0]], options)
    return list(words)


def _options(words: Sequence[str]) -> tuple[dict[str, str], list[int]]:
    """(flag -> its value, places of the words that are neither)."""
    found, plain, flag = dict[str, str](), list[int](), ""
    for place, word in enumerate(words):
        if flag:
            found[flag], flag = word, ""
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            found[name] = value
            flag = "" if equals or name in ALONE else name
        elif not word.startswith("-"):
            plain.append(place)
    return found, plain


def _rung_elsewhere(options: Mapping[str, str]) -> str | None:
    """The rung that a recipe names, or a run that is to be resumed; None where training will say what is wrong with them."""
    from pathlib import Path

    from malmoi.runs.folder import read_config
    from malmoi.training.request import read_recipe

    found: Any = None
    with suppress(MalmoiError):
        if "--recipe" in options:
            found = read_recipe(Path(options["--recipe"])).get("rung")
        if found is None and "--resume" in options and "--out" in options:
            found = read_config(Path(options["--out"])).family
    return found if isinstance(found, str) and found in RUNGS else None


def _refuse_flags_of_others(rung: Rung, options: Collection[str]) -> None:
    for flag in options:
        owners = [other for other, names in FLAGS.items() if flag in names]
        if owners and rung.name not in owners:
            raise ConfigError(
                f"{flag} is no option of {rung.name}; it is one of {', '.join(owners)}. Leave it out, or see what there is: "
                f"malmoi train {rung.name} --help"
            )


def _names(parameters: Sequence[inspect.Parameter]) -> dict[str, bool]:
    """Every flag, negative ones too -> whether it stands alone, without a value."""
    found = dict[str, bool]()
    for parameter in parameters:
        kind, *abouts = get_args(parameter.annotation)
        names = [name for about in abouts for name in (*(about.name or ()), *(about.negative or ()))]
        found |= dict.fromkeys(names or [f"--{parameter.name}".replace("_", "-")], bare(kind) is bool)
    return found


FLAGS = {name: _names(rung_flags(rung)) for name, rung in RUNGS.items()}  # of each rung alone
ALONE = {"--help", "-h"} | {
    flag for flags in (_names(COMMON), *FLAGS.values()) for flag, stands_alone in flags.items() if stands_alone
}


def _make_app() -> App:
    app = App(
        name="train",
        help="Train a model on a text; a time budget plans everything.",
        usage="Usage: malmoi train RUNG TEXT... [OPTIONS]\n       malmoi train --resume --out RUN",
        help_epilogue="Each rung has options of its own: malmoi train lstm --help, or --recipe FILE --help, lists them all.",
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
    app.default(_command_without_rung())
    return app


app = _make_app()
