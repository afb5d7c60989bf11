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
    for name in (".hidden", "__MACOSX", "cats/.ipynb_checkpoints/more", "dogs/more/__MACOSX"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), "white").save(tmp_path / name / "1-checkpoint.png")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "Desktop.ini", "more/._1.png"):
        (tmp_path / "cats" / name).write_text("no picture")
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


DEEP = {  # {name: (pixels, what is read of them; None: it is refused)}
    "16 bits": (np.array([[0, 257, 65_535]], "uint16"), [0, 1, 255]),
    "32 bits": (np.array([[0, 257, 65_535]], "int32"), [0, 1, 255]),
    "black": (np.zeros((1, 3), "uint16"), [0, 0, 0]),
    "dark": (np.array([[0, 300, 4096]], "uint16"), [0, 1, 15]),
    "12 bits in 16": (np.array([[0, 2000, 4095]], "uint16"), None),
    "8 bits in 32": (np.array([[0, 100, 255]], "int32"), None),
    "more than 16 bits": (np.array([[0, 100, 65_536]], "int32"), None),
    "below 0": (np.array([[-1, 100, 65_535]], "int32"), None),
    "fractions": (np.array([[0, 0.5, 1]], "float32"), None),
    "large fractions": (np.array([[0, 100, 65_535]], "float32"), None),
}


@pytest.mark.parametrize("kind", DEEP)
def test_white_of_deep_pictures_is_known_or_they_are_refused(tmp_path, kind):
    pixels, expected = DEEP[kind]
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).save(path)
    if expected is None:
        told = f"from {pixels.min():g} to {pixels.max():g}, of which white is not known: save it"
        with pytest.raises(ValueError, match=rf"a\.tif as a picture: it is of mode .* {told}"):
            picture_file.read_picture(path)
    else:
        found = np.asarray(picture_file.read_picture(path))
        np.testing.assert_array_equal(found, np.repeat(expected, 3).reshape(1, 3, 3))


def test_12_bits_in_a_png_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 4095, "uint16")).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="mode I;16 with values from 4095 to 4095"):
        picture_file.read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"a text", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_pillow_cannot_read(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    told = "no picture: leave it out, or save it as PNG or JPEG$"
    with pytest.raises(ValueError, match=told):
        picture_file.read_picture(tmp_path / "a.png")


def moved(folder, part):
    (folder / part).mkdir()
    for name in COLOURS:
        (folder / name).rename(folder / part / name)


@pytest.mark.parametrize("names", [("test", "train"), ("Train", "test", "val")])
def test_folders_of_parts_are_no_classes(folder, names):
    training = names["train" not in names[0].lower()]
    moved(folder, training)
    for name in names:
        (folder / name).mkdir(exist_ok=True)
    path = folder / training
    told = f"its folders {', '.join(names)} are parts, and no classes: --data-path {path}$"
    with pytest.raises(ValueError, match=told):
        pictures.Pictures(8).from_file(folder)
    assert pictures.Pictures(8).from_file(path)[0][0].shape == (24, 8, 8, 3)


def test_classes_may_be_called_like_parts_beside_others(folder):
    (folder / "train").mkdir()
    (folder / "cats").rename(folder / "test")
    (folder / "dogs").rename(folder / "train" / "steam")
    data = pictures.Pictures(8)
    data.from_file(folder)
    assert data.classes == ["owls", "test", "train"]


def test_classes_may_be_called_like_parts_where_pictures_are_at_once_in_them(folder):
    remove(folder, ["owls"])
    for name, part in (("cats", "test"), ("dogs", "train")):
        remove(folder / name, ["more"])
        (folder / name).rename(folder / part)
    data = pictures.Pictures(8)
    data.from_file(folder)
    assert data.classes == ["test", "train"]


def test_a_picture_that_is_in_no_class_is_named(folder):
    (folder / ".a.png").write_text("hidden")
    (folder / "b.JPG").write_text("a picture")
    with pytest.raises(ValueError, match=r"^b\.JPG is in no class: move it to its folder, or out$"):
        pictures.Pictures(8).from_file(folder)


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
