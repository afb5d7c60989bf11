"""The Transformer: its paper's sizes, what it sees of source and target, and where it looks."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers import Dropout
from tests.unfilled import unfilled
from tests.zoo.attention.placement import placement

# Of torch.nn's TransformerEncoder and TransformerDecoder without last norms, and one embedding of
# 37,000 tokens; the paper's table 3 has 65 and 213 millions.
PARAMETERS = {"transformer_base": 63_082_496, "transformer_big": 214_245_376}
SIZES = {"transformer_base": (512, 8, 2048, 0.1), "transformer_big": (1024, 16, 4096, 0.3)}
TINY = {"vocabulary_size": 11, "width": 8, "depth": 2, "num_heads": 2, "hidden_width": 16}
SOURCE = np.array([[3, 1, 4, 1, 5], [5, 8, 2, 0, 0], [2, 0, 0, 0, 0]], "int32")
TARGET = np.array([[1, 4, 2, 4], [1, 9, 8, 7], [1, 3, 0, 0]], "int32")
LENGTHS = (5, 3, 1)


def tiny(**arguments):
    """With weights of which none is zero."""
    model = zoo.build("transformer_base", seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.7, size=each.shape) for each in model.weights])
    return model


def logits(model, source=SOURCE, target=TARGET):
    return ops.convert_to_numpy(model([source, target]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    assert model.count_params() == PARAMETERS[name]
    width, heads, hidden_width, dropout_rate = SIZES[name]
    assert model.output_shape == (None, None, 37_000)
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    kinds = {"encoder{}_self": False, "decoder{}_self": True, "decoder{}_cross": False}
    causal = {
        f"{kind.format(index)}_attention": each
        for kind, each in kinds.items()
        for index in range(1, 7)
    }
    assert {layer.name: layer.causal for layer in attentions} == causal
    for layer in attentions:
        context, weights = layer.output
        assert context.shape == (None, None, heads, width // heads)
        assert weights.shape == (None, heads, None, None)
        assert layer.window is None and layer.scale is None and layer.dropout_rate == 0
    for side in ("encoder", "decoder"):
        assert model.get_layer(f"{side}1_expand").output.shape[-1] == hidden_width
    rates = [layer.rate for layer in model.layers if "dropout" in layer.name]
    assert rates == [dropout_rate] * (2 + 6 * 2 + 6 * 3)
    norms = [layer.epsilon for layer in model.layers if "_norm" in layer.name]
    assert norms == [1e-5] * (6 * 2 + 6 * 3)


def test_where_dropouts_stand():
    """Section 5.4: on each change before it is added, and on embeddings with their positions."""
    expected = {}
    for side, tokens in {"encoder": "source", "decoder": "target"}.items():
        first = ["Add", *(f"{side}1_self_{part}" for part in ("key", "query", "value"))]
        expected[f"{tokens}_dropout"] = ([f"{tokens}_positions"], first)
        changes = ["self_projection", "contract"]
        if side == "decoder":
            changes.insert(1, "cross_projection")
        for block in (f"{side}1", f"{side}2"):
            for number, change in enumerate(changes, start=1):
                expected[f"{block}_dropout{number}"] = ([f"{block}_{change}"], ["Add"])
    assert placement(unfilled("transformer_base", **TINY), Dropout) == expected


def test_two_vocabularies_and_last_norms():
    one = PARAMETERS["transformer_base"]
    assert unfilled("transformer_base", final_norm=True).count_params() == one + 4 * 512
    model = unfilled("transformer_base", vocabulary_size=300, source_vocabulary_size=200)
    assert model.count_params() == one + (300 + 200 - 37_000) * 512
    assert model.get_layer("source_embedding").input_dim == 200
    assert model.get_layer("target_embedding").input_dim == 300
    assert model.output_shape == (None, None, 300)


def test_padding_of_the_source_changes_nothing():
    model = tiny()
    together = logits(model)
    for row, length in enumerate(LENGTHS):
        alone = logits(model, SOURCE[row : row + 1, :length], TARGET[row : row + 1])[0]
        np.testing.assert_allclose(together[row], alone, rtol=0, atol=1e-6 * np.abs(alone).max())


def test_every_logit_depends_on_every_token_of_the_source_and_its_place():
    model = tiny()
    first = logits(model)
    for row, length in enumerate(LENGTHS):
        for place in range(length):
            source = SOURCE.copy()
            source[row, place] = 7
            changed = np.abs(logits(model, source) - first).max(axis=-1)
            assert (changed[row] > 1e-3).all() and not np.delete(changed, row, axis=0).any()
    swapped = SOURCE.copy()
    swapped[0, :2] = SOURCE[0, 1::-1]
    assert (np.abs(logits(model, swapped) - first)[0].max(axis=-1) > 1e-3).all()


def test_a_later_token_of_the_target_changes_no_earlier_logit():
    """To the bit."""
    model = tiny()
    first = logits(model)
    for place in range(4):
        target = TARGET.copy()
        target[:, place] = 6
        second = logits(model, target=target)
        np.testing.assert_array_equal(second[:, :place], first[:, :place])
        assert (np.abs(second - first)[:, place:].max(axis=-1) > 1e-4).all()


def test_the_beginning_of_the_target_alone_gives_the_same():
    model = tiny()
    whole = logits(model)
    for length in (1, 3):
        found = logits(model, target=TARGET[:, :length])
        np.testing.assert_allclose(found, whole[:, :length], atol=1e-5 * np.abs(whole).max())


def test_where_it_looks():
    model = tiny()
    for block in (1, 2):
        attention = model.get_layer(f"decoder{block}_cross_attention")
        looking = keras.Model(model.inputs, [model.output, attention.output[-1]])
        found, weights = (ops.convert_to_numpy(each) for each in looking([SOURCE, TARGET]))
        np.testing.assert_array_equal(found, logits(model))
        assert weights.shape == (3, 2, 4, 5)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
        seen = np.broadcast_to((SOURCE != 0)[:, None, None], weights.shape)
        np.testing.assert_array_equal(weights > 0, seen)


def test_one_matrix_embeds_and_tells_the_logits():
    """Section 3.4."""
    model = tiny()
    tables = [each for each in model.weights if 11 in each.shape]
    assert [each.path for each in tables] == ["token_embedding/embeddings"]
    before, table = logits(model), ops.convert_to_numpy(tables[0]).copy()
    table[10] = 0  # a token that is not there
    tables[0].assign(table)
    after = logits(model)
    np.testing.assert_array_equal(after[..., 10], 0)
    np.testing.assert_allclose(after[..., :10], before[..., :10], rtol=1e-5, atol=1e-5)


def test_fresh_embeddings_are_as_large_as_positions():
    model = zoo.build("transformer_base", seed=0, **{**TINY, "width": 200, "vocabulary_size": 500})
    (table,) = model.get_layer("token_embedding").get_weights()
    assert table.std() == pytest.approx(200**-0.5, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_heads": 3}, "transformer_base cannot split width=8 among num_heads=3"),
        ({"width": 5, "num_heads": 1}, r"must be \(B, T, D\) of a known, even D, got"),
        ({"width": 0}, "transformer_base needs width, an integer of 1 or more, got 0"),
        ({"depth": None}, "transformer_base needs depth, an integer of 1 or more, got None"),
        ({"source_vocabulary_size": 0}, "needs source_vocabulary_size, an integer .* got 0"),
        ({"hidden_width": 1.5}, "transformer_base needs hidden_width, an integer .* got 1.5"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("transformer_base", **{**TINY, **arguments})
