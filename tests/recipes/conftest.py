"""No test of a recipe downloads, whatever machine it runs on."""

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """What this process and its children ask of the web goes to a proxy that is not there."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
