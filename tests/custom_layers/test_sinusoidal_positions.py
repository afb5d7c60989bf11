import numpy as np
import pytest
from keras import ops

from custom_layers import SinusoidalPositions
from custom_layers.continuation import Continuation
from tests.gradients import outputs_and_gradients


def closed_form(times, width):
    positions = np.empty((len(times), width))
    for index in range(width // 2):
        angles = np.asarray(times, "float64") / 10_000 ** (2 * index / width)
        positions[:, 2 * index], positions[:, 2 * index + 1] = np.sin(angles), np.cos(angles)
    return positions


@pytest.mark.parametrize(("length", "width"), [(7, 6), (6, 6), (500, 2), (1, 64)])
def test_values_and_gradients(length, width):
    generator = np.random.default_rng(0)
    inputs, upstream = generator.normal(size=(2, 3, length, width)).astype("float32")
    outputs, gradients = outputs_and_gradients(SinusoidalPositions(), inputs, upstream)
    expected = inputs + closed_form(range(length), width)
    np.testing.assert_allclose(outputs, expected, atol=1e-6 + 1e-7 * length)
    np.testing.assert_allclose(gradients.pop("inputs"), upstream, rtol=1e-6)
    assert not gradients


def test_the_table_of_the_paper_with_four_features():
    found = ops.convert_to_numpy(SinusoidalPositions()(np.zeros((1, 3, 4), "float32")))[0]
    expected = [
        [0, 1, 0, 1],
        [0.841470985, 0.540302306, 0.00999983333, 0.999950000],
        [0.909297427, -0.416146837, 0.0199986667, 0.999800007],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("start", [0, 3, 1000])
def test_a_later_start(start):
    layer = SinusoidalPositions()
    zeros = np.zeros((2, 5, 8), "float32")
    for given in (start, ops.convert_to_tensor(start, "int32")):
        with Continuation(given):
            found = ops.convert_to_numpy(layer(zeros))
        expected = np.stack([closed_form(range(start, start + 5), 8)] * 2)
        np.testing.assert_allclose(found, expected, atol=2e-6 + 1e-7 * start)


def test_half_precision_adds_positions_of_full_precision():
    """Past 2048, float16 has no odd numbers."""
    layer = SinusoidalPositions(dtype="mixed_float16")
    found = layer(np.zeros((1, 3000, 4), "float16"))
    expected = closed_form(range(3000), 4)
    np.testing.assert_allclose(ops.convert_to_numpy(found)[0], expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(None, 5), (None, 5, 7), (None, 5, None), (None, 5, 4, 4)])
def test_inputs_that_have_no_pairs(shape):
    with pytest.raises(ValueError, match=r"must be \(B, T, D\) of a known, even D, got \(None"):
        SinusoidalPositions().build(shape)
