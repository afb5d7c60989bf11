import math

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers import LayerScale
from tests.gradients import outputs_and_gradients


def case(shape):
    """Inputs, upstream gradient, and a gamma of which no two entries are equal."""
    generator = np.random.default_rng(0)
    inputs, upstream = generator.normal(size=(2, *shape)).astype("float32")
    return inputs, upstream, generator.uniform(-2, 2, shape[-1]).astype("float32")


def make_layer(gamma, **arguments):
    layer = LayerScale(**arguments)
    layer.build((None, len(gamma)))
    layer.gamma.assign(gamma)
    return layer


# Also one with as many examples as features, and a height that is its width and depth.
@pytest.mark.parametrize("shape", [(6, 4), (4, 4), (6, 5, 3), (4, 5, 6, 3), (2, 3, 3, 3, 3)])
def test_values_and_gradients(shape):
    inputs, upstream, gamma = case(shape)
    outputs, gradients = outputs_and_gradients(make_layer(gamma), inputs, upstream)

    assert gradients.keys() == {"inputs", "gamma"}
    np.testing.assert_allclose(outputs, gamma * inputs, rtol=1e-6)
    np.testing.assert_allclose(gradients["inputs"], gamma * upstream, rtol=1e-6)
    products = (upstream.astype("float64") * inputs).reshape(-1, shape[-1])
    np.testing.assert_allclose(gradients["gamma"], products.sum(axis=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(None, 3), (None, None, 3), (4, 5, 6, 3)])
@pytest.mark.parametrize(
    "arguments, value", [({}, 1e-6), ({"initial_value": 0.1}, 0.1), ({"initial_value": -2}, -2)]
)
def test_fresh_weight(arguments, value, shape):
    layer = LayerScale(**arguments)
    layer.build(shape)
    (gamma,) = layer.trainable_weights
    assert layer.weights == [gamma] and gamma is layer.gamma
    assert gamma.name == "gamma" and gamma.dtype == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(gamma), np.full(3, value, "float32"))


def test_each_residual_block_starts_near_the_identity():
    """The first outputs of a layer without arguments, as its builder sees them."""
    inputs = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    outputs = ops.convert_to_numpy(LayerScale()(inputs))
    np.testing.assert_allclose(outputs, 1e-6 * inputs, rtol=1e-6)


def test_trained_weight_is_saved(tmp_path):
    inputs, _, gamma = case((4, 5, 3))
    model = keras.Sequential([keras.Input((5, 3)), LayerScale()])
    model.layers[0].gamma.assign(gamma)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(inputs)), gamma * inputs, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_product_in_half_precision_is_taken_in_float32(dtype):
    """float16 has no number nearer to 1e-6 than 1.013e-6; only the output is rounded."""
    layer = LayerScale(dtype=dtype)
    generator = np.random.default_rng(0)
    inputs = ops.cast(generator.uniform(1000, 60000, (8, 50)), layer.compute_dtype)
    outputs = layer(inputs)

    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    expected = 1e-6 * ops.convert_to_numpy(ops.cast(inputs, "float32")).astype("float64")
    half_unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[layer.compute_dtype]
    outputs = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    np.testing.assert_allclose(outputs, expected, rtol=1.01 * half_unit)


def test_gradient_in_half_precision_is_summed_in_float32():
    """The sum of 128 products of 1000 lies above the largest float16, which is 65504."""
    inputs = np.full((128, 2), 1000, "float32")
    upstream = np.ones((128, 2)) * [1, -2]
    _, gradients = outputs_and_gradients(LayerScale(dtype="mixed_float16"), inputs, upstream)
    np.testing.assert_array_equal(gradients["gamma"], [128000, -256000])


@pytest.mark.parametrize("initial_value", [math.nan, math.inf, -math.inf, "0.1", None, [0.1]])
def test_bad_initial_value_is_named(initial_value):
    with pytest.raises(ValueError) as caught:
        LayerScale(initial_value)
    assert f"initial_value must be a finite number, got {initial_value!r}." in str(caught.value)


@pytest.mark.parametrize("shape", [(), (3,), (None,), (None, None), (None, 5, None)])
def test_shape_without_known_features_is_named(shape):
    with pytest.raises(ValueError) as caught:
        LayerScale().build(shape)
    assert "last axis" in str(caught.value) and f"got shape {shape}" in str(caught.value)
