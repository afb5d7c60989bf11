"""config.json of transformers' folders: what no shape of a tensor shows, and what it needs of ours.

Keys and values are those of transformers' ``BertConfig``, ``GPT2Config``, ``LlamaConfig``, ... ;
https://huggingface.co/docs/transformers/main_classes/configuration.
"""

import math

_EPSILONS = {
    "bert": "layer_norm_eps", "gpt2": "layer_norm_epsilon", "llama": "rms_norm_eps",
    "mixtral": "rms_norm_eps", "qwen3": "rms_norm_eps",
}  # fmt: skip
_ACTIVATIONS = {
    "bert": {"hidden_act": "gelu"}, "gpt2": {"activation_function": "gelu_new"},
    "llama": {"hidden_act": "silu"}, "mixtral": {"hidden_act": "silu"},
    "qwen3": {"hidden_act": "silu"},
}  # fmt: skip
# Other names of these.
_ALIASES = {"gelu": "gelu_python", "gelu_new": "gelu_pytorch_tanh", "silu": "swish"}
_ROTARY = ("llama", "mixtral", "qwen3")
# Remedies: what decides it here, where it is an argument.
_ARGUMENTS = {
    "num_attention_heads": "num_heads", "n_head": "num_heads",
    "num_key_value_heads": "num_key_value_heads",
}  # fmt: skip
_OF_LLAMA = {
    "rope_theta": "rotary_base", "factor": "rotary_factor", "sliding_window": "window"
}  # fmt: skip


def differences(module, model, config):
    """What config.json says and a model has not, of what no shape of a tensor shows: phrases.

    Args:
        module: of the zoo, without its path.
        model: of the catalog.
        config: the content of config.json, or {}.
    """
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rotary = rotary if isinstance(rotary, dict) else {}
    given, found = {**config, **rotary}, []
    if {"rope_parameters", "rope_scaling"} & config.keys():
        given.setdefault("factor", 1.0)
    if given.get("use_sliding_window") is False:
        given["sliding_window"] = None
    if given.get("model_type") == "llama":  # those of Llama 1 and 2 leave both out
        given = {"sliding_window": None, "rope_theta": 10_000.0, **given}
    for key, ours in _hidden(module, model).items():
        theirs = given.get(key, ours)
        same = theirs in (ours, _ALIASES.get(ours, ours))
        if isinstance(ours, float) and isinstance(theirs, int | float):
            same = math.isclose(ours, theirs, rel_tol=1e-6)
        if not same:
            argument = _ARGUMENTS.get(key) or (_OF_LLAMA.get(key) if module == "llama" else None)
            remedy = f" (build it with {argument}={theirs!r})" if argument else ""
            found.append(f"its config.json has {key} {theirs!r}, and the model {ours!r}{remedy}")
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if module in _ROTARY and kind not in ("default", "llama3"):
        found.append(f"its config.json has rotary positions {kind!r}, and the model 'llama3'")
    return found


def _hidden(module, model):
    """{key: value} of what a model computes with and no weight has the shape of."""
    if module not in (*_EPSILONS, "vit"):
        return {}
    attention = model.get_layer("block1_attention")
    queries, keys, *_ = attention.input
    heads = "n_head" if module == "gpt2" else "num_attention_heads"
    values = {heads: queries.shape[2], **_ACTIVATIONS.get(module, {})}
    if module in _EPSILONS:
        values[_EPSILONS[module]] = model.get_layer("block1_norm1").epsilon
    if module in _ROTARY:
        turn = model.get_layer("positions")
        values |= {
            "num_key_value_heads": keys.shape[2],
            "rope_theta": float(turn.base),
            "factor": float(turn.factor),
            "sliding_window": attention.window,
        }
    return values


def config_of(module, model):
    """The content of a config.json with which transformers builds the same model.

    Raises:
        ValueError: the model is none of BERT, GPT-2 and Llama.
    """
    if module not in ("bert", "gpt2", "llama"):
        raise ValueError(
            f"transformers' folders are written of BERT, GPT-2 and Llama, and not of {model.name}: "
            f"name a file that ends in .safetensors."
        )
    hidden, table = _hidden(module, model), model.get_layer("token_embedding")
    names = {each.name for each in model.layers}
    depth = sum(name.endswith("_norm1") for name in names)
    dropout_rate = model.get_layer("block1_attention").dropout_rate
    if module == "bert":
        return {
            "model_type": "bert", **hidden, "vocab_size": table.input_dim,
            "hidden_size": table.output_dim, "num_hidden_layers": depth,
            "intermediate_size": model.get_layer("block1_expand").units,
            "max_position_embeddings": model.get_layer("positions").max_length,
            "type_vocab_size": model.get_layer("segment_embedding").input_dim, "pad_token_id": 0,
            "hidden_dropout_prob": dropout_rate, "attention_probs_dropout_prob": dropout_rate,
            **({"num_labels": model.output_shape[-1]} if "output" in names else {}),
        }  # fmt: skip
    if module == "gpt2":
        return {
            "model_type": "gpt2", **hidden, "vocab_size": table.input_dim,
            "n_embd": table.output_dim, "n_layer": depth,
            "n_positions": model.get_layer("positions").max_length,
            "embd_pdrop": dropout_rate, "attn_pdrop": dropout_rate, "resid_pdrop": dropout_rate,
            "tie_word_embeddings": True,
        }  # fmt: skip
    base, factor = hidden.pop("rope_theta"), hidden.pop("factor")
    rotary = {"rope_type": "default"} if factor == 1 else {
        "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    }  # fmt: skip
    # Only a Mistral has a window there.
    kind = "llama" if hidden["sliding_window"] is None else "mistral"
    # At which Mistral, Llama 3 and 3.1, whose positions turn slower, were trained.
    length = 32_768 if kind == "mistral" else 8192 if factor == 1 else 131_072
    return {
        "model_type": kind, **hidden, "vocab_size": table.input_dim,
        "hidden_size": table.output_dim, "num_hidden_layers": depth,
        "intermediate_size": model.get_layer("block1_feed_forward").hidden_width,
        "rope_theta": base, "rope_scaling": rotary, "max_position_embeddings": length,
        "tie_word_embeddings": "output" not in names,
    }  # fmt: skip
