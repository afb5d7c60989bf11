import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.special import expit as sigmoid

import zoo.initial_weights
from custom_layers.conv_lstm import ConvLSTM
from tests.recurrent import (
    HALF_UNITS,
    assert_close,
    normal,
    outputs_and_gradients,
    randomize,
    weights_of,
)

BATCH, TIME, HEIGHT, WIDTH, FILTERS, KERNEL = 2, 2, 3, 4, 2, 3


def convolve(maps, kernel):
    """(B, H, W, C) with (k, k, C, D) -> (B, H, W, D), zeros around; k odd."""
    around = len(kernel) // 2
    maps = np.pad(maps, ((0, 0), (around, around), (around, around), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape[:2], (1, 2))
    return np.einsum("bhwcyx,yxcd->bhwd", windows, kernel)


def conv_lstm(x, h, c, kernel, bias, peepholes):
    """Equation 3 of the paper, in the precision of its arguments."""
    outputs = []
    of_i, of_f, of_o = peepholes
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] + convolve(h, kernel) + bias, 4, axis=-1)
        i, f = sigmoid(i + of_i * c), sigmoid(f + of_f * c)
        c = f * c + i * np.tanh(g)
        h = sigmoid(o + of_o * c) * np.tanh(c)
        outputs.append(h)
    return [np.stack(outputs, axis=1), h, c]


def numeric_gradients(arrays, upstreams, width=1e-5):
    """Of the sum of all upstreams times outputs, by central differences in float64."""

    def loss():
        outputs = conv_lstm(*arrays)
        return sum((each * output).sum() for each, output in zip(upstreams, outputs, strict=True))

    gradients = [np.zeros(array.shape) for array in arrays]
    for array, gradient in zip(arrays, gradients, strict=True):
        for place, value in np.ndenumerate(array):
            array[place] = value + width
            above = loss()
            array[place] = value - width
            gradient[place] = (above - loss()) / (2 * width)
            array[place] = value
    return gradients


def inputs_of(time=TIME):
    """[x, h, c], as float32."""
    maps = (BATCH, HEIGHT, WIDTH, FILTERS)
    x = normal(BATCH, time, HEIGHT, WIDTH, 4 * FILTERS)
    return [x, normal(*maps, seed=1), normal(*maps, seed=2)]


def built(**arguments):
    layer = ConvLSTM(FILTERS, KERNEL, **arguments)
    layer.build((None, None, HEIGHT, WIDTH, 4 * FILTERS))
    return randomize(layer)


def arrays(outputs):
    return [ops.convert_to_numpy(ops.cast(each, "float32")) for each in outputs]


def test_values_and_gradients():
    layer, inputs = built(), inputs_of()
    assert list(weights_of(layer)) == ["recurrent_kernel", "bias", "peepholes"]
    upstreams = [normal(BATCH, TIME, HEIGHT, WIDTH, FILTERS)]
    upstreams += [normal(*inputs[1].shape, seed=seed) for seed in (3, 4)]
    outputs, gradients = outputs_and_gradients(layer, inputs, upstreams)
    given = [each.astype("float64") for each in inputs] + list(weights_of(layer).values())
    assert_close(outputs, conv_lstm(*given))
    assert_close(gradients, numeric_gradients(given, upstreams), tolerance=2e-6)


@pytest.mark.parametrize("kernel_size", [1, 2, 5])
def test_equals_the_keras_layer(kernel_size):
    """Behind a convolution of the input, and without peepholes, which that has not."""
    frames = keras.Input((None, HEIGHT, WIDTH, 3))
    convolution = layers.Conv3D(
        4 * FILTERS, (1, kernel_size, kernel_size), padding="same", use_bias=False
    )
    layer = ConvLSTM(FILTERS, kernel_size)
    ours = randomize(keras.Model(frames, layer(convolution(frames))))
    layer.peepholes.assign(np.zeros((3, FILTERS)))
    theirs = layers.ConvLSTM2D(
        FILTERS, kernel_size, padding="same", return_sequences=True, return_state=True
    )
    theirs.build((None, None, HEIGHT, WIDTH, 3))
    kernel, recurrent_kernel, bias, _ = ours.get_weights()
    theirs.set_weights([kernel[0], recurrent_kernel, bias])
    x = normal(BATCH, TIME, HEIGHT, WIDTH, 3)
    assert_close(arrays(ours(x)), arrays(theirs(x)))


def test_states_are_zero_by_default_each_by_itself():
    layer, (x, h, c) = built(), inputs_of()
    for given in ({}, {"h": h}, {"c": c}):
        states = {"h": np.zeros_like(h), "c": np.zeros_like(c), **given}
        assert_close(arrays(layer(x, **given)), arrays(layer(x, **states)), tolerance=0)


def test_steps_may_vary_and_states_go_on():
    """In a model, with any number of steps, and compiled."""
    shape = (HEIGHT, WIDTH, FILTERS)
    given = [keras.Input((None, HEIGHT, WIDTH, 4 * FILTERS)), keras.Input(shape)]
    given.append(keras.Input(shape))
    layer = built()
    outputs = layer(*given)
    assert outputs[0].shape == (None, None, *shape)
    assert outputs[1].shape == outputs[2].shape == (None, *shape)
    model = keras.Model(given, outputs)
    inputs = inputs_of(time=4)
    whole, h, c = model.predict(inputs, verbose=0)
    first, *states = model.predict([inputs[0][:, :2], *inputs[1:]], verbose=0)
    second, *states = model.predict([inputs[0][:, 2:], *states], verbose=0)
    assert_close([np.concatenate([first, second], axis=1), *states], [whole, h, c])


@pytest.mark.parametrize("dtype", HALF_UNITS)
def test_half_precision(dtype):
    layer, inputs = built(dtype=dtype), inputs_of()
    outputs = layer(*inputs)
    assert all(weight.dtype == "float32" for weight in layer.weights)
    for output in outputs:
        assert keras.backend.standardize_dtype(output.dtype) == layer.compute_dtype
    assert_close(arrays(outputs), arrays(built()(*inputs)), tolerance=8 * HALF_UNITS[dtype])


def test_fresh_weights_are_the_same_on_every_backend():
    def build():
        x = keras.Input((2, HEIGHT, WIDTH, 4 * FILTERS))
        return keras.Model(x, ConvLSTM(FILTERS, KERNEL)(x))

    kernel, bias, peepholes = zoo.initial_weights.seeded(build, seed=0).get_weights()
    flat = kernel.reshape(-1, 4 * FILTERS)
    np.testing.assert_allclose(flat.T @ flat, np.eye(4 * FILTERS), rtol=0, atol=1e-5)
    checksum = kernel.ravel() @ np.arange(1, kernel.size + 1)
    assert checksum == pytest.approx(-242.632599, rel=1e-6)
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(peepholes, np.zeros((3, FILTERS)))


def test_a_saved_model_computes_the_same(tmp_path):
    frames = keras.Input((None, HEIGHT, WIDTH, 4 * FILTERS))
    outputs, h, c = ConvLSTM(FILTERS, KERNEL)(frames)
    model = randomize(keras.Model(frames, ConvLSTM(FILTERS, 1)(ops.tile(outputs, 4), h, c)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x, _, _ = inputs_of()
    assert_close(arrays(loaded(x)), arrays(model(x)), tolerance=0)
    assert keras.saving.get_registered_name(ConvLSTM) == "custom_layers>ConvLSTM"


@pytest.mark.parametrize("size", [0, -1, 2.5, "7", None, True, (4,)])
def test_bad_sizes_are_named(size):
    for name, arguments in {"filters": (size, 3), "kernel_size": (3, size)}.items():
        with pytest.raises(ValueError) as caught:
            ConvLSTM(*arguments)
        assert str(caught.value) == f"{name} must be an integer of 1 or more, got {size!r}."


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 2), (2, 3, 4, 5, None), (2, 4, 5, 8), (2, 3, 8)])
def test_another_input_is_named(shape):
    with pytest.raises(ValueError) as caught:
        ConvLSTM(FILTERS, KERNEL).build(shape)
    assert f"x must be (B, T, H, W, 8), four maps for each of 2 filters, got shape {shape}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
