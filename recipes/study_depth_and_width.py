"""Deeper against wider: at equal numbers of parameters, a composed function is learned better.

    python -m recipes run study_depth_and_width

Telgarsky 2016, "Benefits of Depth in Neural Networks", arXiv:1602.04485; Montufar et al. 2014, "On
the Number of Linear Regions of Deep Neural Networks", arXiv:1402.1869: a deep network composes
functions, of which a shallow one has to have every piece. They say what networks can be; here they
are trained. Networks of 1, 4 and 8 hidden layers, whose numbers of parameters are equal within 2
percent, learn a polynomial that is composed of others, T(T(xy)), side by side with a network of one
layer that is four times as wide.

An error is relative: the root mean square error over the function's standard deviation. Depth helps
if each of the deeper networks has a smaller error on the test part than the one layer, and the
deepest at most three quarters of it, a difference that one sees in the picture. It makes up for
width if the deepest has a smaller error than the layer of four times the parameters, too.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import initializers, layers, ops

from recipes.data import composition
from recipes.training import plots
from recipes.training.evaluate import relative_error
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

# Hidden layers and units in each.
EQUAL = {"depth_1": (1, 333), "depth_4": (4, 20), "depth_8": (8, 13)}
FOUR_TIMES_AS_WIDE = {"wide": (1, 1332)}
LESS = 0.75


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: points a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        seed: decides initial weights, validation part and shuffles
    """

    epochs: PositiveInt = 14
    batch_size: PositiveInt = 100
    learning_rate: PositiveFloat = 0.01
    seed: Seed = 0


def network(depth, width, name):
    """(B, 2) -> (B, 1).

    The biases begin within 1 / sqrt(inputs), as PyTorch's do: with zeros, Keras's own, the kinks of
    all units of the first layer would begin at the same point.
    """
    x = points = keras.Input((2,))
    for _ in range(depth):
        limit = x.shape[-1] ** -0.5
        x = layers.Dense(
            width,
            activation="relu",
            kernel_initializer="he_uniform",
            bias_initializer=initializers.RandomUniform(-limit, limit),
        )(x)
    return keras.Model(points, layers.Dense(1)(x), name=name)


def main(config, run):
    train, validation, test = run.load(composition)

    shapes = {**EQUAL, **FOUR_TIMES_AS_WIDE}
    models = {name: network(*shape, name) for name, shape in shapes.items()}
    run.initialize(*models.values())
    squared_error = keras.losses.MeanSquaredError()

    def make_step(model):
        def compute_loss(points, values):
            return squared_error(values, model(points, training=True))

        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate, run.total_steps(train)
        )
        return gradient_step(compute_loss, model, keras.optimizers.Adam(schedule))

    steps = {name: make_step(model) for name, model in models.items()}
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in steps.items()})
        found = errors(models, validation)
        run.log(**{f"validation_{name}_error": error for name, error in found.items()})

    found = errors(models, test)
    run.log(**{f"test_{name}_error": error for name, error in found.items()})
    shallow, *deeper = (found[name] for name in EQUAL)
    sizes = [models[name].count_params() for name in EQUAL]
    depths = [depth for depth, _ in EQUAL.values()]
    run.verdict(
        "At equal numbers of parameters, deeper networks come closer to a composed function",
        max(deeper) < shallow and deeper[-1] <= LESS * shallow,
        f"relative errors {listed([shallow, *deeper])} with {listed(depths)} hidden layers of "
        f"{min(sizes):,} to {max(sizes):,} parameters; the last at most {LESS:.0%} of the first",
    )
    run.verdict(
        "A deep network comes closer than one layer of four times its parameters",
        deeper[-1] < found["wide"],
        f"{deeper[-1]:.3g} with {depths[-1]} layers and {sizes[-1]:,} parameters, "
        f"{found['wide']:.3g} with one layer and {models['wide'].count_params():,}",
    )
    run.save(models["depth_8"])
    panels = {
        "": {
            f"{min(sizes):,} to {max(sizes):,} parameters": (depths, [shallow, *deeper]),
            f"{models['wide'].count_params():,} parameters": ([1], [found["wide"]]),
        }
    }
    figure = plots.graphs(panels, "hidden layers", "relative error", logarithmic="y")
    run.picture("depths", figure, "Errors on the test part.")
    run.picture("fits", plots.graphs(fits(models), "x"), "The function where y is x, and networks.")


def errors(models, split):
    """{name: root mean square error, in standard deviations of the values}."""
    points, values = split
    return {
        name: relative_error(ops.convert_to_numpy(model(points)), values)
        for name, model in models.items()
    }


def fits(models):
    """Panels for ``plots.graphs``."""
    x = np.linspace(-1, 1, 400, dtype="float32")[:, None]
    points = x.repeat(2, axis=1)
    panels = {}
    for title, name in (("1 hidden layer", "depth_1"), ("8 hidden layers", "depth_8")):
        learned = ops.convert_to_numpy(models[name](points))
        panels[title] = {
            "function": (x.ravel(), composition.composition(points).ravel()),
            "network": (x.ravel(), learned.ravel()),
        }
    return panels


def listed(values):
    return ", ".join(f"{value:.3g}" for value in values)
