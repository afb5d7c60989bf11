"""T5: the sizes of its checkpoints, what it sees of source and target, and where it looks."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from custom_layers import Dropout
from tests.unfilled import unfilled
from tests.zoo.attention.placement import placement

# Of transformers' T5ForConditionalGeneration, for version 1.1 with a head of its own.
PARAMETERS = {
    "t5_small": 60_506_624, "t5_base": 222_903_552, "t5_large": 737_668_096,
    "t5_3b": 2_851_598_336, "t5_11b": 11_307_321_344,
    "t5_v1_1_small": 76_961_152, "t5_v1_1_base": 247_577_856, "t5_v1_1_large": 783_150_080,
    "t5_v1_1_xl": 2_849_757_184, "t5_v1_1_xxl": 11_135_332_352,
}  # fmt: skip
# Width, depth, heads, and features of a head and of the hidden layer: section 3.7's, and those of
# the configurations of version 1.1.
SIZES = {
    "t5_small": (512, 6, 8, 64, 2048), "t5_base": (768, 12, 12, 64, 3072),
    "t5_large": (1024, 24, 16, 64, 4096), "t5_3b": (1024, 24, 32, 128, 16_384),
    "t5_11b": (1024, 24, 128, 128, 65_536),
    "t5_v1_1_small": (512, 8, 6, 64, 1024), "t5_v1_1_base": (768, 12, 12, 64, 2048),
    "t5_v1_1_large": (1024, 24, 16, 64, 2816), "t5_v1_1_xl": (2048, 24, 32, 64, 5120),
    "t5_v1_1_xxl": (4096, 24, 64, 64, 10_240),
}  # fmt: skip
TINY = {
    "vocabulary_size": 11, "width": 8, "depth": 2, "num_heads": 2, "head_width": 3,
    "hidden_width": 16,
}  # fmt: skip
SOURCE = np.array([[3, 1, 4, 1, 5], [5, 8, 2, 0, 0], [2, 0, 0, 0, 0]], "int32")
TARGET = np.array([[0, 4, 2, 4], [0, 9, 8, 7], [0, 3, 0, 0]], "int32")
LENGTHS = (5, 3, 1)

both_versions = pytest.mark.parametrize("name", ["t5_small", "t5_v1_1_small"])


def tiny(name="t5_small", **arguments):
    """With weights of which none is zero."""
    model = zoo.build(name, seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.5, size=each.shape) for each in model.weights])
    return model


def logits(model, source=SOURCE, target=TARGET):
    return ops.convert_to_numpy(model([source, target]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    assert model.count_params() == PARAMETERS[name]
    width, depth, heads, head_width, hidden_width = SIZES[name]
    assert model.output_shape == (None, None, 32_128)
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    kinds = {"encoder{}_self": False, "decoder{}_self": True, "decoder{}_cross": False}
    causal = {
        f"{kind.format(index)}_attention": each
        for kind, each in kinds.items()
        for index in range(1, depth + 1)
    }
    assert {layer.name: layer.causal for layer in attentions} == causal
    for layer in attentions:
        context, weights = layer.output
        assert context.shape == (None, None, heads, head_width)
        assert weights.shape == (None, heads, None, None)
        assert layer.window is None and layer.scale == 1 and layer.dropout_rate == 0.1
    hidden = "expand" if "v1" not in name else "gate"
    for side, causal in {"encoder": False, "decoder": True}.items():
        bias = model.get_layer(f"{side}_position_bias")
        assert (bias.num_buckets, bias.max_distance, bias.causal) == (32, 128, causal)
        assert model.get_layer(f"{side}1_{hidden}").output.shape == (None, None, hidden_width)
    rates = [layer.rate for layer in model.layers if "dropout" in layer.name]
    assert rates == [0.1] * (2 * 2 + depth * 3 + depth * 4)
    norms = [layer for layer in model.layers if "_norm" in layer.name]
    assert [layer.epsilon for layer in norms] == [1e-6] * (2 + depth * 2 + depth * 3)
    assert norms[0].output.shape == (None, None, width)


@both_versions
def test_where_dropouts_stand(name):
    """Section 2.1: in feed-forward networks, on what is added, and around the entire stack."""
    is_first = name == "t5_small"
    seen = [f"decoder{index}_cross_{part}" for index in (1, 2) for part in ("key", "value")]
    expected = {
        "encoder_dropout": (["encoder_norm"], seen),
        "decoder_dropout": (["decoder_norm"], ["Multiply" if is_first else "output"]),
    }
    for side, tokens in {"encoder": "source", "decoder": "target"}.items():
        first = ["Add", f"{side}1_norm1", f"{side}_position_bias"]
        expected[f"{tokens}_dropout"] = (["token_embedding"], first)
        changes = ["self_projection", "contract"]
        if side == "decoder":
            changes.insert(1, "cross_projection")
        for block in (f"{side}1", f"{side}2"):
            hidden = f"{block}_relu" if is_first else "Multiply"
            expected[f"{block}_hidden_dropout"] = ([hidden], [f"{block}_contract"])
            for number, change in enumerate(changes, start=1):
                expected[f"{block}_dropout{number}"] = ([f"{block}_{change}"], ["Add"])
    assert placement(unfilled(name, **TINY), Dropout) == expected


@both_versions
def test_padding_of_the_source_changes_nothing(name):
    model = tiny(name)
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
            assert (changed[row] > 1e-4).all() and not np.delete(changed, row, axis=0).any()
    swapped = SOURCE.copy()
    swapped[0, :2] = SOURCE[0, 1::-1]
    assert (np.abs(logits(model, swapped) - first)[0].max(axis=-1) > 1e-4).all()


@both_versions
def test_a_later_token_of_the_target_changes_no_earlier_logit(name):
    """To the bit."""
    model = tiny(name)
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


@both_versions
def test_matrices_of_tokens(name):
    """One embeds both sides, and in version 1.0 tells the logits."""
    tables = [each.path for each in tiny(name).weights if 11 in each.shape]
    own = ["output/kernel"] if "v1" in name else []
    assert tables == ["token_embedding/embeddings", *own]


@both_versions
def test_fresh_weights_are_as_large_as_the_published_codes(name):
    sizes = {"width": 64, "hidden_width": 300, "num_heads": 3, "head_width": 25}
    model = zoo.build(name, seed=0, **{**TINY, **sizes, "vocabulary_size": 200})
    expected = {"token_embedding": 1.0, "decoder2_contract": 300**-0.5}
    for attention in ("encoder1_self", "decoder2_self", "decoder1_cross"):
        expected |= {
            f"{attention}_query": (64 * 25) ** -0.5, f"{attention}_key": 64**-0.5,
            f"{attention}_value": 64**-0.5, f"{attention}_projection": (3 * 25) ** -0.5,
        }  # fmt: skip
    hidden = ("gate", "up") if "v1" in name else ("expand",)
    expected |= {f"encoder2_{layer}": 64**-0.5 for layer in hidden}
    if "v1" in name:
        expected["output"] = 64**-0.5
    for layer, deviation in expected.items():
        (values,) = model.get_layer(layer).get_weights()
        assert values.std() == pytest.approx(deviation, rel=0.05), layer


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"width": 0}, "t5_small needs width, an integer of 1 or more, got 0"),
        ({"head_width": 1.5}, "t5_small needs head_width, an integer of 1 or more, got 1.5"),
        ({"depth": None}, "t5_small needs depth, an integer of 1 or more, got None"),
        ({"num_heads": -2}, "t5_small needs num_heads, an integer of 1 or more, got -2"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("t5_small", **{**TINY, **arguments})
