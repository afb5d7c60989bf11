"""A residual network on CIFAR-10.

    python -m recipes run resnet_cifar10                           for a GPU
    python -m recipes run resnet_cifar10 --epochs 1 --depth 20     a short run

He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition", arXiv:1512.03385,
section 4.2: stochastic gradient descent with momentum 0.9 and a weight decay of 1e-4, 128 images a
step; a learning rate of 0.1 that falls to a tenth after a half and after three quarters of 64,000
steps; images moved by up to 4 pixels, and mirrored. The paper's test accuracy (table 6) is 91.25%
with 20 layers, 92.49% with 32, 92.83% with 44, 93.03% with 56 and 93.57% with 110.
"""

from dataclasses import dataclass
from typing import Literal

import keras
from keras import layers

import zoo
from recipes.data import cifar10
from recipes.data.augmentation import mirrored, moved
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed

PUBLISHED = {20: 0.9125, 32: 0.9249, 44: 0.9283, 56: 0.9303, 110: 0.9357}


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: images a step
        learning_rate: at the first step; it falls to a tenth after a half, and again after three
            quarters of the steps
        momentum: share of a step that the next one goes on with
        weight_decay: how much of the weights a step takes away, times the learning rate
        depth: number of layers
        seed: decides initial weights, validation part, shuffles and augmentation
    """

    epochs: PositiveInt = 182
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 0.1
    momentum: Rate = 0.9
    weight_decay: Rate = 1e-4
    depth: Literal[20, 32, 44, 56, 110] = 20
    seed: Seed = 0
