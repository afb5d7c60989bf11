"""One contract for all studies: what each finds at a fixed seed, on every backend."""

import functools
import itertools
from types import SimpleNamespace
from typing import NamedTuple

import keras
import numpy as np
import pytest

from recipes import __main__ as command_line
from recipes.training.backend import accelerator
from recipes.training.saved_run import read_run
from tests.kills import assert_same, kill_here
from tests.page import Page
from tests.recipes.spies import judged_again

BACKEND = keras.backend.backend()


class Row(NamedTuple):
    """What is known of a study.

    Attributes:
        short: options that make its run short.
        verdicts: of its statements, in their order.
        against: names of the study with what takes their place so that no statement holds:
            thresholds out of reach, or figures that speak against it.
    """

    short: str
    verdicts: list
    against: dict


def always(value):
    """A function of anything."""
    return lambda *anything: value


def falling():
    """A function of anything that returns losses of 1, 1/2, 1/4, ..., one a call."""
    losses = (0.5**power for power in itertools.count())
    return lambda *anything: SimpleNamespace(loss=next(losses))


# What a GPU has to be there for.
HARDWARE = "not measured" if accelerator() is None else "holds"
ROWS = {
    "study_activations": Row(
        "--epochs 2",
        ["holds"] * 4,
        {
            "curve": always(([0.0] * 241, [1.0] * 241)),
            "mean_output": always(0.05),
            "gradients_of": always(None),
            "layer_norms": always([1.0] * 20),
            "classify": always(SimpleNamespace(accuracy=0.4)),
        },
    ),
    "study_augmentation": Row(
        "--digits 150 --epochs 40 --batch-size 30 --learning-rate 0.005",
        ["holds"] * 2,
        {"MARGIN": 1},
    ),
    "study_backpropagation": Row(
        "--epochs 4", ["holds"] * 3, {"AS_GOOD_AS_EQUAL": 0, "LEARNED": 1}
    ),
    "study_batch_norm": Row(
        "--epochs 12 --learning-rate 0.3", ["holds"] * 3, {"LEARNED": 0, "LESS_ERROR": 1}
    ),
    "study_dead_units": Row(
        "--epochs 2", ["holds"] * 3, {"DEAD": 1.1, "units_without_gradient": always(1e-9)}
    ),
    "study_depth_and_width": Row("--epochs 7", ["holds"] * 2, {"relative_error": always(0.1)}),
    "study_dropout": Row(
        "--epochs 20 --learning-rate 0.004 --wrong-labels 0.3",
        ["holds"] * 3,
        {"LESS_GAP": 1, "LESS_LOST": 2, "STANDARD_ERRORS": 0},
    ),
    "study_early_stopping": Row(
        "--epochs 30 --learning-rate 0.005",
        ["holds", "holds", "does not hold", "holds", "holds"],
        {},  # the last epoch is the best where it is the only one
    ),
    "study_features": Row(
        "--epochs 16 --batch-size 25 --width 16",
        ["holds"] * 3,
        {"MARGIN": 1, "MARGIN_OF_LEARNING": 1, "EDGE": 1.1},
    ),
    "study_ingredients": Row(
        "--epochs 3",
        ["holds", "holds", HARDWARE, "holds"],
        {
            "classify": always(SimpleNamespace(accuracy=0.5)),
            "seconds_a_step": always(1.0),
            "largest_difference": always(1.0),
        },
    ),
    "study_input_scaling": Row(
        "--epochs 15", ["holds"] * 4, {"SMALLER": 0, "LOWER": 0, "BETTER": 1}
    ),
    "study_learning_rate": Row(
        "--epochs 3",
        ["holds"] * 5,
        {"HARDLY": 1e9, "LEARNS": 0, "GUESSING": 1e9, "widest": always("hidden units")},
    ),
    "study_losses": Row(
        "", ["holds"] * 8, {"AS_GOOD_AS_EQUAL": 0, "AS_COUNTED": 0, "HOPELESS": -1.0}
    ),
    "study_optimizers": Row(
        "--epochs 1",
        ["holds"] * 6,
        {
            "largest_difference": always(1.0),
            "landscapes.fastest_way": always(SimpleNamespace(steps=1, rate=1.0, places=np.eye(2))),
            "landscapes.best_result": always(SimpleNamespace(rate=1.0)),
            "rare_loss": always(1.0),
            "classify": falling(),
        },
    ),
    "study_perceptron_logic": Row(
        "--epochs 80",
        ["holds"] * 4,
        {"accuracies": always({"and": 0.75, "or": 0.75, "xor": 1.0, "two_layers": 0.75})},
    ),
    "study_start_simple": Row("--epochs 2", ["holds"] * 2, {"MOST": 1.1, "LESS": 0}),
    "study_universal_approximation": Row(
        "",
        ["holds"] * 5,
        {"WIDTHS": (64, 16, 1), "plane_error": always(1e9)},
    ),
    "study_watch_both_losses": Row(
        "--epochs 12", ["holds"] * 5, {"diagnose": always("unknown"), "MARGIN": 1}
    ),
    "study_weight_decay": Row(
        "--epochs 30",
        ["holds"] * 5,
        {
            "weights_of": always(np.ones(10)),
            "distance": always(1.0),
            "acting_penalty": always(1.0),
        },
    ),
    "study_wide_networks": Row(
        "--epochs 25 --learning-rate 0.004", ["holds"] * 3, {"BY_HEART": -1, "HARM": -1}
    ),
}
STUDIES = sorted(name for name in command_line.recipes() if name.startswith("study_"))


@pytest.fixture(scope="module", autouse=True)
def backend_of_this_process():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", BACKEND)
        yield


def run_study(name, runs, **others):
    """The folder of a short run; other options take the place of the row's."""
    words = ROWS[name].short.split()
    options = dict(zip(words[::2], words[1::2], strict=True))
    options |= {f"--{option}": value for option, value in others.items()}
    given = itertools.chain.from_iterable(options.items())
    words = ["run", name, "--data", "embedded", "--runs", str(runs), *given]
    assert command_line.main(words) == 0
    (folder,) = (runs / name).iterdir()
    return folder


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """The folder of a study's short run."""
    return functools.cache(lambda name: run_study(name, tmp_path_factory.mktemp("runs")))


def test_every_study_is_known_here():
    assert sorted(ROWS) == STUDIES


@pytest.mark.parametrize("name", STUDIES)
def test_the_verdicts_are_those_of_the_seed(run_of, name):
    verdicts = read_run(run_of(name)).description["verdicts"]
    assert [found["verdict"] for found in verdicts.values()] == ROWS[name].verdicts, verdicts
    for statement, found in verdicts.items():
        assert statement[0].isupper() and not statement.endswith(".")
        assert found["measured"]


@pytest.mark.parametrize("name", STUDIES)
def test_the_report_has_the_verdicts_and_the_pictures(run_of, name):
    run = read_run(run_of(name))
    page = Page((run.folder / "report.html").read_text("utf-8"))
    assert page.tables()[0] == [
        [found["verdict"], statement, found["measured"]]
        for statement, found in run.description["verdicts"].items()
    ]
    captions = [caption for heading, caption, _ in page.pictures() if heading == "Test"]
    assert captions == list(run.description["pictures"].values())
    assert captions
    assert run.test


# What a study forgets, it forgets on every backend: tried where it takes least time.
@pytest.mark.skipif(BACKEND != "torch", reason="on PyTorch alone")
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_was_killed_goes_on_to_the_same_bits(run_of, name, tmp_path, monkeypatch):
    """Also what it says at the end, which is no less of so short a run.

    And it says that nothing holds where that is so.
    """

    def speak_against_it():
        for path, value in ROWS[name].against.items():
            monkeypatch.setattr(f"recipes.{name}.{path}", value)

    is_short = ROWS[name].short.split()[:2] in (["--epochs", "1"], ["--epochs", "2"])
    if not is_short:
        speak_against_it()
    folder = run_of(name) if is_short else run_study(name, tmp_path / "whole", epochs="1")
    killed = kill_here(2, folder, tmp_path / "killed")
    assert command_line.main(["resume", str(killed)]) == 0
    assert_same(killed, folder)
    found, expected = read_run(killed).description, read_run(folder).description
    assert found["verdicts"] == expected["verdicts"]

    if is_short:
        speak_against_it()
        found = judged_again(killed).description
    verdicts = [each["verdict"] for each in found["verdicts"].values()]
    measured = [each != "not measured" for each in ROWS[name].verdicts]
    expected = ["does not hold" if each else "not measured" for each in measured]
    assert verdicts == expected, found["verdicts"]
