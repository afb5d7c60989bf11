"""No test of a recipe downloads, whatever machine it runs on; and the command line for them."""

import keras
import pytest

from recipes import __main__ as command_line


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """What this process and its children ask of the web goes to a proxy that is not there."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def recipes(monkeypatch, capsys):
    """Calls the command line on the backend of the tests; returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        code = command_line.main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
