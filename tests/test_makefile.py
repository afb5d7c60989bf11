"""What make would do, without doing it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture
def make(tmp_path):
    """Calls make in a copy without .venv and returns (exit code, stdout, stderr)."""
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, tmp_path)
    shutil.copytree(CHECKOUT / "recipes", tmp_path / "recipes")
    environment = {
        name: value
        for name, value in os.environ.items()
        # MAKEFLAGS and its like: the tests themselves are started by make.
        if not name.startswith(("MAKE", "MFLAGS", "KERAS", "BACKEND", "ARGS", "NAME", "PYTHON"))
    }

    def call(*words, **changes):
        finished = subprocess.run(
            ["make", *words],
            cwd=tmp_path,
            env={**environment, "KERAS_HOME": str(tmp_path), **changes},
            capture_output=True,
            text=True,
            check=False,
        )
        return finished.returncode, finished.stdout, finished.stderr

    return call


def test_help_names_every_target(make):
    code, printed, _ = make()
    assert code == 0
    for target in ("recipe", "list", "test", "lint", "bench", "help"):
        assert f"make {target}" in printed
    assert "then tensorflow: tensorflow." in printed


def test_list_needs_no_installation(make):
    code, printed, errors = make("list")
    assert (code, errors) == (0, "")
    assert "cnn_mnist" in printed


@pytest.mark.parametrize(
    ("words", "changes", "backend", "extra"),
    [
        ([], {}, "tensorflow", "tensorflow-cpu"),
        ([], {"KERAS_BACKEND": "torch"}, "torch", "torch"),
        (["BACKEND=jax"], {"KERAS_BACKEND": "torch"}, "jax", "jax"),
    ],
)
def test_recipe_installs_and_runs_one_backend(make, words, changes, backend, extra):
    code, printed, _ = make("-n", "recipe", "NAME=cnn_mnist", "ARGS=--epochs 2", *words, **changes)
    assert code == 0
    assert "python3 -m venv .venv" in printed
    assert printed.count("pip install") == 1
    assert f'--constraint constraints.txt --editable ".[{extra}]"' in printed
    run = f"KERAS_BACKEND={backend} .venv/bin/python -m recipes run cnn_mnist --epochs 2"
    assert printed.splitlines()[-1] == run


def test_keras_config_file_decides_the_backend(make, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert "KERAS_BACKEND=jax" in make("-n", "recipe", "NAME=cnn_mnist")[1]


def test_test_runs_every_backend_or_the_one_that_is_named(make):
    def tested(*words):
        return [line for line in make("-n", "test", *words)[1].splitlines() if "pytest" in line]

    assert tested() == [
        f"KERAS_BACKEND={backend} .venv/bin/python -m pytest "
        for backend in ("tensorflow", "jax", "torch")
    ]
    assert tested("BACKEND=jax") == ["KERAS_BACKEND=jax .venv/bin/python -m pytest "]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recipe"], "give a name, as in make recipe NAME=cnn_mnist"),
        (["bench"], "give a name"),
        (["recipe", "NAME=cnn_mnist", "BACKEND=theano"], "there is no backend theano"),
        (["recipe", "NAME=cnn_mnist", "PYTHON=no-such-python"], "cannot run no-such-python"),
    ],
)
def test_mistakes_are_said_before_anything_is_installed(make, tmp_path, words, message):
    code, _, errors = make(*words)
    assert code == 2
    assert message in errors
    assert not (tmp_path / ".venv").exists()
