import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.special import expit, softmax

from custom_layers import MixtureOfExperts
from custom_layers.mixture_of_experts import load_balancing_loss
from tests.recurrent import assert_close, normal, outputs_and_gradients, randomize, weights_of

EXPERTS, WIDTH, HIDDEN = 4, 3, 5


def build(chosen=2, **arguments):
    layer = MixtureOfExperts(EXPERTS, chosen, HIDDEN, **arguments)
    layer.build((None, None, WIDTH))
    return randomize(layer)


def closed_form(layer, inputs, of_outputs):
    """([outputs, probabilities], gradients of inputs and weights), token by token, in float64.

    The shares are here, as in the paper of Mixtral, the softmax over what is chosen alone.
    """
    weights = weights_of(layer)
    of_y, of_probabilities = (each.astype("float64") for each in of_outputs)
    inputs = inputs.astype("float64")
    y, probabilities = np.zeros_like(inputs), np.zeros_like(of_probabilities)
    gradients = {"inputs": np.zeros_like(inputs)}
    gradients |= {name: np.zeros_like(each) for name, each in weights.items()}
    for token in np.ndindex(inputs.shape[:-1]):
        x, above = inputs[token], of_y[token]
        scores = x @ weights["router"]
        probabilities[token] = softmax(scores)
        from_above = of_probabilities[token]
        of_scores = probabilities[token] * (from_above - probabilities[token] @ from_above)
        best = np.argsort(scores)[-layer.num_experts_per_token :]
        shares, of_shares = softmax(scores[best]), np.zeros(len(best))
        for place, expert in enumerate(best):
            gate, up, down = (weights[name][expert] for name in ("gate", "up", "down"))
            z, lifted = x @ gate, x @ up
            silu, slope = z * expit(z), expit(z) * (1 + z * (1 - expit(z)))
            output, of_output = (silu * lifted) @ down, shares[place] * above
            y[token] += shares[place] * output
            of_shares[place] = above @ output
            of_hidden = down @ of_output
            of_gate, of_up = of_hidden * lifted * slope, of_hidden * silu
            gradients["gate"][expert] += np.outer(x, of_gate)
            gradients["up"][expert] += np.outer(x, of_up)
            gradients["down"][expert] += np.outer(silu * lifted, of_output)
            gradients["inputs"][token] += gate @ of_gate + up @ of_up
        of_scores[best] += shares * (of_shares - shares @ of_shares)
        gradients["router"] += np.outer(x, of_scores)
        gradients["inputs"][token] += weights["router"] @ of_scores
    return [y, probabilities], list(gradients.values())


@pytest.mark.parametrize("chosen", [1, 2, EXPERTS])
@pytest.mark.parametrize("shape", [(7,), (2, 6)])
def test_values_and_gradients(chosen, shape):
    layer, inputs = build(chosen), normal(*shape, WIDTH)
    upstreams = [normal(*shape, WIDTH, seed=1), normal(*shape, EXPERTS)]
    outputs, gradients = outputs_and_gradients(layer, [inputs], upstreams)
    values, expected = closed_form(layer, inputs, upstreams)
    assert_close(outputs, values, tolerance=4e-6)
    assert_close(gradients, expected, tolerance=4e-6)


def test_an_expert_that_is_not_chosen_changes_nothing():
    """To the bit; and each token sees as many as it is to see."""
    layer, inputs = build(), normal(2, 6, WIDTH)
    first, probabilities = map(ops.convert_to_numpy, layer(inputs))
    seen = np.zeros(first.shape[:-1], int)
    for expert in range(EXPERTS):
        down = ops.convert_to_numpy(layer.down).copy()
        changed = down.copy()
        changed[expert] += 1
        layer.down.assign(changed)
        second, _ = layer(inputs)
        layer.down.assign(down)
        is_seen = (ops.convert_to_numpy(second) != first).any(axis=-1)
        rank = (probabilities > probabilities[..., expert : expert + 1]).sum(axis=-1)
        np.testing.assert_array_equal(is_seen, rank < 2)
        seen += is_seen
    np.testing.assert_array_equal(seen, 2)


def test_fresh_weights():
    """As wide as those of one expert alone: Keras takes the experts of a stack for inputs."""
    layer = MixtureOfExperts(8, 2, 90)
    layer.build((None, 30))
    shapes = {"router": (30, 8), "gate": (8, 30, 90), "up": (8, 30, 90), "down": (8, 90, 30)}
    assert {each.name: each.shape for each in layer.weights} == shapes
    for name in ("gate", "up", "down"):
        values = weights_of(layer)[name]
        assert np.abs(values).max() == pytest.approx(np.sqrt(6 / (30 + 90)), rel=0.01)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_the_router_is_of_full_precision(dtype):
    layer = build(dtype=dtype)
    inputs = ops.cast(normal(50, WIDTH), layer.compute_dtype)
    _, probabilities = layer(inputs)
    x = ops.convert_to_numpy(ops.cast(inputs, "float32")).astype("float64")
    expected = softmax(x @ weights_of(layer)["router"], axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(probabilities), expected, rtol=1e-5)
    outputs, probabilities = layer(keras.Input((None, WIDTH)))
    assert (outputs.dtype, probabilities.dtype) == (layer.compute_dtype, "float32")
    assert probabilities.shape == (None, None, EXPERTS)


def test_the_mask_is_passed_on():
    inputs = keras.Input((5, WIDTH))
    outputs, _ = build()(layers.Masking()(inputs))
    model = keras.Model(inputs, [outputs, layers.GlobalAveragePooling1D()(outputs)])
    masked = normal(4, 5, WIDTH)
    masked[:, 2:] = 0
    outputs, pooled = map(ops.convert_to_numpy, model(masked))
    np.testing.assert_allclose(pooled, outputs[:, :2].mean(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(9, EXPERTS), (2, 3, 5, EXPERTS)])
@pytest.mark.parametrize("masked", [False, True])
def test_load_balancing_loss(shape, masked):
    probabilities = softmax(normal(*shape), axis=-1)
    # Of the last axis of tokens: the same along those before it.
    mask = np.arange(shape[-2]) % 3 > 0 if masked else None
    loss = float(load_balancing_loss(ops.convert_to_tensor(probabilities), 2, mask))
    rows = probabilities.reshape(-1, EXPERTS)
    if masked:
        rows = rows[np.broadcast_to(mask, shape[:-1]).reshape(-1)]
    used = np.zeros(EXPERTS)
    for row in rows:
        used[np.argsort(row)[-2:]] += 1 / len(rows)
    assert loss == pytest.approx(EXPERTS * (used * rows.mean(axis=0)).sum(), rel=1e-5)


def test_the_least_and_the_largest_loss():
    each_in_turn = ops.tile(ops.eye(EXPERTS), (3, 1))
    assert float(load_balancing_loss(each_in_turn, 1)) == pytest.approx(1)
    all_to_one = ops.tile(ops.eye(EXPERTS)[:1], (3, 1))
    assert float(load_balancing_loss(all_to_one, 1)) == pytest.approx(EXPERTS)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ((0, 2, 8), "num_experts must be a positive integer, got 0"),
        ((4, 2.0, 8), "num_experts_per_token must be a positive integer, got 2.0"),
        ((4, 2, None), "hidden_width must be a positive integer, got None"),
        ((2, 3, 8), "a token cannot see num_experts_per_token=3 of num_experts=2"),
    ],
)
def test_bad_arguments_are_named(sizes, told):
    with pytest.raises(ValueError, match=told):
        MixtureOfExperts(*sizes)


@pytest.mark.parametrize("shape", [(5,), (None, None)])
def test_input_without_known_features(shape):
    with pytest.raises(ValueError, match="known number of features"):
        MixtureOfExperts(EXPERTS, 2, HIDDEN).build(shape)
