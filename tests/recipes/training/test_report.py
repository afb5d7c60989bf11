"""The report is one file that shows what the run folder holds."""

import base64
import re
from html.parser import HTMLParser

import pytest

from recipes.training import report

PNG = b"\x89PNG not really"
DESCRIPTION = {
    "recipe": "toy",
    "started": "2026-01-01T00:00:00+00:00",
    "command": "python -m recipes run toy --name '<b>&'",
    "options": {"backend": "jax", "epochs": 2},
    "device": "a <processor>",
    "threads": 2,
    "versions": {"keras": "3.15.1"},
    "git_commit": None,
    "data": {"source": "embedded", "description": "ten numbers"},
}
ROWS = [
    {"epoch": 1, "step": 1, "loss": 2.0},
    {"epoch": 1, "step": 1, "training_loss": 2.0, "validation_accuracy": 0.875},
    {"epoch": 2, "step": 2, "loss": 1.0},
    {"epoch": 2, "step": 2, "training_loss": 1.0, "validation_accuracy": 0.9375},
    {"epoch": 2, "step": 2, "test_accuracy": 0.9921, "test_loss": 0.01234567},
]


@pytest.fixture
def html(tmp_path):
    (tmp_path / "curves.png").write_bytes(PNG)
    path = tmp_path / "report.html"
    report.write(path, tmp_path, DESCRIPTION, ROWS, [("curves.png", "Loss & accuracy.")])
    return path.read_text("utf-8")


class Text(HTMLParser):
    """The text of each table row, and every address that the page refers to."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.addresses = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        if self.rows and data.strip():
            self.rows[-1].append(data.strip())


def test_needs_nothing_but_itself(html):
    (address,) = Text(html).addresses
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == PNG
    assert not re.search(r"https?://|@import|url\(|<script|<link", html)


def test_shows_the_test_figures_and_the_row_of_each_epoch(html):
    assert re.search(r"test accuracy\s*<b>99.21%</b>", html)
    assert re.search(r"test loss\s*<b>0.01235</b>", html)
    rows = Text(html).rows
    assert rows[0] == ["epoch", "step", "training loss", "validation accuracy"]
    assert rows[1] == ["1", "1", "2", "87.50%"]
    assert rows[2][:4] == ["2", "2", "1", "93.75%"]


def test_shows_command_options_versions_data_and_machine(html):
    rows = Text(html).rows
    assert ["epochs", "2"] in rows
    assert ["keras", "3.15.1"] in rows
    assert ["threads", "2"] in rows
    assert ["git commit", "not a checkout"] in [row[:2] for row in rows]
    assert "ten numbers" in html


def test_escapes_what_it_shows(html):
    assert "&lt;b&gt;" in html
    assert "<b>&" not in html
    assert "a &lt;processor&gt;" in html
    assert "Loss &amp; accuracy." in html
