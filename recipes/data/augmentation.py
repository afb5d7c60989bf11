"""What training does to images, so that no two passes over them are the same."""

import numpy as np


def moved(random, images, most):
    """Images (B, H, W, C), each moved by up to so many pixels down and to the right, or back.

    What comes into view is 0. So the paper on ResNet crops CIFAR-10's images from padded ones (He
    et al. 2015, arXiv:1512.03385, section 4.2).
    """
    _, height, width, _ = images.shape
    padded = np.pad(images, [(0, 0), (most, most), (most, most), (0, 0)])
    rows, columns = random.integers(2 * most + 1, size=(2, len(images)))
    return np.stack(
        [
            image[row : row + height, column : column + width]
            for image, row, column in zip(padded, rows, columns, strict=True)
        ]
    )


def mirrored(random, images):
    """Images (B, H, W, C), left and right exchanged in about half of them."""
    exchanged = random.random(len(images)) < 0.5
    return np.where(exchanged[:, None, None, None], images[:, :, ::-1], images)
