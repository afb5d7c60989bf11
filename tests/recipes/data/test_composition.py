import numpy as np
from scipy import special, stats

from recipes.data import composition


def test_the_function_is_chebyshevs_fourth_polynomial_of_the_product():
    points = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    expected = special.eval_chebyt(4, points[:, 0] * points[:, 1])
    values = composition.composition(points)
    assert values.shape == (200, 1)
    np.testing.assert_allclose(values[:, 0], expected, atol=1e-12)


def test_points_are_drawn_evenly_and_their_values_are_the_function():
    for split, count in zip(composition.embedded(), (10_000, 5_000), strict=True):
        points, values = split
        assert points.shape == (count, 2) and values.shape == (count, 1)
        assert points.dtype == values.dtype == "float32"
        for coordinate in points.T:
            assert stats.kstest(coordinate, "uniform", (-1, 2)).pvalue > 0.01
        assert abs(np.corrcoef(points.T)[0, 1]) < 0.05
        expected = composition.composition(points.astype("float64"))
        np.testing.assert_allclose(values, expected, atol=1e-5)


def test_they_are_always_the_same_and_none_is_in_both_parts():
    first, second = composition.embedded(), composition.embedded()
    for part, again in zip(first, second, strict=True):
        for each, same in zip(part, again, strict=True):
            np.testing.assert_array_equal(each, same)
    (train, _), (test, _) = first
    assert not {tuple(each) for each in train} & {tuple(each) for each in test}
