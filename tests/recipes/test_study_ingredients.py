"""What the study computes, against Keras's own training and known figures."""

import keras
import numpy as np
import pytest

from recipes import study_ingredients
from recipes.study_ingredients import (
    code_lines,
    gradients_by_autodiff,
    gradients_by_hand,
    largest_difference,
    network,
    seconds_a_step,
    spread,
)

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 784)).astype("uint8")
LABELS = RANDOM.integers(0, 10, 12).astype("int32")


@pytest.mark.parametrize("gradients", [gradients_by_hand, gradients_by_autodiff])
def test_gradients_are_what_keras_descends(gradients):
    keras.utils.set_random_seed(0)
    model = network("model", width=16)
    found = gradients(model, IMAGES, LABELS)
    before = model.get_weights()
    model.compile(
        keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.train_on_batch(IMAGES, LABELS)
    for each, old, new in zip(found, before, model.get_weights(), strict=True):
        np.testing.assert_allclose(each, old - new, rtol=1e-4, atol=1e-6)


def test_the_largest_difference_is_relative_to_the_largest_value():
    ones, same = [np.ones(3), np.full((2, 2), -4.0)], [np.ones(3), np.full((2, 2), -4.0)]
    assert largest_difference(ones, same) == 0
    same[0][1] += 0.5
    same[1][0, 1] -= 0.25
    assert largest_difference(ones, same) == pytest.approx(0.125)


def test_lines_of_code_are_counted_without_empty_ones():
    def three_lines():
        number = 1

        return number

    assert code_lines(three_lines) == 3


@pytest.mark.parametrize("size", [100, 3000, 3600])
def test_digits_are_taken_evenly_from_every_class(size):
    labels = np.repeat(np.arange(10), 360)
    indices = spread(len(labels), size)
    assert len(set(indices)) == size
    assert set(np.bincount(labels[indices])) == {size // 10}


def test_a_step_takes_time_and_a_larger_one_takes_more():
    small, large = (seconds_a_step("cpu:0", width, 64, steps=5) for width in (8, 1024))
    assert 0 < small < large


class Verdicts(list):
    def verdict(self, statement, holds, measured):
        self.append((holds, measured))


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
    monkeypatch.setattr(study_ingredients, "accelerator", lambda: gpu and "a GPU")
    monkeypatch.setattr(study_ingredients, "seconds_a_step", times.get)
    verdicts = Verdicts()
    study_ingredients.compare_devices(verdicts)
    assert verdicts == [found]
