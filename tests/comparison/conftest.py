from collections.abc import Iterator
from pathlib import Path

import pytest
from small import sentences

from malmoi.comparison import costs, prompts


@pytest.fixture(scope="session", autouse=True)
def _short_measurements() -> Iterator[None]:
    """Samples and latencies are measured at length for people, not for tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompts, "SAMPLE_LENGTH", {"char": 20, "jamo": 20})
        patch.setattr(costs, "STEPS", 20)
        yield


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "animals.txt"
    path.write_text("\n".join(sentences(400)) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
