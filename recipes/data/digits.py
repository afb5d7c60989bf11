"""scikit-learn's digits: 8x8 grey images of handwritten digits, enlarged to MNIST's 28x28.

Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository: 1,797 digits of 13 writers; each pixel counts the ink in 4x4 pixels of a scan. A split
is (images uint8 (N, 28, 28, 1), labels int32 (N,)), with the digits where ``mnist`` has them.
"""

import numpy as np
from PIL import Image

from recipes.data import mnist

NAME = "digits"
CLASSES = mnist.CLASSES
EMBEDDED = "the 1,797 digits of 8x8 pixels that the package scikit-learn ships"
from_picture = mnist.from_picture


def embedded():
    """(training, test): 1,437 and 360 digits, the last fifth being the test part.

    They lie in the order in which they were written, so that a shuffle would put digits of the
    same minute into both.
    """
    from sklearn.datasets import load_digits

    ink, labels = load_digits(return_X_y=True)
    images = np.stack([_enlarged(each) for each in ink.reshape(-1, 8, 8)])
    labels = labels.astype("int32")
    return (images[:-360], labels[:-360]), (images[-360:], labels[-360:])


def _enlarged(ink):
    """(8, 8) of 0 to 16 -> (28, 28, 1) uint8: 20x20 pixels, and a margin of 4 as MNIST has it."""
    digit = Image.fromarray((ink * 255 / 16).astype("float32"))
    digit = np.asarray(digit.resize((20, 20), Image.Resampling.BILINEAR))
    return np.pad(np.rint(digit).astype("uint8"), 4)[..., None]
