"""The range test against gradient descent in NumPy, and what the compared networks get."""

import numpy as np
import pytest

from recipes import study_learning_rate as study
from recipes.data.batches import batches
from recipes.training.learning_rate_sweep import ExponentialSweep
from tests.recipes.spies import spied_run

CONFIG = study.Config(batch_size=12)


@pytest.fixture(scope="module")
def train():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (36, 28, 28, 1)).astype("uint8")
    return images, random.integers(0, 10, 36).astype("int32")


def descended(weights, train, rates):
    """The losses before each step of gradient descent, by the closed form of the gradient."""
    first, first_bias, second, second_bias = (each.astype("float64") for each in weights)
    losses, epoch = [], 0
    examples = iter(())
    for rate in rates:
        batch = next(examples, None)
        if batch is None:
            epoch += 1
            examples = batches(train, 12, 0, epoch)
            batch = next(examples)
        inputs, labels = batch[0].reshape(12, -1) / 255, np.eye(10)[batch[1]]
        hidden = np.tanh(inputs @ first + first_bias)
        shares = np.exp(hidden @ second + second_bias)
        shares /= shares.sum(axis=1, keepdims=True)
        losses.append(-np.mean(np.log((shares * labels).sum(axis=1))))
        by_logits = (shares - labels) / 12
        by_hidden = by_logits @ second.T * (1 - hidden**2)
        first, first_bias = (
            first - rate * inputs.T @ by_hidden,
            first_bias - rate * by_hidden.sum(0),
        )
        second = second - rate * hidden.T @ by_logits
        second_bias = second_bias - rate * by_logits.sum(axis=0)
    return losses


def test_the_range_test_is_gradient_descent_at_growing_rates(train):
    network = study.two_layers(8)
    weights = network.get_weights()
    rates, losses = study.range_test(network, train, CONFIG, ExponentialSweep(1e-3, 0.3, 10))
    assert rates == pytest.approx(np.geomspace(1e-3, 0.3, 10))
    assert losses == pytest.approx(descended(weights, train, rates), rel=1e-4)
    assert losses[-1] != pytest.approx(losses[0], rel=0.01)


def test_the_range_test_ends_where_the_loss_blows_up(train):
    schedule = ExponentialSweep(1e-3, 1e6, 50)
    rates, losses = study.range_test(study.two_layers(8), train, CONFIG, schedule)
    assert len(rates) == len(losses) < 50
    assert losses[-1] > 4 * max(losses[:10]) > max(losses[:-1])


@pytest.mark.parametrize("setting", study.SETTINGS)
def test_the_setting_that_matters_most_spreads_the_losses_most(setting):
    losses = {name: 2.0 for names in study.SETTINGS.values() for name in names}
    losses["units_tenth"] = 2.4
    changed = study.SETTINGS[setting][2]
    assert study.widest(study.by_setting(losses | {changed: 1.5})) == setting
    assert study.by_setting(losses)["hidden units"] == [2.4, 2.0, 2.0]


def test_networks_begin_equal_and_differ_in_one_setting(monkeypatch, tmp_path):
    run, fed = spied_run(monkeypatch, study, tmp_path)(
        "--epochs", "1", "--batch-size", "720", "--hidden-units", "9"
    )  # fmt: skip
    first = {name: value for name, value in run.steps[0].items() if name.endswith("_loss")}
    same = [f"{name}_loss" for name in ("right", "too_small", "too_large", "suggested")]
    assert {first[name] for name in [*same, "rate_tenth_loss"]} == {first["right_loss"]}
    others = [first[f"{name}_loss"] for name in ("batch_tenth", "batch_tenfold", "units_tenth")]
    assert first["right_loss"] not in others
    sizes = {name: len(fed[-len(first) :][place][1]) for place, name in enumerate(first)}
    changed = {"batch_tenth_loss": 72, "batch_tenfold_loss": 7200}
    assert sizes == dict.fromkeys(first, 720) | changed
