"""Qwen3: the sizes of its checkpoints, and its normalized queries and keys."""

import numpy as np
import pytest
from keras import ops

import zoo
from tests.unfilled import unfilled

# Of transformers' Qwen3ForCausalLM; the names round them.
PARAMETERS = {
    "qwen3_0_6b": 596_049_920, "qwen3_1_7b": 1_720_574_976, "qwen3_4b": 4_022_468_096,
    "qwen3_8b": 8_190_735_360, "qwen3_14b": 14_768_307_200, "qwen3_32b": 32_762_123_264,
}  # fmt: skip
# (depth, width, heads, hidden width, tied), of table 1 and of the published config.json.
SIZES = {
    "qwen3_0_6b": (28, 1024, 16, 3072, True),
    "qwen3_1_7b": (28, 2048, 16, 6144, True),
    "qwen3_4b": (36, 2560, 32, 9728, True),
    "qwen3_8b": (36, 4096, 32, 12_288, False),
    "qwen3_14b": (40, 5120, 40, 17_408, False),
    "qwen3_32b": (64, 5120, 64, 25_600, False),
}
TINY = {
    "vocabulary_size": 11, "width": 10, "depth": 2, "num_heads": 4, "num_key_value_heads": 2,
    "head_width": 6, "hidden_width": 12,
}  # fmt: skip
TOKENS = np.array([[3, 1, 4, 1, 5], [5, 8, 0, 0, 9]], "int32")


def tiny(name="qwen3_8b", **arguments):
    """With weights of which none is zero."""
    model = zoo.build(name, seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.7, size=each.shape) for each in model.weights])
    return model


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    depth, width, heads, hidden_width, tied = SIZES[name]
    assert model.count_params() == PARAMETERS[name]
    assert model.output_shape == (None, None, 151_936)
    assert model.get_layer("token_embedding").output_dim == width
    assert ("output" in [layer.name for layer in model.layers]) == (not tied)
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    assert len(attentions) == depth
    for layer in attentions:
        queries, keys, values = layer.input
        assert queries.shape == (None, None, heads, 128)
        assert keys.shape == values.shape == (None, None, 8, 128)
        assert layer.causal and layer.window is None and layer.scale is None
        assert layer.dropout_rate == 0
    assert model.get_layer("block1_feed_forward").hidden_width == hidden_width
    positions = model.get_layer("positions")
    assert positions.base == 1_000_000 and positions.factor == 1
    norms = [layer for layer in model.layers if "norm" in layer.name]
    assert [layer.epsilon for layer in norms] == [1e-6] * (1 + 4 * depth)
    of_heads = [layer.name for layer in norms if layer.gamma.shape == (128,)]
    assert len(of_heads) == 2 * depth


def test_the_length_of_queries_and_keys_does_not_count():
    model = tiny(depth=1)
    first = ops.convert_to_numpy(model(TOKENS))
    for part in ("query", "key"):
        layer = model.get_layer(f"block1_{part}")
        layer.set_weights([100 * each for each in layer.get_weights()])
    second = ops.convert_to_numpy(model(TOKENS))
    np.testing.assert_allclose(second, first, rtol=0, atol=1e-5 * np.abs(first).max())


@pytest.mark.parametrize("tied", [False, True])
def test_where_logits_come_from(tied):
    model = tiny(tied_embeddings=tied)
    layer = model.get_layer("token_embedding" if tied else "output")
    matrix = layer.get_weights()[0]
    before = ops.convert_to_numpy(model(TOKENS))
    (matrix if tied else matrix.T)[10] = 0  # of a token that is not there
    layer.set_weights([matrix])
    after = ops.convert_to_numpy(model(TOKENS))
    np.testing.assert_array_equal(after[..., 10], 0)
    np.testing.assert_allclose(after[..., :10], before[..., :10], rtol=1e-5, atol=1e-5)


def test_fresh_embeddings_are_as_wide_as_the_published():
    model = zoo.build("qwen3_0_6b", seed=0, **{**TINY, "vocabulary_size": 900})
    assert model.get_layer("token_embedding").get_weights()[0].std() == pytest.approx(
        0.02, rel=0.05
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"head_width": 5}, "qwen3_8b needs an even head_width, got 5"),
        ({"num_key_value_heads": 3}, "cannot share num_key_value_heads=3 among num_heads=4"),
        ({"num_key_value_heads": 8}, "cannot share num_key_value_heads=8 among num_heads=4"),
        *[({size: 0}, f"qwen3_8b needs {size}, an integer of 1 or more, got 0") for size in TINY],
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("qwen3_8b", **{**TINY, **arguments})
