"""Swin: the sizes of its checkpoints, which windows are shifted, and maps they do not divide."""

import re

import numpy as np
import pytest
from keras import layers
from safetensors.numpy import load_file, save_file

import zoo
from custom_layers import StochasticDepth
from tests.unfilled import unfilled
from tests.zoo.attention.placement import placement

# Of timm's models; the paper's table 1 has 29, 50, 88 and 197 million.
PARAMETERS = {
    "swin_tiny": 28_288_354, "swin_small": 49_606_258, "swin_base": 87_768_224,
    "swin_large": 196_532_476,
}  # fmt: skip
SIZES = {  # blocks in stage 3, width, heads in stage 1, and stochastic depth
    "swin_tiny": (6, 96, 3, 0.2), "swin_small": (18, 96, 3, 0.3), "swin_base": (18, 128, 4, 0.5),
    "swin_large": (18, 192, 6, 0.2),
}  # fmt: skip
TINY = {
    "input_shape": (32, 64, 2), "num_classes": 3, "depths": (2, 1, 2), "width": 4, "num_heads": 2,
    "window_size": 3,
}  # fmt: skip


def tiny(**arguments):
    return zoo.build("swin_tiny", seed=0, **{**TINY, **arguments})


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name):
    model = unfilled(name)
    assert model.count_params() == PARAMETERS[name]
    depth, width, heads, _ = SIZES[name]
    assert model.input_shape == (None, 224, 224, 3) and model.output_shape == (None, 1000)
    found = [
        (each.name.removesuffix("_attention"), *each.output.shape[1:], each.window, each.shift)
        for each in model.layers
        if each.name.endswith("_attention")
    ]
    expected = []
    for stage, blocks in enumerate((2, 2, depth, 2)):
        size, num_heads = 56 // 2**stage, heads * 2**stage
        for block in range(blocks):
            # Section 3.2; the last map is one window.
            shift = (3, 3) if block % 2 and stage < 3 else (0, 0)
            heads_and_width = (num_heads, width * 2**stage // num_heads)
            name = f"stage{stage + 1}_block{block + 1}"
            expected.append((name, size, size, *heads_and_width, (7, 7), shift))
            assert model.get_layer(f"{name}_expand").units == 4 * width * 2**stage
    assert found == expected
    assert width // heads == 32


@pytest.mark.parametrize("name", PARAMETERS)
def test_constants(name):
    """Epsilon of the published code; rates of section A2.1."""
    model = unfilled(name)
    depth, _, _, rate = SIZES[name]
    norms = [each for each in model.layers if isinstance(each, layers.LayerNormalization)]
    assert len(norms) == 2 * (6 + depth) + 3 + 2 and all(each.epsilon == 1e-5 for each in norms)
    gelus = [each for each in model.layers if each.name.endswith("_gelu")]
    assert len(gelus) == 6 + depth and not any(each.approximate for each in gelus)
    drops = [each.rate for each in model.layers if isinstance(each, StochasticDepth)]
    np.testing.assert_allclose(drops, np.repeat(np.linspace(0, rate, 6 + depth), 2))
    merges = [model.get_layer(f"stage{stage}_merge") for stage in (2, 3, 4)]
    assert not any(each.use_bias for each in merges)


def test_stochastic_depth_is_on_each_change():
    expected = {}
    for block in (f"stage{each}" for each in ("1_block1", "1_block2", "2_block1", "3_block1")):
        expected[f"{block}_drop1"] = ([f"{block}_projection"], ["Add"])
        expected[f"{block}_drop2"] = ([f"{block}_contract"], ["Add"])
    assert placement(tiny(depths=(2, 1, 1)), StochasticDepth) == expected


def test_larger_windows_for_larger_images():
    """timm's swin_base_patch4_window12_384."""
    model = unfilled("swin_base", window_size=12, input_shape=(384, 384, 3))
    assert model.count_params() == 87_903_584


def test_windows_where_they_do_not_divide():
    """Maps of 8x16, 4x8 and 2x4: padded, and on the last as high as the map, which has no shift."""
    model = unfilled("swin_tiny", **TINY)
    found = {}
    for layer in model.layers:
        if layer.name.endswith("_attention"):
            found[layer.name] = (layer.output.shape[1:3], layer.window, layer.shift)
    assert found == {
        "stage1_block1_attention": ((9, 18), (3, 3), (0, 0)),
        "stage1_block2_attention": ((9, 18), (3, 3), (1, 1)),
        "stage2_block1_attention": ((6, 9), (3, 3), (0, 0)),
        "stage3_block1_attention": ((2, 6), (2, 3), (0, 0)),
        "stage3_block2_attention": ((2, 6), (2, 3), (0, 1)),
    }


def test_fresh_weights_are_as_wide_as_the_codes():
    model = tiny(width=100)
    for name in ("patches", "stage1_block1_projection", "stage2_merge", "stage3_block1_expand"):
        values = model.get_layer(name).get_weights()[0]
        assert 0.015 < values.std() < 0.02 and np.abs(values).max() < 0.041, name


def test_weights_of_another_size_of_image(tmp_path):
    model, other = tiny(), tiny(input_shape=(32, 96, 2))
    zoo.save_weights(model, tmp_path / "a.safetensors")
    other.set_weights([np.zeros_like(each) for each in other.get_weights()])
    zoo.load_weights(other, tmp_path / "a.safetensors")
    for one, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, expected)
    # Its last map is wider than a window, where this one's is not.
    narrow = tiny(input_shape=(32, 32, 2))
    told = r"relative_position_bias_table of shape \(15, 8\) is to be \(9, 8\)"
    with pytest.raises(ValueError, match=told):
        zoo.load_weights(narrow, tmp_path / "a.safetensors")


def test_the_authors_names(tmp_path):
    """As timm's ``checkpoint_filter_fn`` translates them; with what else is in their files."""
    model = tiny()
    zoo.save_weights(model, tmp_path / "timm.safetensors")
    tensors = {"layers.0.blocks.1.attn_mask": np.ones((4, 9, 9))}
    tensors["layers.0.blocks.0.attn.relative_position_index"] = np.ones((9, 9), "int64")
    for name, array in load_file(tmp_path / "timm.safetensors").items():
        if found := re.fullmatch(r"layers\.(\d)\.(downsample\..*)", name):
            name = f"layers.{int(found[1]) - 1}.{found[2]}"
        tensors[name.replace("head.fc.", "head.")] = array
    save_file(tensors, tmp_path / "authors.safetensors")
    other = tiny()
    other.set_weights([np.zeros_like(each) for each in other.get_weights()])
    zoo.load_weights(other, tmp_path / "authors.safetensors")
    for one, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_heads": 3}, "swin_tiny cannot split width=4 among num_heads=3"),
        ({"width": 0}, "swin_tiny needs width, an integer of 1 or more, got 0"),
        ({"window_size": 3.5}, "swin_tiny needs window_size, an integer of 1 or more, got 3.5"),
        ({"depths": (2, 0)}, r"swin_tiny needs depths, .*, integers above 0, got \(2, 0\)"),
        ({"num_classes": 0}, "swin_tiny needs num_classes, an integer of 1 or more, got 0"),
        (
            {"input_shape": (32, 56, 2)},
            r"swin_tiny needs input_shape \(H, W, C\) of at least \(16, 16, 1\), H and W multiples "
            r"of 16, got \(32, 56, 2\): it merges patches of 4x4",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        zoo.build("swin_tiny", **{**TINY, **arguments})
