import importlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from recipes.training import backend

BACKEND = keras.backend.backend()
CHECKOUT = Path(__file__).parents[3]


def test_versions_are_those_of_the_modules():
    found = backend.versions()
    assert found["keras"] == keras.__version__
    assert found["numpy"] == importlib.import_module("numpy").__version__
    named = [name for name in found if name.startswith(BACKEND)]
    assert found[named[0]] == importlib.import_module(BACKEND).__version__
    others = {"tensorflow", "jax", "torch"} - {BACKEND}
    assert not [name for name in found if name.startswith(tuple(others))]


def test_thread_count_is_that_of_the_backend():
    if BACKEND == "torch":
        expected = importlib.import_module("torch").get_num_threads()
    else:
        expected = len(os.sched_getaffinity(0))
    assert backend.thread_count() == expected


def test_device_is_named():
    assert backend.device().strip()


def process(script):
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
        env={**os.environ, "KERAS_BACKEND": BACKEND},
    )  # fmt: skip


RUN = """
import sys, tempfile
from recipes.__main__ import main
with tempfile.TemporaryDirectory() as runs:
    code = main(["run", "gan_mixture", "--backend", "{backend}", "--epochs", "1", "--runs", runs,
                 "{option}"])
assert code == 0
"""
# What the framework itself says of the setting, True or False.
SAYS = {
    "tensorflow": "from tensorflow.python.framework import config as c\n"
    "print(c.is_op_determinism_enabled())",
    "jax": "import os\n"
    "print('--xla_gpu_deterministic_ops=true' in os.environ.get('XLA_FLAGS', ''))",
    "torch": "import os, torch; print(torch.are_deterministic_algorithms_enabled()"
    " and os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':4096:8')",
}


@pytest.mark.parametrize(
    ("option", "said"), [("--deterministic", "True"), ("--no-deterministic", "False")]
)
def test_deterministic_operations_are_asked_for(option, said):
    done = process(RUN.format(backend=BACKEND, option=option) + SAYS[BACKEND])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == said


@pytest.mark.skipif(BACKEND != "jax", reason="XLA's flags")
def test_xla_reads_its_flags_after_they_are_set():
    """It ends a process for a flag that it does not know, once it reads them."""
    before = "import os; from recipes.training import run\n"
    before += "run.make_deterministic = lambda: os.environ.update(XLA_FLAGS='--no_such_flag')\n"
    done = process(before + RUN.format(backend=BACKEND, option="--deterministic"))
    assert done.returncode != 0
    assert "no_such_flag" in done.stderr
