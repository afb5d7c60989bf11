"""What the layers of transformers are called in other people's checkpoints.

The syntax of the patterns is explained in ``zoo.weights``.
"""


def _bert(prefix):
    """transformers' names; a model without a head has no prefix."""
    block = f"{prefix}encoder.layer.{{i-1}}"
    return {
        "token_embedding": f"{prefix}embeddings.word_embeddings",
        "segment_embedding": f"{prefix}embeddings.token_type_embeddings",
        "positions/positions": f"{prefix}embeddings.position_embeddings.weight",
        "embedding_norm": f"{prefix}embeddings.LayerNorm",
        "block{i}_{part:query|key|value}": f"{block}.attention.self.{{part}}",
        "block{i}_projection": f"{block}.attention.output.dense",
        "block{i}_norm1": f"{block}.attention.output.LayerNorm",
        "block{i}_expand": f"{block}.intermediate.dense",
        "block{i}_contract": f"{block}.output.dense",
        "block{i}_norm2": f"{block}.output.LayerNorm",
        "pooler": f"{prefix}pooler.dense",
        "output": "classifier",
    }


def _gpt2(prefix):
    """transformers' names; its dense layers have their axes as ours do."""
    block = f"{prefix}h.{{i-1}}"
    names = {
        "token_embedding": f"{prefix}wte",
        "positions/positions": f"{prefix}wpe.weight",
        "block{i}_norm{n}": f"{block}.ln_{{n}}",
        "final_norm": f"{prefix}ln_f",
    }
    denses = {
        "query_key_value": "attn.c_attn",
        "projection": "attn.c_proj",
        "expand": "mlp.c_fc",
        "contract": "mlp.c_proj",
    }
    for ours, theirs in denses.items():
        names[f"block{{i}}_{ours}/kernel"] = f"= {block}.{theirs}.weight"
        names[f"block{{i}}_{ours}"] = f"{block}.{theirs}"
    return names


def _decoder(layers):
    """transformers' names of what Llama, Mixtral and Qwen3 share, and {ours: theirs} of a block."""
    shared = {
        "norm1": "input_layernorm",
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "projection": "self_attn.o_proj",
        "norm2": "post_attention_layernorm",
    }
    names = {
        "token_embedding": "model.embed_tokens", "final_norm": "model.norm", "output": "lm_head"
    }  # fmt: skip
    for ours, theirs in {**shared, **layers}.items():
        names[f"block{{i}}_{ours}"] = f"model.layers.{{i-1}}.{theirs}"
    return names


_SWIGLU = {"feed_forward/{part:gate|up|down}": "mlp.{part}_proj.weight"}
_NORMS = {"query_norm": "self_attn.q_norm", "key_norm": "self_attn.k_norm"}
_EXPERTS = {
    "experts/router": "block_sparse_moe.gate.weight",
    "experts/gate": "block_sparse_moe.experts.*.w1.weight",
    "experts/up": "block_sparse_moe.experts.*.w3.weight",
    "experts/down": "block_sparse_moe.experts.*.w2.weight",
}


TABLES = {
    "bert": {"transformers": _bert("bert."), "transformers, without a head": _bert("")},
    "gpt2": {"transformers": _gpt2("transformer."), "transformers, without a head": _gpt2("")},
    "llama": {"transformers": _decoder(_SWIGLU)},
    "mixtral": {"transformers": _decoder(_EXPERTS)},
    "qwen3": {"transformers": _decoder({**_SWIGLU, **_NORMS})},
}
# Tensors that a model may leave unread, as patterns: the pooler where it tags tokens, the heads of
# pre-training, positions and masks that older versions had in tensors, and embeddings once more.
UNUSED = {
    "bert": r"(bert\.)?(pooler\.dense\.(weight|bias)|embeddings\.position_ids)|cls\..*",
    "gpt2": r"(transformer\.)?h\.[0-9]+\.attn\.(bias|masked_bias)|lm_head\.weight",
    "llama": r"model\.layers\.[0-9]+\.self_attn\.rotary_emb\.inv_freq|lm_head\.weight",
    "qwen3": r"lm_head\.weight",
}
