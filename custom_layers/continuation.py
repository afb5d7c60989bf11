"""What is kept of the tokens that a causal decoder has seen, which need not be seen again then.

Of a token that no later one changes, a later one needs its keys and values alone (Shazeer 2019,
"Fast Transformer Decoding: One Write-Head is All You Need", arXiv:1911.02150, section 2.3).
"""

import contextvars

import keras
from keras import ops

_current = contextvars.ContextVar("continuation", default=None)


class Continuation:
    """Inside, what a model is called on are the tokens that follow those it has seen.

        with Continuation(0, capacity=100) as continuation:
            logits = model(first)                           # (B, T) tokens, T up to 100
        with Continuation(T, continuation.past) as continuation:
            logits = model(next)                            # those behind them

    Causal ``ScaledDotProductAttention`` looks at the keys and values of all tokens so far, and the
    layers of positions count on from ``start``.

    Args:
        start: how many tokens the model has seen, an integer or a scalar int32 tensor.
        past: of these tokens, what ``past`` was behind them. On PyTorch it is written to.
        capacity: without a past, for how many tokens there shall be room, those of this call
            among them.

    Attributes:
        past: a list of (keys, values) (B, N, capacity, K), one of each causal attention in the
            order in which they are called.
        capacity: for how many tokens there is room, and keys.
    """

    def __init__(self, start, past=None, capacity=None):
        self.start = start
        self.past = []
        self.capacity = past[0][0].shape[2] if past else capacity
        self._before = None if past is None else iter(past)

    def __enter__(self):
        self._token = _current.set(self)
        return self

    def __exit__(self, *_):
        _current.reset(self._token)

    def extended(self, keys, values):
        """Keys and values of these tokens -> those of all tokens, with room behind them."""
        # By heads, as products of matrices read them.
        keys, values = (ops.transpose(each, (0, 2, 1, 3)) for each in (keys, values))
        if self._before is None:
            extended = [_with_room(each, self.capacity) for each in (keys, values)]
        else:
            pairs = zip(next(self._before), (keys, values), strict=True)
            extended = [_written(before, each, self.start) for before, each in pairs]
        self.past.append(extended)
        return [ops.transpose(each, (0, 2, 1, 3)) for each in extended]


def continuation():
    """The ``Continuation`` that the caller is in; None outside of one."""
    return _current.get()


def first_position():
    """Of the tokens that a model is called on: 0 outside of a ``Continuation``."""
    return 0 if _current.get() is None else _current.get().start


def _with_room(values, capacity):
    """(B, N, T, K) -> (B, N, capacity, K), zeros behind."""
    batch, num_heads, times, width = ops.shape(values)
    room = ops.zeros((batch, num_heads, capacity - times, width), values.dtype)
    # Also where there is none, this gives memory in this order, in which it is read fastest.
    return ops.concatenate([values, room], axis=2)


def _written(buffer, values, start):
    """(B, N, capacity, K), with (B, N, T, K) from ``start`` on."""
    if keras.backend.backend() == "torch":
        # In place: Keras would copy all of it. Compilers of the others do so by themselves.
        places = ops.cast(start + ops.arange(values.shape[2]), "int64")
        return buffer.index_copy_(2, places, values)
    return ops.slice_update(buffer, (0, 0, start, 0), values)
