import numpy as np
from scipy import stats

from recipes.data import gaussian_mixture


def test_is_the_mixture_that_it_names():
    def distribution(x):
        return np.mean([stats.norm.cdf(x, mode, 0.3) for mode in (-2.0, 2.0)], axis=0)

    for (values,) in gaussian_mixture.embedded():
        assert values.dtype == "float32"
        assert values.shape[1:] == (1,)
        assert stats.kstest(values[:, 0], distribution).pvalue > 0.01


def test_is_always_the_same():
    for (first,), (second,) in zip(
        gaussian_mixture.embedded(), gaussian_mixture.embedded(), strict=True
    ):
        np.testing.assert_array_equal(first, second)
