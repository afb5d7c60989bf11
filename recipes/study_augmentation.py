"""Few images: augmentation is worth more than a bigger model.

    python -m recipes run study_augmentation

Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks Applied to
Visual Document Analysis": a large training set matters most, so enlarge it by distorted digits.
Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural
Networks", section 4.1, move their images, without which the network overfits. Shorten and
Khoshgoftaar 2019, "A survey on Image Data Augmentation for Deep Learning", has many more ways.

Three networks learn from 300 of MNIST's digits, each step from the same ones: a small network from
the digits as they are, one of the same size from digits that are moved by up to 2 pixels, another
way in each epoch, and one that is three times as wide, of nine times as many weights, from the
digits as they are. The augmented one must be better than either by a point of test accuracy.
"""

from dataclasses import dataclass

import keras
from keras import layers

from recipes.data import mnist_subset
from recipes.data.augmentation import moved
from recipes.data.batches import cut_validation
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

# A point: an accuracy of 90% of 1,000 digits has a standard error of 0.9 points.
MARGIN = 0.01


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the few digits
        batch_size: digits a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        digits: how many there are to learn from
        seed: decides initial weights, which digits these are, shuffles and augmentation
    """

    epochs: PositiveInt = 80
    batch_size: PositiveInt = 50
    learning_rate: PositiveFloat = 2e-3
    digits: PositiveInt = 300
    seed: Seed = 0


def network(width, name):
    """Two convolutions and two dense layers: digits (B, 28, 28, 1) -> (B, 10) logits."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="pixels"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(2 * width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(8 * width, activation="relu"),
            layers.Dense(10),
        ],
        name=name,
    )


def main(config, run):
    train, validation, test = run.load(mnist_subset)
    _, few = cut_validation(train, config.digits / len(train[0]), config.seed)

    plain, augmented, bigger = network(8, "plain"), network(8, "augmented"), network(24, "bigger")
    run.initialize(plain, augmented, bigger)
    augmented.set_weights(plain.get_weights())  # augmentation is all that they differ by
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def with_moved(random, images, labels):
        """The batch of a step: the digits as they are, and moved."""
        return images, moved(random, images, 2), labels

    def step_of(model):
        def compute_loss(images, labels):
            return cross_entropy(labels, model(images, training=True))

        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate, run.total_steps(few)
        )
        return gradient_step(compute_loss, model, keras.optimizers.Adam(schedule))

    def accuracies(split):
        models = (plain, augmented, bigger)
        return {model.name: classify(model, split).accuracy for model in models}

    plain_step, augmented_step, bigger_step = map(step_of, (plain, augmented, bigger))
    for _ in run.epochs(plain_step, augmented_step, bigger_step):
        for images, moved_images, labels in run.batches(few, with_moved):
            run.log(
                plain_loss=plain_step(images, labels),
                augmented_loss=augmented_step(moved_images, labels),
                bigger_loss=bigger_step(images, labels),
            )
        for name, accuracy in accuracies(validation).items():
            run.log(**{f"validation_{name}_accuracy": accuracy})

    scores = accuracies(test)  # the one look at the test part
    run.log(**{f"test_{name}_accuracy": accuracy for name, accuracy in scores.items()})
    for statement, other in (
        ("Augmentation makes a network better", "plain"),
        ("Augmentation is worth more than nine times as many weights", "bigger"),
    ):
        run.verdict(
            f"{statement}, on few images",
            scores["augmented"] >= scores[other] + MARGIN,
            f"{scores['augmented']:.1%} and {scores[other]:.1%}, {MARGIN:.0%} more wanted",
        )
    run.save(augmented)
    run.picture(
        "accuracies",
        plots.bars({name: 1 - score for name, score in scores.items()}, "share of mistakes"),
        f"Mistakes on the test part, after {len(few[0])} digits.",
    )
