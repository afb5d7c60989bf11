"""What the layers of transformers are called in other people's checkpoints.

The syntax of the patterns is explained in ``zoo.weights``.
"""

import re


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


def _t5():
    """transformers' names."""
    names = {
        "token_embedding": "shared",
        "{side:encoder|decoder}_norm": "{side}.final_layer_norm",
        "{side:encoder|decoder}{i}_norm{n}": "{side}.block.{i-1}.layer.{n-1}.layer_norm",
        "{side:encoder|decoder}_position_bias/biases": (
            "{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        ),
        "output": "lm_head",
    }
    parts = {"query": "q", "key": "k", "value": "v", "projection": "o"}
    for ours, theirs in parts.items():
        names[f"{{side:encoder|decoder}}{{i}}_self_{ours}"] = (
            f"{{side}}.block.{{i-1}}.layer.0.SelfAttention.{theirs}"
        )
        names[f"decoder{{i}}_cross_{ours}"] = (
            f"decoder.block.{{i-1}}.layer.1.EncDecAttention.{theirs}"
        )
    denses = {"expand": "wi", "gate": "wi_0", "up": "wi_1", "contract": "wo"}
    for side, place in {"encoder": 1, "decoder": 2}.items():
        for ours, theirs in denses.items():
            names[f"{side}{{i}}_{ours}"] = (
                f"{side}.block.{{i-1}}.layer.{place}.DenseReluDense.{theirs}"
            )
    return names


def _transformer():
    """Those of a module with torch.nn's Transformer as ``transformer``, and Embeddings.

    It has one matrix for what queries, keys and values are projected by.
    """
    layer = "transformer.{side}.layers.{i-1}"
    names = {
        "token_embedding": "embedding",
        "{side:source|target}_embedding": "{side}_embedding",
        "{side:encoder|decoder}_norm": "transformer.{side}.norm",
        "{side:encoder|decoder}{i}_norm{n}": f"{layer}.norm{{n}}",
        "{side:encoder|decoder}{i}_expand": f"{layer}.linear1",
        "{side:encoder|decoder}{i}_contract": f"{layer}.linear2",
    }
    for ours, theirs in {"self": "self_attn", "cross": "multihead_attn"}.items():
        ours, theirs = f"{{side:encoder|decoder}}{{i}}_{ours}", f"{layer}.{theirs}"
        for number, part in enumerate(("query", "key", "value"), start=1):
            names[f"{ours}_{part}/kernel"] = f"{theirs}.in_proj_weight, {number} of 3"
            names[f"{ours}_{part}/bias"] = f"{theirs}.in_proj_bias, {number} of 3"
        names[f"{ours}_projection"] = f"{theirs}.out_proj"
    return names


_VIT_TIMM = {
    "patches": "patch_embed.proj",
    "class_token/token": "cls_token",
    "distillation_token/token": "dist_token",
    "positions/positions": "pos_embed[0]",
    "block{i}_norm{n}": "blocks.{i-1}.norm{n}",
    "block{i}_query_key_value": "blocks.{i-1}.attn.qkv",
    "block{i}_projection": "blocks.{i-1}.attn.proj",
    "block{i}_expand": "blocks.{i-1}.mlp.fc1",
    "block{i}_contract": "blocks.{i-1}.mlp.fc2",
    "final_norm": "norm",
    "output": "head",
    "distillation_output": "head_dist",
}


def _transformers_block(block, attention):
    """What transformers calls the layers of a block, in ViT, DeiT and Swin: three for one here."""
    parts = " | ".join(
        f"{block}.attention.{attention}.{part}" for part in ("query", "key", "value")
    )
    return {
        "norm1": f"{block}.layernorm_before",
        "query_key_value": parts,
        "projection": f"{block}.attention.output.dense",
        "norm2": f"{block}.layernorm_after",
        "expand": f"{block}.intermediate.dense",
        "contract": f"{block}.output.dense",
    }


def _vit_transformers(prefix, output="classifier"):
    """transformers' names; a model without a head has no prefix."""
    block = _transformers_block(f"{prefix}encoder.layer.{{i-1}}", "attention")
    return {
        "patches": f"{prefix}embeddings.patch_embeddings.projection",
        "class_token/token": f"{prefix}embeddings.cls_token",
        "distillation_token/token": f"{prefix}embeddings.distillation_token",
        "positions/positions": f"{prefix}embeddings.position_embeddings[0]",
        **{f"block{{i}}_{ours}": theirs for ours, theirs in block.items()},
        "final_norm": f"{prefix}layernorm",
        "output": output,
        "distillation_output": "distillation_classifier",
    }


_SWIN_TIMM = {
    "patches": "patch_embed.proj",
    "patch_norm": "patch_embed.norm",
    "stage{s}_merge_norm": "layers.{s-1}.downsample.norm",
    "stage{s}_merge": "layers.{s-1}.downsample.reduction",
    "stage{s}_block{b}_norm{n}": "layers.{s-1}.blocks.{b-1}.norm{n}",
    "stage{s}_block{b}_query_key_value": "layers.{s-1}.blocks.{b-1}.attn.qkv",
    "stage{s}_block{b}_attention/position_bias": (
        "layers.{s-1}.blocks.{b-1}.attn.relative_position_bias_table"
    ),
    "stage{s}_block{b}_projection": "layers.{s-1}.blocks.{b-1}.attn.proj",
    "stage{s}_block{b}_expand": "layers.{s-1}.blocks.{b-1}.mlp.fc1",
    "stage{s}_block{b}_contract": "layers.{s-1}.blocks.{b-1}.mlp.fc2",
    "final_norm": "norm",
    "output": "head.fc",
}
# Their files count what merges to the stage before it.
_SWIN_AUTHORS = {
    **_SWIN_TIMM,
    "stage{s}_merge_norm": "layers.{s-2}.downsample.norm",
    "stage{s}_merge": "layers.{s-2}.downsample.reduction",
    "output": "head",
}


def _swin_transformers(prefix):
    """transformers' names; a model without a head has no prefix."""
    stage = f"{prefix}encoder.layers"
    block = f"{stage}.{{s-1}}.blocks.{{b-1}}"
    names = _transformers_block(block, "self")
    return {
        "patches": f"{prefix}embeddings.patch_embeddings.projection",
        "patch_norm": f"{prefix}embeddings.norm",
        "stage{s}_merge_norm": f"{stage}.{{s-2}}.downsample.norm",
        "stage{s}_merge": f"{stage}.{{s-2}}.downsample.reduction",
        "stage{s}_block{b}_attention/position_bias": (
            f"{block}.attention.self.relative_position_bias_table"
        ),
        **{f"stage{{s}}_block{{b}}_{ours}": theirs for ours, theirs in names.items()},
        "final_norm": f"{prefix}layernorm",
        "output": "classifier",
    }


TABLES = {
    "bert": {"transformers": _bert("bert."), "transformers, without a head": _bert("")},
    "gpt2": {"transformers": _gpt2("transformer."), "transformers, without a head": _gpt2("")},
    "llama": {"transformers": _decoder(_SWIGLU)},
    "mixtral": {"transformers": _decoder(_EXPERTS)},
    "qwen3": {"transformers": _decoder({**_SWIGLU, **_NORMS})},
    "t5": {"transformers": _t5()},
    "transformer": {"torch.nn": _transformer()},
    "swin": {
        "timm": _SWIN_TIMM,
        "the authors": _SWIN_AUTHORS,
        "transformers": _swin_transformers("swin."),
        "transformers, without a head": _swin_transformers(""),
    },
    "vit": {
        "timm": _VIT_TIMM,
        "transformers": _vit_transformers("vit."),
        "transformers, without a head": _vit_transformers(""),
        "transformers, distilled": _vit_transformers("deit.", "cls_classifier"),
    },
}
# Embeddings once more, in some files: they may be left unread where they are the same.
AGAIN = r"(lm_head|(encoder|decoder)\.embed_tokens)\.weight"
# Tensors that a model may leave unread, as patterns: the pooler where it tags tokens or has none,
# the heads of pre-training, positions and masks that older versions had in tensors, and embeddings
# once more.
UNUSED = {
    "bert": r"(bert\.)?(pooler\.dense\.(weight|bias)|embeddings\.position_ids)|cls\..*",
    "gpt2": r"(transformer\.)?h\.[0-9]+\.attn\.(bias|masked_bias)|lm_head\.weight",
    "llama": r"model\.layers\.[0-9]+\.self_attn\.rotary_emb\.inv_freq|lm_head\.weight",
    "qwen3": r"lm_head\.weight",
    "t5": (
        r"((encoder|decoder)\.embed_tokens|lm_head"
        r"|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias)\.weight"
    ),
    "swin": r".*\.(relative_position_index|attn_mask)",
    "vit": r"pooler\.dense\.(weight|bias)",
}


def renamed(name):
    """What a tensor is called today: the first checkpoints of BERT have TensorFlow's names."""
    return re.sub(
        r"(?<=LayerNorm\.)(gamma|beta)$",
        lambda found: {"gamma": "weight", "beta": "bias"}[found[0]],
        name,
    )
