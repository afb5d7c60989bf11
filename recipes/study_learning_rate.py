"""A learning rate that is too small, right and too large, and how to find a right one.

    python -m recipes run study_learning_rate

Networks of two layers learn MNIST's digits by plain gradient descent, side by side, from the same
weights and the same batches. Sources: Smith 2015, arXiv:1506.01186, for the range test, in which
the rate grows with each step; Bengio 2012, arXiv:1206.5533, section 3.1.1, and Goodfellow et al.
2016, "Deep Learning", section 11.4.1, for the learning rate as the setting that matters most.

A network learns if its validation loss ends below a quarter of that of guessing, log 10; above a
half it hardly learns, above the whole it does not. Units are tanh, so that the loss stays finite at
any rate. Too small is a thousandth of the right rate, which the validation part chose, and too
large ten times as much. Then the learning rate, the hidden units and the examples a step are each
divided and multiplied by 10, the others kept: what matters more spreads the validation loss more.
(It is the rate that is too large which does so; at a tenth, the batch matters more. And both lean
on the size: with 20 hidden units, ten times the right rate still ends below guessing.)
"""

import itertools
import math
from dataclasses import dataclass

import keras
from keras import layers, ops

from recipes.data import mnist_subset
from recipes.data.batches import batches
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.learning_rate_finder import blown_up, suggest
from recipes.training.learning_rate_sweep import ExponentialSweep
from recipes.training.options import PositiveFloat, PositiveInt, Seed

GUESSING = math.log(10)
HARDLY, LEARNS = GUESSING / 2, GUESSING / 4
RATES = ("too_small", "right", "too_large", "suggested")
# The networks at a tenth of a setting, at the setting and at ten times as much.
SETTINGS = {
    "learning rate": ("rate_tenth", "right", "too_large"),
    "hidden units": ("units_tenth", "right", "units_tenfold"),
    "examples a step": ("batch_tenth", "right", "batch_tenfold"),
}


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: digits a step, of all networks but two
        learning_rate: the right one
        hidden_units: of all networks but two
        seed: decides initial weights, validation part and batches
    """

    epochs: PositiveInt = 8
    batch_size: PositiveInt = 30
    learning_rate: PositiveFloat = 0.3
    hidden_units: PositiveInt = 60
    seed: Seed = 0


def two_layers(units):
    hidden = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(units, activation="tanh")]
    return keras.Sequential([keras.Input((28, 28, 1)), *hidden, layers.Dense(10)])


def descent(network, rate):
    """A gradient step of the network; the rate is a number or a schedule."""
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compute_loss(images, labels):
        return cross_entropy(labels, network(images, training=True))

    return gradient_step(compute_loss, network, keras.optimizers.SGD(rate))


def range_test(network, train, config, schedule):
    """(rates, losses) of a sweep, which ends early where the loss blows up."""
    step, losses = descent(network, schedule), []
    epochs = (batches(train, config.batch_size, config.seed, epoch) for epoch in itertools.count(1))
    for batch in itertools.islice(itertools.chain.from_iterable(epochs), schedule.steps):
        losses.append(float(ops.convert_to_numpy(step(*batch))))
        if blown_up(losses):
            break
    return schedule.rates(0, len(losses)), losses


def by_setting(losses):
    """{setting: losses of its networks}, of {network: loss}"""
    return {setting: [losses[name] for name in names] for setting, names in SETTINGS.items()}


def widest(values):
    """The setting whose losses lie farthest apart, of {setting: losses}."""
    return max(values, key=lambda setting: max(values[setting]) - min(values[setting]))


def main(config, run):
    train, validation, test = run.load(mnist_subset)
    few = -(-config.batch_size // 10)  # rounded up

    def with_many(random, images, labels):
        """The batch of a step, and one of ten times as many digits."""
        many = random.integers(len(train[0]), size=10 * len(labels))
        return images, labels, train[0][many], train[1][many]

    equal = ("right", "too_small", "too_large", "suggested", "rate_tenth", "batch_tenth",
             "batch_tenfold", "swept")  # fmt: skip
    networks = {name: two_layers(config.hidden_units) for name in equal}
    networks["units_tenth"] = two_layers(-(-config.hidden_units // 10))
    networks["units_tenfold"] = two_layers(10 * config.hidden_units)
    run.initialize(*networks.values())
    for name in equal:
        networks[name].set_weights(networks["right"].get_weights())

    sweep = range_test(networks.pop("swept"), train, config, ExponentialSweep(1e-4, 100, 100))
    rates = dict.fromkeys(networks, config.learning_rate)
    rates["too_small"] /= 1000
    rates["rate_tenth"] /= 10
    rates["too_large"] *= 10
    rates["suggested"] = suggest(*sweep)
    steps = {name: descent(network, rates[name]) for name, network in networks.items()}
    for _ in run.epochs(*steps.values()):
        for images, labels, *many in run.batches(train, with_many):
            others = {"batch_tenth": (images[:few], labels[:few]), "batch_tenfold": many}
            for name, step in steps.items():
                run.log(**{f"{name}_loss": step(*others.get(name, (images, labels)))})
        for name, network in networks.items():
            run.log(**{f"validation_{name}_loss": classify(network, validation).loss})

    losses = {name: classify(network, validation).loss for name, network in networks.items()}
    for name in RATES:
        result = classify(networks[name], test)  # the one look at the test part
        run.log(**{f"test_{name}_loss": result.loss, f"test_{name}_accuracy": result.accuracy})

    def measured(name, bound):
        return f"rate {rates[name]:.2g}: validation loss {losses[name]:.2f}, bound {bound:.2f}"

    small, right, large, found = (losses[name] for name in RATES)
    run.verdict("Too small a rate hardly learns", small > HARDLY, measured("too_small", HARDLY))
    run.verdict("A right rate learns in as many steps", right < LEARNS, measured("right", LEARNS))
    measure = measured("too_large", GUESSING)
    run.verdict("Too large a rate does not learn", large > GUESSING, measure)
    between = rates["too_small"] < rates["suggested"] < rates["too_large"]
    statement = "A range test finds a rate between these two, which learns"
    run.verdict(statement, between and found < LEARNS, measured("suggested", LEARNS))
    values = by_setting(losses)
    told = (f"{name} {', '.join(f'{loss:.2f}' for loss in each)}" for name, each in values.items())
    run.verdict(
        "The learning rate matters more than hidden units and batch size",
        widest(values) == "learning rate",
        f"validation losses at a tenth, once and ten times the {'; the '.join(told)}",
    )
    run.save(networks["right"])
    figure = plots.range_test(*sweep, rates["suggested"])
    run.picture("range_test", figure, "The training loss as the rate grows with each step.")
    lines = {setting: ([0.1, 1, 10], each) for setting, each in values.items()}
    figure = plots.graphs({"": lines}, "times its default", "validation loss", logarithmic="xy")
    run.picture("settings", figure, "What a tenth and ten times of each setting do.")
