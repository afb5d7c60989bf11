"""Mixture of experts, of which each token sees the few that its router chooses.

Shazeer, Mirhoseini, Maziarz, Davis, Le, Hinton and Dean 2017, "Outrageously Large Neural Networks:
The Sparsely-Gated Mixture-of-Experts Layer", arXiv:1701.06538, section 2.1, without its noise; the
experts are the gated networks of Jiang et al. 2024, "Mixtral of Experts", arXiv:2401.04088, section
2.1; the loss: Fedus, Zoph and Shazeer 2021, "Switch Transformers: Scaling to Trillion Parameter
Models with Simple and Efficient Sparsity", arXiv:2101.03961, equations 4 to 6.
"""

import keras
from keras import initializers, layers, ops

from custom_layers.input_shape import num_features
from custom_layers.precision import at_least_float32


@keras.saving.register_keras_serializable("custom_layers")
class MixtureOfExperts(layers.Layer):
    """The router sends a token x to the K experts that it finds most probable:

        probabilities = softmax(x W_router), over E experts
        share[e] = probabilities[e], divided by the sum of the K largest; 0 but for these
        y = sum over e of share[e] expert[e]
        expert[e] = (silu(x W_gate[e]) * (x W_up[e])) W_down[e]

    All experts compute all tokens, and those that are not chosen count for nothing: the result, and
    the gradients, are exact, at the cost of E experts a token and not of K.

    The router computes in float32 at least, and its weight stays in it under mixed precision, so
    that rounding seldom chooses.

    Args:
        num_experts: E.
        num_experts_per_token: K, of E at most.
        hidden_width: features between the matrices of an expert.

    Shapes: any of rank 2 or more, (..., D) of a known D -> the same; probabilities (..., E).

    Raises:
        ValueError: a number is no positive integer, there are fewer experts than a token is to
            see, or the input has no feature axis or one of unknown size.
    """

    def __init__(self, num_experts, num_experts_per_token, hidden_width, **kwargs):
        super().__init__(**kwargs)
        sizes = {
            "num_experts": num_experts,
            "num_experts_per_token": num_experts_per_token,
            "hidden_width": hidden_width,
        }
        for name, size in sizes.items():
            if not (isinstance(size, int) and size > 0):
                raise ValueError(f"{name} must be a positive integer, got {size!r}.")
            setattr(self, name, size)
        if num_experts_per_token > num_experts:
            raise ValueError(
                f"a token cannot see num_experts_per_token={num_experts_per_token} of "
                f"num_experts={num_experts}."
            )

    def build(self, input_shape):
        width = num_features(input_shape)
        # autocast=False: Keras would hand it to call() in half precision otherwise.
        self.router = self.add_weight(
            name="router", shape=(width, self.num_experts), autocast=False
        )
        shapes = {
            "gate": (width, self.hidden_width),
            "up": (width, self.hidden_width),
            "down": (self.hidden_width, width),
        }
        for name, shape in shapes.items():
            # Of each expert; without the axes Keras takes the experts for inputs.
            initializer = initializers.GlorotUniform(input_axes=(1,), output_axes=(2,))
            shape = (self.num_experts, *shape)
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=initializer))

    def call(self, inputs):
        scores = ops.matmul(at_least_float32(inputs), self.router)
        probabilities = ops.softmax(scores, axis=-1)  # (..., E)
        shares = probabilities * chosen(probabilities, self.num_experts_per_token)
        shares = ops.cast(shares / ops.sum(shares, axis=-1, keepdims=True), self.compute_dtype)
        gate = ops.einsum("...d,edh->...eh", inputs, self.gate)
        up = ops.einsum("...d,edh->...eh", inputs, self.up)
        hidden = gate * ops.sigmoid(gate) * up * ops.expand_dims(shares, -1)
        return ops.einsum("...eh,ehd->...d", hidden, self.down), probabilities

    def compute_mask(self, inputs, mask):
        return mask, None

    def get_config(self):
        return {
            **super().get_config(),
            "num_experts": self.num_experts,
            "num_experts_per_token": self.num_experts_per_token,
            "hidden_width": self.hidden_width,
        }


def chosen(probabilities, number):
    """(..., E) -> the same, 1 for the ``number`` most probable and 0 for the others."""
    _, places = ops.top_k(probabilities, number)
    return ops.sum(ops.one_hot(places, probabilities.shape[-1], dtype=probabilities.dtype), axis=-2)


def load_balancing_loss(probabilities, num_experts_per_token, mask=None):
    """How unevenly routers use their experts, a number to add to a loss, times 0.01 or so:

        E * sum over e of f[e] P[e]

    where f[e] is the share of tokens for which e is chosen, and P[e] the mean of its probability.
    It is K, its least, where all experts are used alike. The gradient reaches P alone.

    The paper adds up the losses of all routers. With the probabilities of all stacked, f and P are
    over all of them, which is how the package transformers computes it for Mixtral.

    Args:
        probabilities: (..., E), as ``MixtureOfExperts`` returns them.
        num_experts_per_token: K.
        mask: what broadcasts to their shape without E, True for tokens that count; None: all.
    """
    counted = ops.ones_like(probabilities[..., :1])
    if mask is not None:
        counted = counted * ops.cast(ops.expand_dims(mask, -1), counted.dtype)

    def mean(x):
        return ops.sum(counted * x, axis=tuple(range(len(x.shape) - 1))) / ops.sum(counted)

    used = mean(chosen(probabilities, num_experts_per_token))
    return probabilities.shape[-1] * ops.sum(used * mean(probabilities))
