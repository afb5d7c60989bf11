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


TABLES = {
    "bert": {"transformers": _bert("bert."), "transformers, without a head": _bert("")},
}
# Tensors that a model may leave unread, as patterns: the pooler where it tags tokens, the heads of
# pre-training, and positions that older versions counted in a tensor.
UNUSED = {
    "bert": r"(bert\.)?(pooler\.dense\.(weight|bias)|embeddings\.position_ids)|cls\..*",
}
