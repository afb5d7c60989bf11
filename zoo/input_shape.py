"""The checks of ``input_shape`` that models share."""

import operator


def check_image_shape(model, input_shape, smallest, remedy, any_size=False, multiples=False):
    """Raises ValueError unless ``input_shape`` is (H, W, C) with H and W at least ``smallest``.

    With ``any_size`` H and W may be None, for images of any size; with ``multiples`` they are
    multiples of ``smallest``. The message names the model, the value and what would do.
    """
    try:
        height, width, channels = input_shape
        sizes = [size for size in (height, width) if not (any_size and size is None)]
        fits = all(operator.index(size) >= smallest for size in sizes)
        fits = fits and operator.index(channels) >= 1
        if multiples:
            fits = fits and not any(size % smallest for size in sizes)
    except (TypeError, ValueError):  # not three of them, or not integers
        fits = False
    if not fits:
        sizes = ", None for a size that varies" if any_size else ""
        sizes += f", H and W multiples of {smallest}" if multiples else ""
        raise ValueError(
            f"{model} needs input_shape (H, W, C) of at least ({smallest}, {smallest}, 1){sizes}, "
            f"got {input_shape!r}: {remedy}."
        )


def check_table_shape(model, input_shape, images=False):
    """Raises ValueError unless ``input_shape`` is (D,), or with ``images`` (H, W, C) too.

    The message names the model, the value and what would do.
    """
    ranks, shapes = (1,), "(D,), such as (8,)"
    if images:
        ranks, shapes = (1, 3), "(D,) or (H, W, C), such as (784,) or (28, 28, 1)"
    try:
        fits = len(input_shape) in ranks and all(operator.index(size) >= 1 for size in input_shape)
    except TypeError:  # not a sequence, or not of integers
        fits = False
    if not fits:
        raise ValueError(f"{model} needs input_shape {shapes}, got {input_shape!r}.")
