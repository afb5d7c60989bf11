"""Flax's ConvLSTMCell with random weights, stacked as an encoder and a forecaster.

    python -m tests.parity.conv_lstm_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves
conv_lstm.npz in FOLDER: the "frames", the "logits" of the next ones and what weights these in the
loss, the "upstream"; the weights by their names in Flax, "encoder1/ih/kernel" and so on; and the
gradients of the loss as "gradient of frames" and so on.
"""

import sys
from pathlib import Path

import numpy as np

BATCH, TIME, HEIGHT, WIDTH, CHANNELS = 2, 3, 6, 8, 3
HORIZON, WIDTHS, KERNEL, PATCH = 2, (4, 3), 3, 2


def network():
    """Shi et al. 2015, figure 3, without peepholes, which Flax's cell has not."""
    import jax.numpy as jnp
    from flax import linen

    corners = [(row, column) for row in range(PATCH) for column in range(PATCH)]

    class Network(linen.Module):
        @linen.compact
        def __call__(self, frames):
            def cells(name):
                return [
                    linen.ConvLSTMCell(
                        width, (KERNEL, KERNEL), param_dtype="float64", name=f"{name}{index}"
                    )
                    for index, width in enumerate(WIDTHS, start=1)
                ]

            encoder, forecaster = cells("encoder"), cells("forecaster")
            output = linen.Dense(len(corners) * CHANNELS, param_dtype="float64", name="output")
            sizes = (BATCH, HEIGHT // PATCH, WIDTH // PATCH)
            carries = [(jnp.zeros((*sizes, width)),) * 2 for width in WIDTHS]
            for step in range(TIME):
                x = jnp.concatenate(
                    [frames[:, step, row::PATCH, column::PATCH] for row, column in corners], axis=-1
                )
                for index, cell in enumerate(encoder):
                    carries[index], x = cell(carries[index], x)

            logits = jnp.zeros((BATCH, HORIZON, HEIGHT, WIDTH, CHANNELS))
            for step in range(HORIZON):
                x, outputs = jnp.zeros((*sizes, 1)), []  # no input
                for index, cell in enumerate(forecaster):
                    carries[index], x = cell(carries[index], x)
                    outputs.append(x)
                pixels = jnp.split(output(jnp.concatenate(outputs, axis=-1)), len(corners), axis=-1)
                for (row, column), each in zip(corners, pixels, strict=True):
                    logits = logits.at[:, step, row::PATCH, column::PATCH].set(each)
            return logits

    return Network()


def main(folder):
    import jax
    from flax import traverse_util

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    generator = np.random.default_rng(0)

    def random(shape, deviation=1.0):
        """Values that float32 holds."""
        return (deviation * generator.normal(size=shape)).astype("float32").astype("float64")

    model = network()
    frames = random((BATCH, TIME, HEIGHT, WIDTH, CHANNELS))
    upstream = random((BATCH, HORIZON, HEIGHT, WIDTH, CHANNELS))
    weights = jax.eval_shape(model.init, jax.random.key(0), frames)
    weights = jax.tree.map(lambda each: random(each.shape, 0.3), weights)

    def loss(weights, frames):
        logits = model.apply(weights, frames)
        return (upstream * logits).sum(), logits

    gradients, logits = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(weights, frames)
    of_weights, of_frames = gradients
    arrays = {"frames": frames, "logits": logits, "upstream": upstream}
    arrays["gradient of frames"] = of_frames
    for kind, tree in {"": weights, "gradient of ": of_weights}.items():
        for key, each in traverse_util.flatten_dict(tree["params"], sep="/").items():
            arrays[kind + key] = each
    assert all(each.dtype == "float64" for each in arrays.values())
    np.savez(Path(folder) / "conv_lstm.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
