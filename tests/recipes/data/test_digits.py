import numpy as np
from sklearn.datasets import load_digits

from recipes.data import digits, mnist


def test_all_digits_are_there_once_and_in_order():
    (train, train_labels), (test, test_labels) = digits.embedded()
    assert train.shape == (1437, 28, 28, 1) and test.shape == (360, 28, 28, 1)
    assert train.dtype == test.dtype == "uint8"
    assert train_labels.dtype == test_labels.dtype == "int32"
    _, labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(np.concatenate([train_labels, test_labels]), labels)
    assert np.bincount(test_labels).min() >= 33


def test_a_digit_is_enlarged_to_where_mnist_has_it():
    """Bilinear: each of 20x20 pixels has the ink around its own place in the 8x8."""
    ink, _ = load_digits(return_X_y=True)
    places = (np.arange(20) + 0.5) * 8 / 20 - 0.5
    weights = np.maximum(0, 1 - np.abs(np.clip(places, 0, 7)[:, None] - np.arange(8)))  # (20, 8)
    (train, _), (test, _) = digits.embedded()
    for digit, image in ((ink[3], train[3]), (ink[-1], test[-1])):
        expected = np.zeros((28, 28))
        expected[4:24, 4:24] = weights @ (digit.reshape(8, 8) * 255 / 16) @ weights.T
        assert np.abs(image[..., 0] - expected).max() <= 0.51  # rounded


def test_pictures_are_read_as_mnist_does():
    assert digits.CLASSES == mnist.CLASSES
    assert digits.from_picture is mnist.from_picture
