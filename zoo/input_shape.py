"""The check of ``input_shape`` that image models share."""

import operator


def check_image_shape(model, input_shape, smallest, remedy):
    """Raises ValueError unless ``input_shape`` is (H, W, C) with H and W at least ``smallest``.

    The message names the model, the value and what would do.
    """
    try:
        height, width, channels = map(operator.index, input_shape)
        fits = min(height, width) >= smallest and channels >= 1
    except (TypeError, ValueError):  # not three of them, or not integers
        fits = False
    if not fits:
        raise ValueError(
            f"{model} needs input_shape (H, W, C) of at least ({smallest}, {smallest}, 1), "
            f"got {input_shape!r}: {remedy}."
        )
