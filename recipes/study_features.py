"""What the layers of a convolutional network see: edges first, and more of the object in each.

    python -m recipes run study_features

Zeiler and Fergus 2013, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901:
the first layer sees edges and colours, the next ones textures and parts, the last ones objects.
Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes",
arXiv:1610.01644: a linear classifier, which learns beside the network and sends it no gradients,
tells how far a layer has come. Yosinski et al. 2014, "How transferable are features in deep neural
networks?", arXiv:1411.1792, compare with layers whose weights stay random.

Three convolutions learn to tell ten shapes of any size, place and colour. All have as many
features, which a probe reads as means over 4x4 places: no layer's probe has more weights than
another's. With each layer, test accuracy must get better by 5 points, about two standard errors of
300 pictures, and be better by 20 after the last layer than with the initial weights.

A filter is taken for an edge if it correlates by a half with a derivative of a Gaussian, the first
or the second, in some direction and colour: so must at least a half of the first layer's filters,
and at most a tenth before training.
"""

import itertools
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from custom_layers import BatchNormalization
from recipes.data import shapes
from recipes.data.augmentation import mirrored, moved
from recipes.training import plots
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

BLOCKS = 3
MARGIN = 0.05  # of test accuracy, from layer to layer
MARGIN_OF_LEARNING = 0.2
EDGE = 0.5  # correlation from which a filter is an edge
SHARES_OF_EDGES = 0.5, 0.1  # at least so many after training, at most so many before


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: pictures a step
        learning_rate: AdamW's at the first step; it falls to 0 along a cosine
        weight_decay: share of a convolution's weights that a step takes away, times the learning
            rate; without it, the noise of the initial weights stays in the filters
        width: features of each layer
        seed: decides initial weights, validation part, shuffles and augmentation
    """

    epochs: PositiveInt = 24
    batch_size: PositiveInt = 50
    learning_rate: PositiveFloat = 3e-3
    weight_decay: PositiveFloat = 3.0
    width: PositiveInt = 16
    seed: Seed = 0


def network(width, name):
    """(B, 32, 32, 3) -> logits (B, 10), and features (B, 16 * C) of the pixels and each layer."""
    image = keras.Input((32, 32, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1)(image)
    features = [of_places(x)]
    for block in range(1, BLOCKS + 1):
        size = 7 if block == 1 else 3  # large enough to be looked at
        x = layers.Conv2D(width, size, padding="same", use_bias=False, name=f"filters{block}")(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.ReLU()(BatchNormalization(momentum=0.9)(x))
        features.append(of_places(x))
    logits = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, [logits, *features], name=name)


def of_places(x):
    """Means of 4x4 places: (B, H, W, C) -> (B, 16 * C)."""
    return layers.Flatten()(layers.AveragePooling2D(x.shape[1] // 4)(x))


def probes_of(model):
    """A linear classifier for each of its features."""
    return [
        keras.Sequential(
            [keras.Input(features.shape[1:]), layers.Dense(10)], name=f"{model.name}_layer{depth}"
        )
        for depth, features in enumerate(model.outputs[1:])
    ]


def main(config, run):
    train, validation, test = run.load(shapes)

    learned, untrained = network(config.width, "learned"), network(config.width, "untrained")
    probed = [(model, probes_of(model)) for model in (learned, untrained)]
    trained = [learned, *(probe for _, probes in probed for probe in probes)]
    run.initialize(untrained, *trained)
    learned.set_weights(untrained.get_weights())
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def augment(random, images, labels):
        return mirrored(random, moved(random, images, 3)), labels

    def all_logits(images, training=False):
        """{name: logits} of the two networks and of their probes."""
        found = {}
        for model, probes in probed:
            found[model.name], *features = model(images, training=training)
            for probe, each in zip(probes, features, strict=True):
                found[probe.name] = probe(ops.stop_gradient(each), training=training)
        return found

    def compute_loss(images, labels):
        losses = {
            f"{name}_loss": cross_entropy(labels, logits)
            for name, logits in all_logits(images, training=True).items()
        }
        return sum(losses.values()), losses

    def accuracies(split):
        images, labels = split
        return {
            f"{name}_accuracy": float(np.mean(ops.convert_to_numpy(logits).argmax(1) == labels))
            for name, logits in all_logits(images).items()
        }

    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(config.learning_rate, run.total_steps(train)),
        weight_decay=config.weight_decay,
    )
    optimizer.exclude_from_weight_decay(  # all but convolutions
        [each for model in trained for each in model.trainable_variables if len(each.shape) < 4]
    )
    step = gradient_step(compute_loss, trained, optimizer, reads=[untrained])
    for _ in run.epochs(step):
        for batch in run.batches(train, augment):
            _, losses = step(*batch)
            run.log(**losses)
        run.log(**{f"validation_{name}": score for name, score in accuracies(validation).items()})

    scores = accuracies(test)  # the one look at the test part
    run.log(**{f"test_{name}": score for name, score in scores.items()})
    curves = {
        model.name: [scores[f"{probe.name}_accuracy"] for probe in probes]
        for model, probes in probed
    }
    told = {name: ", ".join(f"{score:.1%}" for score in curve) for name, curve in curves.items()}
    run.verdict(
        "A linear classifier tells more from the features of each layer than from those before",
        min(np.diff(curves["learned"])) >= MARGIN,
        f"{told['learned']} from pixels to layer {BLOCKS}, {MARGIN:.0%} more wanted each time",
    )
    run.verdict(
        "It is learning that makes the features better, and not depth",
        curves["learned"][-1] >= curves["untrained"][-1] + MARGIN_OF_LEARNING,
        f"{told['untrained']} with the initial weights, where the last must be "
        f"{MARGIN_OF_LEARNING:.0%} worse",
    )
    filters = {
        "before training": ops.convert_to_numpy(untrained.get_layer("filters1").kernel),
        "after training": ops.convert_to_numpy(learned.get_layer("filters1").kernel),
    }
    before, after = (float(np.mean(edge_likeness(each) >= EDGE)) for each in filters.values())
    run.verdict(
        "The first layer becomes one of edges",
        after >= SHARES_OF_EDGES[0] and before <= SHARES_OF_EDGES[1],
        f"{before:.0%} of its filters are edges before training and {after:.0%} after it, at most "
        f"{SHARES_OF_EDGES[1]:.0%} and at least {SHARES_OF_EDGES[0]:.0%} wanted",
    )
    run.save(learned)
    drawn = {name: (range(BLOCKS + 1), curve) for name, curve in curves.items()}
    run.picture(
        "probes",
        plots.graphs({"Linear classifiers": drawn}, "layer (0: the pixels)", "test accuracy"),
        "What a linear classifier tells from each layer's features.",
    )
    run.picture(
        "filters",
        plots.gallery({name: np.moveaxis(each, -1, 0) for name, each in filters.items()}),
        "Filters of the first layer, in the colours that they look for.",
    )


def edges_and_bars(size):
    """First and second derivatives of Gaussians in all directions: (N, size, size), of norm 1."""
    down, right = np.indices((size, size)) - (size - 1) / 2
    found = []
    for angle, width, length, shift in itertools.product(
        np.deg2rad(np.arange(0, 180, 15)), (1, 1.5, 2), (1, 2), (-1, 0, 1)
    ):
        across = (right * np.cos(angle) + down * np.sin(angle) - shift) / width
        along = (down * np.cos(angle) - right * np.sin(angle)) / (width * length)
        gaussian = np.exp(-(across**2 + along**2) / 2)
        found += [-across * gaussian, (across**2 - 1) * gaussian]
    found = np.stack(found)
    found -= found.mean(axis=(1, 2), keepdims=True)  # an even surface is neither
    return found / np.linalg.norm(found, axis=(1, 2), keepdims=True)


def edge_likeness(kernel):
    """The largest correlation of each filter with an edge or bar of any colour, 0 to 1.

    (H, W, C, filters) -> (filters,)
    """
    fits = np.einsum("nhw,hwcf->ncf", edges_and_bars(len(kernel)), kernel)
    # Of all colours, which are directions, a filter correlates most with that of its fit.
    return np.linalg.norm(fits, axis=1).max(axis=0) / np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)))
