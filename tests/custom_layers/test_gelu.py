import numpy as np
import pytest
from keras import activations, ops
from scipy.special import erf

from custom_layers import GELU
from tests.gradients import outputs_and_gradients

INPUTS = np.concatenate([np.linspace(-6, 6, 241), [-100.0, -20.0, 20.0, 100.0]]).astype("float32")
UPSTREAM = np.random.default_rng(0).uniform(-1, 1, INPUTS.shape).astype("float32")

# At -6 the values cancel to almost nothing, which only an absolute tolerance can judge.
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}
# In the derivative of the tanh form, 1 - tanh**2 cancels to one unit in the last place of 1,
# and is then multiplied by x * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2) / 2, up to 11 at |x| = 6.
GRADIENT_TOLERANCE = {"rtol": 1e-6, "atol": 4e-6}


def gelu_and_derivative(x, approximate):
    """Closed forms, in float64."""
    x = x.astype("float64")
    if approximate:
        tanh = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        inner_derivative = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
        phi, density = (1 + tanh) / 2, (1 - tanh**2) / 2 * inner_derivative
    else:
        phi, density = (1 + erf(x / np.sqrt(2))) / 2, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return x * phi, phi + x * density


@pytest.mark.parametrize("approximate", [False, True])
def test_values_and_gradients(approximate):
    outputs, gradients = outputs_and_gradients(GELU(approximate), INPUTS, UPSTREAM)

    values, derivative = gelu_and_derivative(INPUTS, approximate)
    np.testing.assert_allclose(outputs, values, **TOLERANCE)
    np.testing.assert_allclose(gradients["inputs"], derivative * UPSTREAM, **GRADIENT_TOLERANCE)


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("keras_gelu", [ops.gelu, activations.gelu])
def test_equals_keras(keras_gelu, approximate):
    outputs = ops.convert_to_numpy(GELU(approximate)(INPUTS))

    expected = keras_gelu(ops.convert_to_tensor(INPUTS), approximate=approximate)
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(expected), **TOLERANCE)


def test_default_is_exact():
    outputs = ops.convert_to_numpy(GELU()(INPUTS))
    np.testing.assert_allclose(outputs, gelu_and_derivative(INPUTS, False)[0], **TOLERANCE)


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_rounds_only_at_the_ends(dtype, approximate):
    """Also at |x| = 100, where x**3 is beyond float16's largest number, 65504."""
    # Multiples of 1/16 up to 4 and the large ones are exact in both half precisions.
    inputs = np.concatenate([np.arange(-64, 65) / 16, [-100, -50, 50, 100]]).astype("float32")
    upstream = np.ones_like(inputs)
    layer = GELU(approximate, dtype=dtype)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream)

    half = 2.0 ** (-11 if dtype == "mixed_float16" else -8)  # half a unit in the last place
    values, derivative = gelu_and_derivative(inputs, approximate)
    tolerance = {"rtol": 1.01 * half, "atol": 4e-6}
    np.testing.assert_allclose(outputs.astype("float64"), values, **tolerance)
    np.testing.assert_allclose(gradients["inputs"], derivative, **tolerance)
