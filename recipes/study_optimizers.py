"""Which optimizer crosses a ravine, leaves a saddle, trains a network and learns what is rare.

    python -m recipes run study_optimizers

Polyak 1964 (momentum), Nesterov 1983, Tieleman and Hinton 2012 (RMSprop), Kingma and Ba 2014,
arXiv:1412.6980 (Adam), Loshchilov and Hutter 2017, arXiv:1711.05101 (AdamW): their formulas are in
recipes/training/optimizers.py. They are compared with Keras's optimizers, and race over a ravine,
from a saddle, and with a linear classifier of noisy features, of which the rare ones say the most
(recipes/training/landscapes.py). Keras's train a network on digits, from equal weights and with
equal batches. In fairness, each has the learning rate that is best for it there: its formula has
tried 15, with the batches of the race and the validation part.

The formulas are Keras's if, after 100 steps, weights differ by less than 1e-5 of the largest, which
is what float32 allows. Steps are fewer if they are at most three quarters. Adam wins if its test
loss is lower by 2% than of those that do not scale each weight's gradient, and lower at all than of
the two that come close: RMSprop, and AdamW, which is Adam but for the decay. Momentum does as well
as Adam if its test loss is at most a fifth higher: by so much the seed alone moves it.
"""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
from keras import layers, ops

from recipes.data import digits
from recipes.data.batches import batches
from recipes.training import landscapes, optimizers, plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveInt, Seed

SGD = keras.optimizers.SGD
OPTIMIZERS = {  # formula, Keras's
    "gradient_descent": (optimizers.gradient_descent, SGD),
    "momentum": (optimizers.momentum, partial(SGD, momentum=0.9)),
    "nesterov": (optimizers.nesterov, partial(SGD, momentum=0.9, nesterov=True)),
    "rmsprop": (optimizers.rmsprop, keras.optimizers.RMSprop),
    "adam": (optimizers.adam, keras.optimizers.Adam),
    "adamw": (optimizers.adamw, keras.optimizers.AdamW),
}
STEPS = 240  # of a race of the formulas
RARE_EXAMPLES = 4000  # to validate and to test; 16 a step


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes of the network over the training part
        batch_size: digits a step
        seed: decides initial weights, validation part, shuffles and rare features
    """

    epochs: PositiveInt = 3
    batch_size: PositiveInt = 16
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(digits)
    networks = {name: small_network() for name in OPTIMIZERS}
    run.initialize(*networks.values())
    start = networks["adam"].get_weights()
    rehearsal = [
        batch
        for epoch in range(1, config.epochs + 1)
        for batch in batches(train, config.batch_size, config.seed, epoch)
    ]
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def make_step(network, formula, keras_optimizer):
        network.set_weights(start)
        best = landscapes.best_result(
            landscapes.differentiate_network, formula, start, rehearsal, validation
        )

        def compute_loss(images, labels):
            return cross_entropy(labels, network(images, training=True))

        return gradient_step(compute_loss, network, keras_optimizer(best.rate))

    steps = {name: make_step(networks[name], *pair) for name, pair in OPTIMIZERS.items()}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in steps.items()})
        for name, network in networks.items():
            run.log(**{f"validation_{name}_loss": classify(network, validation).loss})

    trained = {name: classify(network, test).loss for name, network in networks.items()}
    rare = {name: rare_loss(formula, config.seed) for name, (formula, _) in OPTIMIZERS.items()}
    run.log(**{f"test_{name}_loss": loss for name, loss in trained.items()})
    run.log(**{f"test_rare_{name}_loss": loss for name, loss in rare.items()})
    difference = max(largest_difference(*pair, config.seed) for pair in OPTIMIZERS.values())
    run.verdict(
        "The formulas are Keras's optimizers",
        difference < 1e-5,
        f"weights differ by {difference:.1e} of the largest after 100 steps; less than 1e-5",
    )
    ways = {
        place: {
            name: landscapes.fastest_way(plane, formula, STEPS)
            for name, (formula, _) in OPTIMIZERS.items()
        }
        for place, plane in landscapes.PLANES.items()
    }
    for statement, place, faster, slower in (
        ("Momentum crosses a ravine in fewer steps than gradient descent",
         "ravine", "momentum", "gradient_descent"),
        ("Nesterov's momentum crosses a ravine in fewer steps than Polyak's",
         "ravine", "nesterov", "momentum"),
        ("Adam leaves a saddle in fewer steps than gradient descent",
         "saddle", "adam", "gradient_descent"),
    ):  # fmt: skip
        first, second = ways[place][faster], ways[place][slower]
        run.verdict(
            statement,
            first.steps <= 0.75 * second.steps,
            f"{first.steps} steps and {second.steps}, at rates of {first.rate:g} and "
            f"{second.rate:g}; at most three quarters",
        )
    *unscaled, rmsprop, adam, adamw = rare.values()
    run.verdict(
        "Adam wins on sparse and noisy gradients",
        adam < min(0.98 * min(unscaled), rmsprop, adamw),
        f"test loss {adam:.4f}, without scales {min(unscaled):.4f} at best; lower by 2%, and below "
        f"RMSprop's {rmsprop:.4f} and AdamW's, Adam's but for the decay, {adamw:.4f}",
    )
    run.verdict(
        "Momentum trains a small network as well as Adam",
        trained["momentum"] <= 1.2 * trained["adam"],
        f"test losses {trained['momentum']:.3f} and {trained['adam']:.3f}; at most a fifth higher",
    )
    run.save(networks["adam"])
    figure = plots.paths(
        {
            place: (plane.height, {name: way.places for name, way in labelled(ways[place]).items()})
            for place, plane in landscapes.PLANES.items()
        }
    )
    run.picture("paths", figure, "From a start to arrival, each at its best learning rate.")
    run.picture(
        "rare", plots.bars(labelled(rare), "test loss"), "Of noisy features, most of them rare."
    )
    run.picture("network", plots.bars(labelled(trained), "test loss"), "Of a network on digits.")


def small_network():
    pixels = [keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten()]
    return keras.Sequential([*pixels, layers.Dense(16, activation="tanh"), layers.Dense(10)])


def rare_loss(formula, seed):
    """The test loss of a linear classifier of rare features, at the formula's best rate."""
    random = np.random.default_rng(seed)
    signs = landscapes.draw_signs(random)
    *train, validation, test = (
        landscapes.draw_rare(random, count, signs) for count in [16] * STEPS + [RARE_EXAMPLES] * 2
    )
    start = [np.zeros((len(signs), 1))]
    best = landscapes.best_result(
        landscapes.differentiate_linear, formula, start, train, validation
    )
    return landscapes.differentiate_linear(best.weights, *test)[0]


def largest_difference(formula, keras_optimizer, seed):
    """Of weights that a formula and Keras move 100 steps, relative to the largest weight.

    The gradients are random, and none is so small that it matters where an epsilon is added.
    """
    random = np.random.default_rng(seed)
    gradients = random.uniform(0.5, 1.5, (100, 1000)) * random.choice([-1.0, 1.0], (100, 1000))
    weights, state = np.ones(1000), optimizers.new_state()
    variable, optimizer = keras.Variable(np.ones(1000, "float32")), keras_optimizer(0.01)
    for gradient in gradients:
        weights = weights + formula(state, gradient, weights, 0.01)
        optimizer.apply([ops.convert_to_tensor(gradient.astype("float32"))], [variable])
    return float(np.abs(weights - ops.convert_to_numpy(variable)).max() / np.abs(weights).max())


def labelled(values):
    return {plots.words(name): value for name, value in values.items()}
