"""The check of an input that the layers of this package share."""


def num_features(input_shape):
    """The size of the last axis.

    Raises:
        ValueError: there is no feature axis beside the examples', or its size is unknown.
    """
    if len(input_shape) < 2 or input_shape[-1] is None:
        raise ValueError(
            f"the input needs rank 2 or more and a known number of features, its last axis, "
            f"to build the weights, got shape {tuple(input_shape)}."
        )
    return input_shape[-1]
