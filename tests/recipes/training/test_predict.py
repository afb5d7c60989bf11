"""Pictures that a user has, through the model of a run."""

import os
import warnings

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from scipy.special import softmax

from recipes.data import mnist
from recipes.training.errors import InputError
from recipes.training.predict import predict
from recipes.training.saved_run import read_run
from tests import toy_run
from tests.digits import embedded, enlarged, picture

BACKEND = keras.backend.backend()
MNIST = {"name": "mnist", "source": "embedded", "description": "digits"}


@pytest.fixture(scope="module")
def digits():
    """Four real digits of each class, (40, 28, 28)."""
    _, (images, _) = embedded()
    return images[::25, ..., 0]


@pytest.fixture(scope="module")
def model():
    """A network with random features, whose last layer is solved for: right for nine of ten."""
    (images, labels), _ = embedded()
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(0, 0.1, (784, 400)), generator.normal(0, 0.3, 400)
    hidden = np.maximum(images.reshape(-1, 784) / 255 @ kernel + bias, 0)
    solved = np.linalg.solve(
        hidden.T @ hidden + 3 * np.eye(400), hidden.T @ (np.eye(10)[labels] - 0.1)
    )
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(400, "relu"),
            layers.Dense(10),
        ]
    )
    model.set_weights([kernel, bias, 8 * solved, np.zeros(10)])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    folder = toy_run.write(tmp_path_factory.mktemp("runs") / "run", data=MNIST, rows=[])
    model.save(folder / "model.keras")
    return folder


def save(folder, images):
    """Saves PIL images as PNG; returns their paths."""
    paths = []
    for number, image in enumerate(images):
        image.save(folder / f"{number}.png")
        paths.append(folder / f"{number}.png")
    return paths


def probabilities(model, images):
    """The model's own, (N, 10), of (N, 28, 28) images."""
    return softmax(model.predict(np.stack(images)[..., None], verbose=0), axis=-1)


def assert_equal_to(expected, found):
    for row, classes in zip(expected, found, strict=True):
        order = np.argsort(-row)[:3]
        assert [name for name, _ in classes] == [str(digit) for digit in order]
        np.testing.assert_allclose([share for _, share in classes], row[order], rtol=1e-4)


def test_a_digit_of_the_test_part_gives_what_the_model_gives(folder, model, digits, tmp_path):
    files = save(tmp_path, map(Image.fromarray, digits))
    expected = probabilities(model, digits)
    assert len(set(expected.argmax(axis=-1))) == 10
    said = predict(read_run(folder), files)
    assert [file for file, _ in said] == files
    assert_equal_to(expected, [classes for _, classes in said])


def test_pictures_of_other_kinds_give_what_the_same_digit_gives(folder, model, digits, tmp_path):
    """Palettes, 16 and 32 bits, transparency and rotation by EXIF are read as they are meant."""
    digit = digits[9]  # a 2, which is something else when it is rotated
    grey = Image.fromarray(digit)
    dark = Image.fromarray(255 - digit)
    ink_only = Image.fromarray(np.dstack([np.zeros((28, 28, 3), "uint8"), digit]))
    half = ink_only.copy()
    half.putalpha(Image.fromarray(digit // 2))
    files, as_it_is, as_paper = [], [], []

    def add(kind, image, ending="png", **options):
        path = tmp_path / f"{len(files)}.{ending}"
        image.save(path, **options)
        with Image.open(path) as written:
            assert written.mode == kind
        files.append(path)

    for kind in ("L", "RGB", "P", "LA", "RGBA"):
        add(kind, grey.convert(kind))
    add("CMYK", grey.convert("CMYK"), "tif")
    add("I;16", Image.fromarray(digit.astype("uint16") * 257))
    add("I", Image.fromarray(digit.astype("int32") * 257), "tif")
    for orientation, rotated in ((3, 180), (6, 90), (8, 270)):
        exif = Image.Exif()
        exif[0x0112] = orientation  # to be turned clockwise by that many degrees
        add("L", grey.rotate(rotated), exif=exif)
    as_it_is = [digit] * len(files)
    # A dark digit on white or on nothing, which shows the white page, is made what digits are.
    add("L", dark)
    add("RGBA", ink_only)
    as_paper = [mnist.from_picture(dark.convert("RGB"))[..., 0]] * 2
    add("RGBA", half)
    gray = Image.fromarray(255 - digit // 2)
    as_paper.append(mnist.from_picture(gray.convert("RGB"))[..., 0])
    palette = dark.convert("P")
    add("P", palette, transparency=255)  # white is nothing
    as_paper.append(as_paper[0])

    found = [classes for _, classes in predict(read_run(folder), files)]
    assert_equal_to(probabilities(model, as_it_is + as_paper), found)


def test_photographs_have_the_classes_of_their_digits(folder, model, digits, tmp_path):
    """Dark ink, off the center, noise, JPEG, and a camera that was held upright."""
    files = []
    for number, digit in enumerate(digits):
        photograph = picture(enlarged(digit, 8, above=30, right=90), noise=6)
        exif = Image.Exif()
        exif[0x0112] = 6
        files.append(tmp_path / f"{number}.jpg")
        photograph.rotate(90, expand=True).save(files[-1], quality=80, exif=exif)
    found = [int(classes[0][0]) for _, classes in predict(read_run(folder), files)]
    expected = probabilities(model, digits).argmax(axis=-1)
    assert np.mean(found == expected) >= 0.9


def test_a_line_for_each_picture_in_their_order(folder, model, digits, tmp_path, recipes):
    first, second, third = save(tmp_path, map(Image.fromarray, digits[[9, 0, 30]]))
    second = second.rename(tmp_path / "of another length.png")
    code, out, err = recipes("predict", folder, first, second, third)
    assert (code, err) == (0, "")
    width = len(str(second))
    lines = []
    for path, row in zip(
        (first, second, third), probabilities(model, digits[[9, 0, 30]]), strict=True
    ):
        one, two, three = np.argsort(-row)[:3]
        lines.append(
            f"{path!s:{width}}  {one}  {row[one]:.1%}  (then {two} {row[two]:.1%}, "
            f"{three} {row[three]:.1%})"
        )
    assert out.splitlines() == lines


@pytest.fixture
def fails(recipes):
    """Expects the command ``predict`` to fail with a line, and returns it."""

    def call(run, *files):
        code, out, err = recipes("predict", run, *files)
        assert (code, out) == (2, "")
        (line,) = err.splitlines()
        return line

    return call


@pytest.fixture
def png(tmp_path, digits):
    (path,) = save(tmp_path, [Image.fromarray(digits[0])])
    return path


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder, png: folder / "missing.png", "No such file or directory"),
        (lambda folder, png: folder, "Is a directory"),
        (lambda folder, png: write(folder / "notes.txt", b"seven"), "it is damaged, too large"),
        (lambda folder, png: write(folder / "empty.png", b""), "it is damaged, too large"),
        (lambda folder, png: write(folder / "half.png", png.read_bytes()[:-60]), "it is damaged"),
        (lambda folder, png: write(folder / "bad.pgm", b"P5\n2x 28\n255\n"), "it is damaged"),
    ],
    ids=["missing", "folder", "text", "empty", "half", "bad numbers"],
)
def test_what_is_no_picture(folder, tmp_path, png, fails, make, reason):
    path = make(tmp_path, png)
    assert fails(folder, png, path).startswith(f"error: cannot read {path} as a picture: {reason}")


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp"])
def test_a_damaged_picture_is_one_line_whatever_pillow_says(tmp_path, digits, ending):
    """One byte is another, of each byte of the head in turn."""
    run = toy_run.saved(tmp_path / "run", rows=[], data=MNIST)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if ending == "bmp" else {"exif": exif}
    path = tmp_path / f"digit.{ending}"
    Image.fromarray(digits[0]).save(path, **options)
    whole = path.read_bytes()
    lines = set()
    for place in range(120):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with warnings.catch_warnings(action="ignore"), pytest.raises(InputError) as caught:
            predict(run, [path])
        lines.add(str(caught.value))
    readable = f"{run.folder} has no model.keras: its run is not over, or was ended"
    damaged = "it is damaged, too large, or no picture: leave it out, or save it as PNG or JPEG"
    assert lines <= {
        readable, f"cannot read {path} as a picture: {damaged}",
        f"{path}: no digit stands out from the paper",
    }  # fmt: skip
    assert len(lines) > 1


def test_a_picture_of_too_many_pixels(folder, tmp_path, fails, monkeypatch):
    (path,) = save(tmp_path, [Image.new("L", (100, 100))])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    line = fails(folder, path)
    assert line.startswith(f"error: cannot read {path} as a picture: it is damaged, too large")


@pytest.mark.parametrize("image", [Image.new("L", (90, 90), 255), Image.new("RGBA", (28, 28))])
def test_a_blank_page(folder, tmp_path, fails, image):
    (path,) = save(tmp_path, [image])
    assert fails(folder, path) == f"error: {path}: no digit stands out from the paper"


def test_what_is_no_run_folder(tmp_path, png, fails):
    assert fails(tmp_path, png).startswith(f"error: {tmp_path} is no run folder")


@pytest.mark.parametrize(
    ("data", "trained_on"),
    [
        ({"name": "gaussian_mixture", "description": "numbers"}, "gaussian_mixture"),
        ({"name": "of_another_version", "description": "?"}, "of_another_version"),
        (None, "nothing"),
    ],
)
def test_a_run_that_was_not_trained_on_pictures(tmp_path, png, fails, data, trained_on):
    run = toy_run.write(tmp_path / "run", rows=[], leave_out=() if data else ["data"], data=data)
    line = fails(run, png)
    assert line.startswith(f"error: {run} was trained on {trained_on}, and neither on pictures nor")
    assert line.endswith("such as cnn_mnist, or of mlp_tabular")


def test_a_run_without_a_model(tmp_path, png, fails):
    run = toy_run.write(tmp_path / "run", rows=[], data=MNIST)
    expected = f"error: {run} has no model.keras: its run is not over, or was ended"
    assert fails(run, png) == expected


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_damaged_model(folder, tmp_path, png, fails, share):
    run = toy_run.write(tmp_path / "run", rows=[], data=MNIST)
    whole = (folder / "model.keras").read_bytes()
    (run / "model.keras").write_bytes(whole[: int(share * len(whole))])
    line = fails(run, png)
    assert line.startswith(f"error: cannot load {run / 'model.keras'} (")
    assert line.endswith("): run the recipe again")
    assert len(line) < 400 + len(str(tmp_path))


def test_a_model_whose_bytes_have_changed(folder, tmp_path, png, fails):
    run = toy_run.write(tmp_path / "run", rows=[], data=MNIST)
    content = bytearray((folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (run / "model.keras").write_bytes(content)
    assert fails(run, png).startswith(f"error: cannot load {run / 'model.keras'} (")


def test_the_option_wins_over_the_backend_of_the_environment(folder, png, recipes, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    code, _, err = recipes("predict", folder, png, "--backend", BACKEND)
    assert (code, err) == (0, "")
    assert os.environ["KERAS_BACKEND"] == BACKEND  # what keras takes when it is imported


def test_a_model_of_layers_that_are_not_of_this_project(tmp_path, png, fails):
    class Own(layers.Layer):
        pass

    run = toy_run.write(tmp_path / "run", rows=[], data=MNIST)
    keras.Sequential([keras.Input((28, 28, 1)), Own()]).save(run / "model.keras")
    reason = fails(run, png).removeprefix(f"error: cannot load {run / 'model.keras'} (")
    assert len(reason) == 200 + len("): run the recipe again")


def test_a_backend_that_is_not_there(folder, png, recipes):
    code, _, err = recipes("predict", "--backend", "theano", folder, png)
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no backend 'theano'" in err
