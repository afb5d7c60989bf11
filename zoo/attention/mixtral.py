"""Mixtral: a transformer decoder in which each token chooses 2 of 8 experts, block by block.

Jiang et al. 2024, "Mixtral of Experts", arXiv:2401.04088, section 2 and table 1; sizes of 8x22B are
those of its published model.

    tokens              (B, T), embedded                                     -> (B, T, 4096)
    block1, ..., 32     x = x + attention(norm(x)), to tokens that are not behind, of 32 heads with
                        queries and keys turned by their positions; 4 heads share keys and values
                        x = x + experts(norm(x)), 2 of 8, of 14,336 hidden units with SwiGLU each
    final_norm
    output              logits, without a bias                               -> (B, T, 32,000)

No layer has a bias; norms are root mean squares. Attention has no window, unlike that of Mistral 7B
(section 2). Training keeps all experts in use by a loss of its own, which the paper does not tell:

    model = with_routers(mixtral_8x7b())
    logits, probabilities = model(tokens, training=True)
    loss = cross_entropy + 0.01 * load_balancing_loss(probabilities, num_experts_per_token=2)
"""

import keras
from keras import initializers, layers, ops

from custom_layers import KnownTokens, MixtureOfExperts, RotaryPositions
from zoo.attention.llama import attention, dense, norm
from zoo.sizes import check_positive


def mixtral(
    name, vocabulary_size=32_000, width=4096, depth=32, num_heads=32, num_key_value_heads=8,
    num_experts=8, num_experts_per_token=2, hidden_width=14_336,
):  # fmt: skip
    """Tokens (B, T) -> logits (B, T, vocabulary_size), at each of the token that comes next.

    Args:
        name: the model's name.
        vocabulary_size: number of tokens; nothing is padding.
        width: features of a token.
        depth: number of blocks.
        num_heads: of queries; twice their number divides ``width``.
        num_key_value_heads: of keys and values; they divide ``num_heads``.
        num_experts: of each block.
        num_experts_per_token: how many of them a token sees.
        hidden_width: hidden units of an expert.

    Raises:
        ValueError: a size is no positive integer, ``width`` has not an even number of features for
            each head, ``num_key_value_heads`` does not divide ``num_heads``, or there are fewer
            experts than a token is to see.
    """
    check_positive(
        name, vocabulary_size=vocabulary_size, width=width, depth=depth, num_heads=num_heads,
        num_key_value_heads=num_key_value_heads, num_experts=num_experts,
        num_experts_per_token=num_experts_per_token, hidden_width=hidden_width,
    )  # fmt: skip
    if width % (2 * num_heads):
        raise ValueError(
            f"{name} cannot split width={width} among num_heads={num_heads}, pairs of features to "
            f"each."
        )
    if num_heads % num_key_value_heads:
        raise ValueError(
            f"{name} cannot share num_key_value_heads={num_key_value_heads} among "
            f"num_heads={num_heads}."
        )

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    initializer = initializers.RandomNormal(stddev=0.02)
    turn = RotaryPositions(1_000_000.0, name="positions")
    table = layers.Embedding(
        vocabulary_size, width, embeddings_initializer=initializer, name="token_embedding"
    )
    x = table(KnownTokens(vocabulary_size, name="known_tokens")(tokens))
    for index in range(1, depth + 1):
        block = f"block{index}"
        x = x + attention(norm(x, f"{block}_norm1"), turn, num_heads, num_key_value_heads, block)
        experts = MixtureOfExperts(
            num_experts, num_experts_per_token, hidden_width, name=f"{block}_experts"
        )
        change, _ = experts(norm(x, f"{block}_norm2"))
        x = x + change
    logits = dense(vocabulary_size, "output")(norm(x, "final_norm"))
    return keras.Model(tokens, logits, name=name)


def with_routers(model):
    """The same model, with the same weights, and what its routers think beside the logits.

    Tokens (B, T) -> logits (B, T, V), probabilities (B, depth, T, E).
    """
    routers = [layer.output[1] for layer in model.layers if isinstance(layer, MixtureOfExperts)]
    return keras.Model(model.input, [model.output, ops.stack(routers, axis=1)], name=model.name)


def mixtral_8x7b(**arguments):
    """32 blocks of 4,096 features."""
    return mixtral("mixtral_8x7b", **arguments)


def mixtral_8x22b(**arguments):
    """56 blocks of 6,144 features."""
    sizes = {"width": 6144, "depth": 56, "num_heads": 48, "hidden_width": 16_384}
    return mixtral("mixtral_8x22b", **{**sizes, **arguments})
