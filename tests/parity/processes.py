"""Runs other people's models in a process of their own, whatever backend is tested here."""

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def run_originals(name, *arguments):
    """Runs one of the modules beside this one, without a network."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.parity.{name}", *map(str, arguments)], cwd=CHECKOUT,
        capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
