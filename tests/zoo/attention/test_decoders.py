"""What all decoders have in common: no token sees one behind it, and places are told apart."""

import numpy as np
import pytest
from keras import ops

from tests.zoo.attention import test_gpt2, test_llama, test_mixtral, test_qwen3

TOKENS = np.array([[3, 1, 4, 1, 5], [5, 8, 0, 0, 9]], "int32")
SWAPPED = TOKENS[:, [1, 0, 2, 3, 4]]
TINY = {
    "gpt2": test_gpt2.tiny,
    "llama3_8b": test_llama.tiny,
    "llama3_2_1b": lambda **arguments: test_llama.tiny("llama3_2_1b", **arguments),
    "mixtral_8x7b": test_mixtral.tiny,
    "qwen3_8b": test_qwen3.tiny,
    "qwen3_0_6b": lambda **arguments: test_qwen3.tiny("qwen3_0_6b", **arguments),
}
every_decoder = pytest.mark.parametrize("name", TINY)


@every_decoder
def test_a_later_token_changes_no_earlier_logit(name):
    """To the bit."""
    model = TINY[name]()
    first = ops.convert_to_numpy(model(TOKENS))
    for place in range(5):
        tokens = TOKENS.copy()
        tokens[:, place] = 7
        second = ops.convert_to_numpy(model(tokens))
        np.testing.assert_array_equal(second[:, :place], first[:, :place])
        assert (np.abs(second - first)[:, place:].max(axis=-1) > 1e-3).all()


@every_decoder
def test_the_beginning_alone_gives_the_same(name):
    model = TINY[name]()
    whole = ops.convert_to_numpy(model(TOKENS))
    for length in (1, 3):
        found = ops.convert_to_numpy(model(TOKENS[:, :length]))
        np.testing.assert_allclose(found, whole[:, :length], atol=1e-5 * np.abs(whole).max())


@every_decoder
def test_places_are_told_apart(name):
    """The last token sees the same tokens in another order."""
    model = TINY[name](depth=1)
    first, second = (ops.convert_to_numpy(model(each))[:, -1] for each in (TOKENS, SWAPPED))
    assert (np.abs(second - first).max(axis=-1) > 1e-3).all()
