import keras
import numpy as np
import pytest
from keras import ops

from custom_layers import LearnedToken
from tests.gradients import outputs_and_gradients

WIDTH = 3
TOKEN = np.random.default_rng(1).normal(size=(1, 1, WIDTH)).astype("float32")


@pytest.mark.parametrize("length", [1, 4])
def test_values_and_gradients(length):
    layer = LearnedToken()
    layer.build((None, length, WIDTH))
    layer.token.assign(TOKEN)
    random = np.random.default_rng(0)
    inputs = random.normal(size=(5, length, WIDTH)).astype("float32")
    upstream = random.normal(size=(5, length + 1, WIDTH))
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream)
    np.testing.assert_array_equal(outputs[:, 1:], inputs)
    np.testing.assert_array_equal(outputs[:, 0], np.broadcast_to(TOKEN[0], (5, WIDTH)))
    assert gradients.keys() == {"inputs", "token"}
    np.testing.assert_allclose(gradients["inputs"], upstream[:, 1:], rtol=1e-6)
    expected = upstream[:, :1].sum(axis=0, keepdims=True)
    np.testing.assert_allclose(gradients["token"], expected, rtol=1e-5, atol=1e-6)


def test_sequences_of_any_length():
    assert LearnedToken()(keras.Input((None, WIDTH))).shape == (None, None, WIDTH)
    assert LearnedToken()(keras.Input((4, WIDTH))).shape == (None, 5, WIDTH)


def test_a_fresh_token_is_small_and_not_all_the_same():
    layer = LearnedToken()
    layer.build((None, None, 4000))
    values = ops.convert_to_numpy(layer.token)
    assert 0.015 < values.std() < 0.02 and np.abs(values).max() < 0.041


@pytest.mark.parametrize("shape", [(None, None, None), (None, 3), (None, 2, 2, 3)])
def test_what_is_no_sequence_of_known_features(shape):
    with pytest.raises(ValueError, match=r"the input (must be|needs)"):
        LearnedToken().build(shape)
