"""A small convolutional network on handwritten digits.

    python -m recipes run cnn_mnist

Convolutions with batch normalization, dropout, Adam and a cosine schedule, on MNIST (LeCun et
al. 1998).

Test accuracy with the defaults, on a 2-core AMD EPYC:

                      tensorflow   jax       torch
    60,000 digits     99.37%       99.34%    99.37%
    --data embedded   97.10%       97.10%    97.20%
"""

from dataclasses import dataclass

import keras
from keras import layers

from recipes.data import mnist
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.convolutional.mnist_cnn import mnist_cnn


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: images a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        dropout_rate: share of the dense layer's inputs and outputs that is dropped in training
        seed: decides initial weights, validation part, shuffles and dropout
    """

    epochs: PositiveInt = 12
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 1e-3
    dropout_rate: Rate = 0.5
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(mnist)

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="pixels"),
            layers.Rescaling(1 / 255),
            # The default momentum of 0.99 forgets its start too slowly for a short run: after 105
            # steps on the embedded digits, validation is at 11 to 70 % with it (three seeds), and
            # at 95 to 97 % with 0.9.
            mnist_cnn(dropout_rate=config.dropout_rate, batch_norm_momentum=0.9),
        ],
        name="cnn_mnist",
    )
    run.initialize(model)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, run.total_steps(train))
    optimizer = keras.optimizers.Adam(schedule)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compute_loss(images, labels):
        return cross_entropy(labels, model(images, training=True))

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        result = classify(model, validation)
        run.log(validation_loss=result.loss, validation_accuracy=result.accuracy)

    result = classify(model, test)  # the one look at the test part
    run.log(test_loss=result.loss, test_accuracy=result.accuracy)
    run.save(model)
    run.picture("confusion", plots.confusion_matrix(result), "True and predicted digits.")
    run.picture("mistakes", plots.mistakes(result), "Mistakes, the surest first.")
    run.picture("samples", plots.samples(result), "Digits of the test part.")
