"""Attention within windows of an image.

Liu, Lin, Cao, Hu, Wei, Zhang, Lin and Guo 2021, "Swin Transformer: Hierarchical Vision Transformer
using Shifted Windows", arXiv:2103.14030, section 3.2.
"""

import keras
import numpy as np
from keras import layers, ops

from custom_layers.scaled_dot_product_attention import ScaledDotProductAttention


@keras.saving.register_keras_serializable("custom_layers")
class WindowAttention(layers.Layer):
    """Each position attends to those of its window, by what they hold and where they lie:

        score[t, s] = q[t] . k[s] / sqrt(K) + bias[row[t] - row[s], column[t] - column[s]]
        weights = softmax of the scores over the positions s of the window
        context[t] = sum over s of weights[t, s] v[s]

    Windows lie side by side. A shift moves all of them down and to the right; those that stick out
    at the edge take up what is left over at the opposite one (figure 4), and positions of two
    edges do not see each other.

    Args:
        window: (rows, columns) of a window, integers of 1 or more.
        shift: (rows, columns) that windows are moved by, each below the window's.

    Call arguments:
        queries: (B, H, W, N, K); windows divide H and W.
        keys: (B, H, W, N, K).
        values: (B, H, W, N, V).

    Shapes: -> context (B, H, W, N, V).

    Raises:
        ValueError: ``window`` or ``shift`` is none, or windows do not divide H and W.
    """

    def __init__(self, window, shift=(0, 0), **kwargs):
        super().__init__(**kwargs)
        self.window, self.shift = tuple(window), tuple(shift)
        pairs = list(zip(self.window, self.shift, strict=False))
        if not (
            len(self.window) == len(self.shift) == 2
            and all(isinstance(each, int) for each in self.window + self.shift)
            and all(0 <= moved < size for size, moved in pairs)
        ):
            raise ValueError(
                f"window must be (rows, columns), positive integers, and shift two below them, 0 "
                f"or more, got window={window!r} and shift={shift!r}."
            )
        self.attention = ScaledDotProductAttention(dtype=self.dtype_policy, name="attention")

    def build(self, queries_shape, keys_shape, values_shape):
        _, height, width, num_heads, _ = queries_shape
        (rows, columns), (down, right) = self.window, self.shift
        if None in (height, width) or height % rows or width % columns:
            raise ValueError(
                f"windows of {rows}x{columns} do not divide a map of {height}x{width}: pad it."
            )
        self.position_bias = self.add_weight(
            name="position_bias",
            shape=((2 * rows - 1) * (2 * columns - 1), num_heads),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )
        row, column = np.indices(self.window).reshape(2, -1)  # (T,), within a window
        # In the table the differences of rows and columns, each from the most negative on.
        below = row[:, None] - row + rows - 1
        beside = column[:, None] - column + columns - 1
        self._differences = below * (2 * columns - 1) + beside  # (T, T)
        # The last windows end with positions from the opposite edge.
        is_last_row = np.arange(height // rows) == height // rows - 1
        is_last_column = np.arange(width // columns) == width // columns - 1
        from_top = is_last_row[:, None, None] & (row >= rows - down)
        from_left = is_last_column[:, None] & (column >= columns - right)
        edge = (2 * from_top + from_left).reshape(-1, rows * columns)  # (windows, T)
        seen = edge[:, :, None] == edge[:, None, :]
        self._seen = np.repeat(seen, num_heads, axis=0)[None]  # (1, windows N, T, T)

    def call(self, queries, keys, values):
        _, height, width, num_heads, _ = queries.shape
        num_windows = self._seen.shape[1] // num_heads
        bias = ops.take(self.position_bias, self._differences, axis=0)  # (T, T, N)
        bias = ops.tile(ops.transpose(bias, (2, 0, 1)), (num_windows, 1, 1))
        # The heads of all windows lie side by side, as heads that see other positions each.
        context, _ = self.attention(
            *(self._windows(each) for each in (queries, keys, values)),
            keys_mask=ops.convert_to_tensor(self._seen) if any(self.shift) else None,
            bias=ops.expand_dims(bias, 0),  # (1, windows N, T, T)
        )
        return self._map(context, height, width, num_heads)

    def _windows(self, x):
        """(B, H, W, N, K) -> (B, T, windows N, K)."""
        (rows, columns), (height, width, num_heads, features) = self.window, x.shape[1:]
        if any(self.shift):
            x = ops.roll(x, [-each for each in self.shift], axis=(1, 2))
        x = ops.reshape(
            x, (-1, height // rows, rows, width // columns, columns, num_heads * features)
        )
        x = ops.transpose(x, (0, 2, 4, 1, 3, 5))
        return ops.reshape(x, (-1, rows * columns, self._seen.shape[1], features))

    def _map(self, x, height, width, num_heads):
        """(B, T, windows N, V) -> (B, H, W, N, V)."""
        rows, columns = self.window
        x = ops.reshape(
            x, (-1, rows, columns, height // rows, width // columns, num_heads * x.shape[-1])
        )
        x = ops.transpose(x, (0, 3, 1, 4, 2, 5))
        x = ops.reshape(x, (-1, height, width, num_heads, x.shape[-1] // num_heads))
        return ops.roll(x, self.shift, axis=(1, 2)) if any(self.shift) else x

    def compute_output_shape(self, queries_shape, keys_shape, values_shape):
        return (*queries_shape[:4], values_shape[-1])

    def get_config(self):
        return {**super().get_config(), "window": self.window, "shift": self.shift}
