"""A small vision transformer on CIFAR-10, for a GPU.

    python -m recipes run vit_cifar10
    python -m recipes run vit_cifar10 --epochs 1 --width 128 --depth 2      a start, for a CPU

Hassani, Walton, Shah, Abuduweili, Li and Shi 2021, "Escaping the Big Data Paradigm with Compact
Transformers", arXiv:2104.05704: ViT (Dosovitskiy et al. 2020, arXiv:2010.11929) is good on small
data sets where it is small: 7 blocks of 256 features, patches of 4x4. Trained from scratch for 200
epochs, images moved by up to 4 pixels and mirrored, the authors' examples give their ViT-Lite-7/4 a
test accuracy of 91.38%, with AutoAugment, which is not used here.

After the second command, on a 2-core AMD EPYC:

                     tensorflow   jax      torch
    test accuracy    37.82%       37.82%   37.82%
"""

from dataclasses import dataclass

import keras
from keras import layers, ops

from recipes.data import cifar10
from recipes.data.augmentation import mirrored, moved
from recipes.training import plots
from recipes.training.errors import InputError
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.attention.vit import vit_tiny_16

PUBLISHED = 0.9138  # of the authors' examples


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: images a step
        learning_rate: AdamW's after a tenth of the steps, in which it grows from 0; it falls to 0
            along a cosine
        weight_decay: AdamW's, of matrices
        label_smoothing: share of the probability that labels give to all classes alike
        patch_size: height and width of a patch, a divisor of 32
        width: features of a patch
        depth: number of blocks
        num_heads: heads of attention, a divisor of the width
        dropout_rate: share of embeddings, hidden units and changes dropped in training
        stochastic_depth_rate: share of the examples that skip the last block in training
        seed: decides initial weights, validation part, shuffles and augmentation
    """

    epochs: PositiveInt = 200
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 5e-4
    weight_decay: Rate = 0.03
    label_smoothing: Rate = 0.1
    patch_size: PositiveInt = 4
    width: PositiveInt = 256
    depth: PositiveInt = 7
    num_heads: PositiveInt = 4
    dropout_rate: Rate = 0.0
    stochastic_depth_rate: Rate = 0.1
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(cifar10)
    pixels = keras.Input(train[0].shape[1:], name="pixels")
    means, deviations = cifar10.MEANS, cifar10.DEVIATIONS
    scales = [1 / (255 * deviation) for deviation in deviations]
    offsets = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
    try:
        network = vit_tiny_16(
            num_classes=len(cifar10.CLASSES), input_shape=train[0].shape[1:],
            patch_size=config.patch_size, width=config.width, depth=config.depth,
            num_heads=config.num_heads, dropout_rate=config.dropout_rate,
            stochastic_depth_rate=config.stochastic_depth_rate,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error)) from None
    model = keras.Sequential(
        [pixels, layers.Rescaling(scales, offsets), network], name="vit_cifar10"
    )
    run.initialize(model)
    total = run.total_steps(train)
    warmup = total // 10
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total - warmup, warmup_target=config.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=config.weight_decay, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "token", "positions"])
    cross_entropy = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )

    def augment(random, images, labels):
        return mirrored(random, moved(random, images, 4)), labels

    def compute_loss(images, labels):
        return cross_entropy(
            ops.one_hot(labels, len(cifar10.CLASSES)), model(images, training=True)
        )

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train, augment):
            run.log(loss=step(*batch))
        result = classify(model, validation)
        run.log(validation_loss=result.loss, validation_accuracy=result.accuracy)

    result = classify(model, test)  # the one look at the test part
    run.log(test_loss=result.loss, test_accuracy=result.accuracy)
    run.save(model)
    run.picture("confusion", plots.confusion_matrix(result), "True and predicted classes.")
    run.picture("mistakes", plots.mistakes(result), "Mistakes, the surest first.")
    run.picture("samples", plots.samples(result), "Pictures of the test part.")
