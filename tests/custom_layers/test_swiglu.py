import numpy as np
import pytest
from scipy.special import expit

from custom_layers import SwiGLU
from tests.gradients import outputs_and_gradients

WIDTH, HIDDEN = 3, 5


def case(shape):
    generator = np.random.default_rng(0)
    inputs, upstream = generator.normal(size=(2, *shape)).astype("float32")
    matrices = {
        "gate": generator.normal(size=(shape[-1], HIDDEN)),
        "up": generator.normal(size=(shape[-1], HIDDEN)),
        "down": generator.normal(size=(HIDDEN, shape[-1])),
    }
    return inputs, upstream, {name: each.astype("float32") for name, each in matrices.items()}


@pytest.mark.parametrize("shape", [(4, WIDTH), (HIDDEN, HIDDEN), (2, 6, WIDTH)])
def test_values_and_gradients(shape):
    inputs, upstream, weights = case(shape)
    layer = SwiGLU(HIDDEN)
    layer.build((None, *shape[1:]))
    for name, value in weights.items():
        getattr(layer, name).assign(value)
    outputs, gradients = outputs_and_gradients(layer, inputs, upstream)

    x = inputs.astype("float64").reshape(-1, shape[-1])
    of_y = upstream.astype("float64").reshape(-1, shape[-1])
    gate, up, down = (weights[name].astype("float64") for name in ("gate", "up", "down"))
    z, lifted = x @ gate, x @ up
    silu, slope = z * expit(z), expit(z) * (1 + z * (1 - expit(z)))
    of_hidden = of_y @ down.T
    of_gate, of_up = of_hidden * lifted * slope, of_hidden * silu
    expected = {
        "inputs": (of_gate @ gate.T + of_up @ up.T).reshape(shape),
        "gate": x.T @ of_gate,
        "up": x.T @ of_up,
        "down": (silu * lifted).T @ of_y,
    }
    np.testing.assert_allclose(
        outputs, ((silu * lifted) @ down).reshape(shape), rtol=1e-5, atol=1e-5
    )
    assert gradients.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(gradients[name], value, rtol=1e-5, atol=2e-5, err_msg=name)


def test_weights():
    layer = SwiGLU(HIDDEN)
    layer.build((None, None, WIDTH))
    assert [(each.name, each.shape) for each in layer.weights] == [
        ("gate", (WIDTH, HIDDEN)), ("up", (WIDTH, HIDDEN)), ("down", (HIDDEN, WIDTH)),
    ]  # fmt: skip


@pytest.mark.parametrize("width", [0, -3, 2.5, "8", None])
def test_a_width_that_is_none(width):
    with pytest.raises(ValueError, match="hidden_width must be a positive integer, got"):
        SwiGLU(width)


@pytest.mark.parametrize("shape", [(5,), (None, None)])
def test_input_without_known_features(shape):
    with pytest.raises(ValueError, match="known number of features"):
        SwiGLU(HIDDEN).build(shape)
