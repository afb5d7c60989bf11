"""A trained convolutional network, tuned to other pictures.

    python -m recipes run finetune_images

Loads a checkpoint, trains a new output layer on frozen features, then all of it (Yosinski, Clune,
Bengio and Lipson 2014, "How transferable are features in deep neural networks?", arXiv:1411.1792):
a ResNet-20 (He et al. 2015) of MNIST on the 1,437 training digits of scikit-learn.

    --weights none                           the same network from scratch, as many steps
    --model resnet50 --weights hf://timm/resnet50.a1_in1k --image-size 224
                                             a network of ImageNet

Test accuracy with the defaults, on a 2-core AMD EPYC:

                      tensorflow   jax       torch
    tuned             99.44%       99.17%    99.17%
    --weights none    94.44%       95.28%    95.00%

The checkpoint is the network.safetensors of a run with --dataset mnist --weights none --epochs 2
--batch-size 128, on TensorFlow, with a test accuracy of 99.15% on MNIST's 10,000.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
from keras import layers

import zoo
from recipes.data import digits, mnist
from recipes.training import plots
from recipes.training.errors import InputError
from recipes.training.evaluate import classify
from recipes.training.folder import whole_file
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed

DATASETS = {"digits": digits, "mnist": mnist}
EMBEDDED_WEIGHTS = Path(__file__).parent / "data" / "resnet20_mnist.safetensors"
# Of red, green and blue in ImageNet, between 0 and 1: what its checkpoints were trained with.
MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        head_epochs: the first of them, in which the output layer alone is trained
        batch_size: images a step
        learning_rate: Adam's at the first step of all layers; it falls to 0 along a cosine
        head_learning_rate: Adam's while the output layer alone is trained
        model: name of a network in the catalog
        weights: checkpoint to begin with: a file, a folder or hf://organization/name as
            zoo.load_weights takes it; mnist is a ResNet-20 that comes along, and none trains all
            layers from scratch, in all epochs
        image_size: height and width that pictures are brought to
        dataset: pictures to tune to, digits of scikit-learn or of MNIST
        seed: decides initial weights, validation part, shuffles and dropout
    """

    epochs: PositiveInt = 6
    head_epochs: PositiveInt = 2
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    head_learning_rate: PositiveFloat = 1e-2
    model: str = "resnet20_cifar"
    weights: str = "mnist"
    image_size: PositiveInt = 28
    dataset: Literal["digits", "mnist"] = "digits"
    seed: Seed = 0


def prepared(image_shape, size):
    """The model (B, H, W, 1 or 3) -> (B, size, size, 3): from 0 to 255 to what ImageNet's take."""
    image = x = keras.Input(image_shape, name="pixels")
    if x.shape[1:3] != (size, size):
        x = layers.Resizing(size, size)(x)
    if x.shape[-1] == 1:
        x = layers.Concatenate()([x, x, x])  # grey
    scales = [1 / (255 * deviation) for deviation in DEVIATIONS]
    offsets = [-mean / deviation for mean, deviation in zip(MEANS, DEVIATIONS, strict=True)]
    return keras.Model(image, layers.Rescaling(scales, offsets)(x), name="prepared")


def main(config, run):
    data = DATASETS[config.dataset]
    train, validation, test = run.load(data)
    from_scratch = config.weights == "none"
    head_epochs = 0 if from_scratch else config.head_epochs

    try:
        network = zoo.build(
            config.model, num_classes=len(data.CLASSES),
            input_shape=(config.image_size, config.image_size, 3),
        )  # fmt: skip
        prepare = prepared(train[0].shape[1:], config.image_size)
        model = keras.Sequential([prepare, network], name="finetune_images")
        run.initialize(model)
        if not from_scratch:
            source = EMBEDDED_WEIGHTS if config.weights == "mnist" else config.weights
            zoo.load_weights(network, source, head=False)
    except ValueError as error:
        raise InputError(str(error)) from None
    output = network.get_layer("output")
    features = keras.Model(network.input, output.input)
    head = keras.Sequential([keras.Input(output.input.shape[1:]), output])
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def head_loss(images, labels):
        # Frozen: no step moves the features, and they normalize as the checkpoint did.
        return cross_entropy(labels, head(features(prepare(images), training=False)))

    def compute_loss(images, labels):
        return cross_entropy(labels, model(images, training=True))

    head_optimizer = keras.optimizers.Adam(config.head_learning_rate)
    head_step = gradient_step(head_loss, head, head_optimizer, reads=[features])
    steps = run.total_steps(train) * max(1, config.epochs - head_epochs) // config.epochs
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    whole_step = gradient_step(compute_loss, model, keras.optimizers.Adam(schedule))

    for epoch in run.epochs(head_step, whole_step):
        step = head_step if epoch <= head_epochs else whole_step
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        result = classify(model, validation)
        run.log(validation_loss=result.loss, validation_accuracy=result.accuracy)

    result = classify(model, test)  # the one look at the test part
    run.log(test_loss=result.loss, test_accuracy=result.accuracy)
    run.save(model)
    with whole_file(run.folder / "network.safetensors") as file:
        zoo.save_weights(network, file)
    run.picture("confusion", plots.confusion_matrix(result), "True and predicted digits.")
    run.picture("mistakes", plots.mistakes(result), "Mistakes, the surest first.")
    run.picture("samples", plots.samples(result), "Digits of the test part.")
