"""Which examples are in a batch: decided by (seed, epoch, position) alone.

A split is a tuple of NumPy arrays of one length, such as (images, labels).
"""

import numpy as np

_VALIDATION = 0  # epochs count from 1, so 0 is free for the cut


def cut_validation(split, fraction, seed):
    """Cuts a share of a split off, at random by the seed: (training, validation)."""
    order = _order(len(split[0]), seed, _VALIDATION)
    cut = round(fraction * len(order))
    return _take(split, np.sort(order[cut:])), _take(split, np.sort(order[:cut]))


def batches_per_epoch(split, batch_size):
    """Number of whole batches; what is left over is another part in each epoch's shuffle."""
    return len(split[0]) // batch_size


def batches(split, batch_size, seed, epoch, stack=None):
    """The batches of one epoch, shuffled by (seed, epoch), each a tuple of arrays.

    With ``stack``, so many batches at a time, along a new first axis; the last may be fewer.

    Raises:
        ValueError: ``stack`` is less than 1.
    """
    if stack is not None and stack < 1:
        raise ValueError(f"stack must be at least 1, or None for single batches, got {stack}.")
    count = batches_per_epoch(split, batch_size)
    order = _order(len(split[0]), seed, epoch)[: count * batch_size].reshape(count, batch_size)
    for position in range(0, count, stack or 1):
        yield _take(split, order[position : position + stack] if stack else order[position])


def _order(length, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(length)


def _take(split, indices):
    return tuple(array[indices] for array in split)
