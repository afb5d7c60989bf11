"""Llama: the sizes of its checkpoints, and where its logits come from."""

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

import zoo
from tests.unfilled import unfilled

# Of transformers' LlamaForCausalLM; table 3 and the names round them.
PARAMETERS = {
    "llama3_8b": 8_030_261_248, "llama3_70b": 70_553_706_496, "llama3_2_1b": 1_235_814_400,
    "llama3_2_3b": 3_212_749_824, "llama3_405b": 405_853_388_800, "mistral_7b": 7_241_732_096,
}  # fmt: skip
# (vocabulary, depth, width, heads, width of a head, hidden width, base and factor of the positions,
# window, tied), of table 3 of either paper, and of the published config.json.
SIZES = {
    "llama3_8b": (128_256, 32, 4096, 32, 128, 14_336, 500_000, 1, None, False),
    "llama3_70b": (128_256, 80, 8192, 64, 128, 28_672, 500_000, 1, None, False),
    "llama3_405b": (128_256, 126, 16_384, 128, 128, 53_248, 500_000, 8, None, False),
    "llama3_2_1b": (128_256, 16, 2048, 32, 64, 8192, 500_000, 32, None, True),
    "llama3_2_3b": (128_256, 28, 3072, 24, 128, 8192, 500_000, 32, None, True),
    "mistral_7b": (32_000, 32, 4096, 32, 128, 14_336, 10_000, 1, 4096, False),
}
TINY = {
    "vocabulary_size": 11, "width": 16, "depth": 2, "num_heads": 4, "num_key_value_heads": 2,
    "hidden_width": 12,
}  # fmt: skip
TOKENS = np.array([[3, 1, 4, 1, 5], [5, 8, 0, 0, 9]], "int32")


def tiny(name="llama3_8b", **arguments):
    """With weights of which none is zero."""
    model = zoo.build(name, seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.7, size=each.shape) for each in model.weights])
    return model


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    tokens, depth, width, heads, head_width, hidden_width, *positions, window, tied = SIZES[name]
    assert model.count_params() == PARAMETERS[name]
    assert model.output_shape == (None, None, tokens)
    assert model.get_layer("token_embedding").output_dim == width
    assert ("output" in [layer.name for layer in model.layers]) == (not tied)
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    assert len(attentions) == depth
    for layer in attentions:
        queries, keys, values = layer.input
        assert queries.shape == (None, None, heads, head_width)
        assert keys.shape == values.shape == (None, None, 8, head_width)
        assert layer.causal and layer.window == window and layer.scale is None
        assert layer.dropout_rate == 0
    assert model.get_layer("block1_feed_forward").hidden_width == hidden_width
    turn = model.get_layer("positions")
    assert [turn.base, turn.factor] == positions
    norms = [layer.epsilon for layer in model.layers if "norm" in layer.name]
    assert norms == [1e-5] * (1 + 2 * depth)


def test_llama_3_1():
    model = unfilled("llama3_70b", rotary_factor=8.0)
    assert model.count_params() == PARAMETERS["llama3_70b"]
    assert model.get_layer("positions").factor == 8


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


def test_what_a_checkpoint_may_have_more(tmp_path):
    """The embeddings once more, where they give the logits, and angles, in old files."""
    model = tiny(tied_embeddings=True)
    zoo.save_weights(model, tmp_path / "first.safetensors")
    tensors = load_file(tmp_path / "first.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    tensors["model.layers.1.self_attn.rotary_emb.inv_freq"] = np.ones(2, "float32")
    save_file(tensors, tmp_path / "second.safetensors")
    other = tiny(tied_embeddings=True)
    other.set_weights([0 * each for each in other.get_weights()])
    zoo.load_weights(other, tmp_path / "second.safetensors")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    tensors["model.layers.2.self_attn.q_proj.weight"] = np.ones(2, "float32")
    save_file(tensors, tmp_path / "second.safetensors")
    with pytest.raises(ValueError, match=r"its model.layers.2.self_attn.q_proj.weight is left"):
        zoo.load_weights(other, tmp_path / "second.safetensors")


def test_fresh_embeddings_are_as_wide_as_the_published():
    model = zoo.build("llama3_2_1b", seed=0, **{**TINY, "vocabulary_size": 900})
    assert model.get_layer("token_embedding").get_weights()[0].std() == pytest.approx(
        0.02, rel=0.05
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_heads": 3}, "llama3_8b cannot split width=16 among num_heads=3, pairs of features"),
        ({"width": 12}, "llama3_8b cannot split width=12 among num_heads=4, pairs of features to"),
        ({"num_key_value_heads": 3}, "cannot share num_key_value_heads=3 among num_heads=4"),
        ({"num_key_value_heads": 8}, "cannot share num_key_value_heads=8 among num_heads=4"),
        ({"rotary_base": 0.0}, "base must be positive, got 0.0"),
        *[({size: 0}, f"llama3_8b needs {size}, an integer of 1 or more, got 0") for size in TINY],
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("llama3_8b", **{**TINY, **arguments})
