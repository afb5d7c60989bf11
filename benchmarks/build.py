"""The seconds in which ``zoo.build`` makes each model of the catalog, at its paper's size.

The other side is keras.applications, where it has the same architecture.
"""

import gc
import math
import statistics
from functools import partial

import keras

import zoo
from benchmarks.initial_weights import built
from benchmarks.side_by_side import ratio, seconds, write
from zoo.initial_weights import without_values

SAME = {
    "convnext_base": "ConvNeXtBase",
    "convnext_large": "ConvNeXtLarge",
    "convnext_small": "ConvNeXtSmall",
    "convnext_tiny": "ConvNeXtTiny",
    "densenet121": "DenseNet121",
    "densenet169": "DenseNet169",
    "densenet201": "DenseNet201",
    "efficientnet_b0": "EfficientNetB0",
    "efficientnet_b1": "EfficientNetB1",
    "efficientnet_b2": "EfficientNetB2",
    "efficientnet_b3": "EfficientNetB3",
    "efficientnet_b4": "EfficientNetB4",
    "efficientnet_b5": "EfficientNetB5",
    "efficientnet_b6": "EfficientNetB6",
    "efficientnet_b7": "EfficientNetB7",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_large": "MobileNetV3Large",
    "mobilenet_v3_small": "MobileNetV3Small",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "resnet50": "ResNet50",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
}


def of_keras(name):
    """The function that builds keras.applications' model of the same architecture."""
    make = getattr(keras.applications, SAME[name])
    return partial(make, weights=None, classifier_activation=None)


def parameters(build):
    """The number of a model's trainable parameters, which take no memory here."""
    with without_values():
        return sum(math.prod(weight.shape) for weight in build().trainable_weights)


def measure(name, rounds):
    """A row of results: of both sides, or of ours alone."""
    ours = partial(zoo.build, name)
    count = parameters(ours)
    # Only the collector frees a model. It is a side, so that its time is not that of a build.
    sides = {"ours": partial(built, ours), "ours freed": gc.collect}
    if name not in SAME:
        median = statistics.median(seconds(sides, rounds)["ours"])
        what = f"build of {name}, seconds"
        return {"what": what, "ours": median, "model": name, "parameters": count}
    theirs = of_keras(name)
    # Some of Keras's have a bias before a normalization, or one that scales the image.
    their_count = parameters(theirs)
    if abs(their_count / count - 1) > 0.002:
        raise ValueError(
            f"{name} has {count:,} parameters and keras.applications.{SAME[name]} "
            f"{their_count:,}: compare models of the same architecture."
        )
    sides |= {"theirs": partial(built, theirs), "theirs freed": gc.collect}
    found = seconds(sides, rounds)
    return ratio(
        f"build of {name}, ours / keras.applications, seconds", found["ours"], found["theirs"],
        model=name, parameters=count,
    )  # fmt: skip


def shown(row):
    """A row of results as one line."""
    line = f"{row['what']}: {row['ours']:.3g} for {row['parameters']:,} parameters"
    if "theirs" not in row:
        return line
    return (
        f"{line} against {row['theirs']:.3g}, {row['median']:.2f} (from {row['lowest']:.2f} to "
        f"{row['highest']:.2f})"
    )


def main(names=None, rounds=3, folder=None):
    rows = [measure(name, rounds) for name in names or zoo.list_models()]
    write("build", rows, folder, shown=shown)
