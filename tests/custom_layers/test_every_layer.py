"""What all layers have in common: configuration, saving, half precision, masks."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers, ops

import custom_layers

# One layer a row, with every argument away from its default.
CASES = {
    "AdaptiveAveragePooling2D": {"output_size": 2},
    "AdditiveAttention": {"units": 7},
    "AttentiveDecoder": {"units": 7},
    "BatchNormalization": {
        "axis": -2,
        "momentum": 0.5,
        "epsilon": 0.1,
        "center": False,
        "scale": False,
    },
    "ConvLSTM": {"filters": 3, "kernel_size": 2},
    "Dropout": {"rate": 0.4, "noise_shape": (None, 1, None), "seed": 5},
    "GELU": {"approximate": True},
    "GRUCell": {"units": 7},
    "KnownTokens": {"vocabulary_size": 6},
    "LSTMCell": {"units": 7},
    "LayerScale": {"initial_value": 0.3},
    "LearnedPositions": {"max_length": 9},
    "LearnedToken": {},
    "LeakyReLU": {"negative_slope": 0.2},
    "MixtureOfExperts": {"num_experts": 4, "num_experts_per_token": 2, "hidden_width": 7},
    "MultiHeadAttention": {"num_heads": 3, "causal": True, "dropout_rate": 0.4, "seed": 5},
    "MultiplicativeAttention": {},
    "RMSNormalization": {"epsilon": 0.1},
    "RNNCell": {"units": 7},
    "RotaryPositions": {"base": 100.0, "factor": 3.0},
    "RelativePositionBias": {
        "num_heads": 2,
        "causal": True,
        "num_buckets": 6,
        "max_distance": 4,
    },
    "ScaledDotProductAttention": {
        "causal": True,
        "window": 2,
        "scale": 0.3,
        "dropout_rate": 0.4,
        "seed": 5,
    },
    "SinusoidalPositions": {},
    "StochasticDepth": {"rate": 0.4, "seed": 5},
    "SwiGLU": {"hidden_width": 7},
    "WindowAttention": {"window": (5, 3), "shift": (2, 1)},
}
INPUTS = np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 3)).astype("float32")
FRAMES = np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 3, 4, 12)).astype("float32")
HEADS = np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 2, 6)).astype("float32")
IMAGES = np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 6, 3)).astype("float32")
TOKENS = np.random.default_rng(0).integers(0, 6, (4, 5), dtype="int32")

every_layer = pytest.mark.parametrize("name", CASES)


def make_layer(name, **arguments):
    return getattr(custom_layers, name)(**CASES[name], **arguments)


def inputs_of(name):
    """(inputs, shape of the outputs)."""
    if name == "AdaptiveAveragePooling2D":
        return IMAGES, (4, 2, 2, 3)
    if name == "RotaryPositions":
        return HEADS, HEADS.shape
    if name == "RelativePositionBias":
        return HEADS, (4, 2, 5, 5)
    if name.endswith("edPositions") or name == "SinusoidalPositions":
        return HEADS[:, :, 0], (4, 5, 6)
    if name == "KnownTokens":
        return TOKENS, TOKENS.shape
    if name == "LearnedToken":
        return INPUTS, (4, 6, 3)
    if name == "WindowAttention":
        return FRAMES, FRAMES.shape
    if name == "ConvLSTM":
        return FRAMES, (4, 5, 3, 4, 3)
    if name.endswith("Cell"):
        return INPUTS, (4, 5, 7)
    if name == "ScaledDotProductAttention":
        return HEADS, HEADS.shape
    if name == "MultiHeadAttention":
        return INPUTS, INPUTS.shape
    if name.endswith("Attention"):
        return INPUTS, (4, 5, 3 + 5)
    if name == "AttentiveDecoder":
        return INPUTS, (4, 5, 7 + 3 + 5)
    return INPUTS, INPUTS.shape


def model_of(name, layer):
    """The layer as its users call it, with the same weights at every call here."""
    keras.utils.set_random_seed(0)
    inputs, _ = inputs_of(name)
    inputs = keras.Input(inputs.shape[1:], dtype=inputs.dtype.name)
    if name.endswith("Cell"):
        outputs = layers.RNN(layer, return_sequences=True, dtype=layer.dtype_policy)(inputs)
    elif name == "ScaledDotProductAttention":
        outputs, _ = layer(inputs, inputs, inputs)
    elif name == "RelativePositionBias":  # in attention, as it has no axis of the batch
        attend = custom_layers.ScaledDotProductAttention(dtype=layer.dtype_policy)
        _, outputs = attend(inputs, inputs, inputs, bias=layer(inputs, inputs))
    elif name == "WindowAttention":
        outputs = layer(inputs, inputs, inputs)
    elif name == "MultiHeadAttention":
        outputs, _ = layer(inputs, inputs)
    elif name == "MixtureOfExperts":
        outputs, _ = layer(inputs)
    elif name.endswith("Attention"):
        outputs = ops.concatenate(layer(inputs, inputs), axis=-1)  # context and weights
    elif name == "AttentiveDecoder":
        state = ops.tile(inputs[:, 0, :1], (1, 7))
        outputs = ops.concatenate(layer(inputs, inputs, inputs, state), axis=-1)
    elif name == "KnownTokens":
        outputs = ops.cast(layer(inputs), layer.compute_dtype)
    elif name == "ConvLSTM":
        outputs, _, _ = layer(inputs)
    else:
        outputs = layer(inputs)
    return keras.Model(inputs, outputs)


def two_training_calls_and_inference(layer, inputs):
    calls = [layer(inputs, training=True) for _ in range(2)] + [layer(inputs)]
    return [ops.convert_to_numpy(outputs) for outputs in calls]


def test_no_layer_is_missing():
    assert set(custom_layers.__all__) == set(CASES)


@pytest.mark.any_backend
@every_layer
def test_config_round_trip(name):
    layer = make_layer(name)
    config = layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters.keys()
    parameters -= inspect.signature(layers.Layer.__init__).parameters.keys()
    assert set(CASES[name]) == parameters
    assert CASES[name].items() <= config.items()

    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    inputs, _ = inputs_of(name)
    expected = two_training_calls_and_inference(model_of(name, layer), inputs)
    np.testing.assert_array_equal(
        two_training_calls_and_inference(model_of(name, copy), inputs), expected
    )


@every_layer
def test_saved_model_computes_the_same(name, tmp_path):
    inputs, _ = inputs_of(name)
    model = model_of(name, make_layer(name))
    model(inputs, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    layer = getattr(custom_layers, name)
    assert type(getattr(loaded.layers[1], "cell", loaded.layers[1])) is layer
    assert keras.saving.get_registered_name(layer) == f"custom_layers>{name}"
    np.testing.assert_array_equal(
        two_training_calls_and_inference(loaded, inputs),
        two_training_calls_and_inference(model, inputs),
    )


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_outputs_have_the_compute_dtype(name, dtype):
    layer = make_layer(name, dtype=dtype)
    inputs, (_, *shape) = inputs_of(name)
    model = model_of(name, layer)
    assert model.output.shape == (None, *shape)
    assert model.output.dtype == layer.compute_dtype
    for training in (False, True):
        outputs = model(inputs, training=training)
        assert outputs.shape == (len(inputs), *shape)
        assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    assert all(weight.dtype == "float32" for weight in layer.weights)


@pytest.mark.parametrize(
    "name",
    [
        "Dropout", "GELU", "LayerScale", "LeakyReLU", "RMSNormalization", "StochasticDepth",
        "SwiGLU",
    ],
)  # fmt: skip
def test_mask_is_passed_on(name):
    """The pooling behind the layer leaves the masked time steps out of its mean."""
    inputs = keras.Input((5, 3))
    outputs = make_layer(name)(layers.Masking()(inputs))
    model = keras.Model(inputs, [outputs, layers.GlobalAveragePooling1D()(outputs)])
    masked = INPUTS.copy()
    masked[:, 2:] = 0

    # In training, as dropout hands on its input itself in inference, mask and all.
    outputs, pooled = (ops.convert_to_numpy(each) for each in model(masked, training=True))
    np.testing.assert_allclose(pooled, outputs[:, :2].mean(axis=1), rtol=1e-6, atol=1e-6)
