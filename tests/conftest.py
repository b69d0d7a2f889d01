"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest

# Models in tests are tiny: a second thread costs more than it gives, and parallel test runs would fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the cache of the person who runs them. Compiled loops are kept, they take seconds."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "numba"))
    os.environ["MALMOI_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_works() -> None:
    """A shell that starts the tests in the background lets them ignore Ctrl-C, which some of them press."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    data = Path(os.environ.get("MALMOI_DATA", Path(__file__).parents[2] / "shared" / "data"))
    for item in items:
        if item.get_closest_marker("shared_data") and not data.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no data folder at {data}; set MALMOI_DATA"))
        if item.get_closest_marker("slow") and not config.getoption("-m"):
            item.add_marker(pytest.mark.skip(reason="slow; run with -m slow"))
