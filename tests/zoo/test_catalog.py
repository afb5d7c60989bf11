"""The catalog: names, building by name, and that importing it costs nothing."""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo.convolutional.lenet import lenet5
from zoo.convolutional.mnist_cnn import mnist_cnn

ZOO_FOLDER = Path(zoo.__file__).parent
# zoo/<family>/<architecture>.py; weights/ holds tables of names and no architecture.
ARCHITECTURE_FILES = sorted(
    path
    for path in ZOO_FOLDER.glob("*/**/*.py")
    if path.name != "__init__.py" and path.relative_to(ZOO_FOLDER).parts[0] != "weights"
)


def module_name(path):
    return ".".join(path.relative_to(ZOO_FOLDER.parent).with_suffix("").parts)


def public_builders(path):
    """Public functions of a file that can be called without arguments, by its source alone.

    Blocks and parts take a tensor, families of variants take a depth: neither is a model yet.
    """
    for node in ast.parse(path.read_text("utf-8")).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        parameters = node.args
        required = (
            len(parameters.posonlyargs) + len(parameters.args) - len(parameters.defaults)
        ) + parameters.kw_defaults.count(None)
        if not required:
            yield node.name


def test_list_models_is_sorted_and_filters():
    names = zoo.list_models()
    assert {"lenet5", "mnist_cnn"} <= set(names)
    assert names == sorted(set(names))
    assert zoo.list_models("lenet5") == ["lenet5"]
    assert zoo.list_models("mnist_*") == [name for name in names if name.startswith("mnist_")]
    assert zoo.list_models("l?net[5]") == ["lenet5"]
    assert zoo.list_models("lenet") == []


@pytest.mark.parametrize("builder", [lenet5, mnist_cnn])
def test_build_is_the_imported_builder(builder):
    arguments = {"num_classes": 3, "input_shape": (32, 32, 2)}
    keras.utils.set_random_seed(0)
    built = zoo.build(builder.__name__, **arguments)
    keras.utils.set_random_seed(0)
    imported = builder(**arguments)
    assert type(built) is type(imported)
    assert built.input_shape == imported.input_shape
    assert built.output_shape == imported.output_shape
    assert [type(layer) for layer in built.layers] == [type(layer) for layer in imported.layers]
    for actual, expected in zip(built.get_weights(), imported.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_build_passes_every_argument_on():
    model = zoo.build("mnist_cnn", dropout_rate=0.125)
    assert model.get_layer("dropout1").rate == 0.125
    with pytest.raises(TypeError, match="dropout_rate"):
        zoo.build("lenet5", dropout_rate=0.125)


@pytest.mark.parametrize("name", zoo.list_models())
def test_entry_is_a_function_of_its_name(name):
    builder = getattr(importlib.import_module(zoo._MODULES[name]), name)
    assert inspect.isfunction(builder)
    assert builder.__name__ == name
    assert builder.__module__ == zoo._MODULES[name]


@pytest.mark.parametrize("path", ARCHITECTURE_FILES, ids=module_name)
def test_catalog_names_every_builder(path):
    in_catalog = {name for name, module in zoo._MODULES.items() if module == module_name(path)}
    assert in_catalog, f"no entry of the catalog names {module_name(path)}"
    assert set(public_builders(path)) == in_catalog


def test_every_architecture_file_is_found():
    assert {module_name(path) for path in ARCHITECTURE_FILES} == set(zoo._MODULES.values())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lenet", "did you mean 'lenet5'"),
        ("LeNet5", "did you mean 'lenet5'"),
        ("mnist-cnn", "did you mean 'mnist_cnn'"),
        ("zzz", "see list_models()"),
        ("", "see list_models()"),
        (5, "see list_models()"),
        (["lenet5"], "did you mean 'lenet5'"),
    ],
)
def test_unknown_name(name, hint):
    with pytest.raises(ValueError) as raised:
        zoo.build(name)
    assert repr(name) in str(raised.value)
    assert hint in str(raised.value)
    if "see" in hint:
        assert "did you mean" not in str(raised.value)


IMPORT_ONLY = """
import sys, types
import zoo

zoo.list_models("*")
try:
    zoo.build("lenet")
except ValueError:
    pass
# build() reaches for this module and no other: in its place stands a stub without keras.
stub = types.ModuleType("zoo.convolutional.lenet")
stub.lenet5 = lambda **arguments: arguments
sys.modules["zoo.convolutional.lenet"] = stub
assert zoo.build("lenet5", num_classes=3) == {"num_classes": 3}
print(*sorted(sys.modules))
"""


def test_importing_the_catalog_imports_nothing_heavy():
    process = subprocess.run(
        [sys.executable, "-c", IMPORT_ONLY],
        env={**os.environ, "PYTHONPATH": str(ZOO_FOLDER.parent)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    imported = set(process.stdout.split())
    assert "zoo" in imported
    assert not imported & {"keras", "numpy", "tensorflow", "jax", "torch", "custom_layers"}
    assert "zoo.convolutional.mnist_cnn" not in imported
