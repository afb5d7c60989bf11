"""MLP and residual MLP at their papers' sizes: parameters, layers, constants; dropout; bad sizes.

All numbers are literals: those of the papers and of the authors' package.
"""

import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers import BatchNormalization, Dropout
from zoo.feedforward.mlp import mlp
from zoo.feedforward.perceptron import perceptron
from zoo.feedforward.residual_mlp import residual_mlp
from zoo.initial_weights import seeded, without_values

MODELS = {
    "mlp": (mlp, {}),
    "mlp with batch norm": (mlp, {"batch_norm": True}),
    "mlp of images": (mlp, {"input_shape": (28, 28, 1)}),
    "residual_mlp": (residual_mlp, {}),
}
# Trainable parameters, and moving statistics.
PARAMETERS = {
    # (784 + 1) 1,024 + 2 (1,024 + 1) 1,024 + (1,024 + 1) 10.
    "mlp": (2_913_290, 0),
    # One parameter a hidden unit more: gamma and beta, and no bias.
    "mlp with batch norm": (2_916_362, 6_144),
    "mlp of images": (2_913_290, 0),
    # 1,728 in the input; 384 + 74,112 + 73,920 in each block; 384 + 193 in the output.
    "residual_mlp": (299_137, 1_152),
}
# Each layer with the shape behind it, in order.
LAYERS = {
    "mlp": (
        "example 784, input_dropout 784, "
        "hidden1_dense 1024, hidden1_activation 1024, hidden1_dropout 1024, "
        "hidden2_dense 1024, hidden2_activation 1024, hidden2_dropout 1024, "
        "hidden3_dense 1024, hidden3_activation 1024, hidden3_dropout 1024, output 10"
    ),
    "mlp with batch norm": (
        "example 784, input_dropout 784, "
        "hidden1_dense 1024, hidden1_norm 1024, hidden1_activation 1024, hidden1_dropout 1024, "
        "hidden2_dense 1024, hidden2_norm 1024, hidden2_activation 1024, hidden2_dropout 1024, "
        "hidden3_dense 1024, hidden3_norm 1024, hidden3_activation 1024, hidden3_dropout 1024, "
        "output 10"
    ),
    "mlp of images": (
        "example 28x28x1, flatten 784, input_dropout 784, "
        "hidden1_dense 1024, hidden1_activation 1024, hidden1_dropout 1024, "
        "hidden2_dense 1024, hidden2_activation 1024, hidden2_dropout 1024, "
        "hidden3_dense 1024, hidden3_activation 1024, hidden3_dropout 1024, output 10"
    ),
    "residual_mlp": (
        "example 8, input 192, "
        "block1_norm 192, block1_dense1 384, block1_activation 384, block1_dropout1 384, "
        "block1_dense2 192, block1_dropout2 192, block1 192, "
        "block2_norm 192, block2_dense1 384, block2_activation 384, block2_dropout1 384, "
        "block2_dense2 192, block2_dropout2 192, block2 192, "
        "norm 192, activation 192, output 1"
    ),
}
DROPOUT_RATES = {
    "mlp": {
        "input_dropout": 0.2, "hidden1_dropout": 0.5, "hidden2_dropout": 0.5,
        "hidden3_dropout": 0.5,
    },
    "residual_mlp": {
        "block1_dropout1": 0.15, "block1_dropout2": 0.0, "block2_dropout1": 0.15,
        "block2_dropout2": 0.0,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def name_and_model(request):
    """Each model once, its weights without values."""
    builder, arguments = MODELS[request.param]
    with without_values():
        return request.param, builder(**arguments)


def build(name, **more):
    builder, arguments = MODELS[name]
    return seeded(builder, 0, **arguments, **more)


def count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def layers_of(model, layer_class):
    return [layer for layer in model.layers if isinstance(layer, layer_class)]


def test_parameters(name_and_model):
    name, model = name_and_model
    assert (count(model.trainable_weights), count(model.non_trainable_weights)) == PARAMETERS[name]


def test_layers(name_and_model):
    name, model = name_and_model
    found = [
        f"{layer.name} {'x'.join(str(size) for size in layer.output.shape[1:])}"
        for layer in model.layers
    ]
    assert ", ".join(found) == LAYERS[name]


def test_constants_and_activations(name_and_model):
    name, model = name_and_model
    assert model.name == name.split()[0]
    constants = {(each.epsilon, each.momentum) for each in layers_of(model, BatchNormalization)}
    assert constants == ({(1e-5, 0.9)} if PARAMETERS[name][1] else set())
    activations = {
        layer.name: layer.activation.__name__
        for layer in model.layers
        if getattr(layer, "activation", keras.activations.linear) != keras.activations.linear
    }
    assert set(activations.values()) == {"relu"}
    assert all(name.endswith("activation") for name in activations)
    assert len(activations) == 3


@pytest.mark.parametrize(
    "name, sizes, width",
    [
        ("mlp of images", {"widths": (30, 20)}, 20),
        ("mlp with batch norm", {"widths": (30, 20)}, 20),
        ("residual_mlp", {}, 192),
    ],
)
def test_without_a_head_it_gives_what_the_head_sees(name, sizes, width):
    features, whole = (build(name, num_classes=classes, **sizes) for classes in (None, 4))
    assert [each.name for each in features.layers] == [each.name for each in whole.layers[:-1]]
    assert features.output_shape == (None, width)
    examples = random_examples(whole)
    kernel, bias = whole.get_layer("output").get_weights()
    expected = ops.convert_to_numpy(features(examples)) @ kernel + bias
    np.testing.assert_allclose(ops.convert_to_numpy(whole(examples)), expected, atol=1e-4)


def random_examples(model, batch=64):
    shape = (batch, *model.input_shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_dropout_rates(name_and_model):
    name, model = name_and_model
    rates = {layer.name: layer.rate for layer in layers_of(model, Dropout)}
    assert rates == DROPOUT_RATES[name.split()[0]]


@pytest.mark.parametrize(
    "name, given, expected",
    [
        (
            "mlp", {"input_dropout_rate": 0.1, "dropout_rate": 0.3, "widths": (400, 300)},
            {"input_dropout": 0.1, "hidden1_dropout": 0.3, "hidden2_dropout": 0.3},
        ),
        (
            "residual_mlp", {"hidden_dropout_rate": 0.4, "dropout_rate": 0.1, "depth": 1},
            {"block1_dropout1": 0.4, "block1_dropout2": 0.1},
        ),
    ],
)  # fmt: skip
def test_training_drops_and_inference_does_not(name, given, expected):
    """Other units in each call, each dropout at its own rate, and scales up what it keeps."""
    model = build(name, **given)
    dropouts = layers_of(model, Dropout)
    assert [layer.name for layer in dropouts] == list(expected)
    both = keras.Model(model.input, [[each.input, each.output] for each in dropouts])
    examples = random_examples(model, batch=256)
    masks = []
    for training in (True, True, False):
        pairs = zip(expected.values(), both(examples, training=training), strict=True)
        for rate, (x, y) in pairs:
            x, y = ops.convert_to_numpy(x), ops.convert_to_numpy(y)
            if not training:
                np.testing.assert_array_equal(y, x)
                continue
            dropped = (y == 0) & (x != 0)
            assert dropped.sum() / (x != 0).sum() == pytest.approx(rate, abs=0.02)
            np.testing.assert_allclose(y, np.where(dropped, 0, x / (1 - rate)), rtol=1e-6)
            masks.append(dropped)
    for first, second in zip(masks[: len(dropouts)], masks[len(dropouts) :], strict=True):
        assert np.any(first != second)


def test_fresh_weights_of_the_mlp_are_those_of_he_et_al():
    """Normal within two standard deviations, of the variance 2 / fan-in; biases at 0."""
    model = build("mlp")
    for layer, inputs in [("hidden1_dense", 784), ("hidden2_dense", 1024)]:
        kernel, bias = model.get_layer(layer).get_weights()
        assert kernel.std() == pytest.approx(math.sqrt(2 / inputs), rel=0.01)
        assert np.abs(kernel).max() == pytest.approx(2.273 * kernel.std(), rel=0.02)
        assert not bias.any()


def test_fresh_weights_of_the_residual_mlp_are_those_of_pytorch():
    """Kernels and biases uniform within 1 / sqrt(fan-in): nn.Linear. None are each other's."""
    keras.utils.set_random_seed(0)
    for model in (build("residual_mlp"), residual_mlp()):  # drawn by NumPy, and by Keras
        for layer in layers_of(model, keras.layers.Dense):
            kernel, bias = layer.get_weights()
            limit = 1 / math.sqrt(len(kernel))
            for weight in (kernel, bias):
                assert np.abs(weight).max() <= limit * (1 + 1e-6)
                if weight.size > 100:
                    assert np.abs(weight).max() > 0.95 * limit
                    assert weight.std() == pytest.approx(limit / math.sqrt(3), rel=0.15)
                    assert abs(weight.mean()) < 0.2 * limit
            if bias.size > 100:
                assert abs(np.corrcoef(kernel[0], bias)[0, 1]) < 0.3


@pytest.mark.parametrize(
    "shape",
    [
        (), (0,), (None,), (2.0,), (28, 28), (28, 28, 0), (28, None, 1), (1, 28, 28, 1), 784, "784",
        None,
    ],
)  # fmt: skip
def test_impossible_input_shape_is_refused(shape):
    for builder, shapes in [
        (mlp, "(D,) or (H, W, C), such as (784,) or (28, 28, 1)"),
        (residual_mlp, "(D,), such as (8,)"),
    ]:
        told = f"{builder.__name__} needs input_shape {shapes}, got {shape!r}."
        with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
            builder(input_shape=shape)


def test_the_residual_mlp_takes_no_images():
    with pytest.raises(ValueError, match=r"^residual_mlp needs .* got \(28, 28, 1\)\.$"):
        residual_mlp(input_shape=(28, 28, 1))


@pytest.mark.parametrize(
    "widths", [(), [], (64, 0), (-64,), (64.0,), ("64",), (64, None), 64, "64", None]
)
def test_impossible_widths_are_refused(widths):
    told = f"mlp needs one or more widths, integers above 0, got {widths!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        mlp(widths=widths)


@pytest.mark.parametrize("name", ["depth", "width", "hidden_width"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None])
def test_impossible_sizes_are_refused(name, value):
    sizes = {"depth": 2, "width": 192, "hidden_width": 384, name: value}
    told = (
        f"residual_mlp needs (depth, width, hidden_width), integers above 0, got "
        f"{tuple(sizes.values())!r}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        residual_mlp(**{name: value})


@pytest.mark.parametrize(
    "builder, rate",
    [
        (mlp, "dropout_rate"),
        (mlp, "input_dropout_rate"),
        (residual_mlp, "dropout_rate"),
        (residual_mlp, "hidden_dropout_rate"),
    ],
)
def test_impossible_rates_are_refused(builder, rate):
    for value in (-0.1, 1.5):
        with pytest.raises(ValueError, match=rf"rate must lie in \[0, 1\], got {value}"):
            builder(**{rate: value})


@pytest.mark.parametrize("builder", [mlp, residual_mlp, perceptron])
def test_impossible_numbers_of_classes_are_refused(builder):
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"expected a positive integer.*{value}"):
            builder(num_classes=value)


def test_the_smallest():
    assert mlp(1, (1,), (1,)).count_params() == 4
    assert residual_mlp(1, (1,), 1, 1, 1).count_params() == 2 + (4 + 2 + 2) + 4 + 2
