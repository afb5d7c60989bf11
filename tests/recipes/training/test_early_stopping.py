"""Early stopping on curves made for it, against keras.callbacks.EarlyStopping."""

import json

import keras
import numpy as np
import pytest

from recipes.training.early_stopping import EarlyStopping

TURNS = [3.0, 2.0, 1.0, 1.5, 1.2, 0.9, 1.0, 1.1, 1.2, 0.1]


def follow(losses, patience, min_delta=0.0, state=None, first=1):
    """(the epoch after which it stops or None, the stopper)."""
    stopping = EarlyStopping(patience, min_delta, state)
    for epoch, loss in enumerate(losses, first):
        stopping.update(epoch, loss)
        if stopping.stopped:
            return epoch, stopping
    return None, stopping


@pytest.mark.parametrize(
    ("patience", "stops", "best"), [(1, 4, 3), (2, 5, 3), (3, 9, 6), (4, None, 10), (0, None, 10)]
)
def test_a_curve_that_turns(patience, stops, best):
    epoch, stopping = follow(TURNS, patience)
    assert epoch == stops
    assert stopping.best == {"epoch": best, "validation_loss": TURNS[best - 1]}


def test_an_equal_loss_and_one_that_is_better_by_min_delta_are_not_better():
    assert follow([1.0, 1.0, 1.0], 2)[0] == 3
    assert follow([1.0, 0.5, 0.5], 2, min_delta=0.5)[0] == 3
    epoch, stopping = follow([1.0, 0.4375, 0.0], 2, min_delta=0.5)
    assert (epoch, stopping.best["epoch"], stopping.waited) == (None, 2, 1)


def test_what_is_given_with_the_best_is_kept_with_it():
    stopping = EarlyStopping(1, 0.0)
    stopping.update(1, 2.0, checkpoint=7)
    stopping.update(2, 3.0, checkpoint=8)
    assert stopping.best == {"epoch": 1, "validation_loss": 2.0, "checkpoint": 7}


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("min_delta", [0.0, 0.1])
def test_it_stops_where_keras_stops(patience, min_delta):
    for seed in range(50):
        random = np.random.default_rng(seed)
        losses = (random.random(30) + np.linspace(1, 0, 30)).tolist()
        theirs = keras.callbacks.EarlyStopping(
            "loss", mode="min", patience=patience, min_delta=min_delta
        )
        model = keras.Sequential()
        theirs.set_model(model)
        theirs.on_train_begin()
        model.stop_training = False
        stops = None
        for epoch, loss in enumerate(losses):
            theirs.on_epoch_end(epoch, {"loss": loss})
            if model.stop_training:
                stops = epoch + 1
                break
        epoch, stopping = follow(losses, patience, min_delta)
        assert (epoch, stopping.best["epoch"]) == (stops, theirs.best_epoch + 1), seed


@pytest.mark.parametrize("cut", range(len(TURNS)))
def test_it_goes_on_from_its_state(cut):
    whole = follow(TURNS, 3)
    before = follow(TURNS[:cut], 3)[1]
    if not before.stopped:
        state = json.loads(json.dumps(before.state))
        epoch, stopping = follow(TURNS[cut:], 3, state=state, first=cut + 1)
        assert (epoch, stopping.state) == (whole[0], whole[1].state)
