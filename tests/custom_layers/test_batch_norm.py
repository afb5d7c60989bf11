import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import BatchNormalization
from recipes.training.gradient_step import gradient_step
from tests.gradients import outputs_and_gradients

SHAPES_AND_AXES = [
    ((6, 4), 1),
    ((6, 5, 3), -1),
    ((6, 5, 3), -2),
    ((4, 5, 6, 3), -1),
    ((4, 3, 5, 6), 1),
    ((4, 5, 3, 6), -2),
    ((3, 2, 4, 3, 2), -1),
]


def reference(x, axis, epsilon, gamma, beta, upstream, moving=None):
    """Algorithm 1 of the paper and its gradients (section 3), in float64.

    Args:
        moving: (mean, variance) to normalize with; default: those of the batch.

    Returns:
        (outputs, gradients by name).
    """
    x, upstream = x.astype("float64"), upstream.astype("float64")
    axes, shape = reduction(x, axis)
    mean, variance = statistics(x, axis) if moving is None else moving
    standard_deviation = np.sqrt(variance.reshape(shape) + epsilon)
    normalized = (x - mean.reshape(shape)) / standard_deviation

    gradient = upstream * gamma.reshape(shape)
    if moving is None:
        gradient = (
            gradient
            - gradient.mean(axes, keepdims=True)
            - normalized * (gradient * normalized).mean(axes, keepdims=True)
        )
    gradients = {
        "inputs": gradient / standard_deviation,
        "gamma": (upstream * normalized).sum(axes),
        "beta": upstream.sum(axes),
    }
    return gamma.reshape(shape) * normalized + beta.reshape(shape), gradients


def reduction(x, axis):
    """The axes that a mean goes over, and the shape that broadcasts a mean against x."""
    axis %= x.ndim
    axes = tuple(each for each in range(x.ndim) if each != axis)
    return axes, tuple(size if each == axis else 1 for each, size in enumerate(x.shape))


def statistics(x, axis):
    axes, _ = reduction(x, axis)
    return x.astype("float64").mean(axes), x.astype("float64").var(axes)


def case(shape, axis, seed=0):
    """Inputs, upstream gradient, and weights by name, none of them near its default."""
    generator = np.random.default_rng(seed)
    num_features = shape[axis]
    draw = {
        "inputs": generator.normal(2.0, 3.0, shape),
        "upstream": generator.normal(0.0, 1.0, shape),
        "gamma": generator.uniform(0.5, 2.0, num_features),
        "beta": generator.normal(0.0, 1.0, num_features),
        "moving_mean": generator.normal(2.0, 1.0, num_features),
        "moving_variance": generator.uniform(2.0, 9.0, num_features),
    }
    draw = {name: values.astype("float32") for name, values in draw.items()}
    return draw.pop("inputs"), draw.pop("upstream"), draw


def make_layer(shape, weights, layer_class=BatchNormalization, **arguments):
    layer = layer_class(**arguments)
    layer.build((None, *shape[1:]) if layer.axis % len(shape) else shape)
    for variable in layer.weights:
        variable.assign(weights[variable.name])
    return layer


def moving_statistics(layer):
    return [ops.convert_to_numpy(layer.moving_mean), ops.convert_to_numpy(layer.moving_variance)]


def assert_close(actual, expected, tolerance=2e-6):
    """Within ``tolerance`` of the largest number, as every number comes out of sums over all."""
    expected = np.asarray(expected, "float64")
    assert np.shape(actual) == expected.shape
    largest = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize(
    "mode, shape, axis",
    [("training", *shape_and_axis) for shape_and_axis in SHAPES_AND_AXES]
    + [("inference", *shape_and_axis) for shape_and_axis in SHAPES_AND_AXES[::3]]
    + [("frozen", *shape_and_axis) for shape_and_axis in SHAPES_AND_AXES[::3]],
)
def test_equals_closed_form_and_keras_layer(mode, shape, axis):
    inputs, upstream, weights = case(shape, axis)
    moving = [weights["moving_mean"], weights["moving_variance"]]
    arguments = {"axis": axis, "momentum": 0.8, "epsilon": 0.05, "trainable": mode != "frozen"}
    training = mode == "training"
    expected_outputs, expected_gradients = reference(
        inputs,
        axis,
        0.05,
        weights["gamma"],
        weights["beta"],
        upstream,
        None if training else moving,
    )
    expected_moving = moving
    if training:
        batch = statistics(inputs, axis)
        expected_moving = [0.8 * old + 0.2 * new for old, new in zip(moving, batch, strict=True)]
    if mode == "frozen":
        expected_gradients = {"inputs": expected_gradients["inputs"]}

    for layer_class in (BatchNormalization, layers.BatchNormalization):
        layer = make_layer(shape, weights, layer_class, **arguments)
        outputs, gradients = outputs_and_gradients(
            layer, inputs, upstream, training=mode != "inference"
        )
        assert_close(outputs, expected_outputs)
        assert gradients.keys() == expected_gradients.keys()
        for name, gradient in gradients.items():
            assert_close(gradient, expected_gradients[name])
        for actual, expected in zip(moving_statistics(layer), expected_moving, strict=True):
            assert_close(actual, expected)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("center, scale", [(False, True), (True, False), (False, False)])
def test_without_gamma_or_beta(center, scale, training):
    inputs, upstream, weights = case((5, 4, 3), -1)
    layer = make_layer((5, 4, 3), weights, center=center, scale=scale)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream, training=training)

    present = {"gamma": scale, "beta": center, "inputs": True}
    expected_outputs, expected_gradients = reference(
        inputs,
        -1,
        1e-3,
        weights["gamma"] if scale else np.ones(3),
        weights["beta"] if center else np.zeros(3),
        upstream,
        None if training else (weights["moving_mean"], weights["moving_variance"]),
    )
    assert_close(outputs, expected_outputs)
    assert gradients.keys() == {name for name in present if present[name]}
    for name, gradient in gradients.items():
        assert_close(gradient, expected_gradients[name])


def test_defaults_and_fresh_weights_are_those_of_keras():
    ours, theirs = BatchNormalization(), layers.BatchNormalization()
    for name in ("axis", "momentum", "epsilon", "center", "scale"):
        assert getattr(ours, name) == getattr(theirs, name)
    for layer in (ours, theirs):
        layer.build((None, 5, 3))
    assert [weight.name for weight in ours.trainable_weights] == ["gamma", "beta"]
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        our_weight, their_weight = getattr(ours, name), getattr(theirs, name)
        assert our_weight.trainable == their_weight.trainable
        np.testing.assert_array_equal(
            ops.convert_to_numpy(our_weight), ops.convert_to_numpy(their_weight)
        )


@pytest.mark.parametrize(
    "momentum, dtype",
    [(0, "float32"), (1, "float32")]
    + [(0.9, dtype) for dtype in ("float32", "mixed_float16", "mixed_bfloat16")],
)
def test_moving_statistics_follow_compiled_steps(momentum, dtype):
    """Three steps of a training loop, the last of them with a smaller batch.

    The activations have squares that float16 cannot hold, and means that it would round by
    0.06; bfloat16 would round them by 0.5.
    """
    layer = BatchNormalization(momentum=momentum, dtype=dtype)
    model = keras.Sequential([keras.Input((5, 4, 3)), layer])
    generator = np.random.default_rng(0)
    batches = [
        ops.convert_to_numpy(
            ops.cast(generator.normal([150, -200, 90], 300, (size, 5, 4, 3)), layer.compute_dtype)
        ).astype("float32")
        for size in (8, 8, 5)
    ]

    def compute_loss(inputs):
        outputs = model(inputs, training=True)
        return ops.mean(ops.cast(outputs, "float32")), outputs

    step = gradient_step(compute_loss, model, keras.optimizers.SGD(0.0))
    expected_mean, expected_variance = np.zeros(3), np.ones(3)
    for batch in batches:
        _, outputs = step(batch)
        mean, variance = statistics(batch, -1)
        expected_mean = momentum * expected_mean + (1 - momentum) * mean
        expected_variance = momentum * expected_variance + (1 - momentum) * variance
    actual_mean, actual_variance = moving_statistics(layer)
    np.testing.assert_allclose(actual_mean, expected_mean, rtol=2e-6, atol=1e-4)
    np.testing.assert_allclose(actual_variance, expected_variance, rtol=2e-6)

    expected = (batches[-1] - mean) / np.sqrt(variance + 1e-3)
    half_unit = {"float32": 1e-6, "float16": 2.0**-11, "bfloat16": 2.0**-8}[layer.compute_dtype]
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    outputs = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    np.testing.assert_allclose(outputs, expected, rtol=1.01 * half_unit, atol=2e-6)


def test_inference_in_half_precision_subtracts_in_float32():
    """float16 numbers near 1000 are 0.5 apart: a mean rounded to one would shift every output."""
    inputs = np.random.default_rng(0).normal(1000, 3, (64, 2)).astype("float16")
    weights = {
        "moving_mean": np.array([1000.2, 999.8]),
        "moving_variance": np.array([9.0, 4.0]),
        "gamma": np.array([1.5001, 0.7003]),
        "beta": np.array([0.0, 1.0]),
    }
    layer = make_layer(inputs.shape, weights, dtype="mixed_float16")
    outputs = ops.convert_to_numpy(layer(inputs))

    assert outputs.dtype == "float16"
    moving = (weights["moving_mean"], weights["moving_variance"])
    expected, _ = reference(
        inputs, -1, 1e-3, weights["gamma"], weights["beta"], np.ones((64, 2)), moving
    )
    # atol: the moving mean itself is a float32 near 1000
    np.testing.assert_allclose(outputs.astype("float64"), expected, rtol=1.01 * 2**-11, atol=1e-4)


def test_variance_takes_two_passes():
    """E[x**2] - E[x]**2 would be off by 6 % or more: float32 numbers near 1e6 are 0.06 apart."""
    inputs = np.random.default_rng(0).normal(1000, 1, (16, 8, 8, 3)).astype("float32")
    layer = BatchNormalization(momentum=0.0)
    outputs = ops.convert_to_numpy(layer(inputs, training=True))

    mean, variance = statistics(inputs, -1)
    np.testing.assert_allclose(moving_statistics(layer)[1], variance, rtol=2e-6)
    # Two float32 numbers near 1000 are 6e-5 apart, which is all that the mean may be off.
    expected = (inputs - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    "transform", [lambda x: np.maximum(x, 0), lambda x: x + 100], ids=["after ReLU", "mean 100"]
)
def test_statistics_of_many_values_are_accurate(transform):
    """One float32 mean over 100,352 values is off on TensorFlow, unless taken in stages.

    Of the largest output, the error with one-stage means is 8.6e-5 after a ReLU and 4.4e-5 at
    mean 100; in stages it is at most 2.2e-6 on every backend (at mean 100, where the mean's
    own rounding is 4e-6).
    """
    inputs = np.random.default_rng(0).normal(size=(128, 28, 28, 32)).astype("float32")
    inputs = transform(inputs)
    outputs = ops.convert_to_numpy(BatchNormalization()(inputs, training=True))

    mean, variance = statistics(inputs, -1)
    expected = (inputs - mean) / np.sqrt(variance + 1e-3)
    assert_close(outputs, expected, tolerance=1e-5)


def test_constant_feature_gives_beta_and_finite_gradients():
    inputs, upstream, weights = case((6, 4), -1)
    inputs[:, 1] = 7.0
    layer = make_layer((6, 4), weights)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream, training=True)

    np.testing.assert_allclose(outputs[:, 1], weights["beta"][1], rtol=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_training_is_asked_for_and_freezing_can_be_undone():
    inputs, _, weights = case((6, 5, 3), -1)
    layer = make_layer(inputs.shape, weights, momentum=0.5)

    def moved(**call_arguments):
        before = moving_statistics(layer)
        layer(inputs, **call_arguments)
        pairs = zip(before, moving_statistics(layer), strict=True)
        return [not np.array_equal(old, new) for old, new in pairs]

    assert moved() == [False, False]
    assert moved(training=False) == [False, False]
    layer.trainable = False
    assert moved(training=True) == [False, False]
    assert layer.trainable_weights == []
    layer.trainable = True
    assert moved(training=True) == [True, True]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"momentum": -0.01}, r"momentum .* got -0\.01"),
        ({"momentum": 1.01}, r"momentum .* got 1\.01"),
        ({"momentum": math.nan}, "momentum .* got nan"),
        ({"epsilon": 0}, "epsilon .* got 0"),
        ({"epsilon": -1e-3}, r"epsilon .* got -0\.001"),
        ({"epsilon": math.nan}, "epsilon .* got nan"),
    ],
)
def test_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchNormalization(**arguments)


@pytest.mark.parametrize(
    "axis, shape, message",
    [
        (3, (None, 5, 3), r"axis 3 .*\(None, 5, 3\)"),
        (-4, (None, 5, 3), r"axis -4 .*\(None, 5, 3\)"),
        (-1, (3,), r"axis -1 .*\(3,\)"),
        (1, (None, None, 3), r"axis 1 .*\(None, None, 3\)"),
    ],
)
def test_axis_that_does_not_fit_is_named(axis, shape, message):
    with pytest.raises(ValueError, match=message):
        BatchNormalization(axis=axis).build(shape)


@pytest.mark.parametrize("axis", [-3, 0, 2])
def test_outermost_axes_fit(axis):
    shape = (2, 5, 3)
    layer = BatchNormalization(axis=axis, momentum=0.0)
    inputs = case(shape, axis)[0]
    layer(inputs, training=True)
    assert_close(moving_statistics(layer)[0], statistics(inputs, axis)[0])
