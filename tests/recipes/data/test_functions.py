import numpy as np
from scipy import special, stats

from recipes.data import functions


def test_the_curve_has_four_waves_that_become_shorter():
    extremes = np.sqrt((np.arange(8) + 0.5) / 8)[:, None]  # halfway between the zeros
    np.testing.assert_allclose(functions.curve(extremes)[:, 0], [1, -1] * 4)
    np.testing.assert_allclose(functions.curve(np.sqrt(np.arange(9) / 8)), 0, atol=1e-14)


def test_the_surface_has_the_volume_of_frankes_four_terms():
    """Each is a product of a function of x and one of y, with an integral in closed form."""

    def bell(center, width):
        """Integral over [0, 1] of exp(-((9 x - center) / width)^2)."""
        ends = (special.erf((9 - center) / width), special.erf(-center / width))
        return np.sqrt(np.pi) / 2 * width / 9 * (ends[0] - ends[1])

    falling = 10 / 9 * (np.exp(-0.1) - np.exp(-1))
    expected = 0.75 * bell(2, 2) ** 2 + 0.75 * bell(-1, 7) * falling
    expected += 0.5 * bell(7, 2) * bell(3, 2) - 0.2 * bell(4, 1) * bell(7, 1)
    middles = (np.arange(400) + 0.5) / 400
    places = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(functions.surface(places).mean(), expected, rtol=1e-5)
    # The terms lie where Franke has them: the hollow is at (4/9, 7/9), and no mirror image of it.
    center = functions.surface(np.array([[4, 7], [7, 4]]) / 9)[:, 0]
    slope = 0.75 * np.exp(-25 / 49 - 0.8)
    hills = 0.75 * np.exp(-29 / 4) + 0.5 * np.exp(-25 / 4)
    np.testing.assert_allclose(center[0], slope + hills - 0.2)
    assert center[1] > 0.4


def test_points_are_drawn_evenly_and_their_values_are_the_functions():
    for split, count in zip(functions.embedded(), (8_000, 2_000), strict=True):
        x, curve, places, surface = split
        assert [each.shape for each in split] == [(count, n) for n in (1, 1, 2, 1)]
        assert {each.dtype.name for each in split} == {"float32"}
        for coordinate in (x[:, 0], *places.T):
            assert stats.kstest(coordinate, "uniform").pvalue > 0.01
        assert abs(np.corrcoef(places.T)[0, 1]) < 0.1
        np.testing.assert_allclose(curve, functions.curve(x.astype("float64")), atol=1e-5)
        np.testing.assert_allclose(surface, functions.surface(places.astype("float64")), atol=1e-6)


def test_they_are_always_the_same_and_none_is_in_both_parts():
    first, second = functions.embedded(), functions.embedded()
    for part, again in zip(first, second, strict=True):
        for each, same in zip(part, again, strict=True):
            np.testing.assert_array_equal(each, same)
    assert not {tuple(each) for each in first[0][2]} & {tuple(each) for each in first[1][2]}
