"""A training step of ours against Keras's ``fit`` and against code written by hand.

All sides have the same architecture, weights, batches (NumPy arrays), precision and optimizer, and
prove it first, by the losses of the same steps. Of the native ways the fastest counts.
"""

import importlib
import math
from statistics import median

import keras
import numpy as np
from keras import ops

from benchmarks.networks import NETWORKS
from benchmarks.side_by_side import can_compile, ratio, seconds, write
from recipes.training import backend
from recipes.training.gradient_step import gradient_step, gradient_steps

# So small that the rounding, in which the sides differ, does not grow within the proof.
LEARNING_RATE = 1e-4
# So small that it does not matter that PyTorch adds it before the correction of the bias and the
# others after it; the native steps have the same.
EPSILON = 1e-12
# Of the losses, relative. A bfloat16 has 8 bits, and the sides round in different places.
TOLERANCES = {"float32": 1e-4, "mixed_bfloat16": 2e-2}
STACK = 10


def make_sides(name, sizes, batches):
    """{side: function without arguments that trains on ``batches`` and returns their losses}.

    All begin with the same weights. The losses of "Keras fit" are their mean, all it tells.
    """
    network = NETWORKS[name]
    model = network.build(**sizes)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def copy():
        other = network.build(**sizes)
        other.set_weights(model.get_weights())
        return other

    def adam():
        return keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)

    def ours(make_step, model):
        return make_step(lambda x, y: cross_entropy(y, model(x, training=True)), model, adam())

    def take_steps(step, batches):
        return lambda: _numbers([step(*batch) for batch in batches])

    fitted = copy()
    fitted.compile(adam(), cross_entropy)
    inputs, labels = map(np.concatenate, zip(*batches, strict=True))

    def fit():
        history = fitted.fit(inputs, labels, network.batch_size, shuffle=False, verbose=0)
        return np.asarray(history.history["loss"])

    sides = {"ours": take_steps(ours(gradient_step, copy()), batches), "Keras fit": fit}
    stacks = [batches[start : start + STACK] for start in range(0, len(batches), STACK)]
    stacks = [tuple(map(np.stack, zip(*stack, strict=True))) for stack in stacks]
    sides["ours, stacked"] = take_steps(ours(gradient_steps, copy()), stacks)
    if can_compile() and keras.backend.backend() != "jax":  # which compiles anyway
        compiled = copy()
        compiled.jit_compile = True
        sides["ours, jit_compile"] = take_steps(ours(gradient_step, compiled), batches)

    for way, step in native_steps(name, sizes, model).items():
        sides[f"native {way}"] = take_steps(step, batches)
    return sides


def native_steps(name, sizes, model):
    """{way: step} of the hand-written network, which begins with the weights of ``model``.

    A step takes NumPy arrays, as ours does.
    """
    native = importlib.import_module(f"benchmarks.native.native_{keras.backend.backend()}")
    weights, statistics = (
        [ops.convert_to_numpy(weight) for weight in part]
        for part in (model.trainable_weights, model.non_trainable_weights)
    )
    policy = keras.config.dtype_policy().name
    steps = native.make_steps(name, sizes, weights, statistics, LEARNING_RATE, policy)
    if not can_compile():
        steps.pop("compiled")
    return {
        way: lambda *batch, step=step: step(*native.to_device(*batch))
        for way, step in steps.items()
    }


def _numbers(losses):
    """Waits for the device."""
    return np.concatenate([np.ravel(ops.convert_to_numpy(loss)) for loss in losses])


def prove_equal(sides):
    """The largest relative difference of any side's losses from ours.

    Raises:
        ValueError: it is more than rounding explains, or a loss is no number.
    """
    losses = {side: train() for side, train in sides.items()}
    differences = {
        side: np.nan_to_num(np.max(np.abs(_like(losses["ours"], found) / found - 1)), nan=np.inf)
        for side, found in losses.items()
    }
    worst = max(differences, key=differences.get)
    if differences[worst] > TOLERANCES[keras.config.dtype_policy().name]:
        raise ValueError(
            f"{worst} does not do the same work as ours: its losses are {losses[worst]}, "
            f"not {losses['ours']}."
        )
    return float(differences[worst])


def _like(losses, found):
    return losses if len(found) == len(losses) else losses.mean(keepdims=True)


def measure(name, proof_steps, round_seconds, rounds):
    """The rows of one network."""
    network, sizes = NETWORKS[name], NETWORKS[name].sizes
    without_chance = {key: 0.0 if key == "dropout_rate" else sizes[key] for key in sizes}
    batches = network.batches(proof_steps)
    keras.utils.set_random_seed(0)
    sides = make_sides(name, without_chance, batches)
    if network.vocabulary and keras.backend.backend() == "tensorflow":
        # Keras squares an embedding's gradients token by token there, see gradient_step.
        del sides["Keras fit"]
    difference = prove_equal(sides)

    once = seconds({"ours": make_sides(name, sizes, batches)["ours"]}, rounds=1)["ours"][0]
    steps = max(4, math.ceil(round_seconds / (once / proof_steps)))
    batches = [batches[index % len(batches)] for index in range(steps)]
    found = seconds(make_sides(name, sizes, batches), rounds)
    found = {side: [each / len(batches) for each in times] for side, times in found.items()}
    fastest = min(
        (side for side in found if side.startswith("native")), key=lambda side: median(found[side])
    )

    policy = keras.config.dtype_policy().name
    step = f"{policy.removeprefix('mixed_')} step of {name}"
    rows = [
        ratio(f"{step}, ours / Keras fit, seconds", found["ours"], found["Keras fit"]),
        *(
            ratio(f"{step}, {side} / native, seconds", found[side], found[fastest], fastest=fastest)
            for side in found
            if side.startswith("ours")
        ),
    ]
    return [{**row, "loss_difference": difference} for row in rows]


def main(names=tuple(NETWORKS), proof_steps=20, round_seconds=0.5, rounds=7, folder=None):
    """Measures in float32, and where there is a GPU in bfloat16 too."""
    policies = ["float32", "mixed_bfloat16"] if backend.accelerator() else ["float32"]
    before = keras.config.dtype_policy()
    rows = []
    try:
        for policy in policies:
            keras.config.set_dtype_policy(policy)
            for name in names:
                rows += measure(name, proof_steps, round_seconds, rounds)
                print(f"{policy} {name} measured", flush=True)
    finally:
        keras.config.set_dtype_policy(before)
    write("training_step", rows, folder)
