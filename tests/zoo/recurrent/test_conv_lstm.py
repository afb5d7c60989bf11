"""The convolutional LSTM: its paper's parameters, shapes on the way, patches and time."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo.initial_weights
from zoo.initial_weights import without_values
from zoo.recurrent.conv_lstm import conv_lstm, frames, patches

TINY = {"horizon": 3, "input_shape": (None, 8, 6, 2), "widths": (3, 2), "patch_size": 2}


def tiny(**arguments):
    return zoo.initial_weights.seeded(conv_lstm, seed=0, **{**TINY, **arguments})


def moving(time=4):
    return np.random.default_rng(0).random((2, time, 8, 6, 2), "float32")


def forecast(model, given):
    return model.predict(given, verbose=0)


@pytest.mark.parametrize(
    ("widths", "input_kernel_size", "state_kernel_size", "parameters"),
    [
        ((256,), 5, 5, 13_524_496),
        ((128, 128), 5, 5, 10_042_896),
        ((128, 64, 64), 5, 5, 7_585_296),
        ((128, 128), 9, 1, 11_550_224),
        ((128, 64, 64), 9, 1, 8_830_480),
    ],
)
def test_parameters_are_those_of_table_1(widths, input_kernel_size, state_kernel_size, parameters):
    # With n and m the areas of both kernels, D maps of a layer and S those that it sees (16 of a
    # patch): 4 D (n S + m D + 1) weights and 3 D peepholes; forecaster1 sees none; the output has
    # 16 (maps of all layers + 1).
    inner, outer = state_kernel_size**2, input_kernel_size**2
    total = 16 * (sum(widths) + 1)
    for first in (16, 0):
        for seen, width in zip((first, *widths), widths, strict=False):
            total += 4 * width * (outer * seen + inner * width + 1) + 3 * width
    assert total == parameters
    with without_values():
        model = conv_lstm(
            widths=widths, input_kernel_size=input_kernel_size, state_kernel_size=state_kernel_size
        )
    assert model.count_params() == parameters


def test_shapes_on_the_way():
    with without_values():
        model = conv_lstm()
    assert model.name == "conv_lstm"
    assert model.input_shape == (None, None, 64, 64, 1)
    assert model.output_shape == (None, 10, 64, 64, 1)
    assert model.count_params() == 7_585_296  # table 1, with kernels 5x5
    states = {"encoder1": 128, "encoder2": 64, "encoder3": 64}
    shapes = {"patches": (None, 16, 16, 16), "encoder1_input": (None, 16, 16, 512)}
    shapes |= {"forecaster2_input": (10, 16, 16, 256), "forecasters": (10, 16, 16, 256)}
    shapes |= {"output": (10, 16, 16, 16), "forecast": (10, 64, 64, 1)}
    for name, shape in shapes.items():
        assert model.get_layer(name).output.shape == (None, *shape)
    for name, width in states.items():
        for layer, steps in [(name, None), (name.replace("encoder", "forecaster"), 10)]:
            outputs, h, c = model.get_layer(layer).output
            assert outputs.shape == (None, steps, 16, 16, width)
            assert h.shape == c.shape == (None, 16, 16, width)


def test_radar_maps():
    """Section 4.2: patches of 2x2, two layers of 64, kernels 3x3, 5 frames and the next 15."""
    with without_values():
        model = conv_lstm(
            horizon=15, input_shape=(5, 100, 100, 1), widths=(64, 64), input_kernel_size=3,
            state_kernel_size=3, patch_size=2,
        )  # fmt: skip
    assert model.output_shape == (None, 15, 100, 100, 1)
    assert model.get_layer("encoder2").output[0].shape == (None, 5, 50, 50, 64)
    assert model.get_layer("encoder1_input").kernel.shape == (1, 3, 3, 4, 256)


def test_a_patch_becomes_the_maps_of_one_place():
    given = keras.Input((None, 8, 6, 2))
    x = moving()
    cut = ops.convert_to_numpy(keras.Model(given, patches(given, 2))(x))
    assert cut.shape == (2, 4, 4, 3, 8)
    np.testing.assert_array_equal(cut[:, :, 1, 2], x[:, :, 2:4, 4:6].reshape(2, 4, 8))
    given = keras.Input(cut.shape[1:])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(keras.Model(given, frames(given, 2))(cut)), x
    )


def test_outputs_are_logits_that_depend_on_each_frame():
    model, x = tiny(), moving()
    logits = forecast(model, x)
    assert logits.shape == (2, 3, 8, 6, 2)
    assert logits.dtype == np.float32
    assert logits.min() < 0 < logits.max()
    for step in range(4):
        changed = x.copy()
        changed[0, step] += 1
        moved = np.abs(forecast(model, changed) - logits)
        assert moved[0].max(axis=(1, 2, 3)).min() > 1e-5
        assert not moved[1].any()


def test_a_longer_horizon_begins_with_the_shorter():
    longer, shorter = tiny(horizon=5), tiny(horizon=2)
    both = [forecast(each, moving()) for each in (longer, shorter)]
    np.testing.assert_allclose(both[0][:, :2], both[1], rtol=0, atol=1e-6)
    assert np.abs(np.diff(both[0], axis=1)).max(axis=(0, 2, 3, 4)).min() > 1e-3


@pytest.mark.parametrize("time", [1, 6])
def test_sequences_of_any_length(time):
    flexible, fixed = tiny(), tiny(input_shape=(time, 8, 6, 2))
    assert fixed.input_shape == (None, time, 8, 6, 2)
    x = moving(time)
    np.testing.assert_allclose(forecast(flexible, x), forecast(fixed, x), rtol=0, atol=1e-6)


def test_one_layer_and_whole_frames():
    assert forecast(tiny(widths=[4], patch_size=1), moving()).shape == (2, 3, 8, 6, 2)


BAD_SHAPES = [
    (8, 6, 2), (None, None, 8, 6, 2), (None, None, 6, 2), (None, 8, None, 2), (None, 8, 6, None),
    (0, 8, 6, 2), (None, 0, 6, 2), (None, 8, 0, 2), (None, 8, 6, 0), (2.5, 8, 6, 2),
    None, 8, "abcd",
]  # fmt: skip


@pytest.mark.parametrize("shape", BAD_SHAPES)
def test_bad_shapes_are_named(shape):
    with pytest.raises(ValueError) as caught:
        conv_lstm(**{**TINY, "input_shape": shape})
    assert str(caught.value) == (
        f"conv_lstm needs input_shape (T, H, W, C) of known sizes, but for T, which may be None, "
        f"got {shape!r}: give those of your frames, such as (None, 64, 64, 1)."
    )


@pytest.mark.parametrize("shape", [(None, 9, 6, 2), (None, 8, 7, 2)])
def test_frames_that_patches_do_not_fill_are_named(shape):
    with pytest.raises(ValueError) as caught:
        conv_lstm(**{**TINY, "input_shape": shape})
    assert str(caught.value) == (
        f"conv_lstm cannot cut frames of {shape[1]}x{shape[2]} into patches of 2x2: pad or crop "
        f"them to a multiple of 2, or give a patch_size that divides both."
    )


@pytest.mark.parametrize("size", [0, -1, 2.5, "7", None, (4,)])
@pytest.mark.parametrize(
    "name", ["horizon", "input_kernel_size", "state_kernel_size", "patch_size"]
)
def test_bad_sizes_are_named(name, size):
    with pytest.raises(ValueError) as caught:
        conv_lstm(**{**TINY, name: size})
    expected = f"conv_lstm needs {name}, an integer of 1 or more, got {size!r}."
    assert str(caught.value) == expected


@pytest.mark.parametrize("widths", [(), (4, 0), (4, 2.5), 4, None, "44"])
def test_bad_widths_are_named(widths):
    with pytest.raises(ValueError) as caught:
        conv_lstm(**{**TINY, "widths": widths})
    assert str(caught.value) == (
        f"conv_lstm needs widths, an integer of 1 or more for each layer, such as (128, 64, 64), "
        f"got {widths!r}."
    )
