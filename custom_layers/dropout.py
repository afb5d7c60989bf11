"""Dropout.

Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, "Dropout: A Simple
Way to Prevent Neural Networks from Overfitting", JMLR 15, section 4; in the inverted
form, which scales in training and leaves inference alone.

The mask is a hash of (seed, step, position), so it is the same, bit for bit, on every
backend: a counter-based generator in the sense of Salmon, Moraes, Dror and Shaw 2011,
"Parallel Random Numbers: As Easy as 1, 2, 3".
"""

import math
import numbers

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("custom_layers")
class Dropout(layers.Layer):
    """Training: y = x * mask / (1 - rate), mask 0 with probability ``rate``. Inference: y = x.

    Every call in training draws a new mask, also inside a compiled step: the number of
    calls so far is counted in ``seed_generator.state``, which is (seed, step). It is saved with
    the model, and is not counted among the weights.

    Args:
        rate: share of the entries that is dropped, in [0, 1].
        noise_shape: shape of the mask, broadcast against the input; None for an entry takes
            the input's size there. ``(None, 1, None)`` drops whole features of a
            (B, T, D) input. Default: the input's shape.
        seed: integer in [0, 2**31). None draws one from Python's ``random`` as Keras's own
            layers do, so ``keras.utils.set_random_seed`` decides it, on every backend alike.

    Shapes: any -> the same.

    Raises:
        ValueError: ``rate`` or ``seed`` is out of range, or ``noise_shape`` does not fit the
            input.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must lie in [0, 1], got {rate}.")
        if seed is not None and not (isinstance(seed, numbers.Integral) and 0 <= seed < 2**31):
            raise ValueError(f"seed must be an integer in [0, 2**31) or None, got {seed!r}.")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(None if seed is None else int(seed))
        self.supports_masking = True

    def build(self, input_shape):
        if self.noise_shape is None:
            return
        fits = len(self.noise_shape) == len(input_shape) and all(
            noise in (None, 1) or size is None or noise == size
            for noise, size in zip(self.noise_shape, input_shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"noise_shape {self.noise_shape} cannot be broadcast against an input of shape "
                f"{tuple(input_shape)}: each entry must be None, 1 or the input's size."
            )

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        shape = list(ops.shape(inputs))
        if self.noise_shape is not None:
            shape = [
                size if noise is None else noise
                for noise, size in zip(self.noise_shape, shape, strict=True)
            ]
        threshold = min(round((1 - self.rate) * 2**31), 2**31 - 1)  # the largest int32
        keep = random_bits(self.seed_generator.next(), shape) < threshold
        scale = 0 if self.rate == 1 else 1 / (1 - self.rate)
        # A product, because its derivative costs less than that of a choice between two tensors.
        return inputs * (ops.cast(keep, inputs.dtype) * scale)

    def compute_output_shape(self, input_shape):
        return input_shape

    # Keras saves no seed state by itself, and a loaded model would draw its first masks again.
    def save_own_variables(self, store):
        store["seed_and_step"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store["seed_and_step"])

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "seed": self.seed,
        }


def random_bits(key, shape):
    """31 random bits for each position of a tensor.

    Args:
        key: integers (seed, step), each in [0, 2**31), shape (2,).
        shape: the tensor's shape, fewer than 2**31 positions in all.

    Returns:
        int32 tensor of that shape, uniform in [0, 2**31), the same bits on every backend.
    """
    # The seed shifts the positions before the first mixing and the step enters between the
    # two. Were both added at once, another step would only permute one mask within aligned
    # blocks, and the number of kept entries would not vary as it should.
    key = ops.cast(key, "int32") * ops.convert_to_tensor([_GOLDEN_RATIO, _ODD], "int32")
    position = ops.arange(math.prod(shape), dtype="int32")
    bits = _mix(_mix(position + key[0]) ^ key[1])
    return ops.reshape(bits & 0x7FFFFFFF, shape)


def _mix(x):
    """A bijection of int32 in which every input bit moves every output bit.

    Shifts and constants are those of lowbias32 (Wellons 2018, "Prospecting for Hash
    Functions"). Products wrap around; masks turn int32's arithmetic shifts into logical ones.
    """
    x = x ^ (ops.right_shift(x, 16) & 0xFFFF)
    x = x * 0x7FEB352D
    x = x ^ (ops.right_shift(x, 15) & 0x1FFFF)
    x = x * (0x846CA68B - 2**32)
    return x ^ (ops.right_shift(x, 16) & 0xFFFF)


_GOLDEN_RATIO = 0x9E3779B9 - 2**32  # 2**32 / golden ratio, odd, as int32
_ODD = 0x85EBCA6B - 2**32  # any other odd constant, from MurmurHash3's finalizer
