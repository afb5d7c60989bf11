import zlib

import numpy as np
import pytest
from PIL import Image

from recipes.data import cifar10, tfds_arrays


def test_embedded_pictures_are_the_same_everywhere():
    (train, train_labels), (test, test_labels) = cifar10.embedded()
    assert train.shape == (1000, 32, 32, 3) and test.shape == (300, 32, 32, 3)
    assert train.dtype == test.dtype == "uint8"
    assert train_labels.dtype == test_labels.dtype == "int32"
    whole = np.concatenate([train_labels, test_labels])
    np.testing.assert_array_equal(np.bincount(whole), [130] * 10)
    assert np.bincount(test_labels).min() > 15
    assert zlib.crc32(train_labels.tobytes()) == 2412742926
    # NumPy's functions may round otherwise elsewhere, and a colour by one with them.
    assert train.astype("float64").mean() == pytest.approx(118.273, abs=0.01)


def test_a_shape_differs_from_its_background():
    """In all pictures, more than the noise."""
    random = np.random.default_rng(0)
    for shape in cifar10.EMBEDDED_CLASSES:
        image = cifar10._drawn(random, shape).astype("float64")
        corner, rest = image[:3, :3].mean(axis=(0, 1)), image[6:26, 6:26]
        assert (np.abs(rest - corner).max(axis=-1) > 60).mean() > 0.05, shape


def test_tfds_has_pictures_and_labels(monkeypatch):
    def read(name, parts, columns):
        assert (name, parts, columns) == ("cifar10", ("train", "test"), ("image", "label"))
        return [(np.zeros((2, 32, 32, 3), "uint8"), np.array([3, 9])) for _ in parts]

    monkeypatch.setattr(tfds_arrays, "read", read)
    for images, labels in cifar10.from_tfds():
        assert images.shape == (2, 32, 32, 3)
        assert labels.dtype == "int32" and labels.tolist() == [3, 9]


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (64, 64)])
def test_the_middle_of_a_picture_is_taken(size):
    """Of its longer side, and made smaller by means."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype("uint8")
    found = cifar10.from_picture(Image.fromarray(pixels))
    top, left = ((length - 64) // 2 for length in pixels.shape[:2])
    square = pixels[top : top + 64, left : left + 64].astype("float64")
    expected = square.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert found.shape == (32, 32, 3) and found.dtype == "uint8"
    assert np.abs(found - expected).max() <= 1  # columns are rounded, then rows


def test_a_picture_of_that_size_stays_as_it_is():
    (images, _), _ = cifar10.embedded()
    np.testing.assert_array_equal(cifar10.from_picture(Image.fromarray(images[0])), images[0])
