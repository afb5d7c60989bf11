import numpy as np
from scipy import stats

from recipes.data import disk_and_ring


def test_distances_are_those_of_its_distributions():
    """Of a Gaussian around the origin Rayleigh's, around a point at a distance of 2 Rice's."""
    for points, labels in disk_and_ring.embedded():
        assert points.dtype == "float32" and points.shape == (1000, 2)
        assert labels.dtype == "int32" and labels.sum() == 500
        distances = np.hypot(*points.T)
        rice = stats.rice(2 / 0.6, scale=0.6)
        assert stats.kstest(distances[labels == 0], stats.rayleigh(scale=0.6).cdf).pvalue > 0.01
        assert stats.kstest(distances[labels == 1], rice.cdf).pvalue > 0.01


def test_no_direction_is_preferred():
    for points, labels in disk_and_ring.embedded():
        for label in (0, 1):
            y, x = points[labels == label].T
            turns = np.arctan2(y, x) / (2 * np.pi) + 0.5
            assert stats.kstest(turns, stats.uniform.cdf).pvalue > 0.01


def test_is_always_the_same():
    for first, second in zip(disk_and_ring.embedded(), disk_and_ring.embedded(), strict=True):
        for array, again in zip(first, second, strict=True):
            np.testing.assert_array_equal(array, again)
