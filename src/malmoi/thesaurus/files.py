"""The names of WordNet's files, and what is said of files that hold something else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from malmoi.errors import DataError, MalmoiError

PARTS = ("noun", "verb", "adj", "adv")
SENSE_COUNTS = "cntlist.rev"
IRREGULAR = [f"{part}.exc" for part in PARTS]  # forms such as "mice"; may be missing
INSTALL = "apt-get install wordnet-base"


@contextmanager
def understood(folder: Path) -> Iterator[None]:
    """Turns whatever goes wrong over damaged files, inside of NLTK too, into one message."""
    try:
        yield
    except MalmoiError:
        raise
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        OSError,
        RecursionError,
        RuntimeError,
    ) as error:
        raise damaged(folder, error) from error
    except (StopIteration, TypeError, ValueError) as error:
        raise damaged(folder, error) from error
    except Exception as error:
        if type(error).__name__ != "WordNetError":  # NLTK's own, which is not imported here
            raise
        raise damaged(folder, error) from error


def damaged(place: Path, what: object) -> DataError:
    """The message about files that hold something else."""
    told = " ".join(str(what).split())[:120] or type(what).__name__
    return DataError(
        f"{place} is damaged: {told}. Expected WordNet 3.x as it was published. Install it anew: {INSTALL}"
    )
