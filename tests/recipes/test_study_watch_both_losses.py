import keras
import numpy as np
import pytest

from recipes.study_watch_both_losses import GUESSING, diagnose, end

EPOCHS = np.arange(40)
FALLS = 0.1 + 0.6 * np.exp(-EPOCHS / 5)
RISES = FALLS + 0.02 * EPOCHS
STAYS = np.full(40, 0.68)


@pytest.mark.parametrize(
    ("training", "validation", "expected"),
    [
        (STAYS, STAYS, "underfit"),
        (STAYS, RISES, "underfit"),  # what is not learned cannot be overfit
        (FALLS, FALLS, "fit"),
        (FALLS, FALLS + 0.3, "fit"),  # a gap alone, that does not grow
        (FALLS, RISES, "overfit"),
    ],
)
def test_diagnose(training, validation, expected):
    assert diagnose(list(training), list(validation)) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.49, "fit"), (0.51, "underfit")])
def test_where_underfitting_begins(share, expected):
    losses = [0.7] * 9 + [share * np.log(2)]
    assert diagnose(losses, losses) == expected


@pytest.mark.parametrize(("rise", "expected"), [(1.19, "fit"), (1.21, "overfit")])
def test_where_overfitting_begins(rise, expected):
    assert diagnose([0.2] * 10, [0.5, *[0.3] * 8, rise * 0.3]) == expected


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (19, 18), (20, 18.5), (60, 56.5)])
def test_the_end_is_the_last_tenth(count, expected):
    assert end(list(range(count))) == expected


def test_guessing_is_what_one_half_for_each_class_costs():
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = float(cross_entropy(np.array([0, 1]), np.zeros((2, 2), "float32")))
    assert loss == pytest.approx(GUESSING, rel=1e-6)
