"""Pictures in folders, read as a recipe takes them."""

import numpy as np
import pytest
from PIL import Image

from recipes.data import cifar10, picture_file, pictures

COLOURS = {"cats": (200, 10, 10), "dogs": (10, 200, 10), "owls": (10, 10, 200)}


@pytest.fixture
def folder(tmp_path):
    """Ten pictures of a colour for each class, of several sizes and kinds."""
    for name, colour in COLOURS.items():
        (tmp_path / name / "more").mkdir(parents=True)
        for number in range(10):
            picture = Image.new("RGB", (40 + number, 20 + 3 * number), colour)
            where = tmp_path / name / ("more" if number % 2 else "")
            picture.save(where / f"{number}.{'png' if number % 3 else 'bmp'}")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "cats" / ".DS_Store").write_text("no picture")
    (tmp_path / "notes.txt").write_text("no class")
    return tmp_path


def test_each_folder_is_a_class_of_which_a_fifth_is_the_test_part(folder):
    data = pictures.Pictures(16)
    parts = data.from_file(folder)
    assert data.classes == ["cats", "dogs", "owls"]
    for (images, labels), count in zip(parts, (8, 2), strict=True):
        assert images.shape == (3 * count, 16, 16, 3) and images.dtype == "uint8"
        assert labels.dtype == "int32" and np.bincount(labels).tolist() == [count] * 3
        for image, label in zip(images, labels, strict=True):
            assert (image == COLOURS[data.classes[label]]).all()


def test_a_picture_is_in_one_part_always_the_same(folder):
    for number, path in enumerate(sorted((folder / "cats").rglob("?.*"))):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(path)
    first, again = (pictures.Pictures(8).from_file(folder) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    reds = [set(images[labels == 0][:, 0, 0, 0]) for images, labels in first]
    assert not reds[0] & reds[1]


def test_the_embedded_pictures_are_those_of_shapes():
    data = pictures.Pictures(32)
    for found, expected in zip(data.embedded(), cifar10.embedded(), strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    assert data.classes == list(cifar10.EMBEDDED_CLASSES)
    assert pictures.Pictures(8).embedded()[1][0].shape == (300, 8, 8, 3)


def test_the_middle_of_a_picture_is_taken():
    wide = np.zeros((10, 30, 3), "uint8")
    wide[:, 10:20] = 7
    tall = Image.fromarray(np.ascontiguousarray(wide.swapaxes(0, 1)))
    for picture in (Image.fromarray(wide), tall):
        assert (picture_file.square(picture, 5) == 7).all()
    halves = np.zeros((4, 4, 3), "uint8")
    halves[:, 2:] = 100
    np.testing.assert_array_equal(picture_file.square(Image.fromarray(halves), 2), halves[::2, ::2])


def remove(folder, names):
    for name in names:
        for path in sorted((folder / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (folder / name).rmdir()


def test_what_is_wrong_in_a_folder_is_named(folder):
    def fails(path, message):
        with pytest.raises(ValueError, match=message):
            pictures.Pictures(8).from_file(path)

    damaged = folder / "dogs" / "more" / "1.png"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    fails(folder, r"cannot read .*dogs/more/1\.png as a picture: it is damaged, too large, or no")
    damaged.write_bytes(content)
    (folder / "owls" / "list.txt").write_text("no picture")
    fails(folder, r"cannot read .*owls/list\.txt as a picture")
    fails(folder / "notes.txt", "it is no folder: give one with a folder of pictures")
    remove(folder, ["owls"])
    (folder / "owls").mkdir()
    fails(folder, "owls has 0 pictures: give 5 or more")
    remove(folder, ["owls", "dogs"])
    fails(folder, "one folder is in it: give one with a folder of pictures")
    remove(folder, ["cats"])
    fails(folder, "no folder is in it")
