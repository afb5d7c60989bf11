import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import AdaptiveAveragePooling2D
from tests.gradients import outputs_and_gradients


def expected_of(images, size):
    """The means, window by window, and what each pixel's gradient is for an upstream gradient."""
    _, height, width, _ = images.shape
    outputs = np.empty((len(images), size, size, images.shape[-1]))
    windows = {}
    for row in range(size):
        for column in range(size):
            rows = slice(
                int(np.floor(row * height / size)), int(np.ceil((row + 1) * height / size))
            )
            columns = slice(
                int(np.floor(column * width / size)), int(np.ceil((column + 1) * width / size))
            )
            windows[row, column] = rows, columns
            outputs[:, row, column] = images[:, rows, columns].mean(axis=(1, 2), dtype="float64")

    def gradient(upstream):
        gradients = np.zeros(images.shape)
        for (row, column), (rows, columns) in windows.items():
            window = gradients[:, rows, columns]
            window += upstream[:, None, None, row, column] / (window.shape[1] * window.shape[2])
        return gradients

    return outputs, gradient


# Maps that the size divides, and not; smaller ones; one row; and 13 to 7, of which float32
# division finds a window that is not there.
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(6, 9, 3), (7, 7, 7), (13, 11, 7), (2, 5, 6), (1, 1, 7), (1, 8, 3), (9, 1, 4), (10, 3, 1)],
)
def test_values_and_gradients(height, width, size):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(3, height, width, 2)).astype("float32")
    upstream = generator.normal(size=(3, size, size, 2)).astype("float32")
    outputs, gradients = outputs_and_gradients(AdaptiveAveragePooling2D(size), images, upstream)
    expected, gradient = expected_of(images, size)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(gradients["inputs"], gradient(upstream), rtol=0, atol=2e-6)


def test_equals_keras_where_that_is_right():
    images = np.random.default_rng(0).normal(size=(2, 8, 9, 3)).astype("float32")
    expected = ops.convert_to_numpy(layers.AdaptiveAveragePooling2D(4)(images))
    outputs = ops.convert_to_numpy(AdaptiveAveragePooling2D(4)(images))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-6)


def test_means_in_half_precision_are_taken_in_float32():
    """A sum of 4 numbers of 30,000 lies above the largest float16, which is 65504."""
    images = np.full((1, 4, 4, 1), 30000.0)
    images[0, 0, 0, 0] = 30016
    outputs = AdaptiveAveragePooling2D(2, dtype="mixed_float16")(ops.cast(images, "float16"))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    np.testing.assert_array_equal(
        ops.convert_to_numpy(outputs)[0, :, :, 0], np.float16([[30004, 30000], [30000, 30000]])
    )


@pytest.mark.parametrize("output_size", [0, -1, 2.5, "7", None, (7, 7)])
def test_bad_output_size_is_named(output_size):
    with pytest.raises(ValueError) as caught:
        AdaptiveAveragePooling2D(output_size)
    assert f"integer of 1 or more, got {output_size!r}" in str(caught.value)


@pytest.mark.parametrize("shape", [(None, 5, 3), (None, None, 5, 3), (None, 5, None, 3)])
def test_shape_without_known_size_is_named(shape):
    with pytest.raises(ValueError) as caught:
        AdaptiveAveragePooling2D(2).build(shape)
    assert "known H and W" in str(caught.value) and f"got {shape}" in str(caught.value)
