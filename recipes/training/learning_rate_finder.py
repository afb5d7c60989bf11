"""Which learning rate a range test suggests.

Smith 2015, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, section 3.3:
train for a few steps while the learning rate grows, and see from the loss where the network begins
to learn and where it stops to. Here the rate grows exponentially, and what is suggested is a tenth
of the rate at which the smoothed loss is lowest: from there on it rises, and a rate that lasts for
a whole run has to keep away from that edge. (Where the loss falls fastest is another reading of
the same curve; on a curve with two falls it takes one of them, and noise moves it more.)
"""

import numpy as np

SAFETY = 10  # times smaller than the rate of the lowest loss
BLOW_UP = 4  # times the loss at the start: far below infinity
START = 10  # losses, of which the largest tells what a bad batch is
_WINDOW = 0.07  # of the steps: half a decade, where 100 steps sweep seven


def smoothed(losses):
    """A moving average that neither leads nor lags, (steps,); at both ends of fewer losses."""
    half = round(len(losses) * _WINDOW / 2)
    if half == 0:
        return np.asarray(losses, "float64")
    window = np.ones(2 * half + 1)
    # In "full" and not in "same", which gives as many values as the longer one has.
    ends = slice(half, half + len(losses))
    return np.convolve(losses, window)[ends] / np.convolve(np.ones(len(losses)), window)[ends]


def blown_up(losses):
    """Whether the last loss is so large, or no number, that a sweep need not go on.

    Those of the start are compared with none: a network that is trained already has small losses,
    and among them some that are many times another.
    """
    *before, last = losses
    if len(before) < START:
        return not np.isfinite(last)
    scale = max(*map(abs, before[:START]), abs(min(before)))
    return not last <= BLOW_UP * scale


def suggest(rates, losses):
    """The learning rate that the losses of a sweep suggest.

    Args:
        rates: (steps,) growing learning rates.
        losses: (steps,) the loss before each step, all finite.

    Raises:
        ValueError: there are no losses, or they rise from the first one on.
    """
    if len(losses) == 0:
        raise ValueError("there is no loss")
    lowest = int(np.argmin(smoothed(losses)))
    if lowest == 0:
        raise ValueError(f"the loss falls at no learning rate from {rates[0]:.2g} on")
    return float(rates[lowest]) / SAFETY
