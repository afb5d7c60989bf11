"""The benchmark's networks and training step in plain TensorFlow.

A network is a function of iterators over its trained weights and its statistics, in Keras's order;
the statistics are variables, which it assigns to.
"""

import tensorflow as tf


def dense(x, weights):
    return tf.matmul(x, next(weights)) + next(weights)


def convolution(x, weights, stride=1, padding="SAME"):
    return tf.nn.conv2d(x, next(weights), stride, padding)


def batch_norm(x, weights, statistics, epsilon):
    scale, offset = tf.cast(next(weights), "float32"), tf.cast(next(weights), "float32")
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x, scale, offset, epsilon=epsilon, is_training=True
    )
    for batch in (mean, variance):
        statistic = next(statistics)
        statistic.assign(0.9 * statistic + 0.1 * batch)
    return y


def mlp(x, weights, statistics, width):
    return dense(tf.nn.relu(dense(x, weights)), weights)


def cnn(x, weights, statistics, dropout_rate):
    for _ in range(2):
        x = tf.nn.max_pool2d(convolution(x, weights), 2, 2, "VALID")
        x = tf.nn.leaky_relu(batch_norm(x, weights, statistics, 1e-3), 0.01)
    x = tf.nn.dropout(tf.reshape(x, (x.shape[0], -1)), dropout_rate)
    x = tf.nn.dropout(tf.nn.gelu(dense(x, weights)), dropout_rate)
    return dense(x, weights)


def resnet(x, weights, statistics, depth):
    def normalized_convolution(x, stride):
        y = convolution(x, weights, stride, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return batch_norm(y, weights, statistics, 1e-5)

    x = tf.nn.relu(normalized_convolution(x, 1))
    for filters in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            stride = 1 if filters == x.shape[-1] else 2
            y = normalized_convolution(tf.nn.relu(normalized_convolution(x, stride)), 1)
            if stride == 2:
                x = tf.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, filters // 2)))
            x = tf.nn.relu(x + y)
    return dense(tf.reduce_mean(x, (1, 2)), weights)


def lstm(tokens, weights, statistics, width):
    embedding, kernel, recurrent_kernel, bias = (next(weights) for _ in range(4))
    x = tf.gather(embedding, tf.transpose(tokens))  # (T, B, D)
    inputs = tf.unstack(tf.tensordot(x, kernel, 1) + bias)
    hidden = memory = tf.zeros((tokens.shape[0], width), x.dtype)
    for x in inputs:
        i, f, c, o = tf.split(x + tf.matmul(hidden, recurrent_kernel), 4, axis=-1)
        memory = tf.sigmoid(f) * memory + tf.sigmoid(i) * tf.tanh(c)
        hidden = tf.sigmoid(o) * tf.tanh(memory)
    return dense(hidden, weights)


def layer_norm(x, weights):
    mean, variance = tf.nn.moments(tf.cast(x, "float32"), -1, keepdims=True)
    scale, offset = tf.cast(next(weights), "float32"), tf.cast(next(weights), "float32")
    y = tf.nn.batch_normalization(tf.cast(x, "float32"), mean, variance, offset, scale, 1e-5)
    return tf.cast(y, x.dtype)


def dense3(x, weights):
    """Over the last axis of (B, T, D), as one matrix product."""
    y = dense(tf.reshape(x, (-1, x.shape[-1])), weights)
    return tf.reshape(y, (*x.shape[:-1], y.shape[-1]))


def transformer(x, weights, depth, num_heads, causal):
    batch, time, width = x.shape
    later = tf.constant(-1e9, x.dtype) * (
        1 - tf.linalg.band_part(tf.ones((time, time), x.dtype), -1, 0)
    )
    for _ in range(depth):
        y = dense3(layer_norm(x, weights), weights)
        y = tf.transpose(tf.reshape(y, (batch, time, 3, num_heads, -1)), (2, 0, 3, 1, 4))
        query, key, value = tf.unstack(y)  # (B, N, T, K)
        scores = tf.matmul(query * (width // num_heads) ** -0.5, key, transpose_b=True)
        if causal:
            scores += later
        y = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), (0, 2, 1, 3))
        x += dense3(tf.reshape(y, (batch, time, width)), weights)
        x += dense3(tf.nn.gelu(dense3(layer_norm(x, weights), weights)), weights)
    return layer_norm(x, weights)


def gpt(tokens, weights, statistics, depth, width, num_heads, context):
    x = tf.gather(next(weights), tokens) + next(weights)
    return dense3(transformer(x, weights, depth, num_heads, causal=True), weights)


def vit(x, weights, statistics, depth, width, num_heads):
    x = convolution(x, weights, 4, "VALID") + next(weights)
    x = tf.reshape(x, (x.shape[0], -1, width)) + next(weights)
    x = transformer(x, weights, depth, num_heads, causal=False)
    return dense(tf.reduce_mean(x, 1), weights)


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "resnet20": resnet,
    "lstm": lstm,
    "gpt": gpt,
    "vit_tiny": vit,
}


def make_steps(name, sizes, weights, statistics, learning_rate, precision):
    """{"graph", "jitted": a function of one batch that trains a step and returns the loss}."""
    return {
        kind: _step(name, sizes, weights, statistics, learning_rate, precision, kind == "jitted")
        for kind in ("graph", "jitted")
    }


def _step(name, sizes, weights, statistics, learning_rate, precision, jit_compile):
    network = NETWORKS[name]
    dtype = "bfloat16" if precision == "mixed_bfloat16" else "float32"
    weights = [tf.Variable(weight) for weight in weights]
    statistics = [tf.Variable(statistic, trainable=False) for statistic in statistics]
    means = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
    squares = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
    powers = [tf.Variable(0.9), tf.Variable(0.999)]

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(inputs, labels):
        with tf.GradientTape() as tape:
            if inputs.dtype == tf.float32:
                inputs = tf.cast(inputs, dtype)
            cast = [tf.cast(weight, dtype) for weight in weights]
            logits = tf.cast(network(inputs, iter(cast), iter(statistics), **sizes), "float32")
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        gradients = tape.gradient(loss, weights)
        for weight, mean, square, gradient in zip(weights, means, squares, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=learning_rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-12,
                grad=tf.convert_to_tensor(gradient),
            )
        for power, beta in zip(powers, (0.9, 0.999), strict=True):
            power.assign(power * beta)
        return loss

    return step


def to_device(inputs, labels):
    """A NumPy batch as TensorFlow's users have it."""
    return tf.convert_to_tensor(inputs), tf.convert_to_tensor(labels)
