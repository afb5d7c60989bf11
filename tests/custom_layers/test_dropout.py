"""Dropout, against an implementation of its hash in NumPy.

Every backend is held to the same NumPy bits, so the backends agree with each other. The hash's
statistics are then taken on the NumPy side, where they are quick.
"""

import math
import random

import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import Dropout
from custom_layers.dropout import random_bits
from recipes.training.gradient_step import gradient_step
from tests.gradients import outputs_and_gradients

LARGEST_SEED = 2**31 - 1


def reference_bits(seed, step, size, first=0):
    """31 bits for positions first ... first + size - 1, in unsigned arithmetic."""

    def mix(x):
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
        return x

    x = np.arange(first, first + size, dtype="uint32")
    x += np.uint32(seed * 0x9E3779B9 % 2**32)
    x = mix(x)
    x ^= np.uint32(step * 0x85EBCA6B % 2**32)
    return mix(x) & np.uint32(LARGEST_SEED)


def reference_mask(rate, seed, step, shape):
    keep = reference_bits(seed, step, math.prod(shape)) < round((1 - rate) * 2**31)
    return keep.reshape(shape)


def kept(outputs):
    return ops.convert_to_numpy(outputs) != 0


def masks(layer, calls=3, shape=(4, 50)):
    return [kept(layer(np.ones(shape, "float32"), training=True)) for _ in range(calls)]


def seed_and_step(layer):
    return ops.convert_to_numpy(layer.seed_generator.state).tolist()


@pytest.mark.parametrize("shape", [(1000,), (3, 5, 7), (2, 1, 1, 33)])
@pytest.mark.parametrize(
    "seed, step",
    [(0, 0), (0, 1), (1, 0), (7, 2), (12345, 678), (LARGEST_SEED, 0), (LARGEST_SEED, LARGEST_SEED)],
)
def test_bits_are_those_of_the_reference(seed, step, shape):
    bits = ops.convert_to_numpy(random_bits(ops.convert_to_tensor([seed, step], "int32"), shape))

    assert bits.dtype == "int32"
    np.testing.assert_array_equal(
        bits, reference_bits(seed, step, math.prod(shape)).reshape(shape).astype("int32")
    )


def test_golden_counts():
    layer = Dropout(0.3, seed=7)
    assert [mask.sum() for mask in masks(layer, shape=(4, 1000))] == [2823, 2790, 2746]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 7, LARGEST_SEED])
def test_training_values_and_gradients(rate, seed):
    generator = np.random.default_rng(0)
    inputs, upstream = generator.normal(size=(2, 4, 50)).astype("float32")
    layer = Dropout(rate, seed=seed)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream, training=True)

    multiplier = reference_mask(rate, seed, 0, inputs.shape) / (1 - rate)
    np.testing.assert_allclose(outputs, multiplier * inputs, rtol=1e-6)
    np.testing.assert_allclose(gradients["inputs"], multiplier * upstream, rtol=1e-6)


@pytest.mark.parametrize("rate, training", [(0.5, False), (1, False), (0, True)])
def test_identity(rate, training):
    inputs, upstream = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    outputs, gradients = outputs_and_gradients(Dropout(rate), inputs, upstream, training=training)
    np.testing.assert_array_equal(outputs, inputs)
    np.testing.assert_array_equal(gradients["inputs"], upstream)


def test_rate_one_drops_everything():
    """The gradient is 0 too, and not the NaN of a division by 1 - rate."""
    assert [mask.sum() for mask in masks(Dropout(1))] == [0, 0, 0]

    symbolic = keras.Input((5,))
    with_shortcut = keras.Model(symbolic, symbolic + Dropout(1)(symbolic))
    inputs, upstream = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    outputs, gradients = outputs_and_gradients(with_shortcut, inputs, upstream, training=True)
    np.testing.assert_array_equal(outputs, inputs)
    np.testing.assert_array_equal(gradients["inputs"], upstream)


def test_only_training_draws_a_new_mask():
    layer = Dropout(0.5, seed=3)
    first, second = masks(layer, 2)
    layer(np.ones((4, 50), "float32"))  # inference, unless asked for training
    (third,) = masks(layer, 1)
    for step, mask in enumerate([first, second, third]):
        np.testing.assert_array_equal(mask, reference_mask(0.5, 3, step, (4, 50)))


def test_compiled_step_draws_the_eager_sequence():
    """Also for batches of other sizes, of which one compiled step sees several."""
    inputs = keras.Input((40,))
    dropped = Dropout(0.5, seed=11)(inputs)
    outputs = layers.Dense(1, use_bias=False)(dropped)
    model = keras.Model(inputs, [dropped, outputs])

    def compute_loss(inputs):
        dropped, outputs = model(inputs, training=True)
        return ops.mean(ops.square(outputs)), dropped

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.1))
    for position, batch_size in enumerate([4, 4, 3, 5]):
        shape = (batch_size, 40)
        _, dropped = step(np.ones(shape, "float32"))
        expected = reference_mask(0.5, 11, position, shape)
        np.testing.assert_array_equal(kept(dropped), expected)


def test_counter_is_state_but_no_weight():
    model = keras.Sequential([keras.Input((5,)), Dropout(0.5, seed=1)])
    for owner in (model, model.layers[0]):
        assert owner.weights == owner.trainable_weights == owner.non_trainable_weights == []
        assert owner.count_params() == 0
        assert [variable.shape for variable in owner.variables] == [(2,)]
    model(np.ones((2, 5)), training=True)
    assert seed_and_step(model.layers[0]) == [1, 1]


@pytest.mark.parametrize("seed", [None, 9])
def test_saved_model_goes_on_with_the_next_mask(seed, tmp_path):
    model = keras.Sequential([keras.Input((50,)), Dropout(0.5, seed=seed)])
    masks(model, 2)
    drawn_seed, _ = seed_and_step(model.layers[0])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    assert seed_and_step(loaded.layers[0]) == [drawn_seed, 2]
    for next_mask in (masks(loaded, 1)[0], masks(model, 1)[0]):
        np.testing.assert_array_equal(next_mask, reference_mask(0.5, drawn_seed, 2, (4, 50)))


def test_global_seed_decides_unseeded_layers():
    def unseeded_masks(set_seed, seed):
        set_seed(seed)
        return [masks(Dropout(0.5))[0] for _ in range(2)]

    five = unseeded_masks(keras.utils.set_random_seed, 5)
    six = unseeded_masks(keras.utils.set_random_seed, 6)
    # Python's generator alone decides, so every backend draws the same.
    for again in (keras.utils.set_random_seed, random.seed):
        np.testing.assert_array_equal(five, unseeded_masks(again, 5))
    assert not np.array_equal(five, six)
    assert not np.array_equal(five[0], five[1])


@pytest.mark.parametrize("seeds", [(0, 1), (7, 8), (0, LARGEST_SEED)])
def test_other_seed_other_mask(seeds):
    one, other = (masks(Dropout(0.5, seed=seed))[0] for seed in seeds)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    "noise_shape, mask_shape",
    [
        ((None, 1, None), (4, 1, 30)),
        ([None, 5, 1], (4, 5, 1)),
        ((1, 1, 30), (1, 1, 30)),
        ((4, None, None), (4, 5, 30)),
    ],
)
def test_noise_shape(noise_shape, mask_shape):
    mask = kept(Dropout(0.5, noise_shape, seed=3)(np.ones((4, 5, 30), "float32"), training=True))
    expected = np.broadcast_to(reference_mask(0.5, 3, 0, mask_shape), (4, 5, 30))
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_batch_size_may_change(noise_shape):
    model = keras.Sequential([keras.Input((40,)), Dropout(0.5, noise_shape, seed=3)])
    for step, batch_size in enumerate([3, 5]):
        (mask,) = masks(model, 1, (batch_size, 40))
        mask_shape = (batch_size, 40 if noise_shape is None else 1)
        expected = np.broadcast_to(reference_mask(0.5, 3, step, mask_shape), mask.shape)
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_half_precision(rate):
    layer = Dropout(rate, seed=7, dtype="mixed_float16")
    outputs = ops.convert_to_numpy(layer(np.ones((4, 1000), "float32"), training=True))
    assert outputs.dtype == "float16"
    expected = reference_mask(rate, 7, 0, outputs.shape) / (1 - rate)
    np.testing.assert_allclose(outputs, expected, rtol=2**-10)  # a unit in the last place


@pytest.mark.parametrize("rate", [-0.01, 1.01, math.nan])
def test_bad_rate_is_named(rate):
    with pytest.raises(ValueError, match=f"rate .* got {rate}"):
        Dropout(rate)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.0, "7"])
def test_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match=f"seed .* got {seed!r}"):
        Dropout(0.5, seed=seed)


@pytest.mark.parametrize("seed", [0, LARGEST_SEED, np.int64(7)])
def test_outermost_seeds_are_drawn_from(seed):
    layer = Dropout(0.5, seed=seed)
    np.testing.assert_array_equal(masks(layer)[2], reference_mask(0.5, int(seed), 2, (4, 50)))


@pytest.mark.parametrize(
    "noise_shape, input_shape",
    [
        ((None, 1), (None, 5, 3)),
        ((None, 1, None, 1), (None, 5, 3)),
        ((None, 2, None), (None, 5, 3)),
        ((3, None, None), (4, 5, 3)),
    ],
)
def test_noise_shape_that_does_not_fit_is_named(noise_shape, input_shape):
    with pytest.raises(ValueError, match="noise_shape") as caught:
        Dropout(0.5, noise_shape).build(input_shape)
    assert str(noise_shape) in str(caught.value) and str(input_shape) in str(caught.value)


# From here on the hash itself: masks must look like independent coin flips. All is exact and
# repeatable, so "within 5 standard errors" either holds for ever or never.

SIZES = 2 ** np.arange(6, 17)  # 64 ... 65536


@pytest.mark.parametrize("varied", ["step", "seed"])
def test_kept_counts_are_binomial(varied):
    """Over many masks, at every size and for two rates at once: the mean and the variance.

    A variance below the binomial one would tell that masks are permutations of each other.
    """
    rates = np.array([0.1, 0.5])
    thresholds = np.round((1 - rates) * 2**31)
    trials = 800
    counts = np.empty((trials, len(rates), len(SIZES)))
    for trial in range(trials):
        key = (123, trial) if varied == "step" else (trial, 123)
        bits = reference_bits(*key, SIZES[-1])
        for position, threshold in enumerate(thresholds):
            ends = np.concatenate([[0], SIZES[:-1]])
            sums = np.add.reduceat(bits < threshold, ends, dtype="int64")
            counts[trial, position] = np.cumsum(sums)

    mean = SIZES * (1 - rates[:, None])
    variance = mean * rates[:, None]
    mean_error = np.abs(counts.mean(axis=0) - mean) / np.sqrt(variance / trials)
    variance_error = np.abs(counts.var(axis=0, ddof=1) / variance - 1) / np.sqrt(2 / trials)
    assert mean_error.max() < 5
    assert variance_error.max() < 5


def standardized(rate, seed, step, size=2**18):
    return (reference_mask(rate, seed, step, (size,)) - (1 - rate)) / math.sqrt(rate * (1 - rate))


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("seed, step", [(0, 0), (1, 0), (0, 1), (7, 1000), (LARGEST_SEED, 5)])
def test_positions_are_uncorrelated(seed, step, rate):
    mask = standardized(rate, seed, step)
    for lag in (1, 2, 3, 8, 28, 32, 64, 128, 1024):
        assert abs(np.mean(mask[lag:] * mask[:-lag])) < 5 / math.sqrt(mask.size - lag), lag


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize(
    "one, other",
    [((7, step), (7, step + 1)) for step in (0, 1, 2, 999)]  # consecutive steps
    + [((seed, 0), (seed + 1, 0)) for seed in (0, 1, 41, LARGEST_SEED - 1)]  # neighbouring seeds
    + [((seed, 4), (seed + 1, 3)) for seed in (0, 1, 41)]
    + [((0, 1), (1, 0)), ((2, 5), (5, 2)), ((31, 1000), (1000, 31))],  # swapped
)
def test_masks_are_uncorrelated(one, other, rate):
    one, other = standardized(rate, *one), standardized(rate, *other)
    assert abs(np.mean(one * other)) < 5 / math.sqrt(one.size)


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("steps", [(0, 1), (1, 2), (5, 260), (0, 2**16)])
def test_steps_do_not_permute_a_mask_within_blocks(steps, rate):
    """In aligned blocks of every power of two, the kept counts of two steps differ as they should.

    With a step that is xored onto the position, they would be equal in every block.
    """
    size = 2**20
    one, other = (reference_mask(rate, 7, step, (size,)).astype("int64") for step in steps)
    for block in 2 ** np.arange(1, 11):
        differences = (one - other).reshape(-1, block).sum(axis=1)
        ratio = np.mean(differences**2) / (2 * block * rate * (1 - rate))
        assert abs(ratio - 1) < 5 * math.sqrt(2 / differences.size), block
