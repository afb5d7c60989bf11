import numpy as np
import pytest
from keras import ops

from custom_layers import LearnedPositions
from custom_layers.continuation import Continuation
from tests.gradients import outputs_and_gradients

LENGTH, WIDTH = 6, 3
TABLE = np.random.default_rng(1).normal(size=(LENGTH, WIDTH)).astype("float32")


def make_layer():
    layer = LearnedPositions(LENGTH)
    layer.build((None, None, WIDTH))
    layer.positions.assign(TABLE)
    return layer


@pytest.mark.parametrize("length", [1, 4, LENGTH])
def test_values_and_gradients(length):
    inputs, upstream = np.random.default_rng(0).normal(size=(2, 5, length, WIDTH))
    inputs = inputs.astype("float32")
    outputs, gradients = outputs_and_gradients(make_layer(), inputs, upstream)
    np.testing.assert_allclose(outputs, inputs + TABLE[:length], rtol=1e-6, atol=1e-6)
    assert gradients.keys() == {"inputs", "positions"}
    np.testing.assert_allclose(gradients["inputs"], upstream, rtol=1e-6)
    expected = np.zeros((LENGTH, WIDTH))
    expected[:length] = upstream.sum(axis=0)
    np.testing.assert_allclose(gradients["positions"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("start", [0, 2, 4])
def test_a_later_start(start):
    zeros = np.zeros((2, 2, WIDTH), "float32")
    for given in (start, ops.convert_to_tensor(start, "int32")):
        with Continuation(given):
            found = ops.convert_to_numpy(make_layer()(zeros))
        np.testing.assert_array_equal(found, [TABLE[start : start + 2]] * 2)


def test_fresh_positions_are_small_and_not_all_the_same():
    layer = LearnedPositions(500)
    layer.build((None, None, 40))
    values = ops.convert_to_numpy(layer.positions)
    assert 0.015 < values.std() < 0.02 and np.abs(values).max() < 0.041


@pytest.mark.parametrize(("length", "start", "end"), [(7, 0, 7), (3, 4, 7)])
def test_an_input_that_is_too_long(length, start, end):
    inputs = np.zeros((1, length, WIDTH), "float32")
    told = f"there are 6 positions, and the input goes up to {end}: shorten it, or build the model"
    with pytest.raises(ValueError, match=told):
        with Continuation(start):
            make_layer()(inputs)


@pytest.mark.parametrize("max_length", [0, -1, 2.0, "6", None])
def test_a_max_length_that_is_none(max_length):
    with pytest.raises(ValueError, match="max_length must be a positive integer, got"):
        LearnedPositions(max_length)
