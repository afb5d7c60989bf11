"""What the README says is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import custom_layers
import zoo
from recipes import __main__ as command_line

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text("utf-8")


def table(heading):
    """{name: the other cells} of the table whose first column has this heading."""
    rows = README.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {re.search(r"`(\w+)`", first)[1]: rest for first, *rest in cells}


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


def test_the_model_table_is_the_catalog():
    models = table("model")
    assert sorted(models) == zoo.list_models()
    for name, (_, parameters) in models.items():
        assert zoo.build(name).count_params() == int(parameters.replace(",", ""))


def test_the_layer_table_is_the_package():
    assert sorted(table("layer")) == sorted(custom_layers.__all__)


def test_the_recipe_table_is_the_folder():
    assert sorted(table("recipe")) == sorted(command_line.recipes())


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 8
    for link in links:
        assert (CHECKOUT / link).is_file(), link
