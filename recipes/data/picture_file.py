"""Reads pictures that people have."""

import numpy as np
from PIL import Image, ImageOps


def read_picture(file):
    """A ``PIL.Image`` in RGB, upright, white where it is transparent.

    Args:
        file: path of a picture of any size, in any format that pillow reads.

    Raises:
        ValueError: it is damaged, too large, or no picture.
    """
    try:
        with Image.open(file) as picture:
            picture = ImageOps.exif_transpose(picture)
            if picture.mode.startswith("I"):  # 16 bits, which pillow would clip to 8
                picture = Image.fromarray((np.asarray(picture) // 257).astype("uint8"))
            picture = picture.convert("RGBA")
    except Exception as error:  # pillow raises many kinds for a damaged file
        reason = getattr(error, "strerror", None) or "it is damaged, too large, or no picture"
        raise ValueError(f"cannot read {file} as a picture: {reason}") from None
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def square(picture, size):
    """(size, size, 3) uint8 of a ``PIL.Image`` in RGB: of one that is no square, the middle."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    middle = picture.crop((left, top, left + side, top + side))
    return np.asarray(middle.resize((size, size), Image.Resampling.BOX), "uint8")
