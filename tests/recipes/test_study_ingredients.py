"""What the study computes, against Keras's own training and known figures."""

import inspect
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from recipes import study_ingredients as study
from recipes.data import mnist
from recipes.data.batches import cut_validation
from recipes.study_ingredients import (
    code_lines,
    largest_difference,
    learn_by_autodiff,
    learn_by_hand,
    network,
    seconds_a_step,
    spread,
)
from recipes.training.run import VALIDATION_FRACTION
from tests.recipes.spies import are_right, judged_again, spied_run

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (1000, 28, 28, 1)).astype("uint8")
ROWS = (IMAGES / 255).reshape(1000, 784)
LABELS = np.repeat(np.arange(10, dtype="int32"), 100)  # class by class, as the digits lie


class Verdicts(list):
    def verdict(self, statement, holds, measured):
        self.append((holds, measured))


@pytest.mark.parametrize(("depth", "activation"), [(1, "relu"), (6, "relu"), (6, "sigmoid")])
def test_the_networks_are_numpys(depth, activation):
    keras.utils.set_random_seed(0)
    model = network("model", depth, 16, activation)
    *hidden, kernel, bias = model.get_weights()
    assert len(hidden) == 2 * depth
    x = ROWS[:5]
    for each, offset in zip(hidden[::2], hidden[1::2], strict=True):
        sums = x @ each + offset
        x = np.maximum(sums, 0) if activation == "relu" else 1 / (1 + np.exp(-sums))
    found = model.predict(IMAGES[:5], verbose=0)
    np.testing.assert_allclose(found, x @ kernel + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("learn", [learn_by_hand, learn_by_autodiff])
def test_the_loops_train_as_keras_does(learn):
    keras.utils.set_random_seed(0)
    model = network("model", width=16)
    parts = [slice(first, None, 25) for first in range(4)]
    before = model.get_weights()
    tensors = ops.convert_to_tensor(ROWS, "float32"), ops.convert_to_tensor(LABELS)
    learn(model, [[tensor[part] for tensor in tensors] for part in parts])
    found = model.get_weights()
    model.set_weights(before)
    model.compile(
        keras.optimizers.SGD(study.LOOP_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for part in parts:
        model.train_on_batch(IMAGES[part], LABELS[part])
    for new, expected, old in zip(found, model.get_weights(), before, strict=True):
        assert np.abs(expected - old).max() > 1e-3
        np.testing.assert_allclose(new - old, expected - old, rtol=1e-3, atol=1e-6)


def spied_loops(monkeypatch, *changes):
    """(weights that each loop begins with, its batches), and moves by a change of its own."""
    seen = []

    def made(change):
        def learn(model, batches):
            begun = model.get_weights()
            arrays = [[ops.convert_to_numpy(array) for array in batch] for batch in batches]
            seen.append((begun, arrays))
            model.set_weights([weight + change for weight in begun])

        return learn

    for name, change in zip(("learn_by_hand", "learn_by_autodiff"), changes, strict=True):
        monkeypatch.setattr(study, name, made(change))
    return seen


def test_both_loops_begin_alike_and_see_the_same_digits(monkeypatch):
    seen = spied_loops(monkeypatch, 1.0, 1.0)
    model = network("model", width=4)
    expected = model.get_weights()
    study.compare_loops(Verdicts(), model, (IMAGES, LABELS))
    assert len(seen) == 2
    order = np.arange(1000).reshape(20, 50).T  # (batch, digits)
    for begun, batches in seen:
        for one, other in zip(begun, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        for (inputs, labels), places in zip(batches, order, strict=True):
            np.testing.assert_allclose(inputs, ROWS[places], rtol=1e-6)
            np.testing.assert_array_equal(labels, LABELS[places])
            assert set(np.bincount(labels)) == {2}


@pytest.mark.parametrize(
    ("changes", "lines", "holds"),
    [
        ((1.0, 1.0), (8, 7), True),
        ((1.0, 1.0), (7, 7), False),
        ((1.0, 1.0), (7, 8), False),
        ((1.0, 1.00005), (8, 7), True),
        ((1.0, 1.0002), (8, 7), False),
        ((0.5, 0.5001), (8, 7), False),
        ((1.0, -1.0), (8, 7), False),
    ],
)
def test_a_loop_has_to_be_shorter_and_to_do_the_same(monkeypatch, changes, lines, holds):
    spied_loops(monkeypatch, *changes)
    counts = dict(zip((study.learn_by_hand, study.learn_by_autodiff), lines, strict=True))
    monkeypatch.setattr(study, "code_lines", counts.get)
    verdicts = Verdicts()
    model = network("model", width=4)
    model.set_weights([0 * weight for weight in model.get_weights()])
    study.compare_loops(verdicts, model, (IMAGES, LABELS))
    ((found, measured),) = verdicts
    assert found == holds
    assert measured.startswith(f"{lines[1]} and {lines[0]} lines;")


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_loops_that_move_nothing_are_not_equal(monkeypatch):
    spied_loops(monkeypatch, 0.0, 0.0)
    counts = {study.learn_by_hand: 8, study.learn_by_autodiff: 7}
    monkeypatch.setattr(study, "code_lines", counts.get)
    verdicts = Verdicts()
    study.compare_loops(verdicts, network("model", width=4), (IMAGES, LABELS))
    assert not verdicts[0][0]


def test_the_largest_difference_is_relative_to_the_largest_value():
    ones, same = [np.ones(3), np.full((2, 2), -4.0)], [np.ones(3), np.full((2, 2), -4.0)]
    assert largest_difference(ones, same) == 0
    same[0][1] += 0.5
    same[1][0, 1] -= 0.25
    assert largest_difference(ones, same) == pytest.approx(0.125)


def test_lines_of_code_are_counted_without_what_only_explains_them():
    def four_lines(values):
        """Of which this is none,

        and neither is this.
        """
        # Nor this.
        number = 1

        def inner():

            return [
                number,
                2,
            ]  # One line.

    assert code_lines(four_lines) == 4


@pytest.mark.parametrize(("learn", "lines"), [(learn_by_hand, 12), (learn_by_autodiff, 9)])
def test_lines_of_the_loops_are_those_that_one_reads(learn, lines):
    """All of the file, as no statement takes two."""
    read = [line.strip() for line in inspect.getsource(learn).splitlines()]
    assert len([line for line in read if line and not line.startswith('"""')]) == lines
    assert code_lines(learn) == lines


@pytest.fixture
def begun(monkeypatch):
    """{model: what it begins with}, in the order of the gradient steps."""
    begun = {}
    make = study.gradient_step

    def remembered(compute_loss, model, optimizer):
        begun[model.name] = (model.get_weights(), model, optimizer)
        return make(compute_loss, model, optimizer)

    monkeypatch.setattr(study, "gradient_step", remembered)
    return begun


def test_what_the_networks_begin_with_and_see_and_what_is_told_of_them(
    begun, tmp_path, monkeypatch
):
    run, batches = spied_run(monkeypatch, study, tmp_path)("--epochs", "2")
    names = ["digits_30", "digits_300", "digits_3000", "relu", "sigmoid"]
    assert list(begun) == [*names, "loop"]
    for weight, other in zip(begun["relu"][0], begun["sigmoid"][0], strict=True):
        np.testing.assert_array_equal(weight, other)
    for name in names:
        activations = [layer.activation.__name__ for layer in begun[name][1].layers[2:-1]]
        depth, activation = (1, "relu") if name.startswith("digits") else (6, name)
        assert activations == [activation] * depth
        assert isinstance(begun[name][2], keras.optimizers.Adam)

    training, test = mnist.embedded()
    training, validation = cut_validation(training, VALIDATION_FRACTION, seed=0)
    steps, loop = batches[: -study.LOOP_STEPS], batches[-study.LOOP_STEPS :]
    seen = {}
    for index, name in enumerate(names):
        own = steps[index::5]
        assert len(own) == 2 * (len(training[0]) // 64)
        assert {pixels.shape for pixels, _ in own} == {(64, 28, 28, 1)}
        assert all(are_right(own, training))
        seen[name] = {each.tobytes() for pixels, _ in own for each in pixels}
    assert len(seen["digits_30"]) == 30
    assert 290 < len(seen["digits_300"]) <= 300
    assert 2200 < len(seen["digits_3000"]) <= 3000 < len(seen["relu"]) <= 3600
    assert seen["relu"] == seen["sigmoid"]
    found = [ops.convert_to_numpy(pixels) for pixels, _ in loop]
    expected = [training[0][first :: study.LOOP_STEPS] for first in range(study.LOOP_STEPS)]
    expected = np.concatenate(expected).reshape(-1, 784) / 255
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-6)

    saved = keras.models.load_model(run.folder / "model.keras")
    for found, part, (pixels, truth) in (
        (run.epochs[-1], "validation", validation), (run.test, "test", test),
    ):  # fmt: skip
        figures = [name for name in found if name.startswith(part)]
        assert figures == [f"{part}_{name}_accuracy" for name in names]
        for name in names:
            predicted = begun[name][1].predict(pixels, verbose=0).argmax(axis=1)
            assert found[f"{part}_{name}_accuracy"] == np.mean(predicted == truth)
    for one, other in zip(saved.get_weights(), begun["digits_3000"][1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    # Three points more are wanted each time, and ten of ReLU.
    monkeypatch.setattr(study, "compare_loops", lambda *anything: None)
    drawn = {}
    for name in ("graphs", "bars"):
        monkeypatch.setattr(study.plots, name, spied(getattr(study.plots, name), drawn, name))
    for scores, verdicts in (
        ((0.5, 0.5301, 0.9, 0.7, 0.5999), ["holds", "holds"]),
        ((0.5, 0.5299, 0.9, 0.7, 0.6001), ["does not hold"] * 2),
        ((0.5, 0.9, 0.9299, 0.5, 0.9), ["does not hold"] * 2),
    ):
        pairs = zip(names, scores, strict=True)
        known = {name: SimpleNamespace(accuracy=score) for name, score in pairs}
        monkeypatch.setattr(study, "classify", lambda model, _, known=known: known[model.name])
        judged = list(judged_again(run.folder).description["verdicts"].values())
        assert [each["verdict"] for each in judged[:2]] == verdicts
        sizes = zip(scores, ("30", "300", "3000"), strict=False)
        told = ", ".join(f"{100 * score:.1f}% of {size}" for score, size in sizes)
        assert judged[0]["measured"] == f"test accuracy {told}, 3 points asked each time"
        (panels, *_), (bars, *_) = drawn["graphs"], drawn["bars"]
        assert panels == {"test accuracy": {"two layers": ((30, 300, 3000), list(scores[:3]))}}
        assert list(bars.values()) == [100 * each for each in scores[3:]]


def spied(function, calls, name):
    """The function, which keeps what it was given last."""

    def call(*given, **options):
        calls[name] = given
        return function(*given, **options)

    return call


@pytest.mark.parametrize("size", [30, 300, 3000, 3600])
def test_digits_are_taken_evenly_from_every_class(size):
    labels = np.repeat(np.arange(10), 360)
    indices = spread(len(labels), size)
    assert len(set(indices)) == size
    assert set(np.bincount(labels[indices])) == {size // 10}


def test_a_step_takes_time_and_a_larger_one_takes_more():
    small, large = (seconds_a_step("cpu:0", width, 64, steps=5) for width in (8, 1024))
    assert 0 < small < large


@pytest.mark.parametrize(
    ("gpu", "found"),
    [
        (None, (None, "there is no GPU")),
        (0.004, (True, "4 ms, and 10 ms on the CPU")),
        (0.006, (False, "6 ms, and 10 ms on the CPU")),
    ],
)
def test_a_gpu_has_to_be_twice_as_fast(monkeypatch, gpu, found):
    times = {"cpu:0": 0.01, "gpu:0": gpu}
    monkeypatch.setattr(study, "accelerator", lambda: gpu and "a GPU")
    monkeypatch.setattr(study, "seconds_a_step", times.get)
    verdicts = Verdicts()
    study.compare_devices(verdicts)
    assert verdicts == [found]
