"""Folders of transformers: what older ones hold, and what no shape of a tensor shows.

That transformers reads what is written here, tests/parity shows.
"""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import zoo
from tests.full_disk import files_end_at
from tests.unfilled import unfilled
from zoo import weights

SMALL = {"vocabulary_size": 11, "width": 8, "depth": 2, "num_heads": 2}
SHARED = {**SMALL, "num_key_value_heads": 1, "hidden_width": 6}
ENCODER = {**SMALL, "hidden_width": 6, "max_length": 5}
SIZES = {
    "bert_base": {**ENCODER, "num_classes": 3},
    "gpt2": {**SMALL, "max_length": 5},
    "llama3_8b": SHARED,
    "llama3_2_1b": SHARED,
    "mistral_7b": {**SHARED, "window": 3},
    "qwen3_0_6b": {**SHARED, "head_width": 4},
    "mixtral_8x7b": {**SHARED, "num_experts": 2},
    "t5_small": {**SMALL, "head_width": 4, "hidden_width": 6},
}


def built(name, seed=0, **arguments):
    return zoo.build(name, seed=seed, **{**SIZES[name], **arguments})


def tensors_of(model, tmp_path):
    zoo.save_weights(model, tmp_path / "saved.safetensors")
    return load_file(tmp_path / "saved.safetensors")


def folder_of(tensors, config, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def assert_loads(name, folder, saved, **arguments):
    model = built(name, seed=1, **arguments)
    zoo.load_weights(model, folder)
    for one, other in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def error_of(name, folder, **arguments):
    """Of loading, which changes nothing."""
    model = built(name, seed=1, **arguments)
    before = model.get_weights()
    with pytest.raises(ValueError) as raised:
        zoo.load_weights(model, folder)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    return str(raised.value)


def test_the_first_checkpoints_of_bert(tmp_path):
    """google-bert/bert-base-uncased has names of TensorFlow's, heads of pre-training, positions."""
    saved = built("bert_base", num_classes=None)
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): each
        for name, each in tensors_of(saved, tmp_path).items()
    }
    assert {"bert.embeddings.LayerNorm.gamma", "bert.pooler.dense.bias"} <= tensors.keys()
    tensors |= {
        "bert.embeddings.position_ids": np.arange(5)[None],
        "cls.predictions.bias": np.zeros(11, "float32"),
        "cls.predictions.transform.LayerNorm.gamma": np.zeros(8, "float32"),
        "cls.seq_relationship.weight": np.zeros((2, 8), "float32"),
    }
    folder = folder_of(tensors, {"model_type": "bert", "num_attention_heads": 2}, tmp_path)
    assert_loads("bert_base", folder, saved, num_classes=None)


def test_the_first_checkpoints_of_gpt2(tmp_path):
    """openai-community/gpt2 has no prefix, and masks."""
    saved = built("gpt2")
    tensors = {
        name.removeprefix("transformer."): each
        for name, each in tensors_of(saved, tmp_path).items()
    }
    assert {"wte.weight", "h.0.ln_1.weight", "h.1.attn.c_attn.bias"} <= tensors.keys()
    for block in range(2):
        tensors[f"h.{block}.attn.bias"] = np.tri(5, dtype="float32")[None, None]
        tensors[f"h.{block}.attn.masked_bias"] = np.array(-1e4, "float32")
    assert_loads("gpt2", folder_of(tensors, {"n_head": 2}, tmp_path), saved)


def test_the_first_checkpoints_of_t5(tmp_path):
    """google-t5/t5-small has embeddings for each side, and biases of what has no positions."""
    saved = built("t5_small")
    tensors = tensors_of(saved, tmp_path)
    for name in ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head"):
        tensors[f"{name}.weight"] = tensors["shared.weight"]
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    tensors[name] = np.zeros((32, 2), "float32")
    assert_loads("t5_small", folder_of(tensors, None, tmp_path), saved)


@pytest.mark.parametrize(
    ("name", "saved_by", "tensor"),
    [
        ("bert_base", "transformers, without a head", "embeddings.LayerNorm.weight"),
        ("gpt2", "transformers, without a head", "h.0.ln_1.weight"),
        ("swin_tiny", "transformers, without a head", "embeddings.norm.weight"),
        ("swin_tiny", "transformers", "swin.embeddings.norm.weight"),
        ("vit_base_16", "transformers, without a head", "embeddings.cls_token"),
        ("vit_base_16", "transformers", "vit.embeddings.cls_token"),
    ],
)
def test_the_names_of_a_model_without_a_head(name, saved_by, tensor):
    model = unfilled(name)
    assert tensor in weights._targets(model, weights._tables_of(model)[1][saved_by])


@pytest.mark.parametrize(
    ("name", "tied", "again", "table"),
    [
        ("gpt2", {}, "lm_head", "transformer.wte.weight"),
        ("llama3_2_1b", {"tied_embeddings": True}, "lm_head", "model.embed_tokens.weight"),
        ("qwen3_0_6b", {"tied_embeddings": True}, "lm_head", "model.embed_tokens.weight"),
        ("t5_small", {}, "lm_head", "shared.weight"),
        ("t5_small", {}, "decoder.embed_tokens", "shared.weight"),
    ],
)
def test_embeddings_once_more_are_the_same(name, tied, again, table, tmp_path):
    saved = built(name, **tied)
    tensors = tensors_of(saved, tmp_path)
    tensors[f"{again}.weight"] = tensors[table].copy()
    assert_loads(name, folder_of(tensors, None, tmp_path), saved, **tied)
    tensors[f"{again}.weight"][3, 2] += 1
    save_file(tensors, tmp_path / "folder" / "model.safetensors")
    told = error_of(name, tmp_path / "folder", **tied)
    assert told.endswith(f": its {again}.weight is not its {table}, which the model has for both.")


OF_LLAMA = {
    "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "rope_theta": 5e5,
    "rope_scaling": None, "hidden_act": "silu",
}  # fmt: skip
OF_LLAMA_3_2 = {
    **OF_LLAMA,
    "rope_scaling": {
        "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3",
    },
}  # fmt: skip
OF_QWEN = {
    **OF_LLAMA, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000, "sliding_window": None,
    "use_sliding_window": False,
}  # fmt: skip
OF_BERT = {"num_attention_heads": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
OF_GPT2 = {"n_head": 2, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("bert_base", OF_BERT),
        ("gpt2", OF_GPT2),
        ("gpt2", {**OF_GPT2, "activation_function": "gelu_pytorch_tanh"}),
        ("llama3_8b", OF_LLAMA),
        ("llama3_2_1b", OF_LLAMA_3_2),
        # As transformers 5 has them.
        ("llama3_8b", {"rope_parameters": {"rope_theta": 500_000.0, "rope_type": "default"}}),
        ("mistral_7b", {"model_type": "mistral", "sliding_window": 3, "rope_theta": 10_000.0}),
        ("qwen3_0_6b", OF_QWEN),
        ("qwen3_0_6b", {**OF_QWEN, "sliding_window": 4096}),
        ("mixtral_8x7b", {**OF_LLAMA, "rope_theta": 1e6, "sliding_window": None}),
    ],
)
def test_a_config_that_fits(name, config, tmp_path):
    saved = built(name)
    assert_loads(name, folder_of(tensors_of(saved, tmp_path), config, tmp_path), saved)


@pytest.mark.parametrize(
    ("name", "config", "told"),
    [
        (
            "llama3_8b",
            {**OF_LLAMA, "num_attention_heads": 4, "num_key_value_heads": 2},
            "has num_attention_heads 4, and the model 2 (build it with num_heads=4); its "
            "config.json has num_key_value_heads 2, and the model 1 (build it with "
            "num_key_value_heads=2)",
        ),
        ("bert_base", {**OF_BERT, "num_attention_heads": 4}, "has num_attention_heads 4"),
        ("bert_base", {**OF_BERT, "layer_norm_eps": 1e-5}, "has layer_norm_eps 1e-05, and the mod"),
        (
            "bert_base",
            {**OF_BERT, "hidden_act": "relu"},
            "has hidden_act 'relu', and the model 'gelu'",
        ),
        ("gpt2", {**OF_GPT2, "n_head": 4}, "has n_head 4, and the model 2 (build it with num_he"),
        ("gpt2", {**OF_GPT2, "activation_function": "relu"}, "has activation_function 'relu'"),
        ("gpt2", {**OF_GPT2, "layer_norm_epsilon": 1e-6}, "has layer_norm_epsilon 1e-06, and the "),
        (
            "llama3_8b",
            {**OF_LLAMA, "rope_theta": 10_000.0},
            "has rope_theta 10000.0, and the model 500000.0 (build it with rotary_base=10000.0)",
        ),
        ("llama3_8b", {**OF_LLAMA, "rms_norm_eps": 1e-6}, "has rms_norm_eps 1e-06, and the model"),
        (
            "llama3_8b",  # as Llama 3.1
            {**OF_LLAMA_3_2, "rope_scaling": {**OF_LLAMA_3_2["rope_scaling"], "factor": 8.0}},
            "has factor 8.0, and the model 1.0 (build it with rotary_factor=8.0)",
        ),
        ("llama3_2_1b", OF_LLAMA, "has factor 1.0, and the model 32.0 (build it with rotary_f"),
        ("llama3_8b", {"rope_scaling": {"type": "linear", "factor": 1.0}}, "has rotary positions"),
        (
            "llama3_8b",
            {**OF_LLAMA, "sliding_window": 4096},
            "has sliding_window 4096, and the model None (build it with window=4096)",
        ),
        ("llama3_8b", {"model_type": "llama"}, "has rope_theta 10000.0, and the model 500000.0"),
        ("mistral_7b", {"model_type": "llama"}, "has sliding_window None, and the model 3 (build"),
        ("mistral_7b", {"sliding_window": 4}, "has sliding_window 4, and the model 3 (build it "),
        ("llama3_8b", {**OF_LLAMA, "rope_theta": "much"}, "has rope_theta 'much', and the model"),
        ("llama3_8b", {**OF_LLAMA, "hidden_act": "gelu"}, "has hidden_act 'gelu', and the model"),
        ("qwen3_0_6b", {**OF_QWEN, "rope_theta": 1e4}, "has rope_theta 10000.0, and the model"),
        ("mixtral_8x7b", {**OF_LLAMA, "rope_theta": 1e6, "num_attention_heads": 4}, "has num_atte"),
    ],
)
def test_a_config_of_another_model(name, config, told, tmp_path):
    folder = folder_of(tensors_of(built(name), tmp_path), config, tmp_path)
    assert f"into {name}: its config.json {told}" in error_of(name, folder)


def test_heads_of_a_vision_transformer(tmp_path):
    sizes = {"input_shape": (32, 32, 3), "width": 8, "depth": 1, "num_classes": 2}
    saved = zoo.build("vit_base_16", num_heads=2, **sizes)
    zoo.save_weights(saved, tmp_path / "mine.safetensors")
    folder = folder_of(
        load_file(tmp_path / "mine.safetensors"), {"num_attention_heads": 4}, tmp_path
    )
    with pytest.raises(ValueError, match="has num_attention_heads 4, and the model 2"):
        zoo.load_weights(saved, folder)


@pytest.mark.parametrize("name", ["bert_base", "gpt2", "llama3_8b", "llama3_2_1b", "mistral_7b"])
def test_a_folder_that_is_written_loads_again(name, tmp_path):
    saved = built(name)
    zoo.save_weights(saved, tmp_path / "new" / "mine")
    files = {each.name for each in (tmp_path / "new" / "mine").iterdir()}
    assert files == {"config.json", "model.safetensors"}
    assert_loads(name, tmp_path / "new" / "mine", saved)
    zoo.save_weights(saved, tmp_path / "new" / "mine")  # once more


def test_a_full_disk_leaves_the_folder_before(tmp_path):
    zoo.save_weights(built("gpt2"), tmp_path / "mine")
    before = {each: each.read_bytes() for each in (tmp_path / "mine").iterdir()}
    with files_end_at(1000):
        with pytest.raises(OSError, match="File too large"):
            zoo.save_weights(built("gpt2", seed=1), tmp_path / "mine")
    assert {each: each.read_bytes() for each in (tmp_path / "mine").iterdir()} == before


@pytest.mark.parametrize("name", ["t5_small", "resnet20_cifar"])
def test_a_model_that_has_no_folder(name, tmp_path):
    model = built(name) if name in SIZES else zoo.build(name, depth=1, width=4)
    with pytest.raises(ValueError, match=f"not of {name}: name a file that ends in .safetensors"):
        zoo.save_weights(model, tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_the_config_that_is_written(tmp_path):
    """Beside what parity cannot see, as the original has it by default."""
    zoo.save_weights(built("llama3_2_1b"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["max_position_embeddings"] == 131_072
    assert config["rope_scaling"] == OF_LLAMA_3_2["rope_scaling"]
    zoo.save_weights(built("bert_base", dropout_rate=0.3), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.3
    assert config["type_vocab_size"] == 2
