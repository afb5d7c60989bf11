import numpy as np
import pytest

from recipes.data.batches import batches, batches_per_epoch, cut_validation

SPLIT = (np.arange(103), np.arange(103) * 10)


def test_an_epoch_takes_each_example_once_and_drops_what_is_left_over():
    found = list(batches(SPLIT, batch_size=10, seed=1, epoch=1))
    assert (
        [len(numbers) for numbers, _ in found] == [10] * 10 == [10] * batches_per_epoch(SPLIT, 10)
    )
    numbers = np.concatenate([numbers for numbers, _ in found])
    assert len(set(numbers)) == 100
    for numbers, tens in found:
        np.testing.assert_array_equal(tens, numbers * 10)


@pytest.mark.parametrize("stack", [1, 3, 10, 100])
def test_stacks_hold_the_same_batches_in_the_same_order(stack):
    single = list(batches(SPLIT, 10, 1, 1))
    stacks = list(batches(SPLIT, 10, 1, 1, stack=stack))
    assert [len(numbers) for numbers, _ in stacks[:-1]] == [stack] * (len(stacks) - 1)
    assert len(stacks) == -(-10 // stack)
    for part in (0, 1):
        np.testing.assert_array_equal(
            np.concatenate([stacked[part] for stacked in stacks]),
            np.stack([batch[part] for batch in single]),
        )


@pytest.mark.parametrize("stack", [0, -1])
def test_a_stack_of_nothing_is_refused(stack):
    with pytest.raises(ValueError, match=f"at least 1, or None for single batches, got {stack}"):
        next(batches(SPLIT, 10, 1, 1, stack=stack))


def test_seed_and_epoch_decide_the_batches():
    def order(seed, epoch):
        return [tuple(numbers) for numbers, _ in batches(SPLIT, 10, seed, epoch)]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)
    assert order(1, 2) != order(2, 1)


def test_what_is_left_over_differs_from_epoch_to_epoch():
    left = [
        frozenset(SPLIT[0]) - set(np.concatenate([n for n, _ in batches(SPLIT, 10, 0, epoch)]))
        for epoch in range(1, 6)
    ]
    assert len(set(left)) == 5


def test_shuffles_are_uniform():
    # Each of 103 examples is the first of an epoch equally often: chi-squared, 102 degrees.
    first = [next(batches(SPLIT, 1, seed=3, epoch=epoch))[0][0] for epoch in range(1, 4001)]
    expected = 4000 / 103
    chi_squared = np.sum((np.bincount(first, minlength=103) - expected) ** 2 / expected)
    assert chi_squared < 160


def test_a_batch_of_all_and_a_batch_of_more():
    assert len(list(batches(SPLIT, 103, 0, 1))) == 1
    assert len(list(batches(SPLIT, 104, 0, 1))) == 0


def test_validation_is_cut_off_by_the_seed():
    training, validation = cut_validation(SPLIT, 0.1, seed=0)
    assert (len(training[0]), len(validation[0])) == (93, 10)
    assert sorted([*training[0], *validation[0]]) == list(range(103))
    np.testing.assert_array_equal(training[1], training[0] * 10)
    again = cut_validation(SPLIT, 0.1, seed=0)[1]
    np.testing.assert_array_equal(validation[0], again[0])
    other = cut_validation(SPLIT, 0.1, seed=1)[1]
    assert set(validation[0]) != set(other[0])


def test_the_cut_is_no_epochs_shuffle():
    validation = set(cut_validation(SPLIT, 0.1, seed=0)[1][0])
    for epoch in range(1, 4):
        assert set(next(batches(SPLIT, 10, seed=0, epoch=epoch))[0]) != validation


def shift(random, numbers, tens):
    """A stand-in for augmentation: what was drawn is added, and is another array."""
    drawn = random.integers(0, 1000, len(numbers))
    return numbers + drawn, tens, drawn


def test_a_transform_gets_the_batch_and_random_numbers_that_are_its_own():
    plain = list(batches(SPLIT, 10, 1, 1))
    found = list(batches(SPLIT, 10, 1, 1, shift))
    for (numbers, tens), (moved, same, drawn) in zip(plain, found, strict=True):
        np.testing.assert_array_equal(moved, numbers + drawn)
        np.testing.assert_array_equal(same, tens)
    assert len({tuple(drawn) for _, _, drawn in found}) == 10


def test_seed_epoch_and_position_decide_what_a_transform_draws():
    def drawn(seed, epoch, batch_size=10):
        return [tuple(each[2][:5]) for each in batches(SPLIT, batch_size, seed, epoch, shift)]

    assert drawn(1, 2) == drawn(1, 2)
    assert len({*drawn(1, 2), *drawn(1, 1), *drawn(2, 1), *drawn(2, 2)}) == 40
    # Not the number of values drawn for the batches before: a run goes on from any position.
    assert drawn(1, 2, batch_size=9)[:10] == [each[:5] for each in drawn(1, 2)]


def test_what_a_transform_draws_comes_from_a_stream_of_its_own():
    _, _, drawn = list(batches(SPLIT, 10, 1, 2, shift))[3]
    seeds = np.random.SeedSequence(1, spawn_key=(1, 2, 3))
    np.testing.assert_array_equal(drawn, np.random.default_rng(seeds).integers(0, 1000, 10))


def test_stacks_of_transformed_batches_are_the_same_batches():
    single = list(batches(SPLIT, 10, 1, 1, shift))
    stacks = list(batches(SPLIT, 10, 1, 1, shift, stack=4))
    assert [len(stacked[0]) for stacked in stacks] == [4, 4, 2]
    for part in (0, 1, 2):
        np.testing.assert_array_equal(
            np.concatenate([stacked[part] for stacked in stacks]),
            np.stack([batch[part] for batch in single]),
        )


@pytest.mark.parametrize("stack", [None, 2])
@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_batches_from_the_middle_of_an_epoch_are_those_of_the_whole(start, stack):
    def noise(random, numbers):
        return numbers, random.random(len(numbers))

    split = (np.arange(13),)

    def single(**options):
        return [np.stack(each) for each in batches(split, 3, 1, 2, transform=noise, **options)]

    np.testing.assert_array_equal(single(start=start), single()[start:])
    if stack:
        whole = [each for pair in batches(split, 3, 1, 2, noise, 1) for each in pair[0]]
        rest = [each for pair in batches(split, 3, 1, 2, noise, stack, start) for each in pair[0]]
        np.testing.assert_array_equal(rest, whole[start:])
