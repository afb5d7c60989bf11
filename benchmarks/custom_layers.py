"""Custom layers against Keras's own, forward and backward, as a training step runs them.

That is compiled on TensorFlow (XLA) and JAX; on PyTorch recorded and compiled, where the layer
allows it, which Keras's Dropout does not.
"""

import math

import keras
import numpy as np
from keras import layers, ops

import custom_layers
from benchmarks.side_by_side import can_compile, ratio, seconds, write

SHAPE = (128, 14, 14, 64)  # (B, H, W, C), as in the middle of a small convolutional network
PAIRS = {
    "BatchNormalization": (custom_layers.BatchNormalization, layers.BatchNormalization),
    "Dropout": (lambda: custom_layers.Dropout(0.5), lambda: layers.Dropout(0.5)),
    "GELU": (custom_layers.GELU, lambda: layers.Activation("gelu")),
    "LeakyReLU": (lambda: custom_layers.LeakyReLU(0.01), lambda: layers.LeakyReLU(0.01)),
}


def differentiated(layer, inputs, cotangents):
    """A function without arguments that computes and returns (outputs, gradients).

    Args:
        layer: a layer without weights yet.
        inputs, cotangents: NumPy arrays: what goes in, and the gradient of what comes out.
    """
    layer.build(inputs.shape)
    inputs, cotangents = ops.convert_to_tensor(inputs), ops.convert_to_tensor(cotangents)
    trained = [variable.value for variable in layer.trainable_variables]
    state = [variable.value for variable in layer.non_trainable_variables]

    # Who keeps state keeps it for training.
    options = {"training": True} if state else {}

    def forward(inputs, trained):
        outputs, _ = layer.stateless_call(trained, state, inputs, **options)
        return outputs

    make = {"tensorflow": _with_tensorflow, "jax": _with_jax, "torch": _with_torch}
    arguments = inputs, trained, cotangents
    program = make[keras.backend.backend()](forward, arguments)
    return lambda: program(*arguments)


def _with_tensorflow(forward, arguments):
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def program(inputs, trained, cotangents):
        with tf.GradientTape() as tape:
            tape.watch([inputs, *trained])
            outputs = forward(inputs, trained)
        return outputs, tape.gradient(outputs, [inputs, *trained], cotangents)

    return program


def _with_jax(forward, arguments):
    import jax

    @jax.jit
    def program(inputs, trained, cotangents):
        outputs, gradients_of = jax.vjp(forward, inputs, trained)
        inputs_gradient, trained_gradients = gradients_of(cotangents)
        return outputs, [inputs_gradient, *trained_gradients]

    return lambda *arguments: jax.block_until_ready(program(*arguments))


def _with_torch(forward, arguments):
    import torch

    from recipes.training.torch_graph import record

    def differentiate(inputs, trained, cotangents):
        with torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in (inputs, *trained)]
            outputs = forward(leaves[0], leaves[1:])
        return outputs.detach(), torch.autograd.grad(outputs, leaves, cotangents)

    recorded = record(differentiate, arguments, jit_compile=can_compile())

    def program(inputs, trained, cotangents):
        if recorded is None:
            results = differentiate(inputs, trained, cotangents)
        else:
            results = recorded(inputs, *trained, cotangents)
        if inputs.is_cuda:
            torch.cuda.synchronize()
        return results

    return program


def measure(name, shape, round_seconds, rounds):
    """The row of one layer.

    Raises:
        ValueError: the two layers do not compute the same; dropout, which draws, is not compared.
    """
    generator = np.random.default_rng(0)
    inputs, cotangents = generator.normal(size=(2, *shape)).astype("float32")
    ours, theirs = (differentiated(make(), inputs, cotangents) for make in PAIRS[name])
    if name != "Dropout":
        pairs = zip(keras.tree.flatten(ours()), keras.tree.flatten(theirs()), strict=True)
        for found, expected in (map(ops.convert_to_numpy, pair) for pair in pairs):
            if not np.allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()):
                raise ValueError(f"{name} does not compute what Keras's own does.")

    once = seconds({"ours": ours, "theirs": theirs}, rounds=1)
    repetitions = max(1, math.ceil(round_seconds / max(once["ours"] + once["theirs"])))

    def repeated(call):
        return lambda: [call() for _ in range(repetitions)]

    found = seconds({"ours": repeated(ours), "theirs": repeated(theirs)}, rounds)
    found = {side: [each / repetitions for each in times] for side, times in found.items()}
    return ratio(f"{name}, ours / Keras built-in, seconds", found["ours"], found["theirs"])


def main(shape=SHAPE, round_seconds=0.1, rounds=21, folder=None):
    write("custom_layers", [measure(name, shape, round_seconds, rounds) for name in PAIRS], folder)
