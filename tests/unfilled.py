"""Models whose variables have shapes and no values, so that a full-size one costs nothing."""

import contextlib

import keras

import zoo


@contextlib.contextmanager
def without_values():
    """Variables that are made in it get no values.

    Keras lists them, to fill all of them, gigabytes, when a scope next closes: its list is emptied.
    """
    try:
        with keras.StatelessScope(initialize_variables=False) as scope:
            yield scope
    finally:
        keras.utils.clear_session(free_memory=False)


def unfilled(name, **arguments):
    """The model ``zoo.build(name, **arguments)`` without values."""
    with without_values():
        return zoo.build(name, **arguments)
