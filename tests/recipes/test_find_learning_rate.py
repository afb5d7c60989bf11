"""Sweeps of the learning rate: of networks whose steps are known, and of every recipe."""

import importlib
import signal
import tempfile
from dataclasses import dataclass
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers

from recipes import __main__ as command_line
from recipes.training.errors import InputError
from recipes.training.gradient_step import gradient_step, gradient_steps
from recipes.training.learning_rate_finder import suggest
from recipes.training.learning_rate_sweep import ExponentialSweep, sweep
from recipes.training.options import Options, parse
from tests.page import Page
from tests.recipes.test_every_recipe import ROWS
from tests.recipes.test_every_study import ROWS as STUDIES

BACKEND = keras.backend.backend()
SCHEDULE = ExponentialSweep(1e-2, 1, 12)
RATES = np.geomspace(1e-2, 1, 12)


@dataclass(frozen=True)
class Config:
    epochs: int = 2
    batch_size: int = 4
    learning_rate: float = 0.5
    head_learning_rate: float = 0.25
    seed: int = 0


def data(inputs, targets):
    parts = ((inputs, targets),) * 3
    return SimpleNamespace(NAME="toy", EMBEDDED="toy", embedded=lambda: parts)


ONES = data(np.ones((16, 1), "float32"), np.zeros((16, 1), "float32"))


def line():
    return keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])


def height(model):
    """A loss whose gradient by the one weight is 1 where the input is: each step is a rate."""
    return lambda inputs, targets: ops.mean(model(inputs, training=True))


def weight(model):
    return ops.convert_to_numpy(model.weights[0]).item()


def swept(main, tmp_path, monkeypatch, schedule=SCHEDULE, option=None, **config):
    """``sweep`` of a recipe that is ``main``; it must leave nothing behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    options = Options(data="embedded", runs=tmp_path / "runs")
    try:
        return sweep(main, "toy", Config(**config), options, schedule, option)
    finally:
        assert not (tmp_path / "runs").exists()
        assert not list((tmp_path / "temporary").iterdir())
        assert keras.config.dtype_policy().name == "float32"


def warm_up(rate):
    return optimizers.schedules.CosineDecay(0.0, 50, warmup_target=rate, warmup_steps=20)


OPTIMIZERS = {
    "constant": lambda rate: optimizers.SGD(rate),
    "schedule": lambda rate: optimizers.SGD(optimizers.schedules.ExponentialDecay(rate, 5, 0.5)),
    "warm-up": lambda rate: optimizers.SGD(warm_up(rate)),
    "scaled loss": lambda rate: optimizers.LossScaleOptimizer(optimizers.SGD(warm_up(rate))),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_rates_that_move_the_weights_are_the_exponential_sequence(kind, tmp_path, monkeypatch):
    weights = []

    def main(config, run):
        train, *_ = run.load(ONES)
        model = line()
        run.initialize(model)
        step = gradient_step(height(model), model, OPTIMIZERS[kind](config.learning_rate))
        weights.append(weight(model))
        for _ in run.epochs(step):
            for batch in run.batches(train):
                run.log(loss=step(*batch))
                weights.append(weight(model))
            pytest.fail("nothing is validated in between")

    option, rates, losses = swept(main, tmp_path, monkeypatch)
    assert option == "--learning-rate"
    assert rates == pytest.approx(RATES, rel=1e-12)
    assert -np.diff(weights) == pytest.approx(RATES, rel=1e-4)
    assert losses == pytest.approx(weights[:-1], rel=1e-6)


def test_a_step_with_another_rate_keeps_it_and_its_epochs_do_not_count(tmp_path, monkeypatch):
    """As where an output layer is trained before the whole network."""
    weights, kept, validated = [], [], []

    def main(config, run):
        train, *_ = run.load(ONES)
        head, whole = line(), line()
        run.initialize(head, whole)
        first = gradient_step(height(head), head, optimizers.SGD(config.head_learning_rate))
        second = gradient_step(height(whole), whole, optimizers.SGD(config.learning_rate))
        for epoch in run.epochs(first, second):
            for batch in run.batches(train):
                run.log(loss=(first if epoch == 1 else second)(*batch))
                (kept if epoch == 1 else weights).append(weight(head if epoch == 1 else whole))
            validated.append(epoch)

    option, _, losses = swept(main, tmp_path, monkeypatch)
    assert (option, validated) == ("--learning-rate", [1])
    assert np.diff(kept) == pytest.approx([-0.25] * 3)
    assert -np.diff(weights) == pytest.approx(RATES[1:], rel=1e-4)
    assert len(losses) == 12
    (tmp_path / "temporary").rmdir()
    option, _, losses = swept(main, tmp_path, monkeypatch, option="--head-learning-rate")
    assert (option, len(losses), losses[0]) == ("--head-learning-rate", 12, losses.max())


def test_several_steps_are_swept_together_and_their_losses_add_up(tmp_path, monkeypatch):
    """The only rate is not --learning-rate, as where that is of another start."""
    weights = []

    def main(config, run):
        train, *_ = run.load(ONES)
        models = [line(), line()]
        run.initialize(*models)
        steps = [
            gradient_step(height(model), model, optimizers.SGD(config.head_learning_rate))
            for model in models
        ]
        for _ in run.epochs(*steps):
            for batch in run.batches(train):
                weights.append([weight(model) for model in models])
                run.log(a_loss=steps[0](*batch), accuracy=7.0)
                run.log(b_loss=steps[1](*batch))

    option, _, losses = swept(main, tmp_path, monkeypatch)
    assert option == "--head-learning-rate"
    assert -np.diff(weights, axis=0) == pytest.approx(np.stack([RATES[:-1]] * 2, 1), rel=1e-4)
    assert losses == pytest.approx(np.sum(weights, axis=1), rel=1e-5)


def test_stacked_steps_have_a_loss_each(tmp_path, monkeypatch):
    def main(config, run):
        train, *_ = run.load(ONES)
        model = line()
        run.initialize(model)
        steps = gradient_steps(height(model), model, optimizers.SGD(config.learning_rate))
        for _ in run.epochs(steps):
            for batches in run.batches(train, stack=3):
                run.log(loss=steps(*batches))

    _, rates, losses = swept(main, tmp_path, monkeypatch)
    assert rates == pytest.approx(RATES)
    assert -np.diff(losses) == pytest.approx(RATES[:-1], rel=1e-4)


LARGEST = 4.0  # curvature: a learning rate of 2 / 4 is the edge


def quadratic(config, run):
    curvatures = np.array([LARGEST, 2.0, 0.5])
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 3)))[0]
    inputs = (4 * basis * np.sqrt(curvatures)).astype("float32")  # inputs' inputs / 16 is diagonal
    train, *_ = run.load(data(inputs, inputs.sum(axis=1, keepdims=True)))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False)])
    run.initialize(model)

    def compute_loss(inputs, targets):
        return ops.mean((model(inputs, training=True) - targets) ** 2) / 2

    step = gradient_step(compute_loss, model, optimizers.SGD(config.learning_rate))
    for _ in run.epochs(step):
        for batch in run.batches(train):
            run.log(loss=step(*batch))


def test_a_sweep_of_a_quadratic_ends_as_it_blows_up_and_suggests_a_stable_rate(
    tmp_path, monkeypatch
):
    schedule = ExponentialSweep(1e-4, 100, 60)
    _, rates, losses = swept(quadratic, tmp_path, monkeypatch, schedule, batch_size=16)
    assert 2 / LARGEST < rates[-1] < 20 * 2 / LARGEST
    assert losses[-1] > 4 * losses[0] > losses[:-1].max()
    assert 2 / LARGEST / 20 < suggest(rates, losses) < 2 / LARGEST


def test_a_loss_that_is_no_number_ends_the_sweep(tmp_path, monkeypatch):
    def main(config, run):
        train, *_ = run.load(ONES)
        model = line()
        run.initialize(model)
        step = gradient_step(height(model), model, optimizers.SGD(config.learning_rate))
        for _ in run.epochs(step):
            for position, batch in enumerate(run.batches(train)):
                step(*batch)
                run.log(loss=[3.0, 2.0, float("inf")][position])

    _, rates, losses = swept(main, tmp_path, monkeypatch)
    assert losses.tolist() == [3, 2]
    assert rates == pytest.approx(RATES[:2])


def no_learning_rate(config, run):
    model = line()
    run.initialize(model)
    next(run.epochs(gradient_step(height(model), model, optimizers.SGD(1.0))))


def no_loss(config, run):
    train, *_ = run.load(ONES)
    model = line()
    run.initialize(model)
    step = gradient_step(height(model), model, optimizers.SGD(config.learning_rate))
    for _ in run.epochs(step):
        for batch in run.batches(train):
            run.log(energy=step(*batch))


@pytest.mark.parametrize(
    ("main", "option", "expected"),
    [
        (no_learning_rate, None, "--learning-rate or --head-learning-rate"),
        (no_learning_rate, "--learning-rate", "no step whose rate is --learning-rate: choose"),
        (no_learning_rate, "--seed", "no learning rate --seed: choose --learning-rate, --head-"),
        (no_loss, None, "a step of toy logs energy, and no loss"),
    ],
)
def test_what_cannot_be_swept_is_one_line(main, option, expected, tmp_path, monkeypatch):
    with pytest.raises(InputError) as error:
        swept(main, tmp_path, monkeypatch, option=option)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_ctrl_c_leaves_nothing_to_go_on_with(tmp_path, monkeypatch, capsys):
    with pytest.raises(KeyboardInterrupt):
        swept(lambda *_: signal.raise_signal(signal.SIGINT), tmp_path, monkeypatch)
    assert capsys.readouterr().err == ""


# Two find their rates themselves, and one moves weights by hand.
WITHOUT = {
    "study_input_scaling": "study_input_scaling has no option for a learning rate: name another",
    "study_optimizers": "study_optimizers has no option for a learning rate: name another recipe",
    "study_backpropagation": "study_backpropagation makes no step whose rate is --learning-rate",
}
EVERY = {name: row.short for name, row in {**ROWS, **STUDIES}.items() if name not in WITHOUT}
SOME = sorted(EVERY) if BACKEND == "torch" else ["cnn_mnist", "gan_mixture"]


@pytest.mark.parametrize("name", SOME)
def test_every_recipe_is_swept(name, tmp_path, monkeypatch):
    recipe = importlib.import_module(f"recipes.{name}")
    words = ["--data", "embedded", "--runs", str(tmp_path / "runs"), *EVERY[name].split()]
    config, options = parse(name, recipe.Config, words)
    schedule = ExponentialSweep(1e-5, 1e-3, 4)
    option, rates, losses = sweep(recipe.main, name, config, options, schedule)
    assert option == ("--scratch-learning-rate" if name == "bert_intents" else "--learning-rate")
    assert rates == pytest.approx(np.geomspace(1e-5, 1e-3, 4))
    assert np.isfinite(losses).all()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", WITHOUT)
def test_a_recipe_without_a_learning_rate_is_told(name, tmp_path):
    recipe = importlib.import_module(f"recipes.{name}")
    words = ["--data", "embedded", "--runs", str(tmp_path / "runs"), "--epochs", "1"]
    config, options = parse(name, recipe.Config, words)
    with pytest.raises(InputError, match=WITHOUT[name]):
        sweep(recipe.main, name, config, options, ExponentialSweep(1e-5, 1e-3, 4))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs ``find-lr``; gives (exit code, lines on stdout, lines on stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)

    def call(*words):
        code = command_line.main(["find-lr", *words])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err.splitlines()

    return call


def test_the_command_suggests_an_option_and_writes_a_page(command, tmp_path):
    words = ["--data", "embedded", "--batch-size", "400"]
    code, lines, _ = command("--lowest", "1e-4", "--steps", "30", "gan_mixture", *words)
    assert code == 0
    suggested, page = lines[-2:]
    option, rate = suggested.split()[:2]
    assert option == "--learning-rate"
    assert 1e-5 <= float(rate) <= 1
    (path,) = tmp_path.iterdir()
    assert page == f"sweep: {path.name}"
    assert path.name.startswith("learning-rate-gan_mixture-")
    page = Page(path.read_text("utf-8"))
    assert page.texts("dd") == [rate]
    (command_,) = page.texts("pre")
    again = f"python -m recipes run gan_mixture {' '.join(words)} --learning-rate {rate}"
    assert command_ == again
    assert sum(1 for _ in page.root.iter("img")) == 1


def test_the_rate_that_is_looked_for_is_not_given(command, tmp_path):
    words = ["--data", "embedded", "--batch-size", "400", "--learning-rate=0.1"]
    code, _, errors = command("--steps", "2", "gan_mixture", *words)
    assert (code, errors) == (2, ["error: --learning-rate is what is looked for: leave it out"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "name a recipe: "),
        (["cnn_minst"], "there is no recipe 'cnn_minst': did you mean cnn_mnist or"),
        (["cnn_mnist", "--epochs", "0"], 'Invalid value "0" for --epochs. Must be > 0.'),
        (["cnn_mnist", "--backend", "theano"], "there is no backend 'theano'"),
        (["cnn_mnist", "--steps", "20"], "Unknown option: --steps"),
        (["--option", "--rate", "cnn_mnist"], "expected one argument"),
        (["--option=--rate", "cnn_mnist"], "cnn_mnist has no learning rate --rate: choose --learn"),
        (["--steps", "1", "cnn_mnist"], "--steps 1 are too few for a sweep: give 2 or more"),
        (["--steps", "x", "cnn_mnist"], "--steps: invalid int value: 'x'"),
        (["--lowest", "0", "cnn_mnist"], "--lowest 0 and --highest 10 are no range"),
        (["--highest", "nan", "cnn_mnist"], "--lowest 1e-06 and --highest nan are no range"),
        (["--lowest", "2", "--highest", "1", "cnn_mnist"], "the lower one first"),
        (
            ["cnn_mnist", "--data", "embedded", "--batch-size", "3601"],
            "--batch-size 3601 is larger than the training part of 3600 examples",
        ),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(command, words, expected, tmp_path):
    code, _, errors = command(*words)
    assert code == 2
    (line,) = errors
    assert line.startswith("error: ")
    assert expected in line
    assert not list(tmp_path.iterdir())
