"""The softmax that the attention layers share."""

from keras import ops

from custom_layers.precision import at_least_float32

# About the lowest float32. Its exponential is 0 beside that of any other score, and, as it is
# finite, a row of nothing else has no NaN.
_NOTHING = -3e38
# So much lower that it has no share in a row of nothing else either.
_NEVER = -3.4e38


def attention_weights(scores, mask, reach=None):
    """softmax of ``scores`` (..., T, S) over S, where ``mask`` (..., T or 1, S) is True.

    Without a mask, None, everywhere. Where a query sees none, all within ``reach``, (..., T, S) or
    None for everything, have the same weight. It is taken, and returned, in float32 at least.
    """
    scores = at_least_float32(scores)
    if mask is not None:
        scores = ops.where(mask, scores, _NOTHING)
    if reach is not None:
        scores = ops.where(reach, scores, _NEVER)
    return ops.softmax(scores, axis=-1)


def of_keys(mask):
    """(B, S), or None -> (B, 1, S), the same for each query."""
    return None if mask is None else ops.expand_dims(mask, 1)
