"""One contract for every model of the catalog."""

import functools
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from recipes.training.gradient_step import gradient_step

# The smallest input that a model takes (one pixel less must be refused), and some classes.
TINY_ARGUMENTS = {
    "lenet5": {"input_shape": (32, 32, 2), "num_classes": 3},
    "mnist_cnn": {"input_shape": (4, 4, 2), "num_classes": 5},
}
# The same on every backend, with seed 0: a checksum of the initial weights, and the first loss in
# training, to 1e-5 between any two.
STARTS = {
    "lenet5": (0xCF37B1CF, 1.07080787),
    "mnist_cnn": (0x9BF455A3, 2.23342264),
}
BATCH = 6

every_model = pytest.mark.parametrize("name", zoo.list_models())


def tiny_arguments(name):
    if name not in TINY_ARGUMENTS:
        pytest.fail(f"{name} is in the catalog: give it a row in TINY_ARGUMENTS of {__file__}")
    return TINY_ARGUMENTS[name]


def tiny_model(name, **arguments):
    keras.utils.set_random_seed(0)
    return zoo.build(name, **{**tiny_arguments(name), **arguments})


def tiny_batch(name, size=BATCH):
    """Images and labels; every class occurs."""
    arguments = tiny_arguments(name)
    generator = np.random.default_rng(0)
    images = generator.normal(size=(size, *arguments["input_shape"])).astype("float32")
    return images, np.arange(size) % arguments["num_classes"]


def inference(model, images):
    return ops.convert_to_numpy(model(images))


def cross_entropy(labels, logits):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def test_table_has_a_row_for_every_model():
    assert set(TINY_ARGUMENTS) == set(zoo.list_models()), "TINY_ARGUMENTS is not the catalog"


@every_model
def test_is_a_model_of_its_name_and_shapes(name):
    model = tiny_model(name)
    assert isinstance(model, keras.Model)
    assert model.name == name
    assert model.input_shape == (None, *tiny_arguments(name)["input_shape"])
    assert model.output_shape == (None, tiny_arguments(name)["num_classes"])
    assert all(variable.dtype == "float32" for variable in model.weights)


@every_model
def test_outputs_are_logits(name):
    images, _ = tiny_batch(name)
    logits = inference(tiny_model(name), images)
    assert logits.shape == (BATCH, tiny_arguments(name)["num_classes"])
    assert logits.dtype == np.float32
    assert logits.min() < 0 < logits.max()
    # Neither probabilities nor their logarithms.
    assert np.all(np.abs(logits.sum(axis=1) - 1) > 1e-3)
    assert np.all(np.abs(np.exp(logits).sum(axis=1) - 1) > 1e-3)


@every_model
def test_every_batch_size_and_no_leak_between_examples(name):
    model, (images, _) = tiny_model(name), tiny_batch(name)
    together = inference(model, images)
    apart = model.predict(images, batch_size=4, verbose=0)  # 4 and 2
    np.testing.assert_allclose(apart, together, rtol=0, atol=1e-5)
    assert np.all(np.ptp(together, axis=0) > 0)  # each logit depends on the image


@every_model
@pytest.mark.parametrize("num_classes", [1, 7])
def test_num_classes(name, num_classes):
    assert tiny_model(name, num_classes=num_classes).output_shape == (None, num_classes)


@functools.cache
def trained(name):
    """(model after some steps, weights before, weights after one step, losses before each)."""
    model, (images, labels) = tiny_model(name), tiny_batch(name)
    step = gradient_step(
        lambda images, labels: cross_entropy(labels, model(images, training=True)),
        model,
        keras.optimizers.Adam(0.003),
    )
    before = trainable_values(model)
    losses = [float(step(images, labels))]
    after = trainable_values(model)
    losses += [float(step(images, labels)) for _ in range(11)]
    return model, before, after, losses


def trainable_values(model):
    return {
        variable.path: ops.convert_to_numpy(variable).copy()
        for variable in model.trainable_variables
    }


@every_model
def test_every_weight_has_a_gradient(name):
    # Adam's first step is as long for a small gradient as for a large one, so rounding hides
    # none; it stays where the gradient is zero, and is not finite where the gradient is not.
    _, before, after, _ = trained(name)
    for path in before:
        assert np.all(np.isfinite(after[path])), path
        assert np.any(after[path] != before[path]), path


@every_model
def test_every_backend_starts_from_the_same_weights_with_the_same_loss(name):
    model, (images, labels) = zoo.build(name, seed=0, **tiny_arguments(name)), tiny_batch(name)
    checksum = 0
    for value in model.get_weights():
        checksum = zlib.crc32(np.ascontiguousarray(value), checksum)
    loss = ops.convert_to_numpy(cross_entropy(labels, model(images, training=True)))
    if name not in STARTS:
        pytest.fail(f'no row in STARTS of {__file__}: add "{name}": (0x{checksum:08x}, {loss:.9g})')
    weights, first_loss = STARTS[name]
    assert hex(checksum) == hex(weights)
    assert loss == pytest.approx(first_loss, rel=5e-6)


@every_model
def test_loss_falls(name):
    _, _, _, losses = trained(name)
    assert np.mean(losses[-3:]) < 0.5 * losses[0]


@every_model
def test_fit_and_evaluate(name):
    model, (images, labels) = tiny_model(name), tiny_batch(name)
    before = trainable_values(model)
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(images, labels, batch_size=3, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert all(np.any(value != before[path]) for path, value in trainable_values(model).items())

    loss, accuracy = model.evaluate(images, labels, batch_size=BATCH, verbose=0)
    logits = inference(model, images).astype("float64")
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected_loss = -log_probabilities[np.arange(BATCH), labels].mean()
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    np.testing.assert_allclose(accuracy, np.mean(logits.argmax(axis=1) == labels), rtol=1e-6)


LOAD_AND_PREDICT = """
import sys
from pathlib import Path

import custom_layers
import keras
import numpy as np

for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    print("loading", path.name, file=sys.stderr)
    model = keras.models.load_model(path)
    images = np.load(path.with_suffix(".images.npy"))
    np.save(path.with_suffix(".loaded.npy"), keras.ops.convert_to_numpy(model(images)))
assert not any(module.split(".")[0] in ("zoo", "recipes") for module in sys.modules)
"""


@pytest.fixture(scope="module")
def saved_and_loaded(tmp_path_factory):
    """{name: (logits here, logits of the saved model loaded in a fresh process)}.

    One process for all models: most of its time goes into starting the backend.
    """
    folder = tmp_path_factory.mktemp("models")
    logits = {}
    # A model without a row in the table is left to its own tests.
    for name in set(zoo.list_models()) & set(TINY_ARGUMENTS):
        # Trained, so that no variable has the value that a new model gives it.
        (model, *_), (images, _) = trained(name), tiny_batch(name)
        logits[name] = inference(model, images)
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.images.npy", images)
    process = subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, str(folder)],
        env={
            **os.environ,
            "KERAS_BACKEND": keras.backend.backend(),
            "PYTHONPATH": str(Path(zoo.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return {name: (logits[name], np.load(folder / f"{name}.loaded.npy")) for name in logits}


@every_model
def test_saved_model_predicts_the_same_in_a_fresh_process(name, saved_and_loaded):
    tiny_arguments(name)
    here, loaded = saved_and_loaded[name]
    np.testing.assert_array_equal(loaded, here)


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
    np.testing.assert_allclose(logits, inference(full_precision, images), rtol=0, atol=0.02)


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
    shape = IMPOSSIBLE_SHAPES[impossible](*tiny_arguments(name)["input_shape"])
    with pytest.raises(ValueError, match=rf"{name} needs .*got {re.escape(repr(shape))}"):
        zoo.build(name, input_shape=shape)
