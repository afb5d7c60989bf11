import importlib
import importlib.metadata
import os

import keras

from recipes.training import backend

BACKEND = keras.backend.backend()


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
