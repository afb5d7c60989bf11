"""CIFAR-10: 32x32 pictures of ten kinds of things.

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". A split is (images uint8
(N, 32, 32, 3), labels int32 (N,)). Embedded are pictures of ten shapes of any size, place and
colour, on backgrounds whose colour tells something of the shape, as the sky does of airplanes: they
say nothing of CIFAR-10's figures.
"""

import colorsys

import numpy as np

from recipes.data import tfds_arrays
from recipes.data.picture_file import square

NAME = "cifar10"
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
EMBEDDED_CLASSES = (
    "disk", "ring", "square", "frame", "triangle", "plus", "cross", "bar", "stripes", "diamond",
)  # fmt: skip
# Of red, green and blue over the training part, between 0 and 1.
MEANS, DEVIATIONS = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
EMBEDDED = "pictures of ten shapes that are drawn here, in place of cifar10's ten kinds of things"
_SIZE = 32
_COUNTS = (1000, 300)


def from_tfds():
    """(training, test): the 50,000 and 10,000 pictures that TFDS has prepared."""
    return tuple(
        (images, labels.astype("int32"))
        for images, labels in tfds_arrays.read(NAME, ("train", "test"), ("image", "label"))
    )


def embedded():
    """(training, test): 1,000 and 300 pictures, as many of each of ``EMBEDDED_CLASSES``."""
    random = np.random.default_rng(0)
    labels = random.permutation(sum(_COUNTS)) % len(EMBEDDED_CLASSES)
    images = np.stack([_drawn(random, EMBEDDED_CLASSES[label]) for label in labels])
    labels = labels.astype("int32")
    first = _COUNTS[0]
    return (images[:first], labels[:first]), (images[first:], labels[first:])


def from_picture(picture):
    """A picture, made what this data consists of: (32, 32, 3) uint8.

    Args:
        picture: a ``PIL.Image`` in RGB. Of one that is no square the middle is taken.
    """
    return square(picture, _SIZE)


def _drawn(random, shape):
    """(32, 32, 3) uint8: a shape on a background of another colour, both with noise."""
    radius = random.uniform(6, 11)
    rows, columns = np.indices((_SIZE, _SIZE)) + 0.5
    down, right = (each - random.uniform(12, 20) for each in (rows, columns))
    far, wide = np.hypot(down, right), np.maximum(abs(down), abs(right))
    within = wide < radius
    inside = {
        "disk": far < radius,
        "ring": (far < radius) & (far > 0.6 * radius),
        "square": within,
        "frame": within & (wide > 0.6 * radius),
        "triangle": within & (abs(right) < (down + radius) / 2),
        "plus": within & (np.minimum(abs(down), abs(right)) < 0.25 * radius),
        "cross": within & (abs(abs(down) - abs(right)) < 0.3 * radius),
        "bar": within & (abs(down) < 0.3 * radius),
        "stripes": within & (right // (radius / 3) % 2 == 0),
        "diamond": abs(down) + abs(right) < radius,
    }[shape]
    hue = (EMBEDDED_CLASSES.index(shape) + random.normal(0, 1.5)) / len(EMBEDDED_CLASSES) % 1
    background = colorsys.hsv_to_rgb(hue, *random.uniform(0.4, 1, 2))
    background = colour = 255 * np.array(background)
    while abs(background - colour).max() < 80:
        colour = random.uniform(0, 255, 3)
    image = np.where(inside[:, :, None], colour, background)
    return np.clip(image + random.normal(0, 12, image.shape), 0, 255).astype("uint8")
