"""Tokens of a vocabulary, and no others.

A backend that looks up a token outside of its table does as it likes: JAX gives no numbers, an
accelerator may give zeros, and Keras counts a negative one from the table's end (the documentation
of ``jax.numpy.take``, ``tf.gather`` and ``keras.ops.take``).
"""

import numbers

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("custom_layers")
class KnownTokens(layers.Layer):
    """y = x, if 0 <= x < vocabulary_size.

    Compiled code, such as ``fit`` and ``predict`` on TensorFlow and JAX, cannot raise for a value,
    and a GPU should not wait for one in training. There negative tokens become ``vocabulary_size``,
    so that none is taken for another: looking it up is an error of TensorFlow's on the CPU and of
    PyTorch's, and gives NaN on JAX. A model that was compiled with ``run_eagerly=True`` raises.

    Args:
        vocabulary_size: number of tokens.

    Shapes: integers (...) -> the same.

    Raises:
        ValueError: ``vocabulary_size`` is no positive integer, or a token is outside of it.
    """

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(vocabulary_size, numbers.Integral) and vocabulary_size > 0):
            raise ValueError(
                f"vocabulary_size must be a positive integer, got {vocabulary_size!r}."
            )
        self.vocabulary_size = int(vocabulary_size)

    def call(self, inputs, training=False):
        waits = training and getattr(inputs, "is_cuda", False)
        tokens = None if waits else _numbers(inputs)
        if tokens is not None:
            outside = tokens[(tokens < 0) | (tokens >= self.vocabulary_size)]
            if outside.size:
                raise ValueError(
                    f"{self.name} must be integers of 0 to {self.vocabulary_size - 1}, got "
                    f"{outside[0]}: give those of the vocabulary that the model was built for."
                )
        return ops.where(inputs < 0, self.vocabulary_size, inputs)

    def compute_output_spec(self, inputs, training=False):
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


def _numbers(tensor):
    """A NumPy array; None of a tensor that has no numbers yet, as in compiled code."""
    try:
        return ops.convert_to_numpy(tensor)
    except (NotImplementedError, RuntimeError, TypeError):  # as TensorFlow, PyTorch and JAX say it
        return None
