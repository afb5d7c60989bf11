import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import KnownTokens

KNOWN = np.array([[0, 3], [5, 1]])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_known_tokens_are_handed_on(dtype, training):
    tokens = ops.convert_to_tensor(KNOWN.astype(dtype))
    outputs = KnownTokens(6)(tokens, training=training)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), KNOWN)
    inputs = keras.Input((None,), dtype="int32")
    outputs = KnownTokens(6)(inputs)
    assert (outputs.shape, outputs.dtype) == ((None, None), "int32")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("token", [6, 1000, -1, -6])
def test_others_are_refused(token, training):
    message = rf"known_words must be integers of 0 to 5, got {token}: give those of the vocabulary"
    with pytest.raises(ValueError, match=message):
        KnownTokens(6, name="known_words")(np.array([[0, 3], [token, 7]]), training=training)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of PyTorch, which knows the place")
def test_in_training_a_gpu_is_not_waited_for(monkeypatch):
    import torch

    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    tokens = np.array([[0, 3], [-1, 7]])
    outputs = KnownTokens(6)(tokens, training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[0, 3], [6, 7]])
    with pytest.raises(ValueError, match="got -1"):
        KnownTokens(6)(tokens)


@pytest.mark.parametrize("token", [6, -1, -6])
def test_compiled_code_takes_no_token_for_another(token):
    """So ``predict`` is compiled on TensorFlow and JAX, which cannot raise our error there."""
    table = layers.Embedding(6, 2)
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, table(KnownTokens(6)(inputs)))
    np.testing.assert_array_equal(
        model.predict(KNOWN, verbose=0), ops.convert_to_numpy(table.embeddings)[KNOWN]
    )
    tokens = np.array([[0, token]])
    if keras.backend.backend() == "jax":
        known, unknown = model.predict(tokens, verbose=0)[0]
        assert np.isfinite(known).all() and np.isnan(unknown).all()
    else:
        said = {"tensorflow": r"indices\[0,1\] = 6 is not in \[0, 6\)", "torch": f"got {token}"}
        with pytest.raises(Exception, match=said[keras.backend.backend()]):
            model.predict(tokens, verbose=0)


@pytest.mark.parametrize("method", ["predict", "evaluate", "fit"])
def test_a_model_that_runs_eagerly_tells_it(method):
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, layers.Embedding(6, 2)(KnownTokens(6, name="known_words")(inputs)))
    model.compile("sgd", "mse", run_eagerly=True)
    data = [KNOWN] if method == "predict" else [KNOWN, np.zeros((2, 2, 2))]
    getattr(model, method)(*data, verbose=0)
    data[0] = np.array([[0, 3], [6, 1]])
    with pytest.raises(ValueError, match="known_words must be integers of 0 to 5, got 6"):
        getattr(model, method)(*data, verbose=0)


@pytest.mark.parametrize("size", [0, -2, 1.5, "6", None])
def test_sizes_of_a_vocabulary(size):
    with pytest.raises(ValueError, match="vocabulary_size must be a positive integer, got"):
        KnownTokens(size)


def test_an_integer_of_numpy_is_a_size_and_is_saved_as_one():
    config = KnownTokens(np.int64(6)).get_config()
    assert config["vocabulary_size"] == 6 and type(config["vocabulary_size"]) is int
