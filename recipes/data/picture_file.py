"""Reads pictures that people have."""

import numpy as np
from PIL import Image, ImageOps


def read_picture(file):
    """A ``PIL.Image`` in RGB, upright, white where it is transparent.

    White of a grey picture of 16 or 32 bits is 65,535. Where that is not the scale, or cannot be
    told, it is refused: values that are fractions, below 0, above 65,535, or all below 4,096 and
    not all 0, as those of a camera of 12 bits are.

    Args:
        file: path of a picture of any size, in any format that pillow reads.

    Raises:
        ValueError: it is damaged, too large, or no picture, or its white is not known.
    """
    try:
        with Image.open(file) as picture:
            picture = ImageOps.exif_transpose(picture)
            mode = picture.mode
            deep = mode.startswith(("I", "F"))  # which pillow would clip to 8 bits
            picture = np.array(picture) if deep else picture.convert("RGBA")
    except Exception as error:  # pillow raises many kinds for a damaged file
        reason = getattr(error, "strerror", None) or (
            "it is damaged, too large, or no picture: leave it out, or save it as PNG or JPEG"
        )
        raise ValueError(f"cannot read {file} as a picture: {reason}") from None
    if deep:
        low, high = picture.min(), picture.max()
        if mode == "F" or not (low == high == 0 or (low >= 0 and 4096 <= high <= 65_535)):
            raise ValueError(
                f"cannot read {file} as a picture: it is of mode {mode} with values from {low:g} "
                f"to {high:g}, of which white is not known: save it with 8 bits"
            )
        picture = Image.fromarray((picture // 257).astype("uint8")).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def square(picture, size):
    """(size, size, 3) uint8 of a ``PIL.Image`` in RGB: of one that is no square, the middle."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    middle = picture.crop((left, top, left + side, top + side))
    return np.asarray(middle.resize((size, size), Image.Resampling.BOX), "uint8")
