import numpy as np
import pytest
from keras import layers, ops

from custom_layers import RMSNormalization
from tests.gradients import outputs_and_gradients


def case(shape, scale=1.0):
    """Inputs, upstream gradient, and a gamma of which no two entries are equal."""
    generator = np.random.default_rng(0)
    inputs, upstream = generator.normal(0.5, scale, (2, *shape)).astype("float32")
    return inputs, upstream, generator.uniform(-2, 2, shape[-1]).astype("float32")


def make_layer(gamma, **arguments):
    layer = RMSNormalization(**arguments)
    layer.build((None, len(gamma)))
    layer.gamma.assign(gamma)
    return layer


def closed_form(x, gamma, upstream, epsilon):
    """y; the gradients of sum(y * upstream) by x and gamma; in float64."""
    x, upstream = x.astype("float64"), upstream.astype("float64")
    root = np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)
    products = gamma * upstream
    of_x = products / root - x * (products * x).mean(axis=-1, keepdims=True) / root**3
    return gamma * x / root, of_x, (upstream * x / root).reshape(-1, len(gamma)).sum(axis=0)


@pytest.mark.parametrize("shape", [(6, 4), (4, 4), (6, 5, 3), (2, 3, 3, 3)])
@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_values_and_gradients(shape, epsilon):
    inputs, upstream, gamma = case(shape)
    layer = make_layer(gamma, epsilon=epsilon)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream)
    values, of_inputs, of_gamma = closed_form(inputs, gamma, upstream, epsilon)
    assert gradients.keys() == {"inputs", "gamma"}
    np.testing.assert_allclose(outputs, values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients["inputs"], of_inputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradients["gamma"], of_gamma, rtol=1e-5, atol=1e-5)


def test_equals_keras():
    inputs, _, gamma = case((6, 5, 3))
    theirs = layers.RMSNormalization(epsilon=1e-6)
    theirs.build(inputs.shape)
    theirs.set_weights([gamma])
    expected = ops.convert_to_numpy(theirs(inputs))
    outputs = ops.convert_to_numpy(make_layer(gamma)(inputs))
    np.testing.assert_allclose(outputs, expected, rtol=2e-6, atol=1e-6)


def test_fresh_weight_is_one_and_default_epsilon_small():
    layer = RMSNormalization()
    layer.build((None, None, 3))
    (gamma,) = layer.trainable_weights
    assert layer.weights == [gamma] and gamma is layer.gamma
    np.testing.assert_array_equal(ops.convert_to_numpy(gamma), [1, 1, 1])
    inputs = np.array([[3, 0, 0], [0, 0, 0]], "float32")
    expected = [[3 / np.sqrt(3 + 1e-6), 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(inputs)), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_squares_that_half_precision_does_not_hold(dtype):
    """300**2 is more than the largest float16, 65504."""
    inputs, _, gamma = case((40, 50), scale=300)
    inputs = ops.convert_to_numpy(ops.cast(ops.cast(inputs, dtype[6:]), "float32"))
    layer = make_layer(gamma, dtype=dtype)
    assert layer.gamma.dtype == "float32"
    outputs = layer(ops.cast(inputs, layer.compute_dtype))
    found = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    values, _, _ = closed_form(inputs, gamma, inputs, 1e-6)
    np.testing.assert_allclose(found, values, rtol=2e-2)
    # Nothing but the output is rounded, and gamma is not.
    rounded = ops.cast(ops.cast(values, "float32"), layer.compute_dtype)
    assert np.mean(found == ops.convert_to_numpy(ops.cast(rounded, "float32"))) > 0.95


@pytest.mark.parametrize("epsilon", [0, -1e-6, float("nan")])
def test_epsilon_that_is_not_positive(epsilon):
    with pytest.raises(ValueError, match=f"epsilon must be positive, got {epsilon}"):
        RMSNormalization(epsilon=epsilon)


@pytest.mark.parametrize("shape", [(5,), (None, None)])
def test_input_without_known_features(shape):
    with pytest.raises(ValueError, match="known number of features"):
        RMSNormalization().build(shape)
