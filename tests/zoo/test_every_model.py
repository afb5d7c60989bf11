"""One contract for every model of the catalog."""

import functools
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from tests import initial_zeros

# The smallest input that a model takes (one pixel less must be refused), some classes, few maps.
_TOKENS = {"vocabulary_size": 11, "embedding_width": 6, "width": 8}
_PAIRS = {
    "source_vocabulary_size": 9, "target_vocabulary_size": 11, "embedding_width": 6, "width": 8,
}  # fmt: skip
_BERT = {
    "vocabulary_size": 11, "max_length": 9, "width": 8, "depth": 2, "num_heads": 2,
    "hidden_width": 16, "dropout_rate": 0.0,
}  # fmt: skip
_LLAMA = {
    "vocabulary_size": 11, "width": 8, "depth": 2, "num_heads": 4, "num_key_value_heads": 2,
    "hidden_width": 12,
}  # fmt: skip
_TRANSFORMER = {
    "vocabulary_size": 11, "width": 8, "depth": 2, "num_heads": 2, "hidden_width": 16,
    "dropout_rate": 0.0,
}  # fmt: skip
_VIT = {
    "input_shape": (16, 16, 2), "num_classes": 3, "patch_size": 8, "width": 16, "depth": 2,
    "num_heads": 2,
}  # fmt: skip
_FORECAST = {"horizon": 3, "num_features": 2, "width": 8}
# Variants that differ in numbers alone have one row; test_full_size.py builds them all.
TINY_ARGUMENTS = {
    "alexnet": {
        "input_shape": (63, 63, 2), "num_classes": 3, "width": 4, "dense_width": 64,
        "dropout_rate": 0.0,
    },
    "bert_base": {"num_classes": 3, **_BERT},
    "conv_lstm": {
        "input_shape": (3, 8, 8, 1), "horizon": 2, "widths": (4, 3), "input_kernel_size": 3,
        "state_kernel_size": 3, "patch_size": 2,
    },
    "convnext_tiny": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 1, 2, 1), "width": 8,
    },
    "deit_tiny_16": _VIT,
    "deit_tiny_distilled_16": {**_VIT, "num_classes": 4},
    "densenet121": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 2, 1, 1), "growth_rate": 4,
        "width": 8,
    },
    "efficientnet_b0": {
        "input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25,
        "depth_multiplier": 0.5,
    },
    "googlenet": {"input_shape": (32, 32, 2), "num_classes": 3, "width": 8},
    "gpt2": {
        "vocabulary_size": 11, "max_length": 9, "width": 8, "depth": 2, "num_heads": 2,
        "dropout_rate": 0.0,
    },
    "gru_classifier": {"num_classes": 3, **_TOKENS},
    "gru_forecaster": _FORECAST,
    "gru_language_model": _TOKENS,
    "gru_tagger": {"num_classes": 3, **_TOKENS},
    "lenet5": {"input_shape": (32, 32, 2), "num_classes": 3},
    "llama3_2_1b": _LLAMA,
    "llama3_8b": _LLAMA,
    "lstm_classifier": {"num_classes": 3, **_TOKENS},
    "lstm_forecaster": _FORECAST,
    "lstm_language_model": _TOKENS,
    "lstm_tagger": {"num_classes": 3, **_TOKENS},
    "minilm_l6": {"num_classes": 3, **_BERT},
    "mistral_7b": {**_LLAMA, "window": 2},
    "mixtral_8x7b": {**_LLAMA, "num_experts": 3},
    "mlp": {
        "input_shape": (5,), "num_classes": 3, "widths": (16, 12), "dropout_rate": 0.0,
        "input_dropout_rate": 0.0,
    },
    "mnist_cnn": {"input_shape": (4, 4, 2), "num_classes": 5},
    "mobilenet_v2": {"input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25},
    "mobilenet_v3_large": {"input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25},
    "mobilenet_v3_small": {"input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25},
    "perceptron": {"input_shape": (8,), "num_classes": 3},
    "qwen3_0_6b": {**_LLAMA, "head_width": 4},
    "qwen3_8b": {**_LLAMA, "head_width": 4},
    "residual_mlp": {
        "input_shape": (5,), "num_classes": 3, "width": 8, "hidden_width": 16,
        "hidden_dropout_rate": 0.0,
    },
    "resnet18": {"input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 1, 1, 1), "width": 8},
    "resnet50": {"input_shape": (32, 32, 2), "num_classes": 4, "depths": (1, 2, 1, 1), "width": 8},
    "resnet20_cifar": {"input_shape": (4, 4, 2), "num_classes": 3, "depth": 1, "width": 8},
    "resnext50": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 2, 1, 1), "groups": 4,
        "group_width": 16, "width": 8,
    },
    "rnn_classifier": {"num_classes": 3, **_TOKENS},
    "rnn_forecaster": _FORECAST,
    "rnn_language_model": _TOKENS,
    "rnn_tagger": {"num_classes": 3, **_TOKENS},
    "se_resnet50": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 2, 1, 1), "width": 8,
    },
    "seq2seq_bahdanau": {**_PAIRS, "attention_width": 5, "readout_width": 6},
    "seq2seq_luong": _PAIRS,
    "swin_tiny": {
        "input_shape": (16, 16, 2), "num_classes": 3, "depths": (2, 1), "width": 8, "num_heads": 2,
        "window_size": 3,
    },
    "t5_small": {**_TRANSFORMER, "head_width": 3},
    "t5_v1_1_small": {**_TRANSFORMER, "head_width": 3},
    "transformer_base": _TRANSFORMER,
    "unet": {"input_shape": (188, 188, 2), "num_classes": 3, "width": 4},
    "vgg11": {
        "input_shape": (32, 32, 2), "num_classes": 3, "width": 8, "dense_width": 64,
        "dropout_rate": 0.0,
    },
    "vgg11_bn": {
        "input_shape": (32, 32, 2), "num_classes": 3, "width": 8, "dense_width": 16,
        "dropout_rate": 0.0,
    },
    "vit_base_16": {**_VIT, "dropout_rate": 0.0},
}  # fmt: skip
OF_SEGMENTS = {"bert_base", "minilm_l6"}  # their second input
OF_PAIRS = {"t5_small", "t5_v1_1_small", "transformer_base"}  # of one vocabulary
OF_TABLES = {"mlp", "perceptron", "residual_mlp"}
OF_FRAMES = {"conv_lstm"}
OF_IMAGES = {name for name, each in TINY_ARGUMENTS.items() if "input_shape" in each}
OF_IMAGES -= OF_TABLES | OF_FRAMES
OF_TOKENS = [
    name for name, each in TINY_ARGUMENTS.items() if not {"input_shape", "num_features"} & set(each)
]
# These have dense layers over all positions, or know these; others take images of any size.
OF_ONE_SIZE = {"alexnet", "lenet5", "mnist_cnn", "vgg11", "vgg11_bn"}
OF_ONE_SIZE |= {"deit_tiny_16", "deit_tiny_distilled_16", "swin_tiny", "vit_base_16"}
# With logits of classes, of which there may be any number.
FORECASTERS = {"gru_forecaster", "lstm_forecaster", "rnn_forecaster"}
CLASSIFIERS = [name for name, each in TINY_ARGUMENTS.items() if "num_classes" in each]
# What is added to all examples alike, and batch normalization takes away again.
NO_GRADIENT = {
    "residual_mlp": ("input/bias", "block1_dense2/bias", "block2_dense2/bias"),
}
# Normalization by the few values that a smallest image gives enlarges rounding: trained on larger.
TRAINED_SHAPES = dict.fromkeys(["densenet121", "googlenet", "mobilenet_v2"], (96, 96, 2))
# The same on every backend, with seed 0: a checksum of the initial weights, and the first loss in
# training, here as PyTorch computes it in float64.
STARTS = {
    "alexnet": (0x51C9E272, 1.16574252),
    "bert_base": (0x317A0B7A, 1.09836471),
    "conv_lstm": (0xF7B87A4D, 0.695189297),
    "convnext_tiny": (0x5D289D48, 1.15833807),
    "deit_tiny_16": (0x1F7A5512, 1.09266245),
    "deit_tiny_distilled_16": (0xBB295568, 1.3962121),
    "densenet121": (0x1BD2002D, 1.14854646),
    "efficientnet_b0": (0x9015B0AD, 1.06653368),
    "googlenet": (0xCD6F62E6, 1.26415825),
    "gpt2": (0xA9CF0E4D, 2.38643098),
    "gru_classifier": (0xB3217088, 1.10277903),
    "gru_forecaster": (0x6F539D5E, 1.14496851),
    "gru_language_model": (0x383876AA, 2.39466596),
    "gru_tagger": (0xF9183E62, 1.09893298),
    "lenet5": (0xCF37B1CF, 1.07080793),
    "llama3_2_1b": (0x4D746E42, 2.40911346),
    "llama3_8b": (0x5787A8E1, 2.9309565),
    "lstm_classifier": (0x32802C0C, 1.09884),
    "lstm_forecaster": (0x77ACF2B9, 1.10971045),
    "lstm_language_model": (0x6D963373, 2.397645),
    "lstm_tagger": (0xAC78DAD5, 1.09652662),
    "minilm_l6": (0x788BC623, 1.09962606),
    "mistral_7b": (0x5787A8E1, 2.84931731),
    "mixtral_8x7b": (0xE6445B77, 2.83834261),
    "mlp": (0xEB04E169, 2.16485143),
    "mnist_cnn": (0x9BF455A3, 2.23342252),
    "mobilenet_v2": (0xEA4BDB78, 1.21957994),
    "mobilenet_v3_large": (0xC714FFE5, 1.08107615),
    "mobilenet_v3_small": (0xC7424EF6, 1.14640856),
    "perceptron": (0x11DA07A4, 1.76862562),
    "qwen3_0_6b": (0x8E42B21C, 2.37884826),
    "qwen3_8b": (0x0D8DC796, 2.68862232),
    "residual_mlp": (0x8AEEF8FB, 1.19136715),
    "resnet18": (0xC84A5833, 1.3736285),
    "resnet20_cifar": (0xBE370AB7, 1.61776173),
    "resnet50": (0x323CBB8A, 2.25345778),
    "resnext50": (0x2F18060E, 1.80796337),
    "rnn_classifier": (0x36C61035, 1.09922445),
    "rnn_forecaster": (0x445DCD33, 1.46371615),
    "rnn_language_model": (0xBC0AD2C6, 2.41940403),
    "rnn_tagger": (0x73281CFA, 1.09636223),
    "se_resnet50": (0x31DF5E63, 0.987336874),
    "seq2seq_bahdanau": (0x35F56058, 2.39939165),
    "seq2seq_luong": (0xB054C12A, 2.39784169),
    "swin_tiny": (0xA256A619, 1.08981442),
    "t5_small": (0xEA4D7D87, 3.27682233),
    "t5_v1_1_small": (0x872D6B08, 2.14647841),
    "transformer_base": (0x2AFED02C, 2.76964784),
    "unet": (0x6C540145, 1.54000139),
    "vgg11": (0x7202C9E6, 1.14153945),
    "vgg11_bn": (0xE1D1FB17, 1.16431677),
    "vit_base_16": (0x1F7A5512, 1.09396577),
}
BATCH, TIME = 6, 5
# Training steps until the loss has halved, where 12 do not reach: deep, and without normalization,
# or from small weights.
STEPS = {"unet": 40, "vgg11": 20}
STEPS |= {"deit_tiny_16": 20, "deit_tiny_distilled_16": 25, "swin_tiny": 20, "vit_base_16": 20}
STEPS_OF_OTHERS = 100  # than images: fast, and small

every_model = pytest.mark.parametrize("name", TINY_ARGUMENTS)
# These are tried in all ways on every backend, and by `make test` the others on one: tests/parity
# has their outputs on every backend, and of each kind of layer those in training and the gradients.
OF_EACH_KIND = {"gpt2", "gru_forecaster", "lstm_tagger", "mlp", "resnet18", "vit_base_16"}


def each_kind(names):
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=[] if name in OF_EACH_KIND else pytest.mark.any_backend)
            for name in names
        ],
    )


every_classifier = pytest.mark.parametrize("name", CLASSIFIERS)


def tiny_arguments(name):
    return TINY_ARGUMENTS[name]


def tiny_model(name, **arguments):
    return zoo.build(name, **{"seed": 0, **tiny_arguments(name), **arguments})


def tiny_batch(name, shape=None):
    """Inputs, and labels for every position that has logits: an image, a pixel, a token.

    Every class occurs. A forecast has numbers for labels.
    """
    arguments, random = tiny_arguments(name), np.random.default_rng(0)

    def tokens(vocabulary_size, time):
        return random.integers(1, vocabulary_size, (BATCH, time), dtype="int32")

    if "input_shape" in arguments:
        inputs = random.normal(size=(BATCH, *(shape or arguments["input_shape"])))
        inputs = inputs.astype("float32")
    elif "num_features" in arguments:
        inputs = random.normal(size=(BATCH, TIME, arguments["num_features"])).astype("float32")
    elif name in OF_PAIRS:
        inputs = [tokens(arguments["vocabulary_size"], time) for time in (TIME + 2, TIME)]
    elif "vocabulary_size" in arguments:
        inputs = tokens(arguments["vocabulary_size"], TIME)
        if name in OF_SEGMENTS:
            inputs = [inputs, random.integers(0, 2, (BATCH, TIME), dtype="int32")]
    else:
        sizes = arguments["source_vocabulary_size"], arguments["target_vocabulary_size"]
        inputs = [tokens(sizes[0], TIME + 2), tokens(sizes[1], TIME)]
    shape = (BATCH, *(TIME if size is None else size for size in position(name)[1:]))
    if name in FORECASTERS:
        return inputs, random.normal(size=(*shape, num_logits(name))).astype("float32")
    if name in OF_FRAMES:
        return inputs, random.integers(0, 2, (*shape, num_logits(name))).astype("float32")
    labels = np.arange(BATCH).reshape(-1, *[1] * (len(shape) - 1)) % num_logits(name)
    return inputs, np.broadcast_to(labels, shape)


def num_logits(name):
    arguments = tiny_arguments(name)
    if name in OF_FRAMES:
        return arguments["input_shape"][-1]
    sizes = ("num_classes", "vocabulary_size", "target_vocabulary_size", "num_features")
    return next(arguments[size] for size in sizes if size in arguments)


def position(name):
    """The shape of what has logits: an example, a pixel, a token, or a step that is forecast."""
    each_token = ("_tagger", "_language_model", "minilm_l6")
    decoders = ("seq2seq_", "gpt2", "llama", "mistral", "mixtral", "qwen3")
    if name.endswith(each_token) or name.startswith(decoders) or name in OF_PAIRS:
        return (None, None)
    if name in FORECASTERS:
        return (None, tiny_arguments(name)["horizon"])
    if name in OF_FRAMES:
        return (None, tiny_arguments(name)["horizon"], 8, 8)
    return (None, 4, 4) if name == "unet" else (None,)  # 184 pixels less each way


def inference(model, images):
    if keras.backend.backend() == "jax":  # which takes long to compile each operation on its own
        return model.predict_on_batch(images)
    return ops.convert_to_numpy(model(images))


def some(inputs, indices):
    """Some examples of a batch."""
    return [each[indices] for each in inputs] if isinstance(inputs, list) else inputs[indices]


class Fresh(NamedTuple):
    model: keras.Model  # built once, and then trained by trained() below
    weights: list  # its initial ones
    inputs: np.ndarray | list
    labels: np.ndarray
    logits: np.ndarray  # of the initial weights


@functools.cache
def fresh(name):
    """A new model, and what it says of a batch."""
    model, (inputs, labels) = tiny_model(name), tiny_batch(name)
    return Fresh(model, model.get_weights(), inputs, labels, inference(model, inputs))


def test_table_has_a_row_for_every_function_that_builds_models():
    """Variants of a name, but for its number, may share the row of one of them."""

    def family(name):
        return zoo._MODULES[name], re.sub(
            "[0-9]+|_b[0-9]|_(tiny|small|base|medium|large|huge|big|xl|xxl|[0-9]+b)(?=_|$)",
            "",
            name,
        )

    rows = {family(name) for name in TINY_ARGUMENTS if name != "resnet18"}  # another block
    assert rows >= {family(name) for name in zoo.list_models()}, "give a row to TINY_ARGUMENTS"


@pytest.mark.any_backend
@pytest.mark.parametrize("name", OF_TOKENS)
def test_tokens_outside_of_the_vocabulary_are_refused(name):
    model, _, inputs, _, _ = fresh(name)
    arguments, inputs = tiny_arguments(name), inputs if isinstance(inputs, list) else [inputs]
    for index, each in enumerate(model.inputs):
        size = 2 if each.name == "segments" else arguments.get("vocabulary_size")
        size = size or arguments[f"{each.name}_vocabulary_size"]
        for unknown in (size, -1):
            changed = [np.copy(other) for other in inputs]
            changed[index][1, -2] = unknown
            said = f"known_{each.name} must be integers of 0 to {size - 1}, got {unknown}: give"
            with pytest.raises(ValueError, match=said):
                model(changed if len(changed) > 1 else changed[0])


@every_model
def test_is_a_model_of_its_name_and_shapes(name):
    model, _, inputs, _, _ = fresh(name)
    assert isinstance(model, keras.Model)
    assert model.name == name
    shapes = [
        (None, *each.shape[1:])
        if "input_shape" in tiny_arguments(name)
        else (None, None, *each.shape[2:])
        for each in (inputs if isinstance(inputs, list) else [inputs])
    ]
    assert [each.shape for each in model.inputs] == shapes
    assert model.output_shape == (*position(name), num_logits(name))
    assert all(variable.dtype == "float32" for variable in model.weights)


@every_model
def test_outputs_are_logits(name):
    _, _, _, labels, logits = fresh(name)
    assert logits.shape == (*labels.shape[: len(position(name))], num_logits(name))
    assert logits.dtype == np.float32
    assert logits.min() < 0 < logits.max()
    # Neither probabilities nor their logarithms; of one logit the signs tell.
    if num_logits(name) > 1:
        assert np.all(np.abs(logits.sum(axis=-1) - 1) > 1e-3)
        assert np.all(np.abs(np.exp(logits).sum(axis=-1) - 1) > 1e-3)


@every_model
def test_no_leak_between_examples(name):
    """An example has the same logits at another place, beside others."""
    model, _, inputs, _, _ = fresh(name)
    places = [2, 2, 1, 0, 1, 2]
    together, moved = inference(model, inputs), inference(model, some(inputs, places))
    scale = max(1, np.abs(together).max())
    np.testing.assert_allclose(moved, together[places], rtol=0, atol=1e-5 * scale)
    assert np.all(np.ptp(together, axis=0) > 0)  # each logit depends on the image


@pytest.mark.any_backend
@every_classifier
def test_one_class(name):
    assert tiny_model(name, num_classes=1).output_shape == (*position(name), 1)


# Of two heads, test_vit.py.
@each_kind([name for name in CLASSIFIERS if "distilled" not in name])
def test_without_a_head_it_gives_what_the_head_sees(name):
    """And any number of examples may be in a batch."""
    _, weights, inputs, _, logits = fresh(name)
    features = tiny_model(name, num_classes=None)
    *below, kernel, bias = weights
    assert [each.shape for each in features.weights] == [each.shape for each in below]
    features.set_weights(below)
    kernel = kernel.reshape(kernel.shape[-2:]).astype("float64")
    expected = inference(features, some(inputs, slice(2))) @ kernel + bias
    np.testing.assert_allclose(logits[:2], expected, rtol=1e-4, atol=1e-4)


@each_kind(sorted(OF_IMAGES - OF_ONE_SIZE))
def test_images_of_any_size(name):
    height, width, channels = tiny_arguments(name)["input_shape"]
    flexible = tiny_model(name, input_shape=(None, None, channels))
    _, weights, inputs, _, logits = fresh(name)
    flexible.set_weights(weights)
    larger = (height + 16, width + 48, channels)
    model, (images, _) = tiny_model(name, input_shape=larger), tiny_batch(name, larger)
    model.set_weights(weights)
    for each, expected in [(inputs, logits), (images, inference(model, images))]:
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(inference(flexible, each), expected, atol=1e-5 * scale)


class Trained(NamedTuple):
    model: keras.Model
    inputs: np.ndarray | list
    checksum: int  # of the initial weights
    before: dict  # the trainable weights
    after: dict  # the same after one step
    losses: list  # before each step


def compiled(name, model):
    if name in FORECASTERS:
        loss, metric = keras.losses.MeanSquaredError(), "mae"
    elif name in OF_FRAMES:
        loss, metric = keras.losses.BinaryCrossentropy(from_logits=True), "mae"
    else:
        loss, metric = keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy"
    rate = 0.003 if name in OF_IMAGES else 0.02
    model.compile(keras.optimizers.Adam(rate), loss, metrics=[metric])
    return model


@functools.cache
def trained(name):
    """A model after some steps of Keras's ``fit`` on one batch."""
    if name in TRAINED_SHAPES:
        shape = TRAINED_SHAPES[name]
        model, batch = tiny_model(name, input_shape=shape), tiny_batch(name, shape)
    else:
        model, _, *batch, _ = fresh(name)
    compiled(name, model)
    checksum = 0
    for value in model.get_weights():
        checksum = zlib.crc32(np.ascontiguousarray(value), checksum)

    def train(steps):  # on all of the batch
        history = model.fit(*batch, BATCH, epochs=steps, shuffle=False, verbose=0)
        return history.history["loss"]

    before = trainable_values(model)
    losses = train(1)
    after = trainable_values(model)
    losses += train(STEPS.get(name, 12 if name in OF_IMAGES else STEPS_OF_OTHERS) - 1)
    return Trained(model, batch[0], checksum, before, after, losses)


@pytest.fixture(scope="module", autouse=True)
def freed_at_the_end():
    yield
    fresh.cache_clear()
    trained.cache_clear()


def trainable_values(model):
    return {
        variable.path: ops.convert_to_numpy(variable).copy()
        for variable in model.trainable_variables
    }


@each_kind(TINY_ARGUMENTS)
def test_every_weight_has_a_gradient(name):
    # Adam's first step is as long for a small gradient as for a large one, so rounding hides
    # none; it stays where the gradient is zero, and is not finite where the gradient is not.
    before, after = trained(name).before, trained(name).after
    for path in before:
        assert np.all(np.isfinite(after[path])), path
        assert np.any(after[path] != before[path]) or path in NO_GRADIENT.get(name, ()), path


@each_kind(TINY_ARGUMENTS)
def test_every_backend_starts_from_the_same_weights_with_the_same_loss(name):
    checksum, loss = trained(name).checksum, trained(name).losses[0]
    if name not in STARTS:
        pytest.fail(f'no row in STARTS of {__file__}: add "{name}": (0x{checksum:08x}, {loss:.9g})')
    weights, first_loss = STARTS[name]
    assert hex(checksum) == hex(weights)
    assert loss == pytest.approx(first_loss, rel=5e-6)


@each_kind(TINY_ARGUMENTS)
def test_loss_falls(name):
    losses = trained(name).losses
    assert np.mean(losses[-3:]) < 0.5 * losses[0]


# Of each kind of labels: of an example, a pixel, a token, and numbers.
@pytest.mark.parametrize("name", ["mlp", "unet", "lstm_tagger", "lstm_forecaster", "conv_lstm"])
def test_evaluate(name):
    model, (inputs, labels) = tiny_model(name), tiny_batch(name)
    compiled(name, model)
    logits = inference(model, inputs).astype("float64")
    if name in FORECASTERS | OF_FRAMES:
        losses = (logits - labels) ** 2
        if name in OF_FRAMES:
            losses = np.log1p(np.exp(logits)) - labels * logits
        expected = {"loss": losses.mean(), "mae": np.abs(logits - labels).mean()}
    else:
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        losses = -np.take_along_axis(log_probabilities, labels[..., None], axis=-1)
        accuracy = np.mean(logits.argmax(axis=-1) == labels)
        expected = {"loss": losses.mean(), "accuracy": accuracy}
    evaluated = model.evaluate(inputs, labels, batch_size=BATCH, verbose=0, return_dict=True)
    assert evaluated == pytest.approx(expected, rel=1e-5)


LOAD = """
import sys
from pathlib import Path

import custom_layers
import keras
import numpy as np
from tests import initial_zeros

for each in initial_zeros.RANDOM:
    each.__call__ = initial_zeros.zeros
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    print("loading", path.name, file=sys.stderr)
    np.savez(path.with_suffix(".npz"), *keras.models.load_model(path).get_weights())
assert not any(module.split(".")[0] in ("zoo", "recipes") for module in sys.modules)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory, request):
    """A folder with the models, trained, and with the weights that a fresh process loads.

    One process for all models: most of its time goes into starting the backend.
    """
    folder = tmp_path_factory.mktemp("models")
    tests = [each for each in request.session.items if each.path == request.path]
    for name in {each.callspec.params["name"] for each in tests if "saved" in each.fixturenames}:
        # Trained, so that no variable has the value that a new model gives it.
        trained(name).model.save(folder / f"{name}.keras")
    process = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)],
        env={
            **os.environ,
            "KERAS_BACKEND": keras.backend.backend(),
            "PYTHONPATH": str(Path(zoo.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return folder


@each_kind(TINY_ARGUMENTS)
def test_saved_model_is_the_same_here_and_in_a_fresh_process(name, saved, monkeypatch):
    model, images = trained(name)[:2]
    for each in initial_zeros.RANDOM:
        monkeypatch.setattr(each, "__call__", initial_zeros.zeros)
    loaded = keras.models.load_model(saved / f"{name}.keras")
    # PyTorch's product rounds by how a matrix lies in memory, which is transposed where Keras has
    # begun with an orthogonal one.
    expected = inference(model, images)
    rounding = 1e-6 * np.abs(expected).max() if name.startswith("rnn_") else 0
    np.testing.assert_allclose(inference(loaded, images), expected, rtol=0, atol=rounding)
    weights = np.load(saved / f"{name}.npz")
    assert len(weights) == len(model.weights)
    for here, there in zip(model.get_weights(), weights.values(), strict=True):
        np.testing.assert_array_equal(there, here)


@each_kind(TINY_ARGUMENTS)
def test_mixed_float16(name):
    _, weights, inputs, _, expected = fresh(name)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tiny_model(name)
    finally:
        keras.config.set_dtype_policy(before)
    assert all(variable.dtype == "float32" for variable in model.weights)
    model.set_weights(weights)
    logits = model.predict(some(inputs, slice(3)), verbose=0)  # any number of examples
    assert logits.dtype == np.float16
    assert np.all(np.isfinite(logits))
    # float16 has 11 bits; errors of a few layers add up.
    atol = 0.02 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(logits, expected[:3], rtol=0, atol=atol)


IMPOSSIBLE_SHAPES = {
    "height too small": lambda height, width, channels: (height - 1, width, channels),
    "width too small": lambda height, width, channels: (height, width - 1, channels),
    "two dimensions": lambda height, width, channels: (height, width),
    "four dimensions": lambda height, width, channels: (1, height, width, channels),
    "unknown height": lambda height, width, channels: (None, width, channels),
    "unknown width": lambda height, width, channels: (height, None, channels),
    "unknown channels": lambda height, width, channels: (height, width, None),
    "negative height": lambda height, width, channels: (-height, width, channels),
    "negative channels": lambda height, width, channels: (height, width, -channels),
    "no channels": lambda height, width, channels: (height, width, 0),
    "fraction": lambda height, width, channels: (height + 0.5, width, channels),
    "an integer": lambda height, width, channels: height,
    "text": lambda height, width, channels: f"{height}x{width}",
    "nothing": lambda height, width, channels: None,
}


@pytest.mark.parametrize("name", sorted(OF_IMAGES))
@pytest.mark.parametrize("impossible", IMPOSSIBLE_SHAPES)
def test_impossible_input_shape_is_refused(name, impossible):
    if impossible in ("unknown height", "unknown width") and name not in OF_ONE_SIZE:
        return  # test_images_of_any_size
    shape = IMPOSSIBLE_SHAPES[impossible](*tiny_arguments(name)["input_shape"])
    with pytest.raises(ValueError, match=rf"{name} needs .*got {re.escape(repr(shape))}"):
        zoo.build(name, input_shape=shape)


@pytest.mark.parametrize("name", sorted(OF_TABLES))
@pytest.mark.parametrize(
    "shape", [(), (0,), (-3,), (None,), (2.5,), (2, 3), (1, 2, 3, 4), 5, "5", None]
)
def test_impossible_shape_of_a_table_is_refused(name, shape):
    with pytest.raises(ValueError, match=rf"{name} needs .*got {re.escape(repr(shape))}"):
        zoo.build(name, input_shape=shape)
