"""The check that ``make docs`` ends with."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def check(tmp_path):
    """Checks a page with this body, beside folder/other.html; returns (exit code, stdout)."""
    (tmp_path / "folder").mkdir()
    other = '<h1 id="top">Other</h1><a href="../page.html">back</a>'
    (tmp_path / "folder" / "other.html").write_text(other)

    def run(body):
        (tmp_path / "page.html").write_text(f'<p id="a b">{body}</p>')
        finished = subprocess.run(
            [sys.executable, CHECKOUT / "docs" / "reference" / "check_links.py", tmp_path],
            capture_output=True,
            text=True,
            check=False,
        )
        return finished.returncode, finished.stdout

    return run


@pytest.mark.parametrize(
    "link",
    [
        "folder/other.html",
        "folder/other.html#top",
        "./folder/../page.html#a%20b",
        "#a b",
        "https://example.org/nothing.html#here",
        "//example.org/nothing.html",
        "mailto:somebody@example.org",
    ],
)
def test_links_that_lead_somewhere(check, link):
    assert check(f'<a href="{link}">link</a>') == (0, "2 pages, 2 links, 0 broken\n")


@pytest.mark.parametrize(
    "element",
    [
        '<a href="other.html">no such page</a>',
        '<a href="folder">no page</a>',
        '<a href="folder/other.html#bottom">no such anchor</a>',
        '<a href="#bottom">no such anchor here</a>',
        '<img src="picture.png">',
        '<link rel="stylesheet" href="style.css">',
    ],
)
def test_links_that_lead_nowhere(check, element):
    code, printed = check(element)
    assert code == 1
    assert "page.html: " in printed
    assert printed.endswith("leads nowhere\n2 pages, 2 links, 1 broken\n")


def test_a_folder_without_pages_is_no_success(tmp_path):
    check = [sys.executable, CHECKOUT / "docs" / "reference" / "check_links.py", tmp_path]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1
