import math

import numpy as np
import pytest
from keras import layers, ops

from custom_layers import LeakyReLU
from tests.gradients import outputs_and_gradients

INPUTS = np.array([[-1e4, -3.0, -1.0, -1e-3], [0.0, 1e-3, 2.5, 1e4]], "float32")
UPSTREAM = np.array([[1.0, -2.0, 0.5, 3.0], [-1.5, 4.0, 1.0, -0.25]], "float32")


@pytest.mark.parametrize("negative_slope", [0, 0.01, 0.3, 1.0, 2])
def test_values_and_gradients(negative_slope):
    outputs, gradients = outputs_and_gradients(LeakyReLU(negative_slope), INPUTS, UPSTREAM)

    slope = np.where(INPUTS > 0, 1.0, negative_slope)  # at 0 it is negative_slope
    np.testing.assert_allclose(outputs, slope * INPUTS, rtol=1e-6)
    np.testing.assert_allclose(gradients["inputs"], slope * UPSTREAM, rtol=1e-6)


@pytest.mark.parametrize("negative_slope", [0, 0.2])
def test_equals_keras_layer(negative_slope):
    # Without 0, where the backends' own layers need not agree on the derivative.
    inputs = np.where(INPUTS == 0, 0.5, INPUTS).astype("float32")
    ours = outputs_and_gradients(LeakyReLU(negative_slope), inputs, UPSTREAM)
    keras_layer = layers.LeakyReLU(negative_slope=negative_slope)
    theirs = outputs_and_gradients(keras_layer, inputs, UPSTREAM)

    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(ours[1]["inputs"], theirs[1]["inputs"], rtol=1e-6)


def test_default_slope_is_the_paper_s():
    assert LeakyReLU().negative_slope == 0.01
    np.testing.assert_allclose(ops.convert_to_numpy(LeakyReLU()(INPUTS))[0], 0.01 * INPUTS[0])


@pytest.mark.parametrize("negative_slope", [-0.1, -math.inf, math.inf, math.nan])
def test_bad_slope_is_named(negative_slope):
    with pytest.raises(ValueError, match=f"negative_slope .* got {negative_slope}"):
        LeakyReLU(negative_slope)
