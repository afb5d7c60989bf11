"""What the README says is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import custom_layers

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text("utf-8")


def test_the_two_commands_open_it():
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)[1].splitlines()
    assert first[0].startswith("make recipe NAME=cnn_mnist ")
    assert first[1].startswith("make test ")


def test_the_example_runs(tmp_path):
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    script = tmp_path / "example.py"
    script.write_text(example + "\nassert len(model.get_weights()) > 10\n")
    ran = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_layer_table_is_the_package():
    rows = README.partition("| layer |")[2].partition("\n\n")[0].splitlines()[2:]
    names = [re.match(r"\| \[`(\w+)`\]", row)[1] for row in rows]
    assert sorted(names) == sorted(custom_layers.__all__)


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)|(?:src|srcset)=\"([^\"]+)\"", README)
    assert len(links) >= 10
    for link in map("".join, links):
        assert (CHECKOUT / link).exists(), link
