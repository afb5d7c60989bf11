import keras
import numpy as np
import pytest
from keras import layers

from recipes import study_optimizers
from recipes.training import optimizers


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


def test_a_loss_is_of_a_models_own_task():
    """Logits of 0 say that 10 digits are equally likely, and so are yes and no."""

    def knows_nothing(shape, outputs):
        zeros = layers.Dense(outputs, kernel_initializer="zeros")
        return keras.Sequential([keras.Input(shape), layers.Flatten(), zeros])

    split = {
        "network": (np.ones((3, 28, 28, 1), "float32"), np.array([0, 9, 2])),
        "rare": (np.ones((5, 200), "float32"), np.ones((5, 1), "float32")),
    }
    models = {
        ("rare", "adam"): knows_nothing((200,), 1),
        ("network", "adam"): knows_nothing((28, 28, 1), 10),
    }
    losses = study_optimizers.losses_on(split, models)
    assert losses == {
        ("rare", "adam"): pytest.approx(np.log(2), rel=1e-5),
        ("network", "adam"): pytest.approx(np.log(10), rel=1e-5),
    }
