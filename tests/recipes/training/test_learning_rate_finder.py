"""What is suggested on curves made for it, and on quadratics whose largest stable rate is known."""

import numpy as np
import pytest
import scipy.ndimage

from recipes.training.learning_rate_finder import blown_up, smoothed, suggest

RATES = np.geomspace(1e-6, 10, 100)


def valley(lowest):
    """A curve that is lowest at a rate: flat, then it falls, then it rises."""
    return 2.3 + np.minimum(0, np.log10(RATES / lowest) ** 2 - 2)


@pytest.mark.parametrize("position", [30, 47, 80])
def test_it_is_a_tenth_of_where_the_loss_is_lowest(position):
    assert suggest(RATES, valley(RATES[position])) == pytest.approx(RATES[position] / 10)


@pytest.mark.parametrize("seed", range(20))
def test_noise_moves_it_by_less_than_three(seed):
    noise = np.random.default_rng(seed).normal(scale=0.2, size=len(RATES))
    found = suggest(RATES, valley(0.02) + noise)
    assert 0.002 / 3 < found < 0.002 * 3


def test_one_lucky_batch_is_not_the_lowest_loss():
    losses = valley(0.02)
    losses[20] = losses.min() - 0.5
    assert suggest(RATES, losses) == pytest.approx(0.002, rel=0.15)


def test_a_loss_that_still_falls_at_the_end_suggests_a_tenth_of_the_end():
    assert suggest(RATES, np.linspace(2, 1, 100)) == pytest.approx(1.0)


@pytest.mark.parametrize("losses", [[], np.linspace(1, 2, 100), np.ones(100)])
def test_a_loss_that_does_not_fall_suggests_nothing(losses):
    with pytest.raises(ValueError, match="no loss" if len(losses) == 0 else "from 1e-06 on"):
        suggest(RATES[: len(losses)], losses)


def test_negative_losses_are_losses():
    assert suggest(RATES, valley(0.02) - 10) == suggest(RATES, valley(0.02))


@pytest.mark.parametrize("count", [1, 2, 8, 30, 100, 300])
def test_smoothed_is_scipys_moving_average_of_what_there_is(count):
    losses = np.random.default_rng(count).random(count)
    size = 2 * round(count * 0.035) + 1
    sums, counts = (
        scipy.ndimage.uniform_filter1d(values, size, mode="constant")
        for values in (losses, np.ones(count))
    )
    assert smoothed(losses) == pytest.approx(sums / counts, rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("largest", [0.5, 4, 300])
def test_on_a_quadratic_it_is_below_the_largest_stable_rate_and_not_far(largest, seed):
    """Gradient descent on half of w' diag(curvatures) w: a rate of 2 / largest is the edge."""
    random = np.random.default_rng(seed)
    curvatures = np.append(random.uniform(0.02, 1, 9), 1) * largest
    weights, losses = random.normal(size=10), []
    for rate in RATES:
        losses.append(float(curvatures @ weights**2) / 2)
        if blown_up(losses):
            break
        weights = weights - rate * curvatures * weights
    assert 2 / largest / 20 < suggest(RATES[: len(losses)], losses) < 2 / largest


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0], False),
        ([2.0, 80.0], False),  # a bad batch, for all that is known
        ([0.5] + [2.0] + [1.0] * 7 + [80.0], False),
        ([2.0, float("nan")], True),
        ([2.0, float("inf")], True),
        ([0.5] + [2.0] + [1.0] * 8 + [8.0], False),  # four times the largest of the first
        ([0.5] + [2.0] + [1.0] * 8 + [8.1], True),
        ([1.0] * 9 + [2.0] + [8.1], True),
        ([1.0] * 10 + [3.0, 4.1], True),  # of the first alone
        ([1.0] * 10 + [float("nan")], True),
        ([2.0] * 10 + [0.01, 7.0], False),  # not four times the best
        ([0.5] * 10 + [-3.0, 11.0], False),
        ([0.5] * 10 + [-3.0, 13.0], True),
        ([0.5] * 10 + [-3.0, -13.0], False),
    ],
)
def test_blown_up(losses, expected):
    assert blown_up(losses) == expected
