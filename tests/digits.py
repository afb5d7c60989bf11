"""Real digits, and pictures of them as people have them."""

import functools

import numpy as np
from PIL import Image

from recipes.data import mnist

embedded = functools.cache(mnist.embedded)  # it takes seconds


def enlarged(digit, times, above=0, left=0, below=0, right=0):
    """The ink of a (28, 28) digit, some times as large, with room around it."""
    size = (28 * times, 28 * times)
    ink = np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BICUBIC))
    return np.pad(ink, [(above, below), (left, right)])


def picture(ink, paper=(235, 230, 220), pen=(30, 40, 70), noise=0):
    """A picture on which ``ink``, from 0 to 255, is the pen's share of the colour."""
    share = ink[..., None].astype(float) / 255
    colors = share * pen + (1 - share) * paper
    colors += np.random.default_rng(0).normal(0, noise, colors.shape) if noise else 0
    return Image.fromarray(np.clip(np.rint(colors), 0, 255).astype("uint8"))
