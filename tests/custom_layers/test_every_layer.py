"""What all layers have in common: configuration, saving, half precision, masks."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers, ops

import custom_layers

# One layer a row, with every argument away from its default, and whether it passes masks on.
CASES = {
    "BatchNormalization": (
        {"axis": -2, "momentum": 0.5, "epsilon": 0.1, "center": False, "scale": False},
        False,
    ),
    "Dropout": ({"rate": 0.4, "noise_shape": (None, 1, None), "seed": 5}, True),
    "GELU": ({"approximate": True}, True),
    "LeakyReLU": ({"negative_slope": 0.2}, True),
}
INPUTS = np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 3)).astype("float32")

every_layer = pytest.mark.parametrize("name", CASES)


def make_layer(name, **arguments):
    return getattr(custom_layers, name)(**{**CASES[name][0], **arguments})


def two_training_calls_and_inference(layer):
    calls = [layer(INPUTS, training=True) for _ in range(2)] + [layer(INPUTS)]
    return [ops.convert_to_numpy(outputs) for outputs in calls]


def test_no_layer_is_missing():
    assert set(custom_layers.__all__) == set(CASES)


@every_layer
def test_config_round_trip(name):
    layer = make_layer(name)
    config = layer.get_config()
    parameters = set(inspect.signature(type(layer).__init__).parameters) - {"self", "kwargs"}
    assert set(CASES[name][0]) == parameters
    assert CASES[name][0].items() <= config.items()

    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    expected = two_training_calls_and_inference(keras.Sequential([layer]))
    np.testing.assert_array_equal(
        two_training_calls_and_inference(keras.Sequential([copy])), expected
    )


@every_layer
def test_saved_model_computes_the_same(name, tmp_path):
    model = keras.Sequential([keras.Input((5, 3)), make_layer(name)])
    model(INPUTS, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    layer = getattr(custom_layers, name)
    assert type(loaded.layers[0]) is layer
    assert keras.saving.get_registered_name(layer) == f"custom_layers>{name}"
    np.testing.assert_array_equal(
        two_training_calls_and_inference(loaded), two_training_calls_and_inference(model)
    )


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_outputs_have_the_compute_dtype(name, dtype):
    layer = make_layer(name, dtype=dtype)
    symbolic = layer(keras.KerasTensor((None, 5, 3)))
    assert symbolic.shape == (None, 5, 3)
    assert symbolic.dtype == layer.compute_dtype
    model = keras.Sequential([layer])
    for training in (False, True):
        outputs = model(INPUTS, training=training)
        assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    assert all(weight.dtype == "float32" for weight in layer.weights)


@pytest.mark.parametrize("name", [name for name, (_, passes_mask) in CASES.items() if passes_mask])
def test_mask_is_passed_on(name):
    """The pooling behind the layer leaves the masked time steps out of its mean."""
    layer = make_layer(name)
    model = keras.Sequential(
        [keras.Input((5, 3)), layers.Masking(), layer, layers.GlobalAveragePooling1D()]
    )
    inputs = INPUTS.copy()
    inputs[:, 2:] = 0

    expected = ops.convert_to_numpy(layer(inputs))[:, :2].mean(axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(model(inputs)), expected, rtol=1e-6, atol=1e-6)
