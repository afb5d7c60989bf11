"""Greedy generation against transformers', whose checkpoints are loaded."""

import importlib.util
import json

import pytest

import zoo
from tests.parity.generation_originals import MAX_LENGTH, NAMES, PROMPTS, START
from tests.parity.processes import run_originals
from tests.parity.transformer_originals import CASES

if any(importlib.util.find_spec(each) is None for each in ("torch", "timm", "transformers")):
    pytestmark = pytest.mark.skip(reason="the originals are not installed: extra oracles")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folder of what the originals saved and wrote."""
    folder = tmp_path_factory.mktemp("originals")
    run_originals("generation_originals", folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_greedy_tokens(name, originals):
    """Of a batch of prompts of several lengths, and of each alone."""
    model = zoo.build(CASES[name].model, **CASES[name].arguments)
    zoo.load_weights(model, originals / name)
    stop, expected = json.loads((originals / f"{name}.json").read_text()).values()
    # Texts that say something: of several tokens, and stopped ones, but not all.
    assert len({token for tokens in expected for token in tokens}) >= 5
    assert max(map(len, expected)) == MAX_LENGTH
    assert min(map(len, expected)) < MAX_LENGTH
    start = START if CASES[name].of_pairs else None

    def written(prompts):
        tokens, lengths, *_ = zoo.generate(model, prompts, MAX_LENGTH, stop=stop, start=start)
        rows = zip(tokens.tolist(), lengths, strict=True)
        return [
            row[:length] + ([stop] if length < MAX_LENGTH else [])
            for row, length in rows
        ]  # fmt: skip

    assert written(PROMPTS) == expected
    assert [tokens for prompt in PROMPTS for tokens in written([prompt])] == expected
