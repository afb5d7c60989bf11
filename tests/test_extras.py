"""Every choice of backend and accelerator can be installed, on each Python that CI tests.

pip resolves what ``make test`` would install, and installs nothing.
"""

import json
import platform
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import keras
import pytest

CHECKOUT = Path(__file__).parents[1]
BACKEND = keras.backend.backend()
PYTHONS = ("3.11", "3.12", "3.13")
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
CONSTRAINTS = f"--constraint={CHECKOUT / 'constraints.txt'}"

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="pip reads the markers of requirements for the machine that it runs on",
)


def normal(name):
    return name.lower().replace("_", "-")


PINNED = {
    normal(name): version
    for line in (CHECKOUT / "constraints.txt").read_text("utf-8").splitlines()
    for name, equals, version in [line.partition("==")]
    if equals
}


def requirements(accelerator):
    """Of this backend. On the CPU of all its builds, and of whatever the tests need."""
    extras = [
        extra
        for extra in EXTRAS
        if extra.startswith(BACKEND) and extra.endswith("-cuda") == (accelerator == "cuda")
    ]
    assert extras
    chosen = {requirement for extra in extras for requirement in EXTRAS[extra]}
    if accelerator == "cpu":  # a GPU build shares pinned packages with these, and no others
        chosen.update(PROJECT["dependencies"], EXTRAS["dev"], EXTRAS["hub"])
        if BACKEND == "torch":  # which they bring along
            chosen.update(EXTRAS["oracles"])
    return tuple(sorted(chosen))


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    """resolved(accelerator, python) is {package: version}."""
    version = tuple(map(int, metadata.version("pip").split(".")[:2]))
    assert version >= (23, 3), "an older pip downloads the wheels, gigabytes of them"
    probe = [*PIP, "index", "versions", "--no-cache-dir", "--retries=1", "--timeout=10", BACKEND]
    if "connection broken" in subprocess.run(probe, capture_output=True, text=True).stderr:
        pytest.skip("no package index can be reached")

    # TFDS needs promise, which comes as source only; for another Python, pip takes only wheels.
    folder = tmp_path_factory.mktemp("extras")
    promise = [*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, CONSTRAINTS, "promise"]
    subprocess.run(promise, check=True)

    running = {}
    for python in PYTHONS:  # all at once: each waits for the network half of the time
        for words in (requirements("cpu"), requirements("cuda")):
            output = folder / str(len(running))
            command = [*PIP, "install", "--dry-run", "--ignore-installed", "--only-binary=:all:"]
            command += [f"--target={output}", f"--report={output}.json", f"--find-links={folder}"]
            command += [f"--python-version={python}", "--platform=manylinux2014_x86_64"]
            command += [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(5, 29)]
            command += ["--use-feature=fast-deps"]  # an index may not serve the metadata alone
            with open(f"{output}.log", "w", encoding="utf-8") as log:
                process = subprocess.Popen([*command, CONSTRAINTS, *words], stdout=log, stderr=log)
            running[python, words] = process, output

    def wait(accelerator, python):
        process, output = running[python, requirements(accelerator)]
        assert process.wait() == 0, Path(f"{output}.log").read_text("utf-8")
        report = json.loads(Path(f"{output}.json").read_text("utf-8"))
        packages = [package["metadata"] for package in report["install"]]
        # 2.13.0+cpu is a build of 2.13.0.
        return {normal(each["name"]): each["version"].partition("+")[0] for each in packages}

    return wait


def for_gpus(versions):
    return {name for name in versions if name.startswith(("nvidia-", "cuda-", "jax-cuda"))}


@pytest.mark.parametrize("python", PYTHONS)
def test_cpu(resolved, python):
    versions = resolved("cpu", python)
    builds = {"tensorflow": ["tensorflow", "tensorflow-cpu"], "jax": ["jax", "jaxlib"]}
    for package in builds.get(BACKEND, [BACKEND]):
        assert versions[package] == PINNED[package]
    if BACKEND != "torch":  # whose default build for Linux is the one for GPUs
        assert not for_gpus(versions)
    # What the tests run with is pinned, but for what pip freeze leaves out.
    unpinned = versions.keys() - PINNED.keys() - for_gpus(versions)
    assert unpinned <= {"setuptools", "wheel", "triton"}


@pytest.mark.parametrize("python", PYTHONS)
def test_cuda(resolved, python):
    versions = resolved("cuda", python)
    assert versions[BACKEND] == PINNED[BACKEND]
    if BACKEND == "jax":
        assert versions["jax-cuda12-plugin"] == versions["jaxlib"] == PINNED["jaxlib"]
    if BACKEND == "tensorflow":
        assert "nvidia-cudnn-cu12" in versions
