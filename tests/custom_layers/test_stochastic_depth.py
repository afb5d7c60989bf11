"""Stochastic depth, against the NumPy hash of Dropout's test.

That test holds the bits to the hash and takes the statistics of large masks. Here it is which
entries share a bit, and the statistics of masks as small as a batch.
"""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import Dropout, StochasticDepth
from recipes.training.gradient_step import gradient_step
from tests.custom_layers.test_dropout import reference_mask
from tests.gradients import outputs_and_gradients

LARGEST_SEED = 2**31 - 1


def expected_mask(rate, seed, step, shape):
    """(B, 1, ..., 1), to be broadcast against the inputs."""
    mask = reference_mask(rate, seed, step, shape[:1])
    return mask.reshape(-1, *[1] * (len(shape) - 1))


def kept_examples(outputs):
    """(B,) from (B, ...), where every entry of an example has to be kept or dropped alike."""
    kept = (ops.convert_to_numpy(outputs) != 0).reshape(len(outputs), -1)
    np.testing.assert_array_equal(kept.all(axis=1), kept.any(axis=1))
    return kept.all(axis=1)


def seed_and_step(layer):
    return ops.convert_to_numpy(layer.seed_generator.state).tolist()


def test_golden_masks():
    layer = StochasticDepth(0.3, seed=7)
    masks = [kept_examples(layer(np.ones((1000, 2, 3)), training=True)) for _ in range(3)]
    assert ["".join(str(int(each)) for each in mask[:40]) for mask in masks] == [
        "1111101110001111110111101111111110111111",
        "0001110110111011111011111101000111100101",
        "1011110100111111110110001010100101110110",
    ]
    assert [mask.sum() for mask in masks] == [696, 695, 672]


@pytest.mark.parametrize("shape", [(64,), (64, 5), (32, 5, 3), (16, 4, 4, 3), (16, 2, 3, 2, 2)])
@pytest.mark.parametrize("rate, seed", [(0.1, 0), (0.5, 7), (0.9, LARGEST_SEED)])
def test_training_values_and_gradients(rate, seed, shape):
    inputs, upstream = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    layer = StochasticDepth(rate, seed=seed)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream, training=True)

    multiplier = expected_mask(rate, seed, 0, shape) / (1 - rate)
    np.testing.assert_allclose(outputs, multiplier * inputs, rtol=1e-6)
    np.testing.assert_allclose(gradients["inputs"], multiplier * upstream, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_one_factor_for_each_example(rate):
    inputs = np.random.default_rng(0).uniform(1, 2, (50, 4, 4, 3)).astype("float32")
    outputs = ops.convert_to_numpy(StochasticDepth(rate, seed=1)(inputs, training=True))

    factors = (outputs / inputs).reshape(50, -1)
    np.testing.assert_allclose(factors, factors[:, :1] * np.ones((1, 48)), rtol=1e-6)
    factors = factors[:, 0]
    dropped = factors == 0
    assert 0 < dropped.sum() < 50
    np.testing.assert_allclose(factors[~dropped], 1 / (1 - rate), rtol=1e-6)


def test_examples_are_dropped_as_entries_by_dropout():
    ours = StochasticDepth(0.5, seed=3)(np.ones((40, 6)), training=True)
    entries = Dropout(0.5, seed=3)(np.ones((40, 1)), training=True)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ours), np.repeat(ops.convert_to_numpy(entries), 6, axis=1)
    )


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_expected_value_is_the_input(rate):
    """Over 20,000 copies of one example, whose mean is within 5 standard errors."""
    example = np.array([[1.0, -2.0], [0.5, 30.0]], "float32")
    num_examples = 20_000
    inputs = np.broadcast_to(example, (num_examples, 2, 2))
    outputs = ops.convert_to_numpy(StochasticDepth(rate, seed=2)(inputs, training=True))

    # The variance of mask / (1 - rate) is rate / (1 - rate).
    standard_error = np.abs(example) * math.sqrt(rate / (1 - rate) / num_examples)
    mean = outputs.mean(axis=0, dtype="float64")
    assert np.all(np.abs(mean - example) < 5 * standard_error)


@pytest.mark.parametrize("rate, training", [(0.5, False), (1, False), (0, True)])
def test_identity(rate, training):
    inputs, upstream = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    layer = StochasticDepth(rate, seed=3)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream, training=training)
    np.testing.assert_array_equal(outputs, inputs)
    np.testing.assert_array_equal(gradients["inputs"], upstream)
    assert seed_and_step(layer) == [3, 0]


@pytest.mark.parametrize("rate", [0.4, 1])
def test_dropped_blocks_are_the_identity_and_pass_no_gradient(rate):
    """The block x + StochasticDepth(x @ kernel): closed form, also of the kernel's gradient."""
    generator = np.random.default_rng(0)
    inputs, upstream = generator.normal(size=(2, 32, 3)).astype("float32")
    kernel = generator.normal(size=(3, 3)).astype("float32")
    symbolic = keras.Input((3,))
    branch = layers.Dense(3, use_bias=False)
    block = keras.Model(symbolic, symbolic + StochasticDepth(rate, seed=4)(branch(symbolic)))
    branch.kernel.assign(kernel)
    outputs, gradients = outputs_and_gradients(block, inputs, upstream, training=True)

    mask = expected_mask(rate, 4, 0, inputs.shape)
    multiplier = mask / (1 - rate) if rate < 1 else np.zeros((32, 1))
    dropped = ~mask[:, 0] if rate < 1 else np.full(32, True)
    assert dropped.any()
    np.testing.assert_array_equal(outputs[dropped], inputs[dropped])
    np.testing.assert_array_equal(gradients["inputs"][dropped], upstream[dropped])
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(outputs, inputs + multiplier * (inputs @ kernel), **close)
    np.testing.assert_allclose(gradients["kernel"], inputs.T @ (multiplier * upstream), **close)


def test_compiled_step_draws_new_masks_for_batches_of_any_size():
    """Two layers, whose masks have nothing in common, in one model of unknown sizes."""
    inputs = keras.Input((None, 2))
    dropped = [StochasticDepth(0.5, seed=seed)(inputs) for seed in (11, 12)]
    outputs = layers.Dense(1, use_bias=False)(dropped[0])
    model = keras.Model(inputs, [*dropped, outputs])

    def compute_loss(inputs):
        *dropped, outputs = model(inputs, training=True)
        return ops.mean(ops.square(outputs)), dropped

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.1))
    for position, (batch_size, length) in enumerate([(40, 3), (40, 3), (30, 3), (50, 4)]):
        shape = (batch_size, length, 2)
        _, dropped = step(np.ones(shape, "float32"))
        for seed, outputs in zip((11, 12), dropped, strict=True):
            np.testing.assert_array_equal(
                kept_examples(outputs), reference_mask(0.5, seed, position, (batch_size,))
            )


@pytest.mark.parametrize("seed", [None, 9])
def test_saved_model_goes_on_with_the_next_mask(seed, tmp_path):
    model = keras.Sequential([keras.Input((3,)), StochasticDepth(0.5, seed=seed)])
    inputs = np.ones((50, 3), "float32")
    for _ in range(2):
        model(inputs, training=True)
    drawn_seed, _ = seed_and_step(model.layers[0])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    assert seed_and_step(loaded.layers[0]) == [drawn_seed, 2]
    for each in (loaded, model):
        np.testing.assert_array_equal(
            kept_examples(each(inputs, training=True)), reference_mask(0.5, drawn_seed, 2, (50,))
        )


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_half_precision(rate):
    layer = StochasticDepth(rate, seed=7, dtype="mixed_float16")
    outputs = ops.convert_to_numpy(layer(np.ones((100, 6), "float32"), training=True))
    assert outputs.dtype == "float16"
    expected = np.broadcast_to(expected_mask(rate, 7, 0, (100, 6)) / (1 - rate), (100, 6))
    np.testing.assert_allclose(outputs, expected, rtol=2**-10)  # a unit in the last place


@pytest.mark.parametrize("rate", [-0.01, 1.01, math.nan])
def test_bad_rate_is_named(rate):
    with pytest.raises(ValueError, match=f"rate .* got {rate}"):
        StochasticDepth(rate)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.0, "7"])
def test_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match=f"seed .* got {seed!r}"):
        StochasticDepth(0.5, seed=seed)


def test_input_without_examples_is_named():
    with pytest.raises(ValueError, match=r"input of shape \(\)"):
        StochasticDepth(0.5).build(())


def test_shape_of_the_mask_cannot_be_chosen():
    with pytest.raises(TypeError, match="noise_shape"):
        StochasticDepth(0.5, noise_shape=(None, 1))


# From here on the hash itself, in the masks of many small batches. All is exact and repeatable,
# so "within 5 standard errors" either holds for ever or never.


def standardized(rate, seed, steps, batch_size):
    """Masks with mean 0 and variance 1, of shape (steps, B)."""
    masks = np.stack([reference_mask(rate, seed, step, (batch_size,)) for step in range(steps)])
    return (masks - (1 - rate)) / math.sqrt(rate * (1 - rate))


@pytest.mark.parametrize("seed", [0, 7, LARGEST_SEED])
@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("batch_size", [2, 8, 128])
def test_small_masks_are_independent_coin_flips(batch_size, rate, seed):
    steps = 4000
    masks = standardized(rate, seed, steps, batch_size)

    def correlation_in_standard_errors(one, other):
        return abs(np.mean(one * other)) * math.sqrt(one.size)

    assert abs(masks.mean()) * math.sqrt(masks.size) < 5
    for lag in (1, 2, 3, 10):  # of steps
        assert correlation_in_standard_errors(masks[lag:], masks[:-lag]) < 5, lag
    for lag in {1, 2, batch_size // 2} & set(range(1, batch_size)):  # of examples
        assert correlation_in_standard_errors(masks[:, lag:], masks[:, :-lag]) < 5, lag
    next_layer = standardized(rate, (seed + 1) % 2**31, steps, batch_size)
    assert correlation_in_standard_errors(masks, next_layer) < 5

    # The number of kept examples in a batch is binomial: its variance, and the variance's error
    # from the fourth moment.
    kept = masks.sum(axis=1) / math.sqrt(batch_size)
    excess = (1 / (rate * (1 - rate)) - 6) / batch_size
    assert abs(np.mean(kept**2) - 1) < 5 * math.sqrt((2 + excess) / steps)
