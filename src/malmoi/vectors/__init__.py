"""Words as points in space: one object for all static vectors, however they were made."""

from malmoi.vectors.vectors import Neighbour, Vectors

__all__ = ["Neighbour", "Vectors"]
