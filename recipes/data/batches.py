"""Which examples are in a batch: decided by (seed, epoch, position) alone.

A split is a tuple of NumPy arrays of one length, such as (images, labels).
"""

import itertools

import numpy as np

_VALIDATION = 0  # epochs count from 1, so 0 is free for the cut
_STREAM = 1  # of the seed's streams of random numbers, the one for batches; weights have 0


def cut_validation(split, fraction, seed):
    """Cuts a share of a split off, at random by the seed: (training, validation)."""
    order = _order(len(split[0]), seed, _VALIDATION)
    cut = round(fraction * len(order))
    return _take(split, np.sort(order[cut:])), _take(split, np.sort(order[:cut]))


def batches_per_epoch(split, batch_size):
    """Number of whole batches; what is left over is another part in each epoch's shuffle."""
    return len(split[0]) // batch_size


def batches(split, batch_size, seed, epoch, transform=None, stack=None, start=0):
    """The batches of one epoch, shuffled by (seed, epoch), each a tuple of arrays.

    Args:
        split: tuple of arrays of one length.
        batch_size: examples a batch.
        seed: integer.
        epoch: integer, from 1.
        transform: ``transform(random, *batch)`` returns the batch to train on: augmentation, or
            noise as one more array. ``random`` is a NumPy generator of this batch alone, decided
            by (seed, epoch, position).
        stack: so many batches at a time, along a new first axis; the last may be fewer.
        start: position of the first batch, from 0: those before it are left out.

    Raises:
        ValueError: ``stack`` is less than 1.
    """
    if stack is not None and stack < 1:
        raise ValueError(f"stack must be at least 1, or None for single batches, got {stack}.")
    count = batches_per_epoch(split, batch_size)
    order = _order(len(split[0]), seed, epoch)[: count * batch_size].reshape(count, batch_size)

    def batch(position):
        taken = _take(split, order[position])
        return transform(_random(seed, epoch, position), *taken) if transform else taken

    made = map(batch, range(start, count))
    if stack is None:
        yield from made
    else:
        while group := list(itertools.islice(made, stack)):
            yield tuple(np.stack(arrays) for arrays in zip(*group, strict=True))


def _order(length, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(length)


def _random(seed, epoch, position):
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM, epoch, position)))


def _take(split, indices):
    return tuple(array[indices] for array in split)
