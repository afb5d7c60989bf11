"""One hidden layer approximates any continuous function: the wider it is, the closer.

    python -m recipes run study_universal_approximation

Cybenko 1989, "Approximation by Superpositions of a Sigmoidal Function", Mathematics of Control,
Signals and Systems 2; Hornik, Stinchcombe and White 1989, "Multilayer Feedforward Networks Are
Universal Approximators", Neural Networks 2. They say that there are such weights, not that
training finds them, which is what is tried here: networks of 1 to 256 tanh units learn a curve
(four waves of a chirp) and a surface (Franke's). Leshno et al. 1993, "Multilayer Feedforward
Networks with a Nonpolynomial Activation Function Can Approximate Any Function", Neural Networks 6,
say that the activation must not be a polynomial: the widest layer is tried without one, too.

An error is relative: the root mean square error over the function's standard deviation, so that 1
is that of a constant. It falls with width if each wider network has a smaller one on the test part;
the widest network approximates the function if its error is at most 0.05, a difference that one
hardly sees in the picture. A linear layer is no more than a plane if it leaves at least 0.99 of the
error that the plane of least squares leaves.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import initializers, layers, ops

from recipes.data import functions
from recipes.training import plots
from recipes.training.evaluate import relative_error
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

WIDTHS = (1, 4, 16, 64, 256)
BOUND = 0.05
# How large the first weights and biases of the hidden layer may be: units must begin as steep as
# the waves are, because training moves them slowly.
STEEPNESS = {"curve": 40.0, "surface": 6.0}


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: points of each function a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        seed: decides initial weights, validation part and shuffles
    """

    epochs: PositiveInt = 20
    batch_size: PositiveInt = 100
    learning_rate: PositiveFloat = 0.02
    seed: Seed = 0


def network(inputs, width, steepness, name, activation="tanh"):
    """(B, inputs) in [0, 1] -> (B, 1)."""
    kernel, bias = (initializers.RandomUniform(-steepness, steepness) for _ in range(2))
    hidden = layers.Dense(width, activation, kernel_initializer=kernel, bias_initializer=bias)
    return keras.Sequential(
        [keras.Input((inputs,)), layers.Rescaling(2, -1), hidden, layers.Dense(1)], name=name
    )


def main(config, run):
    train, validation, test = run.load(functions)

    models = {}
    for function, inputs in (("curve", 1), ("surface", 2)):
        for width in WIDTHS:
            name = f"{function}_{width}"
            models[name] = network(inputs, width, STEEPNESS[function], name)
        name = f"{function}_linear"
        models[name] = network(inputs, WIDTHS[-1], 1.0, name, activation="linear")
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
            run.log(**{f"{name}_loss": step(*part(batch, name)) for name, step in steps.items()})
        run.log(**{f"validation_{name}_error": error for name, error in errors(models, validation)})

    found = dict(errors(models, test))
    run.log(**{f"test_{name}_error": error for name, error in found.items()})
    for function in STEEPNESS:
        by_width = [found[f"{function}_{width}"] for width in WIDTHS]
        told = ", ".join(f"{error:.3g}" for error in by_width)
        units = ", ".join(map(str, WIDTHS))
        run.verdict(
            f"The error on the {function} falls with width",
            bool(np.all(np.diff(by_width) < 0)),
            f"relative errors {told} with {units} units",
        )
        run.verdict(
            f"One hidden layer of {WIDTHS[-1]} units approximates the {function}",
            by_width[-1] <= BOUND,
            f"a relative error of {by_width[-1]:.3g}, at most {BOUND}",
        )
    planes = {name: plane_error(part(train, name), part(test, name)) for name in STEEPNESS}
    linear = {name: found[f"{name}_linear"] for name in STEEPNESS}
    run.verdict(
        f"Without its nonlinearity a hidden layer of {WIDTHS[-1]} units is no more than a plane",
        all(linear[name] >= 0.99 * planes[name] for name in STEEPNESS),
        "; ".join(
            f"{name}: {linear[name]:.3g}, where least squares' plane leaves {planes[name]:.3g}"
            for name in STEEPNESS
        ),
    )
    run.save(models[f"curve_{WIDTHS[-1]}"])
    series = {
        function: (WIDTHS, [found[f"{function}_{width}"] for width in WIDTHS])
        for function in STEEPNESS
    }
    figure = plots.graphs({"": series}, "hidden units", "relative error", logarithmic="xy")
    run.picture("widths", figure, "Errors on the test part, by the width of the hidden layer.")
    run.picture("fits", plots.graphs(fits(models), "x"), "The functions, and what was learned.")


def part(split, name):
    """(points, values) of the function that a model of this name learns."""
    return split[:2] if name.startswith("curve") else split[2:]


def errors(models, split):
    """(name, relative error) of each model."""
    for name, model in models.items():
        points, values = part(split, name)
        yield name, relative_error(ops.convert_to_numpy(model(points)), values)


def plane_error(train, test):
    """The relative error on the test part of the plane that fits the training part best."""
    design, design_test = (np.insert(points, 0, 1, axis=1) for points, _ in (train, test))
    plane = np.linalg.lstsq(design, train[1])[0]
    return relative_error(design_test @ plane, test[1])


def fits(models):
    """Panels for ``plots.graphs``: the curve, and the surface where y is x."""
    x = np.linspace(0, 1, 400, dtype="float32")[:, None]
    panels = {}
    for title, name, points, values in (
        ("curve", "curve", x, functions.curve(x)),
        ("surface, along its diagonal", "surface", x.repeat(2, 1), None),
    ):
        values = functions.surface(points) if values is None else values
        panels[title] = {"function": (x.ravel(), values.ravel())}
        for width in WIDTHS[1::2] + WIDTHS[-1:]:
            learned = ops.convert_to_numpy(models[f"{name}_{width}"](points))
            panels[title][f"{width} units"] = x.ravel(), learned.ravel()
    return panels
