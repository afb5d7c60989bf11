"""U-Net: a class for each pixel.

Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", arXiv:1505.04597, figure 1.

    image 572x572x1
    down1   two convolutions 3x3   -> 568x568x64    max pooling 2x2 -> 284x284
    down2                          -> 280x280x128   max pooling 2x2 -> 140x140
    down3                          -> 136x136x256   max pooling 2x2 -> 68x68
    down4                          -> 64x64x512     max pooling 2x2 -> 32x32
    bottom                         -> 28x28x1,024
    up4     up-convolution 2x2     -> 56x56x512     beside down4, two convolutions -> 52x52x512
    up3                            -> 104x104x256   beside down3                   -> 100x100x256
    up2                            -> 200x200x128   beside down2                   -> 196x196x128
    up1                            -> 392x392x64    beside down1                   -> 388x388x64
    output  convolution 1x1        -> 388x388, 2 logits a pixel

Convolutions take no padding, so the map is smaller than the image: 92 pixels on each side.
Differs from the paper: dropout at the end of the contracting path is left out, whose rate it
does not give.
"""

import keras
from keras import layers

from zoo.input_shape import check_image_shape
from zoo.windows import he_normal

_REMEDY = "height and width must be 16 n + 12 for an n of 11 or more, such as 188, 204 or 572"
# Pixels that the expanding path has less than the contracting one, on each side: down1 to down4.
_CROPS = (88, 40, 16, 4)


def convolutions(x, filters, name):
    """(B, H, W, C) -> (B, H-4, W-4, filters)."""
    for index in (1, 2):
        x = layers.Conv2D(
            filters, 3, activation="relu", kernel_initializer=he_normal(),
            name=f"{name}_conv{index}",
        )(x)  # fmt: skip
    return x


def unet(num_classes=2, input_shape=(572, 572, 1), width=64):
    """U-Net: images (B, H, W, C) -> logits (B, H-184, W-184, num_classes).

    Args:
        num_classes: number of logits for each pixel; None leaves the output layer out, and gives
            (B, H-184, W-184, width).
        input_shape: (H, W, C); H and W must be 16 n + 12 for an n of 11 or more, or None for
            images of any such size.
        width: maps of the first level; each level below doubles them.

    Raises:
        ValueError: H or W is another one, or ``input_shape`` is not (H, W, C).
    """
    check_image_shape("unet", input_shape, 188, _REMEDY, any_size=True)
    if any(size is not None and size % 16 != 12 for size in input_shape[:2]):
        raise ValueError(f"unet cannot halve images of {tuple(input_shape)} four times: {_REMEDY}.")
    image = x = keras.Input(input_shape, name="image")
    skipped = []
    for level in range(4):
        x = convolutions(x, width * 2**level, name=f"down{level + 1}")
        skipped.append(layers.Cropping2D(_CROPS[level], name=f"down{level + 1}_crop")(x))
        x = layers.MaxPooling2D(2, name=f"down{level + 1}_pool")(x)
    x = convolutions(x, 16 * width, name="bottom")
    for level in reversed(range(4)):
        name, filters = f"up{level + 1}", width * 2**level
        x = layers.Conv2DTranspose(
            filters, 2, strides=2, kernel_initializer=he_normal(), name=f"{name}_upconv"
        )(x)
        x = layers.Concatenate(name=name)([skipped[level], x])
        x = convolutions(x, filters, name=name)
    if num_classes is not None:
        x = layers.Conv2D(num_classes, 1, name="output")(x)
    return keras.Model(image, x, name="unet")
