"""Pictures in folders, a folder a class.

A part is (images uint8 (N, size, size, 3), labels int32 (N,)). Embedded are the pictures of shapes
of ``cifar10``.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from recipes.data import cifar10
from recipes.data.picture_file import read_picture, square

_TEST_FRACTION = 0.2
_FEWEST = 5  # pictures of a class, so that one is in the test part
_OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini"}  # which they leave in people's folders
_PARTS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class Pictures:
    """Pictures, for ``run.load``. Once they are loaded, they know their classes.

    Args:
        size: height and width that pictures are brought to.

    Attributes:
        classes: the names of the classes, which those of the folders are.
    """

    NAME = "pictures"
    EMBEDDED = "pictures of ten shapes that are drawn here"

    def __init__(self, size):
        self._size = size
        self.classes = None

    def embedded(self):
        """(training, test): 1,000 and 300 pictures."""
        self.classes = list(cifar10.EMBEDDED_CLASSES)
        return tuple(
            (np.stack([square(Image.fromarray(each), self._size) for each in images]), labels)
            for images, labels in cifar10.embedded()
        )

    def from_file(self, path):
        """(training, test): of each class four fifths and one, at random, always the same.

        A class has the pictures of all folders in its own. Left out is what is hidden, or of the
        system: .ipynb_checkpoints, __MACOSX, Thumbs.db.

        Raises:
            ValueError: the folder has not two folders or more, they are parts such as train and
                test, a picture is in none, one of them has too few pictures, or a file in it is no
                picture.
        """
        if not Path(path).is_dir():
            raise ValueError("it is no folder: give one with a folder of pictures for each class")
        folders = _folders(path)
        if len(folders) < 2:
            count = "one folder" if folders else "no folder"
            raise ValueError(f"{count} is in it: give one with a folder of pictures for each class")
        self.classes = [folder.name for folder in folders]
        training = next((each for each in folders if each.name.lower().startswith("train")), None)
        are_parts = _PARTS.issuperset(name.lower() for name in self.classes)
        if are_parts and training and _folders(training):
            raise ValueError(
                f"its folders {', '.join(self.classes)} are parts, and no classes: "
                f"--data-path {training}"
            )
        for file in sorted(Path(path).iterdir()):
            if file.suffix.lower() in _ENDINGS and file.is_file() and _shown(file.name):
                raise ValueError(f"{file.name} is in no class: move it to its folder, or out")
        random = np.random.default_rng(0)
        training, test = [], []
        for label, folder in enumerate(folders):
            files = sorted(
                each
                for each in folder.rglob("*")
                if each.is_file() and all(map(_shown, each.relative_to(folder).parts))
            )
            if len(files) < _FEWEST:
                raise ValueError(f"{folder.name} has {len(files)} pictures: give {_FEWEST} or more")
            order = random.permutation(len(files))
            cut = round(_TEST_FRACTION * len(files))
            test += [(files[place], label) for place in np.sort(order[:cut])]
            training += [(files[place], label) for place in np.sort(order[cut:])]
        return self._read(training), self._read(test)

    def _read(self, found):
        images = np.stack([square(read_picture(file), self._size) for file, _ in found])
        return images, np.array([label for _, label in found], "int32")


def _folders(path):
    return sorted(each for each in Path(path).iterdir() if each.is_dir() and _shown(each.name))


def _shown(name):
    """Whether it is the name of a file or folder that somebody made for others to see."""
    return not name.startswith(".") and name.lower() not in _OF_SYSTEMS
