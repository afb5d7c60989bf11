"""The networks whose training step is measured, in Keras.

The CNN is the zoo's. The others are as small as their architecture allows, and make room for the
zoo's own when it has them. benchmarks/native/ has each of them in the idiom of each framework.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

from custom_layers import GELU, BatchNormalization
from zoo.convolutional.mnist_cnn import mnist_cnn


class Network(NamedTuple):
    """One row of the benchmark.

    Attributes:
        build: function of ``sizes`` that returns the Keras model, which ends in logits.
        sizes: its arguments, which the native counterparts take too.
        batch_size: examples a step.
        inputs: shape of one example; of integers where ``vocabulary`` is given.
        labels: shape of one example's labels.
        num_classes: number of logits.
        vocabulary: number of tokens, or None for inputs that are real numbers.
    """

    build: Callable
    sizes: dict
    batch_size: int
    inputs: tuple
    labels: tuple = ()
    num_classes: int = 10
    vocabulary: int | None = None

    def batches(self, count):
        """``count`` batches of random examples: a list of (inputs, labels)."""
        generator = np.random.default_rng(0)
        shape = (count, self.batch_size)
        if self.vocabulary is None:
            inputs = generator.normal(size=(*shape, *self.inputs)).astype("float32")
        else:
            inputs = generator.integers(0, self.vocabulary, (*shape, *self.inputs), "int32")
        labels = generator.integers(0, self.num_classes, (*shape, *self.labels), "int32")
        return list(zip(inputs, labels, strict=True))


def mlp(width):
    """(B, 784) -> (B, 10)."""
    x = pixels = keras.Input((784,))
    x = layers.Dense(width, activation="relu")(x)
    return keras.Model(pixels, layers.Dense(10)(x))


def cnn(dropout_rate):
    """(B, 28, 28, 1) -> (B, 10)."""
    return mnist_cnn(dropout_rate=dropout_rate, batch_norm_momentum=0.9)


def resnet(depth):
    """He et al. 2015, section 4.2, with its parameter-free shortcuts: (B, 32, 32, 3) -> (B, 10)."""

    def convolution(x, filters, stride):
        padding = "same"
        if stride == 2:
            # On both sides alike, as the paper's own code does, and not on one, as "same" does.
            x, padding = layers.ZeroPadding2D(1)(x), "valid"
        x = layers.Conv2D(filters, 3, stride, padding, use_bias=False)(x)
        return BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    def block(x, filters, stride):
        y = layers.ReLU()(convolution(x, filters, stride))
        y = convolution(y, filters, 1)
        if stride == 2:
            x = ops.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (0, filters // 2)])
        return layers.ReLU()(layers.add([x, y]))

    x = image = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolution(x, 16, 1))
    for filters, first_stride in ((16, 1), (32, 2), (64, 2)):
        for number in range((depth - 2) // 6):
            x = block(x, filters, first_stride if number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10)(x))


def lstm(width):
    """(B, T) tokens of 256 -> (B, 10), from the last state."""
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(256, 64)(tokens)
    return keras.Model(tokens, layers.Dense(10)(layers.LSTM(width)(x)))


def transformer(x, depth, width, num_heads, causal):
    """Blocks with the normalization before, as in GPT-2 and ViT: (B, T, D) -> (B, T, D)."""
    for _ in range(depth):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = ops.reshape(
            layers.Dense(3 * width)(y), (-1, x.shape[1], 3, num_heads, width // num_heads)
        )
        query, key, value = ops.unstack(y, axis=2)  # (B, T, N, K)
        y = ops.nn.dot_product_attention(query, key, value, is_causal=causal)
        x = x + layers.Dense(width)(ops.reshape(y, (-1, x.shape[1], width)))
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        x = x + layers.Dense(width)(GELU()(layers.Dense(4 * width)(y)))
    return layers.LayerNormalization(epsilon=1e-5)(x)


class Positions(layers.Layer):
    """Adds a learned vector for each position: (B, T, D) -> the same."""

    def build(self, input_shape):
        self.table = self.add_weight(shape=input_shape[1:], initializer="random_normal")

    def call(self, inputs):
        return inputs + self.table


def gpt(depth, width, num_heads, context):
    """A character model of nanoGPT's CPU size: (B, T) tokens of 65 -> (B, T, 65)."""
    tokens = keras.Input((context,), dtype="int32")
    x = Positions()(layers.Embedding(65, width)(tokens))
    x = transformer(x, depth, width, num_heads, causal=True)
    return keras.Model(tokens, layers.Dense(65)(x))


def vit(depth, width, num_heads):
    """ViT-Tiny (Touvron et al. 2021), for small images: (B, 32, 32, 3) -> (B, 10)."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(width, 4, 4)(image)
    x = Positions()(layers.Reshape((64, width))(x))
    x = transformer(x, depth, width, num_heads, causal=False)
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


NETWORKS = {
    "mlp": Network(mlp, {"width": 128}, 128, (784,)),
    "cnn": Network(cnn, {"dropout_rate": 0.5}, 128, (28, 28, 1)),
    "resnet20": Network(resnet, {"depth": 20}, 128, (32, 32, 3)),
    "lstm": Network(lstm, {"width": 128}, 128, (64,), vocabulary=256),
    "gpt": Network(
        gpt,
        {"depth": 4, "width": 128, "num_heads": 4, "context": 64},
        12,
        (64,),
        labels=(64,),
        num_classes=65,
        vocabulary=65,
    ),
    "vit_tiny": Network(vit, {"depth": 12, "width": 192, "num_heads": 3}, 16, (32, 32, 3)),
}
