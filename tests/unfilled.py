"""Models whose variables have shapes and no values, so that a full-size one costs nothing."""

import zoo
from zoo.initial_weights import without_values


def unfilled(name, **arguments):
    """The model ``zoo.build(name, **arguments)`` without values."""
    with without_values():
        return zoo.build(name, **arguments)
