"""Which optimizer crosses a ravine, leaves a saddle, trains a network and learns what is rare.

    python -m recipes run study_optimizers

Polyak 1964 (momentum), Nesterov 1983, Tieleman and Hinton 2012 (RMSprop), Kingma and Ba 2014,
arXiv:1412.6980 (Adam), Loshchilov and Hutter 2017, arXiv:1711.05101 (AdamW): their formulas are in
recipes/training/optimizers.py. They are compared with Keras's optimizers, and walk over a ravine
and a saddle. Then Keras's race: they train a network on digits, and a linear classifier on noisy
features, of which the rare ones say the most (recipes/training/landscapes.py), from equal weights
and with equal batches. In fairness, each has the learning rate that is best for it there: before
the race its formula tries 15, with the batches of the race and the validation part. AdamW, which
is Adam but for the decay, is only compared.

The formulas are Keras's if, after 100 steps, weights differ by less than 1e-5 of the largest, which
is what float32 allows. Steps are fewer if they are at most three quarters. Momentum does as well as
Adam if its test loss is at most 5% higher. Adam wins if its test loss is lower by 2% than of those
that do not scale each weight's gradient, and lower than RMSprop's at all, which comes close.
"""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
from keras import ops

from recipes.data import digits
from recipes.data.batches import batches
from recipes.training import optimizers, plots
from recipes.training.gradient_step import gradient_step
from recipes.training.landscapes import PLANES, TASKS, best_rate, draw_rare, draw_signs, fastest_way
from recipes.training.options import PositiveFloat, PositiveInt, Seed

SGD = keras.optimizers.SGD
OPTIMIZERS = {  # formula, Keras's
    "gradient_descent": (optimizers.gradient_descent, SGD),
    "momentum": (optimizers.momentum, partial(SGD, momentum=0.9)),
    "nesterov": (optimizers.nesterov, partial(SGD, momentum=0.9, nesterov=True)),
    "rmsprop": (optimizers.rmsprop, keras.optimizers.RMSprop),
    "adam": (optimizers.adam, keras.optimizers.Adam),
    "adamw": (optimizers.adamw, keras.optimizers.AdamW),
}
RACERS = {name: pair for name, pair in OPTIMIZERS.items() if name != "adamw"}
WALK = 250  # steps on the ravine and on the saddle
EXAMPLES = 4000  # of rare features, to validate and to test
CAPTIONS = {
    "network": "A network on digits.",
    "rare": "Noisy features, of which the rare say most.",
}


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: examples a step
        learning_rate: factor on the best rates, for the race
        seed: decides initial weights, validation part, shuffles and rare features
    """

    epochs: PositiveInt = 3
    batch_size: PositiveInt = 16
    learning_rate: PositiveFloat = 1.0
    seed: Seed = 0


def main(config, run):
    train, *others = run.load(digits)
    random = np.random.default_rng(config.seed)
    signs = draw_signs(random)

    def both(random, *digits, rare=config.batch_size):
        """What each task takes."""
        return {"network": digits, "rare": draw_rare(random, rare, signs)}

    validation, test = (both(random, *split, rare=EXAMPLES) for split in others)
    models = {(task, name): TASKS[task].build() for task in TASKS for name in RACERS}
    run.initialize(*models.values())
    starts = {task: models[task, "adam"].get_weights() for task in TASKS}
    rehearsal = [
        batch
        for epoch in range(1, config.epochs + 1)
        for batch in batches(train, config.batch_size, config.seed, epoch, both)
    ]

    def make_step(task, name):
        formula, keras_optimizer = OPTIMIZERS[name]
        tries = [batch[task] for batch in rehearsal]
        rate = best_rate(TASKS[task], formula, starts[task], tries, validation[task])
        models[task, name].set_weights(starts[task])

        def compute_loss(inputs, labels):
            return TASKS[task].loss(labels, models[task, name](inputs, training=True))

        optimizer = keras_optimizer(config.learning_rate * rate)
        return gradient_step(compute_loss, models[task, name], optimizer)

    steps = {racer: make_step(*racer) for racer in models}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train, both):
            for (task, name), step in steps.items():
                run.log(**{f"{task}_{name}_loss": step(*batch[task])})
        for (task, name), loss in losses_on(validation, models).items():
            run.log(**{f"validation_{task}_{name}_loss": loss})

    losses = losses_on(test, models)
    run.log(**{f"test_{task}_{name}_loss": loss for (task, name), loss in losses.items()})
    difference = max(largest_difference(*pair, config.seed) for pair in OPTIMIZERS.values())
    run.verdict(
        "The formulas are Keras's optimizers",
        difference < 1e-5,
        f"weights differ by {difference:.1e} of the largest after 100 steps; less than 1e-5",
    )
    ways = {
        (place, name): fastest_way(plane, formula, WALK)
        for place, plane in PLANES.items()
        for name, (formula, _) in RACERS.items()
    }
    for statement, place, faster, slower in (
        ("Momentum crosses a ravine in fewer steps than gradient descent",
         "ravine", "momentum", "gradient_descent"),
        ("Nesterov's momentum crosses a ravine in fewer steps than Polyak's",
         "ravine", "nesterov", "momentum"),
        ("Adam leaves a saddle in fewer steps than gradient descent",
         "saddle", "adam", "gradient_descent"),
    ):  # fmt: skip
        first, second = ways[place, faster], ways[place, slower]
        run.verdict(
            statement,
            first.steps <= 0.75 * second.steps,
            f"{first.steps} steps and {second.steps}, at rates of {first.rate:g} and "
            f"{second.rate:g}; at most three quarters",
        )
    momentum, adam = losses["network", "momentum"], losses["network", "adam"]
    run.verdict(
        "Momentum trains a small network as well as Adam",
        momentum < 1.05 * adam,
        f"test losses {momentum:.3f} and {adam:.3f}; at most 5% higher",
    )
    *unscaled, rmsprop, adam = (losses["rare", name] for name in RACERS)
    run.verdict(
        "Adam wins on sparse and noisy gradients",
        adam < 0.98 * min(unscaled) and adam < rmsprop,
        f"test loss {adam:.3f}, without scales {min(unscaled):.3f} at best; lower by 2%, and "
        f"below RMSprop's {rmsprop:.3f}",
    )
    run.save(models["network", "adam"])
    figure = plots.paths(
        {
            place: (plane.height, {plots.words(name): ways[place, name].places for name in RACERS})
            for place, plane in PLANES.items()
        }
    )
    run.picture("paths", figure, "Ways of the formulas, each at its best learning rate.")
    for task in TASKS:
        figure = plots.bars({plots.words(name): losses[task, name] for name in RACERS}, "test loss")
        run.picture(task, figure, CAPTIONS[task])


def losses_on(split, models):
    """{(task, name): loss}"""
    return {
        racer: float(ops.convert_to_numpy(TASKS[racer[0]].loss(labels, model(inputs))))
        for racer, model in models.items()
        for inputs, labels in [split[racer[0]]]
    }


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
