import json
import shlex

import keras
import numpy as np
import pytest
from scipy.special import softmax

from recipes import __main__ as command_line
from recipes import study_early_stopping as study
from recipes.data import mnist
from recipes.data.batches import cut_validation
from recipes.training.evaluate import Classification, classify
from recipes.training.run import VALIDATION_FRACTION
from recipes.training.saved_run import read_run
from tests.kills import kill, trained

SHORT = "--epochs 12 --learning-rate 0.02 --examples 200"  # turns after a few epochs


@pytest.fixture(scope="module")
def run_with(tmp_path_factory):
    """A function that runs the study with options: its ``SavedRun``, each but once."""
    made = {}

    def run(options):
        if options not in made:
            runs = tmp_path_factory.mktemp("runs")
            words = ["run", "study_early_stopping", "--data", "embedded", "--runs", str(runs)]
            assert command_line.main([*words, *options.split()]) == 0
            (folder,) = (runs / "study_early_stopping").iterdir()
            made[options] = read_run(folder)
        return made[options]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", keras.backend.backend())
        yield run


def turn_of(run):
    """The epoch of the lowest validation loss."""
    return 1 + int(np.argmin([row["validation_loss"] for row in run.epochs]))


def test_the_best_weights_are_those_of_the_turn(run_with):
    run = run_with(SHORT)
    turn = turn_of(run)
    assert 1 < turn < 12
    model = keras.models.load_model(run.folder / "model.keras")
    training, test = mnist.embedded()
    _, validation = cut_validation(training, VALIDATION_FRACTION, seed=0)
    expected = run.epochs[turn - 1]["validation_loss"]
    assert classify(model, validation).loss == pytest.approx(expected, rel=1e-5)
    result = classify(model, test)
    assert run.test["test_best_loss"] == pytest.approx(result.loss, rel=1e-5)
    assert run.test["test_best_accuracy"] == result.accuracy
    assert run.test["test_end_loss"] != run.test["test_best_loss"]


def test_a_run_that_was_killed_after_the_turn_still_has_its_weights(run_with, tmp_path):
    run = run_with(SHORT)
    words = shlex.split(json.loads((run.folder / "config.json").read_text())["command"])[3:]
    words[words.index("--runs") + 1] = str(tmp_path)
    kill(f"evaluation:{turn_of(run) + 2}", *words)
    (killed,) = (tmp_path / "study_early_stopping").iterdir()
    assert command_line.main(["resume", str(killed)]) == 0
    assert trained(killed) == trained(run.folder)


def test_a_run_with_patience_stops_and_ends_with_the_weights_of_the_turn(run_with):
    """Those of a run that goes on to its end and keeps them beside."""
    whole, stopped = run_with(SHORT), run_with(f"{SHORT} --patience 3")
    turn = turn_of(whole)
    assert turn + 3 < 12
    assert len(stopped.epochs) == turn + 3
    assert stopped.epochs == whole.epochs[: turn + 3]
    assert stopped.description["best"]["epoch"] == turn
    for name in ("loss", "accuracy"):
        end, best = (stopped.test[f"test_{each}_{name}"] for each in ("end", "best"))
        assert end == best == whole.test[f"test_best_{name}"]


def test_a_patience_told_from_losses():
    losses = [3.0, 1.0, 2.0, 0.5, 0.6, 0.7, 0.8]
    assert study.stopped_by(1, losses) == (3, 2)
    assert study.stopped_by(2, losses) == (6, 4)
    assert study.stopped_by(3, losses) == (7, 4)
    assert study.stopped_by(4, losses) == (None, 4)


def test_the_surety_of_mistakes_leaves_out_what_is_right():
    logits = np.random.default_rng(0).standard_normal((50, 4))
    labels = np.arange(50) % 4
    probabilities = softmax(logits, axis=1)
    wrong = probabilities.argmax(axis=1) != labels
    assert 0 < wrong.sum() < 50
    found = study.surety_of_mistakes(Classification(np.zeros((50, 1)), labels, logits))
    assert found == pytest.approx(probabilities.max(axis=1)[wrong].mean())
