"""Flags belong to their rung, however the rung is named: by a word, by a recipe or by the run that is resumed."""

import inspect
import itertools
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from conftest import Malmoi

from malmoi.cli import train as command
from malmoi.cli.flags import bare
from malmoi.errors import ConfigError
from malmoi.models.registry import RUNGS, Rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.settings import Settings
from malmoi.training import pipeline
from malmoi.training.progress import Interrupted
from malmoi.training.request import read_request

TEXTS = {"prune": "0,1", "memory": "1GB", "max_disk": "8MB"}  # patterns that no value can be guessed for
NEEDS = {"divide_gradient": {"method": "cbow"}, "steps": {"evaluate_every": 2}}  # what else makes a value fit


def classes(rung: Rung) -> tuple[type[Settings], type[Settings]]:
    return rung.config, rung.training_settings


def fields(rung: Rung) -> dict[str, type[Settings]]:
    """Field -> its class, of those that have a flag of the rung's own."""
    common = {parameter.name for parameter in command.COMMON}
    found = {name: settings for settings in classes(rung) for name in settings.model_fields if name not in common}
    return {name: settings for name, settings in found.items() if name != "schedule"}  # flags of its own, tested below


def other_value(settings: type[Settings], name: str) -> Any:
    """A value that fits the field and is not its default."""
    field = settings.model_fields[name]
    kind, default = bare(field.annotation), field.default
    candidates: list[Any]
    if name in TEXTS:
        candidates = [TEXTS[name]]
    elif get_origin(kind) is Literal:
        candidates = list(get_args(kind))
    elif kind is bool:
        candidates = [not default]
    elif kind is int:
        candidates = [3, 7]
    else:
        assert kind is float
        candidates = [0.375, 1.75]
    also = {"vocab_size": 9} if "vocab_size" in settings.model_fields else {}
    for value in candidates:
        if value != default:
            try:
                settings.parse({**also, **NEEDS.get(name, {}), name: value})
            except ConfigError:
                continue
            return value
    raise AssertionError(f"no value for {name}")


def typed(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    return [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]


NETWORKS = ", ".join(name for name, rung in RUNGS.items() if rung.is_network)
SHARED = {
    name
    for one, other in itertools.combinations(RUNGS.values(), 2)
    for name in fields(one).keys() & fields(other).keys()
}


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Rung -> how it may be named -> the words that name it."""
    folder, found = tmp_path_factory.mktemp("ways"), dict[str, dict[str, list[str]]]()
    for name in RUNGS:
        recipe, run = folder / f"{name}.toml", folder / name
        recipe.write_text(f'rung = "{name}"\ntext = "a.txt"\n', encoding="utf-8")
        write_config(run, RunConfig(family=name, model={}))
        found[name] = {
            "word": [name, "a.txt"],
            "recipe": ["--recipe", str(recipe)],
            "run": ["--resume", "--out", str(run)],
        }
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What training was asked for; nothing is trained."""
    requests: list[dict[str, Any]] = []

    def train(request: dict[str, Any], reporter: Any = None) -> Path:
        requests.append(dict(request))
        raise Interrupted("x")

    monkeypatch.setattr(pipeline, "train", train)
    return requests


def test_rungs_do_share_names() -> None:
    assert {"smoothing", "window", "learning_rate", "embed_dim", "threads", "memory", "seed"} <= SHARED


@pytest.mark.parametrize("way", ["word", "recipe", "run"])
@pytest.mark.parametrize("rung", RUNGS.values(), ids=list(RUNGS))
def test_every_flag_of_a_rung_reaches_its_field(
    malmoi: Malmoi, asked: list[dict[str, Any]], ways: Any, rung: Rung, way: str
) -> None:
    values = {name: other_value(settings, name) for name, settings in fields(rung).items()}
    flags, named = [typed(name, value) for name, value in values.items()], ways[rung.name][way]
    half = len(flags) // 2  # some stand before the rung is named, some after
    assert malmoi("train", *itertools.chain(*flags[:half], named, *flags[half:])).code == 130
    (request,) = asked
    assert request["rung"] == rung.name
    for name, value in values.items():
        assert (name, request[name], type(request[name])) == (name, value, type(value))
    whole = read_request({"rung": rung.name, "text": "a.txt", **values})
    of_model, of_training = whole.model, whole.training
    assert {**of_model, **of_training} == values
    assert set(of_model) == {name for name in values if fields(rung)[name] is rung.config}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_name_that_rungs_share_is_read_as_each_of_them_has_it(
    malmoi: Malmoi, asked: list[dict[str, Any]], ways: Any, name: str
) -> None:
    """One flag alone, for each rung in turn: no rung reads it as another one does."""
    for rung in RUNGS.values():
        if name in fields(rung):
            value = other_value(fields(rung)[name], name)
            malmoi("train", *ways[rung.name]["recipe"], *typed(name, value))
            request = asked.pop()
            assert (request["rung"], request[name], type(request[name])) == (rung.name, value, type(value))
            given = {key for key, value in request.items() if value is not None}
            assert given == {"rung", "recipe", "command", "started", name}


@pytest.mark.parametrize("way", ["word", "recipe", "run"])
def test_flags_with_dots_belong_to_the_rungs_that_have_them(
    malmoi: Malmoi, asked: list[dict[str, Any]], ways: Any, way: str
) -> None:
    malmoi("train", *ways["gru"][way], "--schedule.warmup", "0.1", "--schedule.final=0")
    assert asked[0]["schedule"] == {"warmup": 0.1, "final": 0.0}
    err = malmoi("train", *ways["ngram"][way], "--schedule.warmup", "0.1").err
    assert f"--schedule.warmup is no option of ngram; it is one of {NETWORKS}." in err


@pytest.mark.parametrize("way", ["word", "recipe", "run"])
@pytest.mark.parametrize(
    ("rung", "flags", "message"),
    [
        (
            "lstm",
            "--smoothing add-k",
            "--smoothing is no option of lstm; it is one of cooccurrence, ngram. Leave it out",
        ),
        ("ngram", "--hidden-size=5", f"--hidden-size is no option of ngram; it is one of {NETWORKS}."),
        (
            "glove",
            "--no-tie-embeddings",
            f"--no-tie-embeddings is no option of glove; it is one of {NETWORKS}.",
        ),
        (
            "ngram",
            "--x-max 3",
            "--x-max is no option of ngram; it is one of glove. Leave it out, or see what there is: ",
        ),
    ],
)
def test_a_flag_of_another_rung_is_told_whose_it_is(
    malmoi: Malmoi, ways: Any, way: str, rung: str, flags: str, message: str
) -> None:
    code, out, err = malmoi("train", *flags.split(), *ways[rung][way])
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert err.endswith(f"malmoi train {rung} --help\n")


def test_a_value_that_does_not_fit_is_told_of_the_right_field(malmoi: Malmoi, ways: Any) -> None:
    err = malmoi("train", *ways["ngram"]["recipe"], "--smoothing", "0.5").err
    assert "kneser-ney" in err
    err = malmoi("train", *ways["cooccurrence"]["recipe"], "--smoothing", "add-k").err
    assert "float" in err


def test_a_word_wins_over_the_recipe_and_the_recipe_over_the_run(
    malmoi: Malmoi, asked: list[dict[str, Any]], ways: Any
) -> None:
    malmoi("train", *ways["ngram"]["recipe"], "gru", "--hidden-size", "7")
    malmoi("train", *ways["lstm"]["run"], "=".join(ways["ngram"]["recipe"]), "--smoothing", "add-k")
    assert [request["rung"] for request in asked] == ["gru", "ngram"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--recipe none.toml --smoothing add-k --window 3", "There is no recipe 'none.toml'."),
        ("--recipe odd.toml --smoothing add-k", "There is no rung named 'lstn'."),
        ("--recipe empty.toml --smoothing add-k", "Training needs a rung and a text"),
        ("--recipe broken.toml --hidden-size 3", "The recipe broken.toml cannot be read"),
        ("--resume --out none --smoothing add-k --no-lower", "There is no run at 'none'."),
        ("--resume --smoothing add-k", "--resume needs the run to go on with"),
        ("--smoothing add-k text.txt", "There is no rung named 'text.txt'."),
        ("--smoothing add-k", "Training needs a rung and a text"),
    ],
)
def test_where_no_rung_is_found_the_message_is_about_that(
    malmoi: Malmoi, in_folder: Path, words: str, message: str
) -> None:
    for name, text in {"odd": 'rung = "lstn"', "empty": "", "broken": "["}.items():
        (in_folder / f"{name}.toml").write_text(text, encoding="utf-8")
    code, out, err = malmoi("train", *words.split())
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_help_without_a_rung_says_where_their_flags_are(malmoi: Malmoi, ways: Any) -> None:
    code, out, _ = malmoi("train", "--help")
    assert code == 0
    assert "malmoi train lstm --help, or --recipe FILE --help, lists them all." in " ".join(out.split())
    assert "--smoothing" not in out
    out = malmoi("train", *ways["ngram"]["recipe"], "--help").out
    assert "--smoothing" in out
    assert "--hidden-size" not in out


def test_a_flag_stands_alone_in_all_rungs_or_in_none() -> None:
    """Otherwise the word after it could not be told from a rung before the rung is known."""
    for one, other in itertools.combinations(command.FLAGS.values(), 2):
        assert all(one[flag] == other[flag] for flag in one.keys() & other.keys())


def test_flags_are_unique_within_a_rung() -> None:
    for rung in RUNGS.values():
        names = [parameter.name for parameter in (*command.COMMON, *command.rung_flags(rung))]
        assert len(names) == len(set(names))
        inspect.Signature(command.rung_flags(rung))
