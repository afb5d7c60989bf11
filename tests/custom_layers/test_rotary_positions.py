import numpy as np
import pytest
from keras import ops

from custom_layers import RotaryPositions
from tests.gradients import outputs_and_gradients


def closed_form(x, positions, base=10_000.0):
    """As complex numbers, whose product with exp(i angle) is the turn; in float64."""
    width = x.shape[-1]
    frequencies = base ** (-np.arange(0, width, 2) / width)
    angles = np.asarray(positions, "float64")[..., None, None] * frequencies
    turned = (x[..., : width // 2] + 1j * x[..., width // 2 :]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)


def case(*shape):
    return np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")


@pytest.mark.parametrize("shape", [(3, 7, 2, 6), (6, 6, 6, 6), (1, 300, 1, 2)])
@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
def test_values_and_gradients(shape, base):
    inputs, upstream = case(*shape)
    outputs, gradients = outputs_and_gradients(RotaryPositions(base), inputs, upstream)
    times = np.arange(shape[1])
    tolerance = 2e-6 + 3e-7 * shape[1]
    np.testing.assert_allclose(outputs, closed_form(inputs, times, base), atol=tolerance)
    # The transpose of a turn is the turn back.
    of_inputs = closed_form(upstream, -times, base)
    np.testing.assert_allclose(gradients.pop("inputs"), of_inputs, atol=tolerance)
    assert not gradients


@pytest.mark.parametrize("positions", [[4, 0, 9], [[4, 0, 9], [1, 2, 3]]])
def test_given_positions(positions):
    inputs, _ = case(2, 3, 2, 4)
    found = ops.convert_to_numpy(RotaryPositions()(inputs, np.array(positions)))
    np.testing.assert_allclose(found, closed_form(inputs, positions), atol=2e-6)


def test_products_depend_on_the_distance_alone():
    (queries, keys), layer = case(1, 1, 1, 16), RotaryPositions()

    def product(of_query, of_key):
        pair = layer(queries, np.array([of_query])), layer(keys, np.array([of_key]))
        return float(np.sum(ops.convert_to_numpy(pair[0]) * ops.convert_to_numpy(pair[1])))

    assert product(3, 1) == pytest.approx(product(40, 38), abs=1e-4)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-2)
    assert product(3, 3) == pytest.approx(float(np.sum(queries * keys)), abs=1e-5)


def test_half_precision_turns_by_angles_of_full_precision():
    """Past 2048, float16 has no odd numbers."""
    inputs = np.ones((1, 3000, 1, 2), "float16")
    found = ops.convert_to_numpy(RotaryPositions(dtype="mixed_float16")(inputs))
    np.testing.assert_allclose(found, closed_form(inputs, np.arange(3000)), atol=2e-3)


@pytest.mark.parametrize("shape", [(None, 5, 4), (None, 5, 2, 7), (None, 5, 2, None)])
def test_inputs_that_have_no_pairs(shape):
    with pytest.raises(ValueError, match=r"must be \(B, T, N, K\) of a known, even K, got \(None"):
        RotaryPositions().build(shape)


# Positions that a pair takes for one radian, by the factor, in transformers 5.23.0: head_dim=32,
# rope_theta=500000, and rope_type="llama3" with low_freq_factor=1, high_freq_factor=4 and
# original_max_position_embeddings=8192.
POSITIONS_A_RADIAN = {
    8.0: [
        1, 2.270835, 5.156692, 11.71, 26.59148, 60.38487, 137.1241, 311.3862, 1905.321, 12845.78,
        29170.66, 66241.76, 150424.1, 341588.4, 775691, 1761466,
    ],
    32.0: [
        1, 2.270835, 5.156692, 11.71, 26.59148, 60.38487, 137.1241, 311.3862, 2327.981, 51383.13,
        116682.6, 264967, 601696.5, 1366354, 3102764, 7045866,
    ],
}  # fmt: skip


@pytest.mark.parametrize("factor", POSITIONS_A_RADIAN)
def test_a_factor_slows_down_what_turns_slowly(factor):
    ones_and_zeros = np.repeat([1.0, 0.0], 16).reshape(1, 1, 1, 32)
    layer = RotaryPositions(500_000.0, factor)
    cosine, sine = ops.convert_to_numpy(layer(ones_and_zeros, np.array([1]))).reshape(2, 16)
    angles = np.arctan2(sine, cosine)
    np.testing.assert_allclose(1 / angles, POSITIONS_A_RADIAN[factor], rtol=1e-6)
    unchanged = 500_000.0 ** (-np.arange(16) / 16)
    np.testing.assert_allclose(angles[:8], unchanged[:8], rtol=1e-6)
    np.testing.assert_allclose(angles[9:], unchanged[9:] / factor, rtol=1e-6)


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
@pytest.mark.parametrize("name", ["base", "factor"])
def test_a_number_that_is_not_positive(name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive, got {value}"):
        RotaryPositions(**{name: value})
