import numpy as np

from recipes.data.augmentation import mirrored, moved

IMAGES = np.arange(1, 1 + 400 * 5 * 6 * 2).reshape(400, 5, 6, 2).astype("float32")


def shifted(image, down, right):
    """The oracle: pixel by pixel."""
    height, width, _ = image.shape
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[row, column] = image[row - down, column - right]
    return result


def test_each_image_is_moved_by_its_own_and_every_move_occurs():
    found = moved(np.random.default_rng(0), IMAGES, 2)
    assert found.shape == IMAGES.shape and found.dtype == IMAGES.dtype
    moves = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    counts = dict.fromkeys(moves, 0)
    for image, result in zip(IMAGES, found, strict=True):
        (move,) = [each for each in moves if np.array_equal(shifted(image, *each), result)]
        counts[move] += 1
    assert min(counts.values()) >= 5 and max(counts.values()) <= 35  # 16 are expected


def test_images_that_are_not_moved():
    np.testing.assert_array_equal(moved(np.random.default_rng(0), IMAGES, 0), IMAGES)


def test_half_of_the_images_are_mirrored():
    found = mirrored(np.random.default_rng(0), IMAGES)
    assert found.dtype == IMAGES.dtype
    exchanged = np.array([not np.array_equal(*pair) for pair in zip(found, IMAGES, strict=True)])
    assert 160 <= exchanged.sum() <= 240
    np.testing.assert_array_equal(found[exchanged], IMAGES[exchanged][:, :, ::-1])
    np.testing.assert_array_equal(found[~exchanged], IMAGES[~exchanged])


def test_the_generator_decides():
    for augment in (
        lambda random: moved(random, IMAGES, 2),
        lambda random: mirrored(random, IMAGES),
    ):
        one, same, other = (augment(np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()
