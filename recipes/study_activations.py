"""What an activation function does to outputs, and to gradients on their way through 20 layers.

    python -m recipes run study_activations

Sigmoid, tanh, ReLU (Glorot, Bordes and Bengio 2011, "Deep Sparse Rectifier Neural Networks"),
Leaky ReLU (Maas, Hannun and Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic
Models") and GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415): their curves and derivatives, and
a dense network of 20 hidden layers with each, trained by Adam on MNIST. Weights begin as was
proposed for sigmoid and tanh (Glorot and Bengio 2010, "Understanding the Difficulty of Training
Deep Feedforward Neural Networks") and for rectifiers (He et al. 2015, arXiv:1502.01852).

A function saturates if, of inputs from -6 to 6, its slopes at both ends are under 5% of its
steepest. It is zero-centred if its mean output, of standard normal inputs, is within 0.01 of 0, and
is not beyond 0.1. Gradients vanish if their norm in the first hidden layer is under a thousandth of
that in the last, before training, and do not if it is within a factor of 10. A network learns if
half of the test digits are right, and does not under 20%; chance is 10%.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from custom_layers import GELU, LeakyReLU
from recipes.data import mnist_subset
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import gradients_of
from recipes.training.options import PositiveFloat, PositiveInt, Seed

ACTIVATIONS = {  # the layer, and the initial weights of the dense layers before it
    "sigmoid": (lambda: layers.Activation("sigmoid"), "glorot_uniform"),
    "tanh": (lambda: layers.Activation("tanh"), "glorot_uniform"),
    "relu": (layers.ReLU, "he_normal"),
    "leaky_relu": (LeakyReLU, "he_normal"),
    "gelu": (GELU, "he_normal"),
}
DEPTH, WIDTH = 20, 64
INPUTS = np.linspace(-6, 6, 241, dtype="float32")  # of the curves


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: images a step
        learning_rate: Adam's
        seed: decides initial weights, validation part and shuffles
    """

    epochs: PositiveInt = 5
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    seed: Seed = 0


def network(name):
    """Images (B, 28, 28, 1) -> logits (B, 10)."""
    activation, initializer = ACTIVATIONS[name]
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten()], name=name
    )
    for _ in range(DEPTH):
        model.add(layers.Dense(WIDTH, kernel_initializer=initializer))
        model.add(activation())
    model.add(layers.Dense(10))
    return model


def main(config, run):
    train, validation, test = run.load(mnist_subset)

    models = {name: network(name) for name in ACTIVATIONS}
    run.initialize(*models.values())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of(model):
        return lambda images, labels: cross_entropy(labels, model(images, training=True))

    norms = {
        name: layer_norms(gradients_of(loss_of(model), model, *train))
        for name, model in models.items()
    }
    steps = {
        name: gradient_step(loss_of(model), model, keras.optimizers.Adam(config.learning_rate))
        for name, model in models.items()
    }
    for _ in run.epochs(*steps.values()):
        for batch in run.batches(train):
            run.log(**{f"{name}_loss": step(*batch) for name, step in steps.items()})
        scores = {name: classify(model, validation).accuracy for name, model in models.items()}
        run.log(**{f"validation_{name}_accuracy": score for name, score in scores.items()})

    scores = {name: classify(model, test).accuracy for name, model in models.items()}
    run.log(**{f"test_{name}_accuracy": score for name, score in scores.items()})
    curves = {name: curve(activation()) for name, (activation, _) in ACTIVATIONS.items()}
    saturated = [name for name, (_, s) in curves.items() if max(s[0], s[-1]) < 0.05 * max(s)]
    ranges = [f"{name} {min(y):.2f} to {max(y):.2f}" for name, (y, _) in curves.items()]
    run.verdict(
        "Sigmoid and tanh saturate, and rectifiers do not",
        saturated == ["sigmoid", "tanh"],
        f"{' and '.join(saturated)} do; outputs of -6 to 6: {', '.join(ranges)}",
    )
    means = {name: mean_output(outputs) for name, (outputs, _) in curves.items()}
    run.verdict(
        "Outputs of tanh are zero-centred, those of sigmoid and ReLU are not",
        abs(means["tanh"]) < 0.01 and min(means["sigmoid"], means["relu"]) > 0.1,
        "mean output: " + ", ".join(f"{name} {mean:.2f}" for name, mean in means.items()),
    )
    ratios = {name: first / last for name, (first, *_, last) in norms.items()}
    run.verdict(
        "Through 20 layers of sigmoids gradients vanish, and through 20 of ReLU they do not",
        ratios["sigmoid"] < 1e-3 and 0.1 < ratios["relu"] < 10,
        "first layer's to last's: " + ", ".join(f"{name} {r:.2g}" for name, r in ratios.items()),
    )
    run.verdict(
        "A network of 20 layers learns with ReLU, and does not with sigmoids",
        scores["relu"] >= 0.5 and scores["sigmoid"] < 0.2,
        "test accuracy: " + ", ".join(f"{name} {score:.1%}" for name, score in scores.items()),
    )
    run.save(models["relu"])
    panels = {
        title: {name: (INPUTS, curves[name][place]) for name in curves}
        for place, title in enumerate(["activation", "derivative"])
    }
    run.picture("curves", plots.graphs(panels, "input"), "The functions and their derivatives.")
    panel = {name: (range(1, DEPTH + 1), each) for name, each in norms.items()}
    figure = plots.graphs({"norm of the gradient": panel}, "hidden layer", logarithmic="y")
    run.picture("gradients", figure, "Gradients of the hidden layers' kernels, before training.")


def curve(activation):
    """(outputs, slopes) at INPUTS; slopes are the gradient of the outputs' sum by the inputs."""
    inputs = layers.Dense(len(INPUTS), use_bias=False)  # its weights, as what it is given is 1
    model = keras.Sequential([keras.Input((1,)), inputs, activation])
    model.set_weights([INPUTS[None]])
    one = np.ones((1, 1), "float32")
    (slopes,) = gradients_of(lambda one: ops.sum(model(one, training=True)), model, one)
    return ops.convert_to_numpy(model(one))[0], slopes[0]


def mean_output(outputs):
    """The mean of outputs at INPUTS, weighted by the standard normal density."""
    return float(np.average(outputs, weights=np.exp(-(INPUTS**2) / 2)))


def layer_norms(gradients):
    """Of (kernel, bias, ..., kernel, bias of the output): those of the hidden kernels."""
    return [float(np.linalg.norm(each)) for each in gradients[:-2:2]]
