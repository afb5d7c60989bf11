"""The check of sizes that models share."""

import operator


def check_sizes(model, names, sizes):
    """Raises ValueError unless ``sizes`` are integers above 0, and at least one."""
    try:
        fits = len(sizes) > 0 and all(operator.index(size) > 0 for size in sizes)
    except TypeError:  # not a sequence, or not of integers
        fits = False
    if not fits:
        raise ValueError(f"{model} needs {names}, integers above 0, got {sizes!r}.")
