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

# The smallest input that a model takes (one pixel less must be refused), some classes, few maps.
# Variants that differ in numbers alone have one row; test_full_size.py builds them all.
TINY_ARGUMENTS = {
    "alexnet": {
        "input_shape": (63, 63, 2), "num_classes": 3, "width": 4, "dense_width": 64,
        "dropout_rate": 0.0,
    },
    "convnext_tiny": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 1, 2, 1), "width": 8,
    },
    "densenet121": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 2, 1, 1), "growth_rate": 4,
        "width": 8,
    },
    "efficientnet_b0": {
        "input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25,
        "depth_multiplier": 0.5,
    },
    "googlenet": {"input_shape": (32, 32, 2), "num_classes": 3, "width": 8},
    "lenet5": {"input_shape": (32, 32, 2), "num_classes": 3},
    "mnist_cnn": {"input_shape": (4, 4, 2), "num_classes": 5},
    "mobilenet_v2": {"input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25},
    "mobilenet_v3_large": {"input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25},
    "mobilenet_v3_small": {"input_shape": (32, 32, 2), "num_classes": 3, "width_multiplier": 0.25},
    "resnet18": {"input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 1, 1, 1), "width": 8},
    "resnet50": {"input_shape": (32, 32, 2), "num_classes": 4, "depths": (1, 2, 1, 1), "width": 8},
    "resnet20_cifar": {"input_shape": (4, 4, 2), "num_classes": 3, "depth": 1, "width": 8},
    "resnext50": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 2, 1, 1), "groups": 4,
        "group_width": 16, "width": 8,
    },
    "se_resnet50": {
        "input_shape": (32, 32, 2), "num_classes": 3, "depths": (1, 2, 1, 1), "width": 8,
    },
    "unet": {"input_shape": (188, 188, 2), "num_classes": 3, "width": 4},
    "vgg11": {
        "input_shape": (32, 32, 2), "num_classes": 3, "width": 8, "dense_width": 64,
        "dropout_rate": 0.0,
    },
    "vgg11_bn": {
        "input_shape": (32, 32, 2), "num_classes": 3, "width": 8, "dense_width": 16,
        "dropout_rate": 0.0,
    },
}  # fmt: skip
# These have dense layers over all positions; others take images of any size.
OF_ONE_SIZE = {"alexnet", "lenet5", "mnist_cnn", "vgg11", "vgg11_bn"}
# Normalization by the few values that a smallest image gives enlarges rounding: trained on larger.
TRAINED_SHAPES = dict.fromkeys(["densenet121", "googlenet", "mobilenet_v2"], (96, 96, 2))
# The same on every backend, with seed 0: a checksum of the initial weights, and the first loss in
# training, here as PyTorch computes it in float64.
STARTS = {
    "alexnet": (0x51C9E272, 1.16574252),
    "convnext_tiny": (0x5D289D48, 1.15833807),
    "densenet121": (0x1BD2002D, 1.14854646),
    "efficientnet_b0": (0x9015B0AD, 1.06653368),
    "googlenet": (0xCD6F62E6, 1.26415825),
    "lenet5": (0xCF37B1CF, 1.07080793),
    "mnist_cnn": (0x9BF455A3, 2.23342252),
    "mobilenet_v2": (0xEA4BDB78, 1.21957994),
    "mobilenet_v3_large": (0xC714FFE5, 1.08107615),
    "mobilenet_v3_small": (0xC7424EF6, 1.14640856),
    "resnet18": (0xC84A5833, 1.3736285),
    "resnet20_cifar": (0xBE370AB7, 1.61776173),
    "resnet50": (0x323CBB8A, 2.25345778),
    "resnext50": (0x2F18060E, 1.80796337),
    "se_resnet50": (0x31DF5E63, 0.987336874),
    "unet": (0x6C540145, 1.54000139),
    "vgg11": (0x7202C9E6, 1.14153945),
    "vgg11_bn": (0xE1D1FB17, 1.16431677),
}
BATCH = 6
# Training steps until the loss has halved, where 12 do not reach: deep, and without normalization.
STEPS = {"unet": 40, "vgg11": 20}

every_model = pytest.mark.parametrize("name", TINY_ARGUMENTS)


def tiny_arguments(name):
    return TINY_ARGUMENTS[name]


def tiny_model(name, **arguments):
    return zoo.build(name, **{"seed": 0, **tiny_arguments(name), **arguments})


def tiny_batch(name, shape=None):
    """Images and labels, one an image or one a pixel; every class occurs."""
    arguments = tiny_arguments(name)
    shape = shape or arguments["input_shape"]
    images = np.random.default_rng(0).normal(size=(BATCH, *shape)).astype("float32")
    labels = np.arange(BATCH) % arguments["num_classes"]
    if name == "unet":  # whose maps have 184 pixels less each way
        labels = np.broadcast_to(labels[:, None, None], (BATCH, 4, 4))
    return images, labels


def inference(model, images):
    return ops.convert_to_numpy(model(images))


def test_table_has_a_row_for_every_function_that_builds_models():
    """Variants of a name, but for its number, may share the row of one of them."""

    def family(name):
        return zoo._MODULES[name], re.sub("[0-9]+|_b[0-9]|_(tiny|small|base|large)$", "", name)

    rows = {family(name) for name in TINY_ARGUMENTS if name != "resnet18"}  # another block
    assert rows >= {family(name) for name in zoo.list_models()}, "give a row to TINY_ARGUMENTS"


@every_model
def test_is_a_model_of_its_name_and_shapes(name):
    model = tiny_model(name)
    assert isinstance(model, keras.Model)
    assert model.name == name
    assert model.input_shape == (None, *tiny_arguments(name)["input_shape"])
    assert model.output_shape == (*position(name), tiny_arguments(name)["num_classes"])
    assert all(variable.dtype == "float32" for variable in model.weights)


def position(name):
    """The shape of what has logits: an image, or each of its pixels."""
    return (None, 4, 4) if name == "unet" else (None,)


@every_model
def test_outputs_are_logits(name):
    images, _ = tiny_batch(name)
    logits = inference(tiny_model(name), images)
    assert logits.shape == (BATCH, *position(name)[1:], tiny_arguments(name)["num_classes"])
    assert logits.dtype == np.float32
    assert logits.min() < 0 < logits.max()
    # Neither probabilities nor their logarithms.
    assert np.all(np.abs(logits.sum(axis=-1) - 1) > 1e-3)
    assert np.all(np.abs(np.exp(logits).sum(axis=-1) - 1) > 1e-3)


@every_model
def test_every_batch_size_and_no_leak_between_examples(name):
    model, (images, _) = tiny_model(name), tiny_batch(name)
    together = inference(model, images)
    apart = model.predict(images, batch_size=BATCH // 2, verbose=0)
    np.testing.assert_allclose(apart, together, rtol=0, atol=1e-5 * max(1, np.abs(together).max()))
    assert np.all(np.ptp(together, axis=0) > 0)  # each logit depends on the image


@every_model
@pytest.mark.parametrize("num_classes", [1, 7])
def test_num_classes(name, num_classes):
    shape = (*position(name), num_classes)
    assert tiny_model(name, num_classes=num_classes).output_shape == shape


@every_model
def test_without_a_head_it_gives_what_the_head_sees(name):
    model, (images, _) = tiny_model(name), tiny_batch(name)
    features = tiny_model(name, num_classes=None)
    assert [each.shape for each in features.weights] == [each.shape for each in model.weights[:-2]]
    features.set_weights(model.get_weights()[:-2])
    kernel, bias = (each.astype("float64") for each in model.get_layer("output").get_weights())
    expected = inference(features, images) @ kernel.reshape(kernel.shape[-2:]) + bias
    np.testing.assert_allclose(inference(model, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(TINY_ARGUMENTS.keys() - OF_ONE_SIZE))
def test_images_of_any_size(name):
    height, width, channels = tiny_arguments(name)["input_shape"]
    flexible = tiny_model(name, input_shape=(None, None, channels))
    for shape in [(height, width, channels), (height + 16, width + 48, channels)]:
        model = tiny_model(name, input_shape=shape)
        flexible.set_weights(model.get_weights())
        images, _ = tiny_batch(name, shape)
        expected = inference(model, images)
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(inference(flexible, images), expected, atol=1e-5 * scale)


class Trained(NamedTuple):
    model: keras.Model
    batch: tuple
    checksum: int  # of the initial weights
    logits: np.ndarray  # of the batch, before the first step
    evaluated: dict  # the same as evaluate() has it
    before: dict  # the trainable weights
    after: dict  # the same after one step
    losses: list  # before each step


@functools.cache
def trained(name):
    """A model after some steps of Keras's ``fit`` on one batch."""
    shape = TRAINED_SHAPES.get(name, tiny_arguments(name)["input_shape"])
    model = zoo.build(name, seed=0, **{**tiny_arguments(name), "input_shape": shape})
    batch = tiny_batch(name, shape)
    checksum = 0
    for value in model.get_weights():
        checksum = zlib.crc32(np.ascontiguousarray(value), checksum)
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def train(steps):  # on all of the batch
        history = model.fit(*batch, BATCH, epochs=steps, shuffle=False, verbose=0)
        return history.history["loss"]

    logits = inference(model, batch[0])
    evaluated = model.evaluate(*batch, batch_size=BATCH, verbose=0, return_dict=True)
    before = trainable_values(model)
    losses = train(1)
    after = trainable_values(model)
    losses += train(STEPS.get(name, 12) - 1)
    return Trained(model, batch, checksum, logits, evaluated, before, after, losses)


@pytest.fixture(scope="module", autouse=True)
def freed_at_the_end():
    yield
    trained.cache_clear()


def trainable_values(model):
    return {
        variable.path: ops.convert_to_numpy(variable).copy()
        for variable in model.trainable_variables
    }


@every_model
def test_every_weight_has_a_gradient(name):
    # Adam's first step is as long for a small gradient as for a large one, so rounding hides
    # none; it stays where the gradient is zero, and is not finite where the gradient is not.
    before, after = trained(name).before, trained(name).after
    for path in before:
        assert np.all(np.isfinite(after[path])), path
        assert np.any(after[path] != before[path]), path


@every_model
def test_every_backend_starts_from_the_same_weights_with_the_same_loss(name):
    checksum, loss = trained(name).checksum, trained(name).losses[0]
    if name not in STARTS:
        pytest.fail(f'no row in STARTS of {__file__}: add "{name}": (0x{checksum:08x}, {loss:.9g})')
    weights, first_loss = STARTS[name]
    assert hex(checksum) == hex(weights)
    assert loss == pytest.approx(first_loss, rel=5e-6)


@every_model
def test_loss_falls(name):
    losses = trained(name).losses
    assert np.mean(losses[-3:]) < 0.5 * losses[0]


@every_model
def test_evaluate(name):
    _, labels = trained(name).batch
    logits, evaluated = trained(name).logits.astype("float64"), trained(name).evaluated
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected_loss = -np.take_along_axis(log_probabilities, labels[..., None], axis=-1).mean()
    np.testing.assert_allclose(evaluated["loss"], expected_loss, rtol=1e-5)
    accuracy = np.mean(logits.argmax(axis=-1) == labels)
    np.testing.assert_allclose(evaluated["accuracy"], accuracy, rtol=1e-6)


LOAD = """
import sys
from pathlib import Path

import custom_layers
import keras
import numpy as np

for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    print("loading", path.name, file=sys.stderr)
    np.savez(path.with_suffix(".npz"), *keras.models.load_model(path).get_weights())
assert not any(module.split(".")[0] in ("zoo", "recipes") for module in sys.modules)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with every model, trained, and with the weights that a fresh process loads.

    One process for all models: most of its time goes into starting the backend.
    """
    folder = tmp_path_factory.mktemp("models")
    for name in TINY_ARGUMENTS:
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


@every_model
def test_saved_model_is_the_same_here_and_in_a_fresh_process(name, saved):
    model, (images, _) = trained(name)[:2]
    loaded = keras.models.load_model(saved / f"{name}.keras")
    np.testing.assert_array_equal(inference(loaded, images), inference(model, images))
    weights = np.load(saved / f"{name}.npz")
    assert len(weights) == len(model.weights)
    for here, there in zip(model.get_weights(), weights.values(), strict=True):
        np.testing.assert_array_equal(there, here)


@pytest.fixture
def mixed_float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@every_model
def test_mixed_float16(name, mixed_float16):
    model, (images, _) = tiny_model(name), tiny_batch(name)
    assert all(variable.dtype == "float32" for variable in model.weights)
    logits = model.predict(images, verbose=0)
    assert logits.dtype == np.float16
    assert np.all(np.isfinite(logits))
    keras.config.set_dtype_policy("float32")
    full_precision = tiny_model(name)
    full_precision.set_weights(model.get_weights())
    # float16 has 11 bits; errors of a few layers add up.
    expected = inference(full_precision, images)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=0.02 * max(1, np.abs(expected).max()))


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


@every_model
@pytest.mark.parametrize("impossible", IMPOSSIBLE_SHAPES)
def test_impossible_input_shape_is_refused(name, impossible):
    if impossible in ("unknown height", "unknown width") and name not in OF_ONE_SIZE:
        return  # test_images_of_any_size
    shape = IMPOSSIBLE_SHAPES[impossible](*tiny_arguments(name)["input_shape"])
    with pytest.raises(ValueError, match=rf"{name} needs .*got {re.escape(repr(shape))}"):
        zoo.build(name, input_shape=shape)
