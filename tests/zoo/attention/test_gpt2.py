"""GPT-2: the sizes of its checkpoints, and where its logits come from."""

import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers import Dropout
from tests.unfilled import unfilled
from tests.zoo.attention.placement import placement

# Of transformers' GPT2LMHeadModel; section 2.3's table 2 rounds them, and counts others.
PARAMETERS = {
    "gpt2": 124_439_808, "gpt2_medium": 354_823_168, "gpt2_large": 774_030_080,
    "gpt2_xl": 1_557_611_200,
}  # fmt: skip
SIZES = {
    "gpt2": (12, 768, 12), "gpt2_medium": (24, 1024, 16), "gpt2_large": (36, 1280, 20),
    "gpt2_xl": (48, 1600, 25),
}  # fmt: skip
TINY = {"vocabulary_size": 11, "max_length": 9, "width": 8, "depth": 2, "num_heads": 2}
TOKENS = np.array([[3, 1, 4, 1, 5], [5, 8, 0, 0, 9]], "int32")


def tiny(**arguments):
    """With weights of which none is zero."""
    model = zoo.build("gpt2", seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.7, size=each.shape) for each in model.weights])
    return model


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    assert model.count_params() == PARAMETERS[name]
    depth, width, heads = SIZES[name]
    assert model.output_shape == (None, None, 50_257)
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    assert len(attentions) == depth
    for layer in attentions:
        context, _ = layer.output
        assert context.shape == (None, None, heads, width // heads)
        assert layer.causal and layer.window is None and layer.dropout_rate == 0.1
    assert model.get_layer("positions").max_length == 1024
    assert model.get_layer("block1_expand").output.shape[-1] == 4 * width
    rates = [layer.rate for layer in model.layers if "dropout" in layer.name]
    assert rates == [0.1] * (1 + 2 * depth)
    norms = [layer.epsilon for layer in model.layers if "norm" in layer.name]
    assert norms == [1e-5] * (2 * depth + 1)  # of the published code


def test_where_dropouts_stand():
    """On embeddings with their positions, and on each change, as in transformers' GPT2Model."""
    expected = {"embedding_dropout": (["positions"], ["Add", "block1_norm1"])}
    for block in ("block1", "block2"):
        expected[f"{block}_dropout1"] = ([f"{block}_projection"], ["Add"])
        expected[f"{block}_dropout2"] = ([f"{block}_contract"], ["Add"])
    assert placement(unfilled("gpt2", **TINY), Dropout) == expected


def test_logits_are_products_with_the_embeddings():
    model = tiny()
    table, *_ = model.get_layer("token_embedding").get_weights()
    assert [each.path for each in model.weights].count("token_embedding/embeddings") == 1
    before = ops.convert_to_numpy(model(TOKENS))
    table[10] = 0  # a token that is not there
    model.get_layer("token_embedding").set_weights([table])
    after = ops.convert_to_numpy(model(TOKENS))
    np.testing.assert_array_equal(after[..., 10], 0)
    np.testing.assert_allclose(after[..., :10], before[..., :10], rtol=1e-5, atol=1e-5)


def test_fresh_weights_are_as_wide_as_the_papers():
    model = zoo.build("gpt2", seed=0, **{**TINY, "width": 200, "depth": 8})
    expected = {"block1_query_key_value": 0.02, "block3_expand": 0.02, "token_embedding": 0.02}
    expected |= {"block2_projection": 0.005, "block8_contract": 0.005}  # 0.02 / sqrt(2 * 8)
    for name, deviation in expected.items():
        values = model.get_layer(name).get_weights()[0]
        assert values.std() == pytest.approx(deviation, rel=0.05), name


def test_a_text_that_is_too_long():
    with pytest.raises(ValueError, match="there are 9 positions, and the input goes up to 10"):
        tiny()(np.ones((2, 10), "int32"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_heads": 3}, "gpt2 cannot split width=8 among num_heads=3"),
        ({"width": 0}, "gpt2 needs width, an integer of 1 or more, got 0"),
        ({"max_length": None}, "gpt2 needs max_length, an integer of 1 or more, got None"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("gpt2", **{**TINY, **arguments})
