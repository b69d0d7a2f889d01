"""Figures of a thesaurus as people read them."""


def figure(value: float | None, digits: int = 4) -> str:
    """A similarity; a dash if there is none."""
    return "—" if value is None else f"{value:.{digits}f}"
