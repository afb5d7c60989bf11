"""For all tests: Ctrl-C, umask, what JAX compiles, which are first, which need one backend only."""

import os
import signal
import tempfile
from pathlib import Path

# Ctrl-C reaches the tests, which raise it, also where a script runs them in the background. A shell
# starts such a job with SIGINT ignored, and what a process ignores, its children do too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Whatever the umask was: what root writes, nobody reads, whom root becomes in full_disk.py.
os.umask(0o022)

TESTS = Path(__file__).parent
# The files that take longest. A process works on one file at a time: begun last, such a file would
# leave the other processes without work.
FIRST = [
    TESTS / "zoo/test_every_model.py",
    TESTS / "recipes/test_kill_and_resume.py",
    TESTS / "recipes/test_every_recipe.py",
    TESTS / "recipes/test_every_study.py",
    TESTS / "benchmarks/test_every_benchmark.py",
    TESTS / "parity/test_convolutional.py",
]
# What says the same on every backend: marked any_backend, and tested on the last that `make test`
# has. So are some tests of other files. A recipe's own tests are of what it does beside its
# training, which test_every_recipe.py and test_every_study.py try on every backend.
ON_EVERY_BACKEND = [
    TESTS / f"recipes/test_{name}.py"
    for name in (
        "every_recipe", "every_study", "kill_and_resume", "study_backpropagation", "study_losses",
    )
]  # fmt: skip
ANY_BACKEND = [
    *(TESTS / "docs").iterdir(),
    *(TESTS / "benchmarks").iterdir(),
    *(TESTS / "recipes/data").iterdir(),
    *(path for path in (TESTS / "recipes").glob("test_*.py") if path not in ON_EVERY_BACKEND),
    *(
        TESTS / f"recipes/training/test_{name}.py"
        for name in (
            "checkpoint", "curves", "describe", "early_stopping", "event_files", "folder",
            "interrupts", "plots", "predict", "progress", "report", "resume", "saved_run",
        )
    ),
    *(TESTS / f"test_{name}.py" for name in ("extras", "makefile", "structure", "tables")),
    # What a network does beside its values and gradients, which tests/parity has on every backend.
    *(
        path
        for family in ("attention", "convolutional", "feedforward", "recurrent")
        for path in (TESTS / "zoo" / family).iterdir()
    ),
    TESTS / "zoo/test_catalog.py",
    *(
        TESTS / f"zoo/weights/test_{name}.py"
        for name in ("files", "folders_of_transformers", "load_weights", "save_weights")
    ),
]  # fmt: skip


def pytest_configure(config):
    """Settings for all processes of this run of the tests.

    PyTorch takes one thread: on small tensors its threads cost more than they give, and each core
    has a process already. JAX keeps what it compiles, as many processes compile the same: models
    are built again and again, and a run that was killed goes on in another process.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")  # as recipes/__main__.py does, and why
    if hasattr(config, "workerinput") or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.TemporaryDirectory(prefix="jax-compiled-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path) if item.path in FIRST else len(FIRST))
    for item in items:
        if item.path in ANY_BACKEND:
            item.add_marker("any_backend")
