"""Convolution and pooling whose windows are centered, as the papers' frameworks have them.

With an odd window and ``size // 2`` zeros on each side, the windows of a stride of 2 lie around
pixels 0, 2, 4 ... of an image; Keras's ``padding="same"`` puts those of an even image around
1, 3, 5 ..., and weights that were trained one way do not fit the other.
"""

from keras import initializers, layers


def convolution(x, filters, size, name, stride=1, groups=1, use_bias=False):
    """(B, H, W, C) -> (B, ceil(H/stride), ceil(W/stride), filters)."""
    return layers.Conv2D(
        filters, size, strides=stride, padding="same" if stride == 1 else "valid", groups=groups,
        use_bias=use_bias, kernel_initializer=he_normal(), name=name,
    )(_padded(x, size, stride, name))  # fmt: skip


def depthwise_convolution(x, size, name, stride=1, use_bias=False):
    """(B, H, W, C) -> (B, ceil(H/stride), ceil(W/stride), C), each map by a kernel of its own."""
    return layers.DepthwiseConv2D(
        size, strides=stride, padding="same" if stride == 1 else "valid", use_bias=use_bias,
        depthwise_initializer=_depthwise_he_normal(size), name=name,
    )(_padded(x, size, stride, name))  # fmt: skip


def max_pool(x, size, stride, name):
    """(B, H, W, C) -> (B, ceil(H/stride), ceil(W/stride), C), of values that are not negative."""
    x = _padded(x, size, stride, name)
    return layers.MaxPooling2D(size, strides=stride, name=name)(x)


def he_normal():
    """Variance 2 / fan-out: He et al. 2015, "Delving Deep into Rectifiers", arXiv:1502.01852."""
    return initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def _depthwise_he_normal(size):
    # Each output is seen by size x size weights, which Keras's fan-out of (C, 1) does not say.
    return initializers.RandomNormal(stddev=(2 / size**2) ** 0.5)


def _padded(x, size, stride, name):
    if stride == 1 or size == 1:
        return x  # "same" is centered there, and needs no layer of its own
    return layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x)


def rounded(filters):
    """The nearest multiple of 8, at least 8, and at most a tenth below: MobileNet's rule."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest
