import keras
import numpy as np
import pytest
from keras import layers, ops

from custom_layers import MultiHeadAttention
from tests.custom_layers.test_scaled_dot_product_attention import closed_form
from tests.recurrent import assert_close, normal, outputs_and_gradients, randomize, weights_of

BATCH, TIME, PLACES, HEADS, WIDTH, MEMORY_WIDTH = 3, 4, 5, 2, 6, 7


def build(memory_width=WIDTH, **arguments):
    layer = MultiHeadAttention(HEADS, **arguments)
    layer.build((None, None, WIDTH), (None, None, memory_width))
    return randomize(layer)


def heads(x):
    return x.reshape(*x.shape[:2], HEADS, -1)


def expected(layer, inputs, memory, of_outputs, seen=True):
    """([output, weights], gradients of inputs and memory, and of the weights in their order)."""
    of = weights_of(layer)
    inputs, memory = inputs.astype("float64"), memory.astype("float64")
    sides = {"query": inputs, "key": memory, "value": memory}
    projected = {
        name: side @ of[f"{name}_kernel"] + of[f"{name}_bias"] for name, side in sides.items()
    }
    of_output, of_weights = of_outputs
    of_context = of_output @ of["output_kernel"].T
    (context, weights), of_projected = closed_form(
        *(heads(each) for each in projected.values()), [heads(of_context), of_weights], seen
    )
    context = context.reshape(*inputs.shape[:2], WIDTH)
    gradients = {"inputs": 0.0, "memory": 0.0}
    for (name, side), gradient in zip(sides.items(), of_projected, strict=True):
        gradient = gradient.reshape(*side.shape[:2], WIDTH)
        where = "inputs" if name == "query" else "memory"
        gradients[where] = gradients[where] + gradient @ of[f"{name}_kernel"].T
        gradients[f"{name}_kernel"] = np.einsum("bte,btd->ed", side, gradient)
        gradients[f"{name}_bias"] = gradient.sum(axis=(0, 1))
    gradients["output_kernel"] = np.einsum("btd,bte->de", context, of_output)
    gradients["output_bias"] = of_output.sum(axis=(0, 1))
    return [context @ of["output_kernel"] + of["output_bias"], weights], gradients


def upstreams(places):
    return [normal(BATCH, TIME, WIDTH), normal(BATCH, HEADS, TIME, places)]


def names(layer):
    return [weight.name for weight in layer.trainable_weights]


@pytest.mark.parametrize("causal", [False, True])
def test_values_and_gradients_of_self_attention(causal):
    layer, inputs = build(causal=causal), normal(BATCH, TIME, WIDTH)
    outputs, gradients = outputs_and_gradients(
        layer, [inputs], upstreams(TIME), call=lambda inputs: layer(inputs, inputs)
    )
    seen = np.tri(TIME, dtype=bool) if causal else True
    values, of = expected(layer, inputs, inputs, upstreams(TIME), seen)
    assert_close(outputs, values, tolerance=4e-6)
    # A bias of the keys moves all scores of a query alike: its gradient is zero.
    key_bias = gradients.pop(1 + names(layer).index("key_bias"))
    assert np.abs(key_bias).max() < 1e-5
    order = [name for name in names(layer) if name != "key_bias"]
    assert_close(
        gradients, [of["inputs"] + of["memory"], *(of[name] for name in order)], tolerance=4e-6
    )


def test_values_and_gradients_of_attention_to_a_memory():
    layer = build(MEMORY_WIDTH)
    given = [normal(BATCH, TIME, WIDTH), normal(BATCH, PLACES, MEMORY_WIDTH)]
    mask = np.ones((BATCH, PLACES), bool)
    mask[1, 3:] = mask[2, 1:] = False
    outputs, gradients = outputs_and_gradients(
        layer, given, upstreams(PLACES),
        call=lambda *inputs: layer(*inputs, memory_mask=ops.convert_to_tensor(mask)),
    )  # fmt: skip
    values, of = expected(layer, *given, upstreams(PLACES), mask[:, None, None])
    assert_close(outputs, values, tolerance=4e-6)
    gradients.pop(2 + names(layer).index("key_bias"))
    order = [name for name in names(layer) if name != "key_bias"]
    assert_close(
        gradients, [of["inputs"], of["memory"], *(of[name] for name in order)], tolerance=4e-6
    )


@pytest.mark.parametrize("causal", [False, True])
def test_equals_keras(causal):
    layer = build(causal=causal)
    theirs = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
    theirs.build((None, TIME, WIDTH), (None, TIME, WIDTH))
    split = {"kernel": (WIDTH, HEADS, -1), "bias": (HEADS, -1)}
    of = weights_of(layer)
    theirs.set_weights(
        [
            of[f"{name}_{kind}"].reshape(shape)
            for name in ("query", "key", "value")
            for kind, shape in split.items()
        ]
        + [of["output_kernel"].reshape(HEADS, -1, WIDTH), of["output_bias"]]
    )
    inputs = normal(BATCH, TIME, WIDTH)
    found = theirs(inputs, inputs, use_causal_mask=causal, return_attention_scores=True)
    found = [ops.convert_to_numpy(each) for each in found]
    assert_close(
        [ops.convert_to_numpy(each) for each in layer(inputs, inputs)], found, tolerance=2e-6
    )


def test_dropout_in_training_alone():
    layer, inputs = build(dropout_rate=0.5, seed=3), normal(BATCH, TIME, WIDTH)
    plain = build()
    calm, dropped, other = (
        ops.convert_to_numpy(each[0])
        for each in (
            layer(inputs, inputs),
            layer(inputs, inputs, training=True),
            layer(inputs, inputs, training=True),
        )
    )
    np.testing.assert_array_equal(calm, ops.convert_to_numpy(plain(inputs, inputs)[0]))
    assert not np.allclose(dropped, calm) and not np.allclose(dropped, other)


def test_masks_are_taken_from_what_carries_them():
    inputs, memory = keras.Input((None, WIDTH)), keras.Input((None, MEMORY_WIDTH))
    layer = MultiHeadAttention(HEADS)
    output, weights = layer(layers.Masking()(inputs), layers.Masking()(memory))
    pooled = layers.GlobalAveragePooling1D()(output)
    model = keras.Model([inputs, memory], [output, weights, pooled])
    given = [normal(BATCH, TIME, WIDTH), normal(BATCH, PLACES, MEMORY_WIDTH)]
    given[0][:, 3:] = given[1][:, 2:] = 0
    output, weights, pooled = (ops.convert_to_numpy(each) for each in model(given))
    assert (weights[..., :2] > 0).all() and (weights[..., 2:] == 0).all()
    np.testing.assert_allclose(pooled, output[:, :3].mean(axis=1), atol=1e-6)


def test_a_model_of_any_length_is_saved(tmp_path):
    inputs, memory = keras.Input((None, WIDTH)), keras.Input((None, MEMORY_WIDTH))
    layer = MultiHeadAttention(HEADS)
    output, weights = layer(inputs, memory)
    assert output.shape == (None, None, WIDTH) and weights.shape == (None, HEADS, None, None)
    model = keras.Model([inputs, memory], [output, weights])
    randomize(layer)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for time, places in ((TIME, PLACES), (1, 9)):
        given = [normal(BATCH, time, WIDTH), normal(BATCH, places, MEMORY_WIDTH)]
        ours, theirs = (
            [ops.convert_to_numpy(each) for each in side(given)] for side in (model, loaded)
        )
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_heads_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match="4 heads cannot share a width of 6: take a number"):
        MultiHeadAttention(4).build((None, None, 6), (None, None, 6))


@pytest.mark.parametrize("shapes", [[(2, 4, None), (2, 4, 6)], [(2, 4, 6), (2, 4, None)]])
def test_an_unknown_width_is_named(shapes):
    inputs, memory = (keras.Input(batch_shape=shape) for shape in shapes)
    told = r"a known number of features, its last axis, .* got shape \(2, 4, None\)"
    with pytest.raises(ValueError, match=told):
        MultiHeadAttention(HEADS)(inputs, memory)


def test_numpys_number_of_heads_is_as_good():
    """It is kept as an int, as JSON has no other."""
    config = MultiHeadAttention(np.int64(HEADS)).get_config()
    assert type(config["num_heads"]) is int and config["num_heads"] == HEADS


@pytest.mark.parametrize("num_heads", [0, -2, 2.0, "2", None, True, np.int64(0)])
def test_a_number_of_heads_that_is_none(num_heads):
    with pytest.raises(ValueError, match="num_heads must be a positive integer, got"):
        MultiHeadAttention(num_heads)
