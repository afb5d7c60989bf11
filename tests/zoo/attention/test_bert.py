"""BERT: what its paper and its checkpoints say of its sizes, and what it does with padding."""

import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers import Dropout
from tests.unfilled import unfilled
from tests.zoo.attention.placement import placement

# Of transformers' BertModel, pooler and all; bert_base's and bert_large's are the paper's 110 and
# 340 millions.
PARAMETERS = {"bert_base": 109_482_240, "bert_large": 335_141_888}
TINY = {
    "vocabulary_size": 11, "max_length": 9, "width": 8, "depth": 2, "num_heads": 2,
    "hidden_width": 16,
}  # fmt: skip
TOKENS = np.array([[3, 1, 4, 1], [5, 8, 0, 0], [2, 6, 5, 0]], "int32")
SEGMENTS = np.array([[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], "int32")
LENGTHS = (4, 2, 3)


def tiny(**arguments):
    """With weights of which none is zero."""
    model = zoo.build("bert_base", seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.7, size=each.shape) for each in model.weights])
    return model


def outputs(model, tokens=TOKENS, segments=SEGMENTS):
    return ops.convert_to_numpy(model([tokens, segments]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert unfilled(name, num_classes=None).count_params() == PARAMETERS[name]
    width = 768 if name == "bert_base" else 1024
    assert unfilled(name).count_params() == PARAMETERS[name] + 2 * (width + 1)
    without_pooler = unfilled(name, num_classes=None, head="tagger").count_params()
    assert without_pooler == PARAMETERS[name] - width * (width + 1)


def test_parameters_of_minilm():
    """What the checkpoint has: 22,713,216 with the pooler."""
    assert unfilled("minilm_l6", head="classifier").count_params() == 22_713_216
    model = unfilled("minilm_l6")
    assert model.count_params() == 22_713_216 - 384 * 385
    assert model.output_shape == (None, None, 384)


@pytest.mark.parametrize(
    ("name", "depth", "heads", "width"),
    [("bert_base", 12, 12, 64), ("bert_large", 24, 16, 64), ("minilm_l6", 6, 12, 32)],
)
def test_shapes_on_the_way(name, depth, heads, width):
    model = unfilled(name)
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    assert len(attentions) == depth
    for layer in attentions:
        context, weights = layer.output
        assert context.shape == (None, None, heads, width)
        assert weights.shape == (None, heads, None, None)
        assert layer.dropout_rate == 0.1 and not layer.causal
    hidden = model.get_layer("block1_expand").output.shape[-1]
    assert hidden == 4 * heads * width
    assert model.get_layer("token_embedding").input_dim == 30_522
    assert model.get_layer("positions").max_length == 512
    rates = [layer.rate for layer in model.layers if "dropout" in layer.name]
    assert rates == [0.1] * (1 + 2 * depth + (name != "minilm_l6"))  # which has no output layer
    norms = [layer.epsilon for layer in model.layers if "norm" in layer.name]
    assert norms == [1e-12] * (1 + 2 * depth)  # of the published code


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ({}, {"output_dropout": (["pooler"], ["output"])}),
        ({"head": "tagger"}, {"output_dropout": (["block2_norm2"], ["output"])}),
        ({"num_classes": None}, {}),
        ({"num_classes": None, "head": "tagger"}, {}),
    ],
)
def test_where_dropouts_stand(arguments, output):
    """As in the published code: on embeddings, each change, and what the output layer sees."""
    of_parts = [f"block1_{part}" for part in ("key", "query", "value")]
    expected = {"embedding_dropout": (["embedding_norm"], ["Add", *of_parts]), **output}
    for block in ("block1", "block2"):
        expected[f"{block}_dropout1"] = ([f"{block}_projection"], ["Add"])
        expected[f"{block}_dropout2"] = ([f"{block}_contract"], ["Add"])
    model = unfilled("bert_base", **{**TINY, **arguments})
    assert placement(model, Dropout) == expected


@pytest.mark.parametrize("head", ["classifier", "tagger"])
def test_rows_give_what_they_give_alone(head):
    model = tiny(head=head, num_classes=3)
    together = outputs(model)
    for row, length in enumerate(LENGTHS):
        one = slice(row, row + 1)
        alone = outputs(model, TOKENS[one, :length], SEGMENTS[one, :length])[0]
        found = together[row] if head == "classifier" else together[row, :length]
        np.testing.assert_allclose(found, alone, rtol=0, atol=2e-6 * np.abs(alone).max())


def test_every_token_sees_every_other_and_its_place_and_segment():
    model = tiny(head="tagger", num_classes=3)
    first = outputs(model)[0]
    for place in range(4):
        tokens, segments = TOKENS.copy(), SEGMENTS.copy()
        tokens[0, place] = 7
        assert (np.abs(outputs(model, tokens)[0] - first).max(axis=-1) > 1e-3).all()
        segments[0, place] = 1 - segments[0, place]
        assert (np.abs(outputs(model, segments=segments)[0] - first).max(axis=-1) > 1e-3).all()
    swapped = outputs(model, TOKENS[:, [0, 3, 2, 1]])[0]  # of these, two are the same token
    np.testing.assert_allclose(swapped, first, atol=1e-6)
    assert np.abs(first[1] - first[3]).max() > 1e-3


def test_fresh_matrices_are_as_wide_as_the_papers():
    model = zoo.build("bert_base", seed=0, **{**TINY, "width": 200, "vocabulary_size": 500})
    for name in ("token_embedding", "block1_query", "block2_contract", "pooler"):
        values = model.get_layer(name).get_weights()[0]
        assert 0.015 < values.std() < 0.022 and np.abs(values).max() < 0.041, name


def test_a_text_that_is_too_long():
    tokens = np.ones((2, 10), "int32")
    with pytest.raises(ValueError, match="there are 9 positions, and the input goes up to 10"):
        tiny()([tokens, np.zeros_like(tokens)])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_heads": 3}, "bert_base cannot split width=8 among num_heads=3"),
        ({"head": "pooler"}, "bert_base has the heads classifier, tagger, got head='pooler'"),
        ({"width": 0}, "bert_base needs width, an integer of 1 or more, got 0"),
        ({"depth": 1.5}, "bert_base needs depth, an integer of 1 or more, got 1.5"),
        ({"num_classes": 0}, "bert_base needs num_classes, an integer of 1 or more, got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("bert_base", **{**TINY, **arguments})
