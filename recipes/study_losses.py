"""Losses from their formulas, what cross-entropy estimates, and why it takes logits.

    python -m recipes run study_losses

Goodfellow, Bengio and Courville 2016, "Deep Learning", sections 5.5 (maximum likelihood) and 6.2.2
(output units). The formulas of the losses are compared with Keras's, which they equal if no
relative difference is above 1e-5. Then the logits of a coin and of a die, each one weight a side,
learn from tosses. The likelihood of n tosses is largest at the shares that were counted, where the
cross-entropy, which is -log(likelihood) / n, is least: so what is learned must be these shares, to
0.001, and none of 1,000 other chances may be likelier.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from recipes.data import tosses
from recipes.training import plots
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

AS_GOOD_AS_EQUAL = 1e-5
AS_COUNTED = 1e-3
HOPELESS = -200.0  # a logit whose probability is 0 in float32


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the tosses
        batch_size: tosses a step; all of them make it gradient descent
        learning_rate: Adam's
        seed: decides initial weights and what the formulas are compared on
    """

    epochs: PositiveInt = 150
    batch_size: PositiveInt = 1000
    learning_rate: PositiveFloat = 0.1
    seed: Seed = 0


def mean_squared_error(targets, outputs):
    """(B, N) twice -> scalar."""
    return ops.mean((targets - outputs) ** 2)


def binary_cross_entropy(targets, probabilities):
    """(B, N) of 0 and 1, (B, N) -> scalar, in nats."""
    return -ops.mean(targets * ops.log(probabilities) + (1 - targets) * ops.log(1 - probabilities))


def cross_entropy(targets, probabilities):
    """One-hot (B, classes), (B, classes) -> scalar, in nats."""
    return -ops.mean(ops.sum(targets * ops.log(probabilities), axis=-1))


def binary_cross_entropy_of_logits(targets, logits):
    """The same of logits z: -log sigmoid(z) is log(1 + e^-z), without a probability on the way."""
    # Of -|z| alone is the exponential taken: it cannot be too large.
    return ops.mean(
        ops.maximum(logits, 0) - targets * logits + ops.log1p(ops.exp(-ops.abs(logits)))
    )


def cross_entropy_of_logits(targets, logits):
    """The same of logits z: -log softmax(z)_i is log(sum of e^z) - z_i."""
    return ops.mean(ops.logsumexp(logits, axis=-1) - ops.sum(targets * logits, axis=-1))


def main(config, run):
    train, validation, test = run.load(tosses)
    coin = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)], name="coin")
    die = keras.Sequential([keras.Input((1,)), layers.Dense(6, use_bias=False)], name="die")
    run.initialize(coin, die)

    def coin_loss(ones, heads):
        return binary_cross_entropy_of_logits(heads, coin(ones, training=True))

    def die_loss(ones, thrown):
        return cross_entropy_of_logits(ops.one_hot(thrown, 6), die(ones, training=True))

    coin_step = gradient_step(coin_loss, coin, keras.optimizers.Adam(config.learning_rate))
    die_step = gradient_step(die_loss, die, keras.optimizers.Adam(config.learning_rate))
    for _ in run.epochs(coin_step, die_step):
        for ones, heads, thrown in run.batches(train):
            run.log(coin_loss=coin_step(ones, heads), die_loss=die_step(ones, thrown))
        ones, heads, thrown = map(ops.convert_to_tensor, validation)
        run.log(
            validation_coin_loss=coin_loss(ones, heads), validation_die_loss=die_loss(ones, thrown)
        )
    ones, heads, thrown = map(ops.convert_to_tensor, test)
    run.log(test_coin_loss=coin_loss(ones, heads), test_die_loss=die_loss(ones, thrown))

    random = np.random.default_rng(config.seed)
    for name, (ours, keras_own, arguments) in compared(random).items():
        arguments = [ops.convert_to_tensor(each) for each in arguments]
        found, expected = float(ours(*arguments)), float(keras_own(*arguments))
        difference = abs(found / expected - 1)
        run.verdict(
            f"The formula of {name} is what Keras computes",
            difference < AS_GOOD_AS_EQUAL,
            f"{difference:.1g} apart, {AS_GOOD_AS_EQUAL:g} allowed",
        )
    _, heads, thrown = train
    learned = {"coin": chances(coin), "die": chances(die)}
    counts = {
        "coin": np.array([np.sum(heads == 0), np.sum(heads == 1)]),
        "die": np.bincount(thrown, minlength=6),
    }
    for name, counted in counts.items():
        shares = counted / counted.sum()
        apart = np.abs(learned[name] - shares).max()
        others = random.dirichlet(np.ones(len(counted)), size=1000)
        likelier = np.sum(log_likelihood(counted, others) > log_likelihood(counted, shares))
        run.verdict(
            f"The least cross-entropy has the largest likelihood: a {name}",
            apart < AS_COUNTED and likelier == 0,
            f"learned chances are {apart:.1g} from the counted shares ({AS_COUNTED:g} allowed), "
            f"{likelier} of 1,000 others are likelier",
        )
    by_logit, by_probability = hopeless()
    run.verdict(
        "Cross-entropy is finite of any logit, and not of any probability",
        np.isfinite(by_logit) and not np.isfinite(by_probability),
        f"{by_logit:g} and {by_probability:g} where the logit of what is true is {HOPELESS:g}",
    )
    run.save(die)
    run.picture(
        "likelihood",
        plots.graphs(
            {
                f"the coin: {counts['coin'][1]} heads in {len(heads)} tosses": likelihoods(
                    counts["coin"], learned["coin"]
                )
            },
            "chance of heads",
            "-log(likelihood) / tosses",
        ),
        "The likelihood is largest where the cross-entropy is least.",
    )


def compared(random):
    """{loss: (ours, Keras's, their arguments)}, on 50 random examples."""
    outputs, logits = random.normal(size=(2, 50, 4)).astype("float32")
    targets = random.integers(2, size=(50, 4)).astype("float32")
    one_hot = np.eye(4, dtype="float32")[random.integers(4, size=50)]
    probabilities = random.dirichlet(np.ones(4), 50).astype("float32")
    theirs = keras.losses
    return {
        "mean squared error": (
            mean_squared_error, theirs.MeanSquaredError(), (targets, outputs),
        ),
        "binary cross-entropy": (
            binary_cross_entropy, theirs.BinaryCrossentropy(), (targets, probabilities),
        ),
        "cross-entropy": (
            cross_entropy, theirs.CategoricalCrossentropy(), (one_hot, probabilities),
        ),
        "binary cross-entropy of logits": (
            binary_cross_entropy_of_logits,
            theirs.BinaryCrossentropy(from_logits=True), (targets, logits),
        ),
        "cross-entropy of logits": (
            cross_entropy_of_logits,
            theirs.CategoricalCrossentropy(from_logits=True), (one_hot, logits),
        ),
    }  # fmt: skip


def chances(model):
    """What a coin (of tails and heads) or a die has learned: probabilities, (sides,)."""
    logits = ops.convert_to_numpy(model.weights[0])[0].astype("float64")
    if len(logits) == 1:  # a sigmoid is a softmax whose other logit is 0
        logits = np.append(0, logits)
    return np.exp(logits) / np.exp(logits).sum()


def log_likelihood(counts, chances):
    """Of so many draws of each side, (sides,) and (..., sides) -> (...), in nats."""
    return (counts * np.log(chances)).sum(axis=-1)


def hopeless():
    """The loss of a class that is true and has the logit HOPELESS: of logit, of probability."""
    true, logit = ops.ones((1, 1)), ops.full((1, 1), HOPELESS)
    by_probability = binary_cross_entropy(true, ops.sigmoid(logit))
    return float(binary_cross_entropy_of_logits(true, logit)), float(by_probability)


def likelihoods(counts, learned):
    """Lines of ``plots.graphs``: a coin's likelihood over its chance, and what was learned."""
    heads = np.linspace(0.5, 0.9, 101)
    curve = -log_likelihood(counts, np.stack([1 - heads, heads], axis=-1)) / counts.sum()
    at = -log_likelihood(counts, learned) / counts.sum()
    return {"likelihood": (heads, curve), "learned": ([learned[1]], [at])}
