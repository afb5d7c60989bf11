"""The check of sizes that models share."""

import operator


def is_size(value):
    """Whether it is an integer of 1 or more; True is none."""
    try:
        return not isinstance(value, bool) and operator.index(value) >= 1
    except TypeError:
        return False


def positive(model, name, size):
    """``size`` as an int.

    Raises:
        ValueError: it is no integer of 1 or more; names the model and the value.
    """
    if not is_size(size):
        raise ValueError(f"{model} needs {name}, an integer of 1 or more, got {size!r}.")
    return operator.index(size)


def check_positive(model, **sizes):
    """Raises ValueError, as ``positive`` does, unless each is an integer of 1 or more."""
    for name, size in sizes.items():
        positive(model, name, size)


def check_sizes(model, names, sizes):
    """Raises ValueError unless ``sizes`` are integers above 0, and at least one."""
    try:
        fits = len(sizes) > 0 and all(map(is_size, sizes))
    except TypeError:  # not a sequence
        fits = False
    if not fits:
        raise ValueError(f"{model} needs {names}, integers above 0, got {sizes!r}.")
