"""The small CNN against counts by formula and a NumPy forward pass."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from recipes.training.gradient_step import gradient_step
from tests.zoo.numpy_network import (
    assert_agree,
    convolution,
    flatten,
    float64_weights,
    gelu,
    leaky_relu,
    max_pool,
    normalize,
    randomize,
)
from zoo.convolutional.mnist_cnn import mnist_cnn


@pytest.fixture(scope="module")
def default_model():
    return zoo.build("mnist_cnn")


def random_images(input_shape, size=4):
    """Darker to the right and to the bottom, so no direction can be taken for another."""
    height, width, _ = input_shape
    shade = np.linspace(1, 0, height)[:, None, None] + np.linspace(0.5, 0, width)[:, None]
    noise = np.random.default_rng(1).normal(size=(size, *input_shape))
    return (noise + shade).astype("float32")


def test_parameter_counts(default_model):
    counts = {layer.name: layer.count_params() for layer in default_model.layers if layer.weights}
    assert counts == {
        "block1_conv": 3 * 3 * 1 * 32,  # no bias
        "block1_norm": 4 * 32,
        "block2_conv": 3 * 3 * 32 * 64,
        "block2_norm": 4 * 64,
        "dense": 7 * 7 * 64 * 128 + 128,
        "output": 128 * 10 + 10,
    }
    assert default_model.count_params() == 421_930
    # gamma and beta are trained, the moving statistics are not.
    assert sum(np.prod(v.shape) for v in default_model.non_trainable_weights) == 2 * (32 + 64)


def test_stage_shapes(default_model):
    assert default_model.input_shape == (None, 28, 28, 1)
    stages = ("block1_activation", "block2_activation", "dense_activation", "output")
    assert [default_model.get_layer(stage).output.shape[1:] for stage in stages] == [
        (14, 14, 32),
        (7, 7, 64),
        (128,),
        (10,),
    ]


def reference_mnist_cnn(images, weights, batch_statistics):
    """Logits without dropout, and for each block the mean and variance that it normalized by."""
    x, statistics = images, {}
    for block in ("block1", "block2"):
        (kernel,) = weights[f"{block}_conv"]
        gamma, beta, mean, variance = weights[f"{block}_norm"]
        x = max_pool(convolution(x, kernel, padding=1))
        if batch_statistics:
            mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        statistics[block] = mean, variance
        x = leaky_relu(normalize(x, mean, variance, gamma, beta, epsilon=1e-3), 0.01)
    kernel, bias = weights["dense"]
    x = gelu(flatten(x) @ kernel + bias)
    kernel, bias = weights["output"]
    return x @ kernel + bias, statistics


@pytest.mark.parametrize("input_shape", [(28, 28, 1), (9, 15, 3)])
def test_inference_equals_numpy(input_shape):
    model = mnist_cnn(num_classes=7, input_shape=input_shape)
    randomize(model)
    images = random_images(input_shape)
    expected, _ = reference_mnist_cnn(
        images.astype("float64"), float64_weights(model), batch_statistics=False
    )
    assert_agree(model.predict(images, verbose=0), expected)


def test_training_equals_numpy_and_moves_the_statistics():
    model = mnist_cnn(input_shape=(12, 14, 2), dropout_rate=0.0, batch_norm_momentum=0.7)
    randomize(model)
    before = float64_weights(model)

    def compute_loss(images):
        logits = model(images, training=True)
        return ops.mean(logits), logits

    images = random_images((12, 14, 2), size=8)
    _, logits = gradient_step(compute_loss, model, keras.optimizers.SGD(0.1))(images)
    expected, statistics = reference_mnist_cnn(
        images.astype("float64"), before, batch_statistics=True
    )
    assert_agree(ops.convert_to_numpy(logits), expected)
    after = float64_weights(model)
    for block, batch in statistics.items():
        moving = zip(before[f"{block}_norm"][2:], batch, after[f"{block}_norm"][2:], strict=True)
        for old, new, actual in moving:
            assert_agree(actual, 0.7 * old + 0.3 * new)


def test_arguments_reach_the_layers():
    model = mnist_cnn(dropout_rate=0.25, batch_norm_momentum=0.75)
    assert [model.get_layer(name).rate for name in ("dropout1", "dropout2")] == [0.25, 0.25]
    norms = [model.get_layer(name) for name in ("block1_norm", "block2_norm")]
    assert [norm.momentum for norm in norms] == [0.75, 0.75]


def test_default_arguments(default_model):
    assert default_model.get_layer("dropout1").rate == 0.5
    assert default_model.get_layer("dropout2").rate == 0.5
    assert default_model.get_layer("block1_norm").momentum == 0.99


def test_dropout_stands_before_and_behind_the_dense_layer():
    """Under a rate of 1 only the bias of the layer behind is left."""
    model = mnist_cnn(input_shape=(8, 8, 1), dropout_rate=1.0)
    randomize(model)
    outputs = [model.get_layer(name).output for name in ("dense", "dense_activation", "output")]
    dense, activation, logits = map(
        ops.convert_to_numpy,
        keras.Model(model.input, outputs)(random_images((8, 8, 1)), training=True),
    )
    weights = float64_weights(model)
    np.testing.assert_allclose(dense, np.tile(weights["dense"][1], (4, 1)), rtol=1e-6)
    assert_agree(activation, np.tile(gelu(weights["dense"][1]), (4, 1)))
    np.testing.assert_allclose(logits, np.tile(weights["output"][1], (4, 1)), rtol=1e-6)


@pytest.mark.parametrize(("dropout_rate", "varies"), [(0.0, False), (0.5, True)])
def test_only_training_with_dropout_is_random(dropout_rate, varies):
    model = mnist_cnn(input_shape=(8, 8, 1), dropout_rate=dropout_rate)
    images = random_images((8, 8, 1))
    # Before training: batch normalization moves its statistics there.
    first, second = (ops.convert_to_numpy(model(images)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (ops.convert_to_numpy(model(images, training=True)) for _ in range(2))
    assert np.any(first != second) == varies


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 2), (2, 1)])
def test_convolution_pads_one_zero_on_each_side(row, column):
    """With a single tap the first convolution shifts the image."""
    model = mnist_cnn(input_shape=(5, 6, 1))
    kernel = np.zeros((3, 3, 1, 32), "float32")
    kernel[row, column] = 1
    model.get_layer("block1_conv").set_weights([kernel])
    images = random_images((5, 6, 1))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.repeat(padded[:, row : row + 5, column : column + 6], 32, axis=-1)
    shifted = keras.Model(model.input, model.get_layer("block1_conv").output)(images)
    np.testing.assert_allclose(ops.convert_to_numpy(shifted), expected, rtol=1e-6)
