import numpy as np
import pytest
from scipy import special, stats

from recipes import study_optimizers
from recipes.training import landscapes, optimizers
from recipes.training.evaluate import classify


def test_every_formula_is_raced_as_the_optimizer_that_it_is():
    for name, pair in study_optimizers.OPTIMIZERS.items():
        assert study_optimizers.largest_difference(*pair, seed=1) < 1e-5, name


def test_all_race_but_adamw():
    assert set(study_optimizers.OPTIMIZERS) - set(study_optimizers.RACERS) == {"adamw"}


@pytest.mark.parametrize("share", [1e-3, 1e-2])
def test_a_difference_is_relative_to_the_largest_weight(share):
    _, keras_optimizer = study_optimizers.OPTIMIZERS["gradient_descent"]

    def longer(state, gradient, weights, learning_rate):
        """100 gradients of at most 1.5 go by, of which a weight keeps the sum."""
        step = optimizers.gradient_descent(state, gradient, weights, learning_rate)
        return step * (1 + share)

    random = np.random.default_rng(2)
    sums = -0.01 * (
        random.uniform(0.5, 1.5, (100, 1000)) * random.choice([-1.0, 1.0], (100, 1000))
    ).sum(axis=0)
    expected = share * np.abs(sums).max() / np.abs(1 + (1 + share) * sums).max()
    found = study_optimizers.largest_difference(longer, keras_optimizer, seed=2)
    assert found == pytest.approx(expected, rel=0.01)


def test_the_networks_formula_differentiates_the_network():
    random = np.random.default_rng(3)
    network = study_optimizers.small_network()
    weights = [random.normal(0, 0.3, each.shape) for each in network.get_weights()]
    network.set_weights(weights)
    images = random.integers(0, 256, (5, 28, 28, 1)).astype("uint8")
    labels = np.array([0, 3, 9, 3, 5])
    loss, _ = landscapes.differentiate_network(weights, images, labels)
    assert loss == pytest.approx(classify(network, (images, labels)).loss, rel=1e-5)


def test_a_rare_loss_is_of_the_examples_drawn_last(monkeypatch):
    monkeypatch.setattr(study_optimizers, "STEPS", 1)

    def to_a_tenth(state, gradient, weights, learning_rate):
        return 0.1 - weights

    random = np.random.default_rng(4)
    signs = landscapes.draw_signs(random)
    for count in (16, 4000, 4000):  # to train, to validate, to test
        features, answers = landscapes.draw_rare(random, count, signs)
    logits = 0.1 * features.sum(axis=1, keepdims=True)
    expected = -np.mean(special.log_expit(np.where(answers == 1, logits, -logits)))
    found = study_optimizers.rare_loss(to_a_tenth, seed=4)
    assert found == pytest.approx(expected, rel=1e-6)


def test_rare_features_are_learned_a_little_by_every_step(monkeypatch):
    losses = {}
    for steps in (0, 20, 100):
        monkeypatch.setattr(study_optimizers, "STEPS", steps)
        losses[steps] = study_optimizers.rare_loss(optimizers.adam, seed=0)
    assert losses[0] == pytest.approx(np.log(2))
    least = stats.bernoulli(0.1).entropy()  # a tenth of the labels is wrong
    assert least < losses[100] < losses[20] < losses[0]
