import numpy as np
from scipy import stats

from recipes.data import tosses


def test_the_draws_are_those_of_their_chances_and_no_part_is_another():
    parts = tosses.embedded()
    for ones, coin, die in parts:
        assert ones.shape == coin.shape == (1000, 1) and die.shape == (1000,)
        assert (ones == 1).all() and set(coin.ravel()) == {0, 1}
        assert stats.binomtest(int(coin.sum()), 1000, tosses.HEADS).pvalue > 0.01
        expected = 1000 * np.array(tosses.CHANCES)
        assert stats.chisquare(np.bincount(die, minlength=6), expected).pvalue > 0.01
    coins = [tuple(coin.ravel()) for _, coin, _ in parts]
    assert len(set(coins)) == 3
