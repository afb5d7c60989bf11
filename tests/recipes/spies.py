"""What a recipe hands to its gradient step."""

import keras

from recipes import __main__ as command_line
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


def spied_run(monkeypatch, recipe, folder):
    """A function that runs a recipe on its embedded data with options of the command line.

    It returns (the ``SavedRun``, the batches of all runs' steps), and keeps each run apart.
    """
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    batches = spied_steps(monkeypatch, recipe)
    name = recipe.__name__.rpartition(".")[2]

    def call(*words):
        runs = folder / str(len(list(folder.iterdir())))
        words = ["run", name, "--data", "embedded", *words, "--runs", str(runs)]
        assert command_line.main(words) == 0
        (run,) = (runs / name).iterdir()
        return read_run(run), batches

    return call


def are_right(batches, training):
    """Of each example of batches, whether its label is that of the training part (N, D), (N,)."""
    labels = {pixels.tobytes(): label for pixels, label in zip(*training, strict=True)}
    return [
        labels[each.tobytes()] == label
        for pixels, given in batches
        for each, label in zip(pixels, given, strict=True)
    ]
