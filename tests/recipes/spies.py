"""What a recipe hands to its gradient step, when it reads the test part, and how it ends."""

import json

import keras
import numpy as np

from recipes import __main__ as command_line
from recipes.training.run import Run
from recipes.training.saved_run import read_run


def spied_steps(monkeypatch, recipe):
    """The list of batches that the recipe's steps get, filled as it runs."""
    batches = []
    make = recipe.gradient_step

    def gradient_step(compute_loss, model, optimizer, **options):
        step = make(compute_loss, model, optimizer, **options)

        def spied(*batch):
            batches.append(batch)
            return step(*batch)

        spied.variables = step.variables
        return spied

    monkeypatch.setattr(recipe, "gradient_step", gradient_step)
    return batches


class Sealed(tuple):
    """A part of the data that cannot be read before it is opened."""

    opened = False

    def __iter__(self):
        assert self.opened, "the test part is read before the epochs are over"
        return super().__iter__()

    def __getitem__(self, place):
        assert self.opened, "the test part is read before the epochs are over"
        return super().__getitem__(place)


def seal_test_parts(monkeypatch):
    """From now on the test part of a run can be read only when its epochs are over."""
    load, epochs = Run.load, Run.epochs

    def loading(run, *arguments, **options):
        *parts, test = load(run, *arguments, **options)
        run.sealed = Sealed(test)
        return *parts, run.sealed

    def counting(run, *steps):
        yield from epochs(run, *steps)
        run.sealed.opened = True

    monkeypatch.setattr(Run, "load", loading)
    monkeypatch.setattr(Run, "epochs", counting)


def spied_run(monkeypatch, recipe, folder):
    """A function that runs a recipe on its embedded data with options of the command line.

    It returns (the ``SavedRun``, the batches of all runs' steps), and keeps each run apart. None
    can read its test part before its epochs are over.
    """
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    seal_test_parts(monkeypatch)
    batches = spied_steps(monkeypatch, recipe)
    name = recipe.__name__.rpartition(".")[2]

    def call(*words):
        runs = folder / str(len(list(folder.iterdir())))
        words = ["run", name, "--data", "embedded", *words, "--runs", str(runs)]
        assert command_line.main(words) == 0
        (run,) = (runs / name).iterdir()
        return read_run(run), batches

    return call


def judged_again(folder):
    """Repeats the end of a run that is over, all after its last epoch; returns its ``SavedRun``."""
    path = folder / "config.json"
    description = json.loads(path.read_text("utf-8"))
    del description["finished"]
    path.write_text(json.dumps(description), "utf-8")
    assert command_line.main(["resume", str(folder)]) == 0
    return read_run(folder)


def are_right(batches, training):
    """Of each example of batches, whether its label is that of the training part (N, D), (N,)."""
    labels = {pixels.tobytes(): label for pixels, label in zip(*training, strict=True)}
    return [
        labels[each.tobytes()] == label
        for pixels, given in batches
        for each, label in zip(pixels, given, strict=True)
    ]


def ways_between(images, seen, most):
    """Of each image (B, H, W, C), how far it is moved: (down, right, whether it is mirrored, too).

    What comes into view is black. Who moves one further than ``most``, or changes it in another
    way, fails.
    """
    height, width = images.shape[1:3]
    padded = np.pad(images, [(0, 0), (most, most), (most, most), (0, 0)])
    ways = []
    for image, found in zip(padded, seen, strict=True):
        (way,) = [
            (most - row, most - column, mirrored)
            for row in range(2 * most + 1)
            for column in range(2 * most + 1)
            for mirrored in (False, True)
            if np.array_equal(
                image[row : row + height, column : column + width],
                found[:, :: -1 if mirrored else 1],
            )
        ]
        ways.append(way)
    return ways
