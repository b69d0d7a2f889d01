"""WordNet is read from local files alone, nothing is fetched or unpickled, and damaged files end in one message."""

import builtins
import importlib
import pickle
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_wordnet import ENTRIES, Entry, write_wordnet

from malmoi.errors import DataError, MissingExtraError
from malmoi.text.sources import TextSource
from malmoi.thesaurus import Thesaurus, wordnet
from malmoi.thesaurus.information import DEEPEST

OTHERS = tuple(entry for entry in ENTRIES if entry.pos != "n")


def refuse(*arguments: object, **options: object) -> NoReturn:
    raise AssertionError("fetched or unpickled")


def test_nothing_is_fetched_and_nothing_unpickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("malmoi.thesaurus.reader")  # NLTK itself: it defines classes on top of those refused here
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    found = Thesaurus(folder)
    assert found.similarity("dog", "bird", "lin") is not None
    assert found.compare("dog", "bird").pairs


def test_the_folder_is_the_one_given_or_that_of_the_variable_or_debians(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(wordnet.VARIABLE, raising=False)
    monkeypatch.setattr(wordnet, "USUAL_PLACE", tmp_path / "usual")
    with pytest.raises(
        DataError, match=r"There is no folder .*usual.*apt-get install wordnet-base.*--data.*MALMOI_WORDNET"
    ):
        wordnet.find_data()
    shutil.copytree(folder, tmp_path / "usual")
    assert wordnet.find_data() == tmp_path / "usual"
    monkeypatch.setenv(wordnet.VARIABLE, str(folder))
    assert wordnet.find_data() == folder
    assert wordnet.find_data(tmp_path / "usual") == tmp_path / "usual"


@pytest.mark.parametrize("name", wordnet.NEEDED)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"There is no {name} in .*Expected the files of WordNet 3.x.*Type: apt-get"):
        Thesaurus(folder)


def test_a_file_that_is_far_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet, "LARGEST", 100)
    with pytest.raises(DataError, match="bytes. Expected at most 100"):
        Thesaurus(folder)


def test_a_missing_package_is_named_with_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_nltk(name: str, *arguments: Any) -> Any:
        if name == "malmoi.thesaurus.reader":
            raise ModuleNotFoundError("No module named 'nltk'", name="nltk")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_nltk)
    with pytest.raises(MissingExtraError, match=r"The thesaurus needs nltk.*pip install 'malmoi\[thesaurus\]'"):
        Thesaurus(folder)


def test_files_that_are_optional_may_be_missing_or_there(folder: Path) -> None:
    (folder / "noun.exc").unlink()
    assert Thesaurus(folder).senses("dogs")
    (folder / "lexnames").write_text("".join(f"{i:02} noun.x 1\n" for i in range(45)))
    assert Thesaurus(folder).senses("dogs")


def damage(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("index.noun", "dog n 2", "dog n x", "damaged: file index.noun, line"),
        ("data.noun", " | an animal that barks", "   an animal that barks", "damaged"),
        ("data.noun", " 03 n 02 dog", " 77 n 02 dog", "damaged"),
        ("data.noun", " 03 n 02 dog", " 03 q 02 dog", "damaged"),
        ("data.noun", " 03 n 02 dog", " 03 n ff dog", "damaged"),
        ("data.noun", " 03 n 02 dog", "703 n 02 dog", "damaged: no concept stands at byte .* of data.noun"),
    ],
)
def test_damage_is_told_in_one_message(folder: Path, name: str, old: str, new: str, message: str) -> None:
    damage(folder, name, old, new)
    with pytest.raises(DataError, match=f"{message}.*Expected WordNet 3.x as it was published. Install it anew"):
        Thesaurus(folder).compare("dog", "bird")


def test_damage_that_only_lin_meets_has_a_line_number(folder: Path) -> None:
    damage(folder, "data.noun", " 03 n 01 sparrow", " 03 n zz sparrow")
    with pytest.raises(DataError, match=r"data\.noun is damaged: line 8 .*Install it anew"):
        Thesaurus(folder).information()


def test_damaged_counts_have_a_line_number(folder: Path) -> None:
    (folder / "cntlist.rev").write_text("dog%1:03:00:: 1 6\nbird%1:03:00:: 1 -4\n")
    with pytest.raises(DataError, match=r"cntlist\.rev is damaged: line 2 is no 'sense key, number, count'"):
        Thesaurus(folder).information()


def test_a_circle_is_refused(tmp_path: Path) -> None:
    circle = tuple(Entry(name, "n", (name,), above=(other,)) for name, other in ("ab", "bc", "ca"))
    found = Thesaurus(write_wordnet(tmp_path, (*circle, *OTHERS)))
    with pytest.raises(DataError, match="more than 10,000 ways, or one of more than 100 steps, up from"):
        found.similarity("a", "b")
    with pytest.raises(DataError, match=f"chain of more than {DEEPEST} concepts"):
        found.information()
    assert found.hypernyms("a").above == {"a.n.01": ["b.n.01"], "b.n.01": ["c.n.01"], "c.n.01": ["a.n.01"]}
    assert found.neighbours("a")


def test_a_ladder_with_endlessly_many_ways_up_is_refused_at_once(tmp_path: Path) -> None:
    rungs = [Entry("top", "n", ("top",))]
    for i in range(40):  # 2 ** 40 ways
        below = rungs[-1].name if i == 0 else f"low{i - 1}"
        rungs += [Entry(f"{side}{i}", "n", (f"{side}{i}",), above=(below,)) for side in ("left", "right")]
        rungs.append(Entry(f"low{i}", "n", (f"low{i}",), above=(f"left{i}", f"right{i}")))
    found = Thesaurus(write_wordnet(tmp_path, (*rungs, *OTHERS)))
    with pytest.raises(DataError, match="more than 10,000 ways"):
        found.similarity("low39", "left39")
    assert found.similarity("low8", "left8") == pytest.approx(1 / 2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(["data.noun", "data.verb", "index.noun", "cntlist.rev", "noun.exc"]),
    where=st.floats(0, 1),
    cut=st.integers(0, 12),
    put=st.one_of(
        st.binary(max_size=12), st.sampled_from([b"\n", b"|", b" 00", b"9" * 30, b"@ ", b"\xff", b"ffffffff "])
    ),
)
def test_whatever_the_files_hold_the_answer_is_a_value_or_one_message(
    name: str, where: float, cut: int, put: bytes
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = write_wordnet(Path(place))
        data = (folder / name).read_bytes()
        at = round(where * len(data))
        (folder / name).write_bytes(data[:at] + put + data[at + cut :])
        try:
            found = Thesaurus(folder, counts=TextSource.from_texts(["a dog and a bird run"]))
            for word in ("dog", "sparrow", "run"):
                found.senses(word)
                found.neighbours(word)
                found.hypernyms(word)
            found.compare("dog", "bird")
            Thesaurus(folder).information()
        except DataError:
            pass
