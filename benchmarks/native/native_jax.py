"""The benchmark's networks and training step in plain JAX.

A network is a function of iterators over its trained weights and its statistics, in Keras's order.
It returns logits and the new statistics.
"""

import jax
import jax.numpy as jnp
from jax import lax


def dense(x, weights):
    return x @ next(weights) + next(weights)


def convolution(x, weights, stride=1, padding="SAME"):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, next(weights), (stride, stride), padding, None, None, dimensions
    )


def batch_norm(x, weights, statistics, epsilon):
    """Returns the normalized x and the new [mean, variance]."""
    mean, variance = x.mean((0, 1, 2), dtype="float32"), x.var((0, 1, 2), dtype="float32")
    new = [0.9 * next(statistics) + 0.1 * batch for batch in (mean, variance)]
    y = (x - mean) * lax.rsqrt(variance + epsilon) * next(weights) + next(weights)
    return y.astype(x.dtype), new


def dropout(x, rate, key):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def mlp(x, weights, statistics, key, width):
    return dense(jax.nn.relu(dense(x, weights)), weights), []


def cnn(x, weights, statistics, key, dropout_rate):
    new_statistics = []
    for _ in range(2):
        x = convolution(x, weights)
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x, new = batch_norm(x, weights, statistics, 1e-3)
        new_statistics += new
        x = jax.nn.leaky_relu(x, 0.01)
    key1, key2 = jax.random.split(key)
    x = dropout(x.reshape(len(x), -1), dropout_rate, key1)
    x = dropout(jax.nn.gelu(dense(x, weights), approximate=False), dropout_rate, key2)
    return dense(x, weights), new_statistics


def resnet(x, weights, statistics, key, depth):
    new_statistics = []

    def normalized_convolution(x, stride):
        y = convolution(x, weights, stride, ((1, 1), (1, 1)))
        y, new = batch_norm(y, weights, statistics, 1e-5)
        new_statistics.extend(new)
        return y

    x = jax.nn.relu(normalized_convolution(x, 1))
    for filters in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            stride = 1 if filters == x.shape[-1] else 2
            y = normalized_convolution(jax.nn.relu(normalized_convolution(x, stride)), 1)
            if stride == 2:
                x = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, filters // 2)))
            x = jax.nn.relu(x + y)
    return dense(x.mean((1, 2)), weights), new_statistics


def lstm(tokens, weights, statistics, key, width):
    embedding, kernel, recurrent_kernel, bias = (next(weights) for _ in range(4))
    inputs = embedding[tokens.T] @ kernel + bias  # (T, B, 4 * width)

    def cell(states, x):
        hidden, memory = states
        i, f, c, o = jnp.split(x + hidden @ recurrent_kernel, 4, axis=-1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(c)
        return (jax.nn.sigmoid(o) * jnp.tanh(memory), memory), None

    zeros = jnp.zeros((inputs.shape[1], width), inputs.dtype)
    (hidden, _), _ = lax.scan(cell, (zeros, zeros), inputs)
    return dense(hidden, weights), []


def layer_norm(x, weights):
    y = x.astype("float32")
    y = (y - y.mean(-1, keepdims=True)) * lax.rsqrt(y.var(-1, keepdims=True) + 1e-5)
    return (y * next(weights) + next(weights)).astype(x.dtype)


def transformer(x, weights, depth, num_heads, causal):
    batch, time, width = x.shape
    for _ in range(depth):
        y = dense(layer_norm(x, weights), weights).reshape(batch, time, 3, num_heads, -1)
        y = jax.nn.dot_product_attention(y[:, :, 0], y[:, :, 1], y[:, :, 2], is_causal=causal)
        x = x + dense(y.reshape(batch, time, width), weights)
        y = jax.nn.gelu(dense(layer_norm(x, weights), weights), approximate=False)
        x = x + dense(y, weights)
    return layer_norm(x, weights)


def gpt(tokens, weights, statistics, key, depth, width, num_heads, context):
    x = next(weights)[tokens] + next(weights)
    return dense(transformer(x, weights, depth, num_heads, causal=True), weights), []


def vit(x, weights, statistics, key, depth, width, num_heads):
    x = convolution(x, weights, 4, "VALID") + next(weights)
    x = x.reshape(len(x), -1, width) + next(weights)
    x = transformer(x, weights, depth, num_heads, causal=False)
    return dense(x.mean(1), weights), []


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "resnet20": resnet,
    "lstm": lstm,
    "gpt": gpt,
    "vit_tiny": vit,
}


def make_steps(name, sizes, weights, statistics, learning_rate, precision):
    """{"jitted": a function of one batch that trains a step and returns the loss}."""
    network = NETWORKS[name]
    dtype = "bfloat16" if precision == "mixed_bfloat16" else "float32"

    def cross_entropy(weights, statistics, key, inputs, labels):
        if inputs.dtype == "float32":
            inputs = inputs.astype(dtype)
        weights = [weight.astype(dtype) for weight in weights]
        logits, statistics = network(inputs, iter(weights), iter(statistics), key, **sizes)
        log_probabilities = jax.nn.log_softmax(logits.astype("float32"))
        of_labels = jnp.take_along_axis(log_probabilities, labels[..., None], -1)
        return -of_labels.mean(), statistics

    def adam(weights, means, squares, gradients, count):
        rate = learning_rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        weights = jax.tree.map(
            lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-12), weights, means, squares
        )
        return weights, means, squares

    @jax.jit
    def train_step(state, inputs, labels):
        weights, means, squares, statistics, count, key = state
        key, now = jax.random.split(key)
        (loss, statistics), gradients = jax.value_and_grad(cross_entropy, has_aux=True)(
            weights, statistics, now, inputs, labels
        )
        moved = adam(weights, means, squares, gradients, count)
        return loss, (*moved, statistics, count + 1, key)

    zeros = [jnp.zeros_like(weight) for weight in weights]
    state = (
        [jnp.asarray(weight) for weight in weights],
        zeros,
        list(zeros),
        [jnp.asarray(statistic) for statistic in statistics],
        jnp.float32(1),
        jax.random.key(0),
    )

    def step(inputs, labels):
        nonlocal state
        loss, state = train_step(state, inputs, labels)
        return loss

    return {"jitted": step}


def to_device(inputs, labels):
    """A NumPy batch as JAX's users have it."""
    return jnp.asarray(inputs), jnp.asarray(labels)
