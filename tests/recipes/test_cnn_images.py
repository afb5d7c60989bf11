"""Pictures of one's own, from folders to predictions for new ones."""

import numpy as np
from PIL import Image

from recipes.training.saved_run import read_run

CLASSES = ("left", "right")


def save(folder, count, seed):
    """Pictures that are dark on one side, whose name is that of their class."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        pixels = random.integers(150, 255, (20, 24, 3))
        sides = {"left": slice(0, 12), "right": slice(12, 24)}
        pixels[:, sides[folder.name]] -= 140
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels.astype("uint8")).save(paths[-1])
    return paths


def run(recipes, folder, runs, *options):
    return recipes(
        "run", "cnn_images", "--data-path", folder, "--image-size", 8, "--batch-size", 16,
        "--epochs", 6, "--runs", runs, *options,
    )  # fmt: skip


def test_a_folder_a_class_and_new_pictures(recipes, tmp_path):
    for name in CLASSES:
        save(tmp_path / "own" / name, 60, seed=0)
    # Mirrored, left would be right.
    code, _, errors = run(recipes, tmp_path / "own", tmp_path / "runs", "--no-mirror")
    assert code == 0, errors
    (folder,) = (tmp_path / "runs" / "cnn_images").iterdir()
    found = read_run(folder)
    assert found.test["test_accuracy"] > 0.9
    assert found.description["data"]["description"].startswith("own: 96 for training and")

    new = {name: save(tmp_path / "new" / name, 5, seed=1) for name in CLASSES}
    files = [*new["right"], *new["left"]]
    code, printed, _ = recipes("predict", folder, *files)
    assert code == 0
    said = [line.split() for line in printed.splitlines()]
    assert [words[0] for words in said] == [str(file) for file in files]
    assert (
        np.mean([words[1] == file.parent.name for words, file in zip(said, files, strict=True)])
        > 0.9
    )


def test_mirrored_pictures_lose_what_is_left_and_right(recipes, tmp_path):
    for name in CLASSES:
        save(tmp_path / "own" / name, 60, seed=0)
    assert run(recipes, tmp_path / "own", tmp_path / "runs")[0] == 0
    (folder,) = (tmp_path / "runs" / "cnn_images").iterdir()
    assert read_run(folder).test["test_accuracy"] < 0.8


def test_bad_folders_are_one_line_and_leave_nothing(recipes, tmp_path):
    def fails(told):
        code, _, errors = run(recipes, tmp_path / "own", tmp_path / "runs")
        assert code == 2
        (line,) = errors.splitlines()
        assert line.startswith(f"error: cannot read --data-path {tmp_path / 'own'}: ")
        assert told in line
        assert not list((tmp_path / "runs").glob("*/*"))

    fails("it is no folder")
    save(tmp_path / "own" / "left", 5, seed=0)
    fails("one folder is in it")
    (tmp_path / "own" / "right").mkdir()
    fails("right has 0 pictures: give 5 or more")
    for number in range(5):
        (tmp_path / "own" / "right" / f"{number}.jpg").write_bytes(b"no picture")
    fails("as a picture: it is damaged, too large, or no picture")
