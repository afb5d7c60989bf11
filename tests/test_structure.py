"""The shape of the project: which files may import what, and what is shipped."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGES = ("custom_layers", "zoo", "recipes")
FILES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for package in PACKAGES
    for path in (CHECKOUT / package).rglob("*.py")
)
BACKEND_FILES = {
    "recipes/training/backend.py",
    "recipes/training/gradient_step.py",
    "recipes/training/torch_graph.py",
    "zoo/compiled.py",
    "zoo/weights/files.py",  # reads PyTorch's files
}
BACKEND_MODULES = {"tensorflow", "jax", "jaxlib", "torch"}


def imports(file):
    """Dotted names of all modules that a file imports, at its top or within functions."""
    for node in ast.walk(ast.parse((CHECKOUT / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(file):
    return {name.partition(".")[0] for name in imports(file)}


def test_there_are_files():
    assert len(FILES) > 15


@pytest.mark.parametrize("file", FILES)
def test_backends_are_imported_in_their_files_only(file):
    if file not in BACKEND_FILES:
        assert not packages(file) & BACKEND_MODULES
    source = (CHECKOUT / file).read_text("utf-8")
    assert "keras.src" not in source, "Keras's internals are no contract"


@pytest.mark.parametrize("file", FILES)
def test_arrows_go_one_way(file):
    forbidden = {
        "custom_layers": {"zoo", "recipes", "tests", "benchmarks"},
        "zoo": {"recipes", "tests", "benchmarks"},
        "recipes": {"tests", "benchmarks"},
    }[file.partition("/")[0]]
    assert not packages(file) & forbidden


@pytest.mark.parametrize("file", [file for file in FILES if file.count("/") == 2])
def test_families_of_the_zoo_do_not_import_each_other(file):
    package, family, _ = file.split("/")
    if package == "zoo" and family != "weights":  # which knows the names of all
        others = {path.name for path in (CHECKOUT / "zoo").iterdir() if path.is_dir()} - {family}
        assert not {f"zoo.{other}" for other in others} & set(imports(file))


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("recipes/")])
def test_machinery_does_not_import_recipes(file):
    if file.count("/") == 2:
        recipes = {path.stem for path in (CHECKOUT / "recipes").glob("*.py")} - {"__init__"}
        assert not {f"recipes.{name}" for name in recipes} & set(imports(file))


def test_the_wheel_holds_the_packages_and_no_tests(tmp_path):
    """Builds the wheel from a copy, so that the checkout stays as it is, and runs it elsewhere."""
    source = tmp_path / "source"
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for file in files:
        if (CHECKOUT / file).exists():
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            (source / file).write_bytes((CHECKOUT / file).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    assert {name for name in names if name.endswith(".py")} == set(FILES)
    assert "recipes/training/report.html.jinja" in names
    assert "recipes/data/resnet20_mnist.safetensors" in names
    (entry_points,) = (tmp_path / "site").glob("*.dist-info/entry_points.txt")
    assert "recipes = recipes.__main__:main" in entry_points.read_text()

    listed = subprocess.run(
        [sys.executable, "-c", "import recipes.__main__ as r; print(r.__file__); r.main(['list'])"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    assert str(tmp_path / "site") in listed
    assert "cnn_mnist" in listed
