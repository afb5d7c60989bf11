"""Which optimizer crosses a ravine, leaves a saddle, trains a network and hears what is rare.

    python -m recipes run study_optimizers

Polyak 1964 (momentum), Nesterov 1983, Tieleman and Hinton 2012 (RMSprop), Kingma and Ba 2014,
arXiv:1412.6980 (Adam), Loshchilov and Hutter 2017, arXiv:1711.05101 (AdamW): their formulas are in
recipes/training/optimizers.py, and the landscapes beside it. Keras's optimizers race on them, from
equal weights and with equal batches.

In fairness, each has its best learning rate of GRID on each landscape: before the race the formulas
try all, with the batches of the race. The best rate takes the fewest steps until the loss is below
the line for good, or, where there is no line, has the lowest validation loss at the end.

The formulas are Keras's if, after 100 steps, weights differ by less than 1e-5 of the largest, which
is what float32 allows. Fewer steps are fewer by a quarter. On sparse and noisy gradients a lower
test loss is lower by 2%; Adam wins if it is lower than those without a rate for each weight by that
much, and than RMSprop's by anything. Adam's rates vary less if the largest is fewer times the
smallest. Momentum keeps up with Adam if its test loss is at most 5% higher (Wilson et al. 2017,
arXiv:1705.08292).
"""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
from keras import ops

from recipes.data import digits
from recipes.data.batches import batches
from recipes.training import landscapes, plots
from recipes.training import optimizers as formulas
from recipes.training.gradient_step import gradient_step
from recipes.training.landscapes import LANDSCAPES
from recipes.training.options import PositiveFloat, PositiveInt, Seed
from recipes.training.saved_run import read_rows

GRID = [digit * 10.0**exponent for exponent in (-3, -2, -1, 0) for digit in (1, 2, 5)]
SGD = keras.optimizers.SGD
OPTIMIZERS = {
    "gradient_descent": (formulas.gradient_descent, SGD),
    "momentum": (formulas.momentum, partial(SGD, momentum=0.9)),
    "nesterov": (formulas.nesterov, partial(SGD, momentum=0.9, nesterov=True)),
    "rmsprop": (formulas.rmsprop, keras.optimizers.RMSprop),
    "adam": (formulas.adam, keras.optimizers.Adam),
    "adamw": (formulas.adamw, keras.optimizers.AdamW),
}
RACES = [(landscape, name) for landscape in LANDSCAPES for name in OPTIMIZERS]
# A hundredth of the ravine's height at the start; half as deep as the saddle's valleys.
LINES = {"ravine": 0.021, "saddle": -0.125}


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: examples a step
        learning_rate: factor on the best of all; 1 is the race
        seed: decides initial weights, validation part, shuffles and rare features
    """

    epochs: PositiveInt = 3
    batch_size: PositiveInt = 16
    learning_rate: PositiveFloat = 1.0
    seed: Seed = 0


def main(config, run):
    train, *others = run.load(digits)
    signs = np.random.default_rng(config.seed).choice([-1.0, 1.0], len(landscapes.FREQUENCIES))

    def with_rare(random, images, labels, count=config.batch_size):
        return images, labels, *landscapes.draw_rare(random, count, signs)

    random = np.random.default_rng([config.seed, 1])
    validation, test = (by_landscape(with_rare(random, *each, count=4000)) for each in others)

    models = {race: LANDSCAPES[race[0]].build() for race in RACES}
    run.initialize(*models.values())
    starts = {landscape: models[landscape, "adam"].get_weights() for landscape in LANDSCAPES}
    for landscape, name in RACES:
        models[landscape, name].set_weights(starts[landscape])

    rehearsal = [
        by_landscape(batch)
        for epoch in range(1, config.epochs + 1)
        for batch in batches(train, config.batch_size, config.seed, epoch, with_rare)
    ]
    tried = {
        (landscape, name): try_rates(landscape, name, starts, rehearsal, validation)
        for landscape, name in RACES
    }
    rates = {race: config.learning_rate * min(GRID, key=tried[race].get) for race in RACES}

    def racer(landscape, name):
        model = models[landscape, name]
        optimizer = OPTIMIZERS[name][1](rates[landscape, name])
        return gradient_step(partial(LANDSCAPES[landscape].loss, model), model, optimizer)

    steps = {race: racer(*race) for race in RACES}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train, with_rare):
            batch = by_landscape(batch)
            run.log(**{f"{'_'.join(race)}_loss": steps[race](*batch[race[0]]) for race in RACES})
        losses = final_losses(models, validation)
        run.log(**{f"validation_{'_'.join(race)}_loss": losses[race] for race in RACES})

    losses = final_losses(models, test)
    logged = read_losses(run)
    took = {race: arrival(logged[race], LINES[race[0]]) for race in RACES if race[0] in LINES}
    run.log(
        **{f"test_{'_'.join(race)}_steps": count for race, count in took.items()},
        **{f"test_{'_'.join(race)}_loss": losses[race] for race in RACES if race not in took},
        **{f"test_{'_'.join(race)}_rate": rate for race, rate in rates.items()},
    )
    difference = max(largest_difference(name, config.seed) for name in OPTIMIZERS)
    run.verdict(
        "The formulas are Keras's optimizers", difference < 1e-5,
        f"weights differ by {difference:.1e} of the largest after 100 steps; less than 1e-5",
    )  # fmt: skip
    for statement, landscape, first, second in (
        ("Momentum crosses a ravine in fewer steps than gradient descent", "ravine",
         "momentum", "gradient_descent"),
        ("Nesterov's momentum crosses a ravine in fewer steps than Polyak's", "ravine",
         "nesterov", "momentum"),
        ("Adam leaves a saddle sooner than gradient descent", "saddle", "adam", "gradient_descent"),
    ):  # fmt: skip
        fewer, more = (took[landscape, name] for name in (first, second))
        measured = f"{fewer} steps and {more}; at most three quarters"
        run.verdict(statement, fewer <= 0.75 * more, measured)
    rare = {name: losses["rare", name] for name in OPTIMIZERS}
    *scaled_alike, rmsprop, adam, _ = rare.values()
    run.verdict(
        "Adam wins on sparse and noisy gradients",
        adam < 0.98 * min(scaled_alike) and adam < rmsprop,
        f"test losses {figures(rare)}; 2% below the first three, and below RMSprop's",
    )
    momentum, adam = (losses["network", name] for name in ("momentum", "adam"))
    run.verdict(
        "Momentum keeps up with Adam on a small network", momentum < 1.05 * adam,
        f"test losses {momentum:.3f} and {adam:.3f}; at most 5% higher",
    )  # fmt: skip
    ratios = {
        name: max(best) / min(best)
        for name in ("adam", "gradient_descent")
        for best in [[rates[landscape, name] for landscape in LANDSCAPES]]
    }
    run.verdict(
        "Adam's best learning rate varies less between landscapes than gradient descent's",
        ratios["adam"] < ratios["gradient_descent"],
        f"the largest is {ratios['adam']:.0f} and {ratios['gradient_descent']:.0f} times the smallest",
    )
    run.save(models["network", "adam"])
    draw(run, logged, rates, starts)


def draw(run, logged, rates, starts):
    """The ways of the formulas on the two landscapes that are planes, and all losses."""
    panels = {}
    for landscape, height in (("ravine", landscapes.ravine), ("saddle", landscapes.saddle)):
        ways = {}
        for name in ("gradient_descent", "momentum", "nesterov", "rmsprop", "adam"):
            _, path = formulas.descend(
                OPTIMIZERS[name][0], LANDSCAPES[landscape].differentiate, starts[landscape],
                rates[landscape, name], [()] * len(logged[landscape, name]),
            )  # fmt: skip
            ways[plots.words(name)] = np.concatenate([weights[0] for weights in path])
        panels[landscape] = height, ways
    run.picture("paths", plots.paths(panels), "The ways of the formulas; AdamW's is Adam's.")
    curves = {
        landscape: {plots.words(name): smooth(logged[landscape, name]) for name in OPTIMIZERS}
        for landscape in LANDSCAPES
    }
    figure = plots.graphs(curves, "step", "loss", logarithmic="y")
    run.picture("losses", figure, "Losses of the race, means of ten steps.")


def smooth(losses, window=10):
    """(x, y): means of ten steps, and none too small to be told from another in a picture."""
    means = losses[: len(losses) // window * window].reshape(-1, window).mean(axis=1)
    floor = 1e-6 if means.min() > 0 else -np.inf
    return window * np.arange(1, len(means) + 1), np.maximum(means, floor)


def figures(values):
    return ", ".join(f"{plots.words(name)} {value:.3f}" for name, value in values.items())


def by_landscape(batch):
    """What each landscape takes; the network takes every other pixel, for speed."""
    images, labels, *rare = batch
    return {"ravine": (), "saddle": (), "network": (images[:, ::2, ::2], labels), "rare": rare}


def try_rates(landscape, name, starts, batches, validation):
    """{rate: how badly the formula does}: its steps to the line, or its validation loss."""
    differentiate = LANDSCAPES[landscape].differentiate
    found = {}
    for rate in GRID:
        with np.errstate(all="ignore"):  # a rate that is too large ends in infinity
            losses, path = formulas.descend(
                OPTIMIZERS[name][0], differentiate, starts[landscape], rate,
                [batch[landscape] for batch in batches],
            )  # fmt: skip
            if landscape in LINES:
                found[rate] = arrival(losses, LINES[landscape])
            else:
                loss, _ = differentiate(path[-1], *validation[landscape])
                found[rate] = loss if np.isfinite(loss) else np.inf
    return found


def arrival(losses, line):
    """Steps until the loss is below a line for good; all and one where it never is."""
    above = np.flatnonzero(~(losses < line))  # where nan is, too
    return int(above[-1]) + 1 + (above[-1] + 1 == len(losses)) if len(above) else 0


def final_losses(models, split):
    return {
        race: float(ops.convert_to_numpy(LANDSCAPES[race[0]].loss(model, *split[race[0]])))
        for race, model in models.items()
    }


def read_losses(run):
    """{race: losses (steps,)} that the run has logged."""
    rows = read_rows(run.folder / "metrics.jsonl")
    names = {race: f"{'_'.join(race)}_loss" for race in RACES}
    return {
        race: np.array([row[name] for row in rows if name in row]) for race, name in names.items()
    }


def largest_difference(name, seed):
    """Of weights that a formula and Keras move 100 steps, relative to the largest.

    The gradients are random, and none is so small that it would matter where an epsilon is added.
    """
    formula, make = OPTIMIZERS[name]
    random = np.random.default_rng(seed)
    gradients = random.uniform(0.5, 1.5, (100, 1000)) * random.choice([-1.0, 1.0], (100, 1000))
    weights, state = np.ones(1000), formulas.new_state()
    variable, optimizer = keras.Variable(np.ones(1000, "float32")), make(0.01)
    for gradient in gradients:
        weights = weights + formula(state, gradient, weights, 0.01)
        optimizer.apply([ops.convert_to_tensor(gradient.astype("float32"))], [variable])
    return float(np.max(np.abs(weights - ops.convert_to_numpy(variable))) / np.max(np.abs(weights)))
