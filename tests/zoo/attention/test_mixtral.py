"""Mixtral: the sizes of its checkpoints, and its experts."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers.mixture_of_experts import load_balancing_loss
from recipes.training.gradient_step import gradient_step
from tests.unfilled import unfilled
from zoo.attention.mixtral import with_routers

# Of transformers' MixtralForCausalLM; the paper has 47 billion.
PARAMETERS = {"mixtral_8x7b": 46_702_792_704, "mixtral_8x22b": 140_620_634_112}
# (depth, width, heads, hidden width), of table 1 and of the published config.json.
SIZES = {"mixtral_8x7b": (32, 4096, 32, 14_336), "mixtral_8x22b": (56, 6144, 48, 16_384)}
TINY = {
    "vocabulary_size": 11, "width": 16, "depth": 2, "num_heads": 4, "num_key_value_heads": 2,
    "num_experts": 5, "num_experts_per_token": 2, "hidden_width": 12,
}  # fmt: skip
TOKENS = np.array([[3, 1, 4, 1, 5], [5, 8, 0, 0, 9]], "int32")


def tiny(**arguments):
    """With weights of which none is zero."""
    model = zoo.build("mixtral_8x7b", seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.7, size=each.shape) for each in model.weights])
    return model


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    depth, width, heads, hidden_width = SIZES[name]
    assert model.count_params() == PARAMETERS[name]
    assert model.output_shape == (None, None, 32_000)
    assert model.get_layer("token_embedding").output_dim == width
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    assert len(attentions) == depth
    for layer in attentions:
        queries, keys, values = layer.input
        assert queries.shape == (None, None, heads, 128)
        assert keys.shape == values.shape == (None, None, 8, 128)
        assert layer.causal and layer.window is None and layer.scale is None
        assert layer.dropout_rate == 0
    for index in range(1, depth + 1):
        experts = model.get_layer(f"block{index}_experts")
        assert (experts.num_experts, experts.num_experts_per_token) == (8, 2)
        assert experts.hidden_width == hidden_width
    positions = model.get_layer("positions")
    assert positions.base == 1_000_000 and positions.factor == 1
    norms = [layer.epsilon for layer in model.layers if "norm" in layer.name]
    assert norms == [1e-5] * (1 + 2 * depth)


def test_parameters_that_a_token_uses():
    """The paper: 13 billion of 47."""
    model = unfilled("mixtral_8x7b")
    unused = 32 * 6 * 3 * 4096 * 14_336
    assert round((model.count_params() - unused) / 1e9) == 13


def test_routers_are_seen_beside_the_logits():
    model = tiny(depth=3)
    routed = with_routers(model)
    assert routed.output_shape == [(None, None, 11), (None, 3, None, 5)]
    logits, probabilities = map(ops.convert_to_numpy, routed(TOKENS))
    np.testing.assert_array_equal(logits, ops.convert_to_numpy(model(TOKENS)))
    assert probabilities.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-6)
    # Each example has its own, wherever it stands in the batch, and each block.
    tokens = TOKENS[::-1].copy()
    _, others = map(ops.convert_to_numpy, routed(tokens))
    np.testing.assert_allclose(others[::-1], probabilities, atol=1e-6)
    assert np.abs(probabilities[:, 0] - probabilities[:, 2]).max() > 1e-2


def test_training_with_the_loss_that_balances_experts_spreads_them():
    """A router that sends all to one expert learns to use others, from that loss alone."""
    model = zoo.build("mixtral_8x7b", seed=0, **{**TINY, "depth": 1})
    router = model.get_layer("block1_experts").router
    router.assign(np.eye(16, 5) * 0.01)
    routed = with_routers(model)

    def compute_loss(tokens):
        _, probabilities = routed(tokens, training=True)
        return load_balancing_loss(probabilities, num_experts_per_token=2)

    step = gradient_step(compute_loss, routed, keras.optimizers.Adam(0.01))
    losses = [float(step(TOKENS)) for _ in range(60)]
    assert losses[0] > losses[-1] and losses[-1] < 2.15


def test_fresh_embeddings_are_as_wide_as_the_published():
    model = zoo.build("mixtral_8x7b", seed=0, **{**TINY, "vocabulary_size": 900})
    assert model.get_layer("token_embedding").get_weights()[0].std() == pytest.approx(
        0.02, rel=0.05
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            {"num_heads": 3},
            "mixtral_8x7b cannot split width=16 among num_heads=3, pairs of features",
        ),
        (
            {"width": 12},
            "mixtral_8x7b cannot split width=12 among num_heads=4, pairs of features to",
        ),
        ({"num_key_value_heads": 3}, "cannot share num_key_value_heads=3 among num_heads=4"),
        ({"num_key_value_heads": 8}, "cannot share num_key_value_heads=8 among num_heads=4"),
        ({"num_experts": 1}, "a token cannot see num_experts_per_token=2 of num_experts=1"),
        *[
            ({size: 0}, f"mixtral_8x7b needs {size}, an integer of 1 or more, got 0")
            for size in TINY
        ],
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("mixtral_8x7b", **{**TINY, **arguments})
