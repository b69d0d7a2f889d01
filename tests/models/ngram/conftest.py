import pytest

from malmoi.models.ngram import model


@pytest.fixture(params=["plain", "compiled"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The queries without a compiler, and the compiled ones, which larger texts would reach."""
    monkeypatch.setattr(model, "WORTH_COMPILING", 0 if request.param == "compiled" else 1 << 62)
    return str(request.param)
