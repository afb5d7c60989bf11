"""ViT and DeiT: the sizes of their checkpoints, two heads, and images that do not fit."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from safetensors.numpy import load_file, save_file

import zoo
from custom_layers import Dropout, StochasticDepth
from tests.unfilled import unfilled
from tests.zoo.attention.placement import placement

# Of timm's models, with 1,000 classes each. The papers' table 1 have 86, 307 and 632 million of
# ViT's base, large and huge, and 5, 22 and 86 million of DeiT's tiny, small and base.
PARAMETERS = {
    "vit_tiny_16": 5_717_416, "vit_small_16": 22_050_664, "vit_base_16": 86_567_656,
    "vit_base_32": 88_224_232, "vit_large_16": 304_326_632, "vit_large_32": 306_535_400,
    "vit_huge_14": 632_045_800, "deit_tiny_16": 5_717_416, "deit_small_16": 22_050_664,
    "deit_base_16": 86_567_656, "deit_tiny_distilled_16": 5_910_800,
    "deit_small_distilled_16": 22_436_432, "deit_base_distilled_16": 87_338_192,
}  # fmt: skip
SIZES = {  # depth, heads, width
    "tiny": (12, 3, 192), "small": (12, 6, 384), "base": (12, 12, 768), "large": (24, 16, 1024),
    "huge": (32, 16, 1280),
}  # fmt: skip
TINY = {
    "input_shape": (8, 12, 2), "num_classes": 3, "patch_size": 4, "width": 8, "depth": 2,
    "num_heads": 2,
}  # fmt: skip
IMAGES = np.random.default_rng(0).normal(size=(5, 8, 12, 2)).astype("float32")


def tiny(name="vit_base_16", **arguments):
    """With weights of which none is zero."""
    model = zoo.build(name, seed=0, **{**TINY, **arguments})
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.7, size=each.shape) for each in model.weights])
    return model


def outputs(model, images=IMAGES):
    return ops.convert_to_numpy(model(images))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    assert model.count_params() == PARAMETERS[name]
    depth, heads, width = SIZES[name.split("_")[1]]
    patch = int(name.rpartition("_")[2])
    assert model.input_shape == (None, 224, 224, 3) and model.output_shape == (None, 1000)
    patches = model.get_layer("patches")
    assert patches.kernel_size == patches.strides == (patch, patch)
    tokens = (224 // patch) ** 2 + (2 if "distilled" in name else 1)
    assert model.get_layer("positions").max_length == tokens
    attentions = [layer for layer in model.layers if layer.name.endswith("_attention")]
    assert len(attentions) == depth
    for layer in attentions:
        assert layer.output[0].shape == (None, tokens, heads, width // heads)
        assert not layer.causal and layer.dropout_rate == 0
    for index in range(1, depth + 1):
        assert model.get_layer(f"block{index}_expand").units == 4 * width


@pytest.mark.parametrize("name", PARAMETERS)
def test_constants(name):
    """Epsilon of the published codes; rates of ViT's table 3 and DeiT's table 9."""
    model = unfilled(name)
    depth = SIZES[name.split("_")[1]][0]
    norms = [each for each in model.layers if isinstance(each, layers.LayerNormalization)]
    assert len(norms) == 2 * depth + 1 and all(each.epsilon == 1e-6 for each in norms)
    gelus = [each for each in model.layers if each.name.endswith("_gelu")]
    assert len(gelus) == depth and not any(each.approximate for each in gelus)
    drops = [each.rate for each in model.layers if isinstance(each, StochasticDepth)]
    rates = [each.rate for each in model.layers if type(each) is Dropout]
    is_deit = name.startswith("deit")
    np.testing.assert_allclose(drops, np.repeat(np.linspace(0, 0.1 * is_deit, depth), 2))
    assert rates == [0.0 if is_deit else 0.1] * (3 * depth + 1)


def test_dropout_stands_behind_dense_layers_and_positions():
    """Appendix B.1: behind each but those of queries, keys and values."""
    expected = {"embedding_dropout": (["positions"], ["Add", "block1_norm1"])}
    for block in ("block1", "block2"):
        expected[f"{block}_hidden_dropout"] = ([f"{block}_gelu"], [f"{block}_contract"])
        for number, change in {1: "projection", 2: "contract"}.items():
            dropout, drop = f"{block}_dropout{number}", f"{block}_drop{number}"
            expected[dropout] = ([f"{block}_{change}"], [drop])
            expected[drop] = ([dropout], ["Add"])  # stochastic depth
    assert placement(unfilled("vit_base_16", **TINY), Dropout, StochasticDepth) == expected


def test_logits_of_a_distilled_network_are_the_mean_of_two_heads():
    model = tiny("deit_tiny_distilled_16")
    names = ("output", "distillation_output")
    both = keras.Model(model.input, [model.get_layer(name).output for name in names])
    of_class, of_teacher = (ops.convert_to_numpy(each) for each in both(IMAGES))
    assert np.abs(of_class - of_teacher).max() > 0.1
    np.testing.assert_allclose(outputs(model), (of_class + of_teacher) / 2, rtol=1e-5, atol=1e-5)
    # Without heads it gives what they see.
    tokens = tiny("deit_tiny_distilled_16", num_classes=None)
    assert tokens.output_shape == (None, 2, 8)
    tokens.set_weights(model.get_weights()[:-4])
    for index, (name, expected) in enumerate(zip(names, (of_class, of_teacher), strict=True)):
        kernel, bias = model.get_layer(name).get_weights()
        found = outputs(tokens)[:, index] @ kernel + bias
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_positions_the_order_of_patches_is_nothing():
    model = tiny()
    patches = IMAGES.reshape(5, 2, 4, 3, 4, 2)
    turned = patches[:, ::-1, :, ::-1].reshape(IMAGES.shape)
    assert np.abs(outputs(model, turned) - outputs(model)).max() > 0.03
    positions = model.get_layer("positions")
    positions.set_weights([np.zeros_like(each) for each in positions.get_weights()])
    np.testing.assert_allclose(outputs(model, turned), outputs(model), rtol=1e-4, atol=1e-5)


def test_fresh_weights_are_as_wide_as_deits():
    model = zoo.build("deit_base_distilled_16", seed=0, **{**TINY, "width": 200})
    for name in ("patches", "block1_query_key_value", "block2_contract", "positions"):
        values = model.get_layer(name).get_weights()[0]
        assert 0.015 < values.std() < 0.02 and np.abs(values).max() < 0.041, name


def test_a_checkpoint_of_another_size(tmp_path):
    zoo.save_weights(tiny(), tmp_path / "small.safetensors")
    told = (
        r"its pos_embed of shape \(1, 7, 8\) is to be \(1, 10, 8\) for positions/positions "
        r"\(build the model with the input_shape or max_length of the checkpoint\)\.$"
    )
    with pytest.raises(ValueError, match=told):
        zoo.load_weights(tiny(input_shape=(12, 12, 2)), tmp_path / "small.safetensors")


def test_other_classes_of_a_distilled_network(tmp_path):
    """Both heads are left as they are."""
    saved = tiny("deit_tiny_distilled_16")
    zoo.save_weights(saved, tmp_path / "saved.safetensors")
    model = zoo.build("deit_tiny_distilled_16", seed=0, **{**TINY, "num_classes": 5})
    with pytest.raises(ValueError, match=r"head_dist\.weight .* for distillation_output/kernel"):
        zoo.load_weights(model, tmp_path / "saved.safetensors")
    before = model.get_weights()
    zoo.load_weights(model, tmp_path / "saved.safetensors", head=False)
    expected = [*saved.get_weights()[:-4], *before[-4:]]
    for one, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    without = tiny("deit_tiny_distilled_16", num_classes=None)
    told = r"its head_dist\.\w+ is left over \(head=False leaves that layer out\)"
    with pytest.raises(ValueError, match=told):
        zoo.load_weights(without, tmp_path / "saved.safetensors")


def test_a_model_without_head_as_transformers_saves_it(tmp_path):
    """With a pooler, which no head here sees, and queries, keys and values apart."""
    model = tiny()
    zoo.save_weights(model, tmp_path / "timm.safetensors")
    theirs = load_file(tmp_path / "timm.safetensors")
    embeddings = {
        "embeddings.cls_token": theirs["cls_token"],
        "embeddings.position_embeddings": theirs["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": theirs["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": theirs["patch_embed.proj.bias"],
    }
    assert theirs["pos_embed"].shape == (1, 7, 8) and theirs["cls_token"].shape == (1, 1, 8)
    tensors = {
        **embeddings,
        "pooler.dense.weight": np.ones((8, 8)),
        "pooler.dense.bias": np.ones(8),
    }
    names = {
        "norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense", "attn.proj": "attention.output.dense",
    }  # fmt: skip
    for kind in ("weight", "bias"):
        tensors[f"layernorm.{kind}"] = theirs[f"norm.{kind}"]
        for index in (0, 1):
            block = f"encoder.layer.{index}"
            for timms, name in names.items():
                tensors[f"{block}.{name}.{kind}"] = theirs[f"blocks.{index}.{timms}.{kind}"]
            parts = np.split(theirs[f"blocks.{index}.attn.qkv.{kind}"], 3)
            for part, array in zip(("query", "key", "value"), parts, strict=True):
                tensors[f"{block}.attention.attention.{part}.{kind}"] = array
    save_file(tensors, tmp_path / "transformers.safetensors")
    other = zoo.build("vit_base_16", seed=1, **{**TINY, "num_classes": None})
    zoo.load_weights(other, tmp_path / "transformers.safetensors")
    for one, expected in zip(other.get_weights(), model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, expected)
    with pytest.raises(ValueError, match=r"\(its names are those of vit\) into swin_tiny"):
        zoo.load_weights(unfilled("swin_tiny"), tmp_path / "transformers.safetensors")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_heads": 3}, "vit_base_16 cannot split width=8 among num_heads=3"),
        ({"width": 0}, "vit_base_16 needs width, an integer of 1 or more, got 0"),
        ({"depth": 1.5}, "vit_base_16 needs depth, an integer of 1 or more, got 1.5"),
        ({"num_classes": 0}, "vit_base_16 needs num_classes, an integer of 1 or more, got 0"),
        (
            {"input_shape": (8, 14, 2)},
            r"vit_base_16 needs input_shape \(H, W, C\) of at least \(4, 4, 1\), H and W multiples "
            r"of 4, got \(8, 14, 2\): it cuts them into patches of 4x4",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("vit_base_16", **{**TINY, **arguments})
