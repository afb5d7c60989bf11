"""One contract for all recipes."""

import ast
import dataclasses
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from recipes import __main__ as command_line
from recipes.data import characters
from recipes.training.run import Run
from recipes.training.saved_run import read_description, read_run
from tests import event_reader
from tests.kills import CHECKOUT, assert_same, kill_here
from tests.page import Page


class Row(NamedTuple):
    """What is known of a recipe.

    Attributes:
        short: options that make its run short.
        learns: a figure of the first epoch of such a run, what an untrained model has of it, and
            what it must reach.
        curves: the quantities of its curves.
        pictures: in their order.
        first_steps: what its first steps log, the same on every backend.
        files: what else it leaves in its folder.
    """

    short: str
    learns: tuple
    curves: list
    pictures: list
    first_steps: dict
    files: tuple = ()


ROWS = {
    "bert_intents": Row(
        short=(
            "--epochs 2 --weights none --width 32 --depth 1 --num-heads 2 --length 12 "
            "--batch-size 50 --scratch-learning-rate 0.01"
        ),
        learns=("validation_loss", 2.5, 2.3),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        files=("vocabulary.json",),
        first_steps={
            "loss": [
                2.48599482, 2.48439932, 2.48670673, 2.47454381, 2.49256372,
                2.474154, 2.48338985, 2.50485873, 2.47684193, 2.51613116,
            ],
        },
    ),
    "cnn_images": Row(
        short="--epochs 2 --image-size 8 --batch-size 100 --learning-rate 0.0003",
        learns=("training_loss", 4.0, 3.7),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        files=("classes.json",),
        first_steps={
            "loss": [
                4.07491040, 3.77120800, 3.62238400, 3.42622000, 3.34152700,
                3.38094000, 3.57464000, 3.49918000, 3.03815000, 3.23322000,
            ],
        },
    ),
    "cnn_mnist": Row(
        short="--epochs 2 --batch-size 600",
        learns=("training_loss", 3.6, 2.6),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        first_steps={
            "loss": [
                3.55535913, 2.42701447, 1.92468774, 1.73119318, 1.63840842,
                1.52892041, 1.39655381, 1.32810569, 1.17173916, 1.19341272,
            ],
        },
    ),
    "finetune_images": Row(
        short="--epochs 2 --head-epochs 1 --batch-size 128",
        learns=("validation_loss", 2.5, 1.5),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        files=("network.safetensors",),
        first_steps={
            "loss": [
                1.21044302, 0.780609727, 0.508509576, 0.382404625, 0.333287627,
                0.266695678, 0.349714637, 0.373073667, 0.437245727, 0.293609053,
            ],
        },
    ),
    "gan_mixture": Row(
        short="--epochs 2",
        learns=("validation_distance", 2, 1.7),
        curves=["discriminator_loss", "generator_loss", "distance"],
        pictures=["samples"],
        first_steps={
            "discriminator_loss": [
                1.42040843, 1.36713427, 1.31860751, 1.27998680, 1.25534922,
                1.23782492, 1.21844047, 1.23174685, 1.24240607, 1.26506346,
            ],
            "generator_loss": [
                0.686326772, 0.681460261, 0.675288856, 0.667067289, 0.656223148,
                0.640129507, 0.633508712, 0.610278934, 0.617197782, 0.612693012,
            ],
        },
    ),
    "gpt_characters": Row(
        short=(
            "--epochs 2 --steps 12 --context 16 --width 32 --depth 1 --num-heads 2 "
            "--learning-rate 0.02 --characters 20"
        ),
        learns=("validation_loss", 4.7, 3.4),
        curves=["loss"],
        pictures=["texts"],
        files=("vocabulary.json",),
        first_steps={
            "loss": [
                4.58480200, 4.60531473, 4.15931010, 3.75920558, 3.37241745,
                3.30482841, 3.34646153, 3.01738677, 3.39427447, 3.56459770,
            ],
        },
    ),
    "lstm_forecast": Row(
        short="--epochs 2 --batch-size 8 --lookback 24 --learning-rate 0.01",
        learns=("training_loss", 0.8, 0.76),
        curves=["loss", "mse"],
        pictures=["forecasts", "horizon"],
        first_steps={
            "loss": [
                0.755438387, 0.653292835, 0.680477321, 0.712540627, 0.746453285,
                1.06462014, 0.754954040, 0.689721584, 0.601818383, 0.630341172,
            ],
        },
    ),
    "lstm_intents": Row(
        short="--epochs 2 --batch-size 100 --length 8",
        learns=("validation_loss", 2.5, 2.2),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        files=("vocabulary.json",),
        first_steps={
            "loss": [
                2.48579216, 2.45563865, 2.41602659, 2.37459326, 2.31604743,
                2.20880055, 2.21767235, 1.99413693, 1.84801817, 1.77061391,
            ],
        },
    ),
    "lstm_names": Row(
        short="--epochs 2 --batch-size 48 --learning-rate 0.01",
        learns=("validation_loss", 3.4, 3.0),
        curves=["loss"],
        pictures=["names"],
        first_steps={
            "loss": [
                3.40042543, 3.35997367, 3.21569633, 3.18910956, 3.06087804,
                3.03299570, 3.07081056, 3.00417709, 2.98853469, 2.99706936,
            ],
        },
    ),
    "mlp_tabular": Row(
        short="--epochs 2 --batch-size 40 --width 32",
        learns=("validation_loss", 0.48, 0.35),
        curves=["loss", "accuracy"],
        pictures=["confusion"],
        files=("columns.json",),
        first_steps={
            "loss": [
                0.482594222, 0.360168546, 0.459598090, 0.370346910, 0.576652000,
                0.318390030, 0.395557582, 0.525091310, 0.262195400, 0.299775830,
            ],
        },
    ),
    "resnet_cifar10": Row(
        short="--epochs 2 --batch-size 75 --learning-rate 0.001",
        learns=("training_loss", 4.0, 3.5),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        first_steps={
            "loss": [
                4.01411223, 3.9195718, 3.7708583, 3.51353400, 3.31924076,
                3.43114000, 2.99773398, 3.07544136, 3.09697946, 3.06536182,
            ],
        },
    ),
    "seq2seq_dates": Row(
        short="--epochs 2 --batch-size 400 --width 32 --learning-rate 0.02",
        learns=("validation_loss", 2.7, 1.2),
        curves=["loss", "exact_match"],
        pictures=["alignments", "samples"],
        files=("vocabulary.json",),
        first_steps={
            "loss": [
                2.71028686, 2.53107476, 2.30364299, 2.29958200, 2.14912987,
                2.03735566, 1.92922759, 1.80161572, 1.70729792, 1.63199282,
            ],
        },
    ),
    "tagger": Row(
        short="--epochs 2 --batch-size 100 --length 8 --learning-rate 0.02",
        learns=("validation_loss", 2.8, 1.8),
        curves=["loss", "accuracy"],
        pictures=["confusion", "samples"],
        files=("vocabulary.json",),
        first_steps={
            "loss": [
                2.83382058, 2.74035001, 2.50285125, 2.44603920, 2.15646696,
                2.02506208, 1.86381948, 1.59197223, 1.30277646, 1.10129058,
            ],
        },
    ),
    "translate_transformer": Row(
        short=(
            "--epochs 2 --batch-size 200 --vocabulary-size 350 --length 16 --width 32 --depth 1 "
            "--num-heads 2 --hidden-width 32 --warmup-steps 10 --learning-rate 0.01"
        ),
        learns=("validation_loss", 5.9, 4.5),
        curves=["loss", "bleu"],
        pictures=["alignments", "samples"],
        files=("tokenizer.json",),
        first_steps={
            "loss": [
                6.39560699, 6.31018209, 6.15273714, 5.9849925, 5.78941107,
                5.60924196, 5.43544292, 5.2808423, 5.14820766, 5.01012754,
            ],
        },
    ),
    "vit_cifar10": Row(
        short=(
            "--epochs 2 --batch-size 50 --patch-size 8 --width 64 --depth 1 --num-heads 2 "
            "--learning-rate 0.01"
        ),
        learns=("validation_loss", 2.3, 2.1),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        first_steps={
            "loss": [
                2.31296890, 2.30944145, 2.28580652, 2.13862526, 2.30132628,
                2.09572423, 2.18086824, 2.13155484, 1.99406946, 1.95194048,
            ],
        },
    ),
    "vit_digits": Row(
        short=(
            "--epochs 2 --batch-size 20 --patch-size 7 --width 64 --depth 1 --num-heads 2 "
            "--learning-rate 0.003 --dropout-rate 0.05 --shift 0"
        ),
        learns=("validation_loss", 2.3, 2.1),
        curves=["loss", "accuracy"],
        pictures=["confusion", "mistakes", "samples"],
        first_steps={
            "loss": [
                2.33446440, 2.31703317, 2.30891908, 2.28673899, 2.30274546,
                2.34205985, 2.23276258, 2.27728391, 2.29339361, 2.35825690,
            ],
        },
    ),
}  # fmt: skip
BACKEND = keras.backend.backend()
# By how much another backend may differ from the run's own, after so many steps.
BOUNDS = {1: 1e-6, 10: 1e-3, 50: 2e-2}
HALF_PRECISION = 5e-3  # by how much the first steps in it may differ
TEXT = 0x28787F47  # the checksum of what Python's help says, which those of gpt_characters learn
ALL = sorted(command_line.recipes())
any_backend = pytest.mark.any_backend
RECIPES = [name for name in ALL if not name.startswith("study_")]  # test_every_study.py has those
# The same network as another's, on other data: `make test` has them on one backend.
ON_ONE = {"cnn_images", "resnet_cifar10", "vit_cifar10"}
every_recipe = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=any_backend if name in ON_ONE else []) for name in RECIPES]
)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """The folder of a recipe's run."""
    folders = {}

    def run(name):
        if name not in folders:
            runs = tmp_path_factory.mktemp("runs")
            words = ["run", name, "--data", "embedded", *ROWS[name].short.split()]
            assert command_line.main([*words, "--runs", str(runs)]) == 0
            (folders[name],) = (runs / name).iterdir()
        return folders[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", BACKEND)
        yield run


@pytest.fixture(scope="module")
def killed(tmp_path_factory, run_of):
    """Gives a copy of a run by the command that ``run_of``'s recorded, killed in a step."""
    folders = {}

    def copy(name, runs, step=4):
        if (name, step) not in folders:
            runs_of_it = tmp_path_factory.mktemp("killed")
            folders[name, step] = kill_here(step, run_of(name), runs_of_it)
        folder = folders[name, step]
        return Path(shutil.copytree(folder, runs / name / folder.name))

    return copy


def test_every_recipe_is_known_here():
    assert sorted(ROWS) == RECIPES


@any_backend
@pytest.mark.parametrize("name", ALL)
def test_the_header_has_a_title_and_the_command(name):
    title, _, rest = ast.get_docstring(
        ast.parse(command_line.recipes()[name].read_text("utf-8"))
    ).partition("\n")
    assert title.endswith(".")
    assert f"python -m recipes run {name}" in rest


@any_backend
@pytest.mark.parametrize("name", ALL)
def test_config_is_a_frozen_dataclass_with_the_common_options(name):
    config_class = importlib.import_module(f"recipes.{name}").Config
    config = config_class()
    fields = {field.name for field in dataclasses.fields(config_class)}
    assert {"epochs", "batch_size", "seed"} <= fields
    assert "learning_rate" in fields or name not in RECIPES
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.epochs = 3
    for field in fields:
        assert f"\n        {field}: " in config_class.__doc__, f"{field} is not documented"


@every_recipe
def test_metrics_have_steps_epochs_and_one_look_at_the_test_part(run_of, name):
    folder = run_of(name)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    *trained, last = rows
    assert any(figure.startswith("test_") for figure in last)
    assert not any(figure.startswith("test_") for row in trained for figure in row)
    epochs = [row for row in trained if any(key.startswith("validation_") for key in row)]
    assert [row["epoch"] for row in epochs] == [1, 2]
    steps = [row for row in trained if row not in epochs]
    assert [row["step"] for row in steps] == list(range(1, last["step"] + 1))
    assert all(set(row) == set(steps[0]) and len(row) >= 3 for row in steps)
    assert any(key.endswith("loss") for key in steps[0])


@every_recipe
def test_every_backend_begins_with_the_same_steps(run_of, name):
    if name == "gpt_characters":
        text = "".join("".join(part) for (part,) in characters.embedded())
        if zlib.crc32(text.encode()) != TEXT:
            pytest.skip("the help of this version of Python says something else")
    folder = run_of(name)
    for figure, expected in ROWS[name].first_steps.items():
        found = [row[figure] for row in read_run(folder).steps[:10]]
        # Half of what two backends may differ by.
        assert found[:1] == pytest.approx(expected[:1], rel=5e-7), figure
        assert found == pytest.approx(expected, rel=5e-4), figure


# What a recipe forgets, it forgets on every backend: `make test` tries most on one. What a backend
# has of its own is in two: noise, dropout, and an optimizer's state.
# finetune_images trains its output layer first, by a step of its own.
@pytest.mark.parametrize(
    ("name", "step"),
    [
        pytest.param(
            name, step, marks=[] if name in ("gan_mixture", "lstm_intents") else any_backend
        )
        for name, step in [*((name, 4) for name in RECIPES), ("finetune_images", 12)]
    ],
)
def test_the_recorded_command_killed_and_resumed_makes_the_same_run(
    run_of, killed, name, step, tmp_path, capsys
):
    undisturbed, folder = run_of(name), killed(name, tmp_path, step)
    assert read_run(folder).epochs == read_run(undisturbed).epochs[: step // 11]
    capsys.readouterr()
    assert command_line.main(["resume", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "goes on after step" in printed
    assert "may differ" not in printed
    assert_same(folder, undisturbed)


# All in one process: most of its time goes into starting the backend.
RESUME_ALL = """
import os
import sys

from recipes.__main__ import main

for folder in sys.argv[1:]:
    assert main(["resume", folder, "--backend", os.environ["KERAS_BACKEND"]]) == 0, folder
"""


def test_another_backend_goes_on_along_the_same_curve(tmp_path, run_of, killed):
    """From the middle of an epoch; over the three backends, each is followed by each other.

    Some recipes, for what their checkpoints hold: what all backends share is tested of each above.
    """
    others = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}
    other = others[BACKEND]
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    names = ["lstm_names", "translate_transformer"]
    folders = {name: killed(name, tmp_path) for name in names}
    process = subprocess.run(
        [sys.executable, "-c", RESUME_ALL, *map(str, folders.values())], cwd=CHECKOUT,
        capture_output=True, text=True, check=False, env={**os.environ, "KERAS_BACKEND": other},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    for name, folder in folders.items():
        assert f"{name} on {other}, " in process.stdout
        assert process.stdout.count(f"backend was {BACKEND}, is {other}") == len(names)
        (entry,) = read_description(folder)["resumed"]
        assert entry["backend"] == other
        first = entry["step"]
        assert first < 4
        runs = read_run(folder), read_run(run_of(name))
        assert runs[0].steps[:first] == runs[1].steps[:first]
        rows = [run.steps[first:] for run in runs]
        assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
        for count, bound in BOUNDS.items():
            for figure in rows[0][0].keys() - {"epoch", "step"}:
                pair = [[row[figure] for row in each[:count]] for each in rows]
                np.testing.assert_allclose(
                    *pair, rtol=bound, atol=0, err_msg=f"{name} {count} {figure}"
                )
        assert command_line.backend_of(folder) == other


@every_recipe
def test_the_model_and_the_report_are_there(run_of, name):
    folder = run_of(name)
    curves = [f"curve_{quantity}.png" for quantity in ROWS[name].curves]
    pictures = [f"{picture}.png" for picture in ROWS[name].pictures]
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "metrics.jsonl", "timings.jsonl", "tensorboard", "checkpoints",
        "model.keras", "report.html", *curves, *pictures, *ROWS[name].files,
    }  # fmt: skip
    model = keras.models.load_model(folder / "model.keras")
    run = read_run(folder)
    assert run.description["model"]["parameters"] == model.count_params() > 0
    assert list(run.description["pictures"]) == pictures
    page = Page((folder / "report.html").read_text("utf-8"))
    assert [png for _, _, png in page.pictures()] == [
        (folder / file).read_bytes() for file in [*curves, *pictures]
    ]
    captions = [caption for heading, caption, _ in page.pictures() if heading == "Test"]
    assert captions == list(run.description["pictures"].values())
    assert f"{model.count_params():,} parameters" in page.texts("p")[0]
    assert len(page.texts("dd")) == len(run.test) >= 2


@any_backend
@every_recipe
def test_the_report_is_written_again_from_the_folder(run_of, name, capsys):
    folder = run_of(name)
    files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for path in [folder / "report.html", *folder.glob("curve_*.png")]:
        path.unlink()
    assert command_line.main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"report: {folder / 'report.html'}\n"
    assert files == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@every_recipe
def test_tensorboard_has_the_figures_of_metrics(run_of, name):
    folder = run_of(name)
    run = read_run(folder)
    expected = {"training": {}, "validation": {}, "test": {}}

    def add(part, tag, step, value):
        expected[part].setdefault(tag, []).append((step, np.float32(value)))

    for row in run.steps:
        for tag in row.keys() - {"epoch", "step"}:
            add("training", tag, row["step"], row[tag])
    for row in run.epochs:
        for name_ in row:
            if name_.startswith("validation_"):
                add("validation", name_.removeprefix("validation_"), row["step"], row[name_])
    for name_, value in run.test.items():
        add("test", name_.removeprefix("test_"), run.steps[-1]["step"], value)
    assert event_reader.scalars(folder / "tensorboard") == expected


@every_recipe
def test_an_epoch_of_training_learns(run_of, name):
    figure, untrained, bound = ROWS[name].learns
    first = read_run(run_of(name)).epochs[0]
    assert first[figure] < bound < untrained


def interrupted(name, steps, runs, *options):
    """The folder of a run that Ctrl-C ends in a step."""
    log, left = Run.log, steps

    def logging(self, **values):
        nonlocal left
        log(self, **values)
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    words = ["run", name, "--data", "embedded", *ROWS[name].short.split(), *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "log", logging)
        assert command_line.main([*words, "--runs", str(runs)]) == 130
    (folder,) = (runs / name).iterdir()
    return folder


@any_backend
@every_recipe
def test_another_seed_is_another_run(run_of, name, tmp_path):
    """From the first step on."""
    other = interrupted(name, 3, tmp_path, "--seed", "1")
    assert read_run(run_of(name)).steps[0] != read_run(other).steps[0]


# The network of two more, slow in it on a CPU, is that of finetune_images. Of each family one is
# tried on every backend.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[]
            if name in ("cnn_mnist", "gan_mixture", "lstm_names", "mlp_tabular", "vit_digits")
            else any_backend,
        )
        for name in RECIPES
        if name not in ("cnn_images", "resnet_cifar10")
    ],
)
def test_half_precision_begins_as_float32_does(run_of, name, tmp_path):
    """mixed_float16 scales losses, too; whole runs are below, of those that take little time."""
    options = ["--precision", "mixed_float16", "--checkpoint-seconds", "0.001"]
    folder = interrupted(name, 5, tmp_path, *options)
    assert keras.config.dtype_policy().name == "float32"  # only for the time of the run
    found, expected = read_run(folder).steps, read_run(run_of(name)).steps[:4]
    for figure in ROWS[name].first_steps:
        pair = [[row[figure] for row in rows] for rows in (found, expected)]
        np.testing.assert_allclose(*pair, rtol=HALF_PRECISION)
        assert pair[0] != pair[1]
    newest = max((folder / "checkpoints").glob("*.safetensors"))
    types = {tensor.dtype.name for tensor in load_file(newest).values()}
    assert "float32" in types and "float16" not in types


@pytest.mark.parametrize(
    "name",
    [
        "gan_mixture",
        pytest.param("gpt_characters", marks=any_backend),
        pytest.param("lstm_intents", marks=any_backend),
    ],
)
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_run_in_half_precision(name, precision, tmp_path):
    words = ["run", name, "--data", "embedded", "--runs", str(tmp_path), *ROWS[name].short.split()]
    words[words.index("--epochs") + 1] = "1"
    assert command_line.main([*words, "--precision", precision]) == 0
    (folder,) = (tmp_path / name).iterdir()
    config = json.loads((folder / "config.json").read_text())
    assert config["options"]["precision"] == precision
    assert f"--precision {precision}" in config["command"]

    model = keras.models.load_model(folder / "model.keras")
    assert model.outputs[0].dtype == precision.removeprefix("mixed_")
    assert all(weight.dtype == "float32" for weight in model.weights if "seed" not in weight.path)
    # Every logged number is finite, or the run would have ended with an error; and it learns.
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    figure, _, bound = ROWS[name].learns
    (reached,) = (row[figure] for row in rows if figure in row)
    assert reached < bound
