"""A run of any recipe in which the learning rate grows from step to step.

The recipe's own ``main(config, run)`` runs, with a ``Sweep`` in the place of its ``Run``: the same
data, weights and batches; only that it ends in the middle, and writes nothing.
"""

import dataclasses
import itertools
import math
import tempfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from recipes.data import batches as batching
from recipes.training.errors import InputError
from recipes.training.learning_rate_finder import blown_up
from recipes.training.progress import Progress
from recipes.training.run import Run


class ExponentialSweep(keras.optimizers.schedules.LearningRateSchedule):
    """From ``lowest`` to ``highest``, times the same factor at each of two or more steps."""

    def __init__(self, lowest, highest, steps):
        self.steps = steps
        self._start = math.log(lowest)
        self._growth = (math.log(highest) - self._start) / (steps - 1)

    def __call__(self, step):
        return ops.exp(self._start + self._growth * ops.cast(step, "float32"))

    def rates(self, first, count):
        """The same as NumPy numbers, (count,), from step ``first`` on, which counts from 0."""
        return np.exp(self._start + self._growth * np.arange(first, first + count))


class Swept(NamedTuple):
    """What a sweep found.

    Attributes:
        option: the option of the recipe whose rate it was, such as "--learning-rate".
        rates, losses: of each step, (steps,).
    """

    option: str
    rates: np.ndarray
    losses: np.ndarray


def sweep(main, recipe, config, options, schedule, option=None):
    """Runs a recipe over a growing learning rate; returns ``Swept``.

    The rate that grows is the one that an option of the recipe decides; steps of which it does
    not, such as those of a part that is trained before, keep theirs, and their losses do not
    count. The loss is the sum of all figures that a step logs whose names end in "loss".

    Args:
        main: the recipe's.
        recipe: its name.
        config, options: as for ``Run``.
        schedule: the ``ExponentialSweep``.
        option: such as "--learning-rate"; None takes the first whose name ends so and which
            decides the rate of a step, "--learning-rate" itself before others.

    Raises:
        InputError: the recipe has no such option, or with these options no step takes it.
    """
    names = [field.name for field in dataclasses.fields(config)]
    names.sort(key=lambda name: name != "learning_rate")
    known = {_flag(name): name for name in names if name.endswith("learning_rate")}
    if not known:
        raise InputError(f"{recipe} has no option for a learning rate: name another recipe")
    if option not in (None, *known):
        raise InputError(f"{recipe} has no learning rate {option}: choose {', '.join(known)}")
    tried = [option] if option else list(known)
    for each in tried:
        with tempfile.TemporaryDirectory() as folder:
            given = dataclasses.replace(options, runs=Path(folder))
            # Whose learning rate is no number, its step is one that the option decides about.
            unknown = dataclasses.replace(config, **{known[each]: math.nan})
            with _Sweep(recipe, unknown, given, schedule) as run:
                try:
                    main(unknown, run)
                except _Over:
                    losses = np.array(run.losses)
                    return Swept(each, schedule.rates(0, len(losses)), losses)
                except _NotTaken:
                    continue
    raise InputError(
        f"with these options {recipe} makes no step whose rate is {' or '.join(tried)}: "
        f"choose others"
    )


def _flag(name):
    return f"--{name.replace('_', '-')}"


class _Over(Exception):
    """The sweep is over; ends the recipe's ``main``."""


class _NotTaken(Exception):
    """No step has the learning rate that the option decides."""


class _Sweep(Run):
    """A ``Run`` that ends with ``_Over`` in the middle of the recipe, or with ``_NotTaken``.

    Attributes:
        losses: of each step that was swept and whose loss is finite.
    """

    def __init__(self, recipe, config, options, schedule):
        super().__init__(recipe, config, options)
        self._schedule = schedule
        self.losses = []

    def epochs(self, step, *steps):
        optimizers = [each.optimizer for each in (step, *steps)]
        self._swept = [each for each in optimizers if math.isnan(_number(each.learning_rate))]
        if not self._swept:
            raise _NotTaken
        for optimizer in self._swept:
            optimizer.learning_rate = self._schedule
        while self._epoch <= self._config.epochs:
            yield self._epoch
            self._epoch += 1
        raise _NotTaken

    def batches(self, split, transform=None, stack=None):
        """The batches of an epoch, and from a swept step on those of all that follow.

        So that nothing is validated in between.
        """
        self.total_steps(split)
        for epoch in itertools.count(self._epoch):
            begun = self._position()
            for batch in batching.batches(
                split, self._config.batch_size, self._config.seed, epoch, transform, stack
            ):
                before, self._row = self._position(), {}
                yield batch
                if self._position() > before:
                    self._take_losses()
            if self._position() == begun:
                return

    def __exit__(self, *_):
        """Nothing is finished, and nothing can go on."""
        if self._progress is not None:
            self._progress.close()
        self._interrupts.__exit__()
        self._settings.close()
        self._checkpoints.close()

    def _position(self):
        """How many swept steps are done. A loss scale skips those whose gradient is infinite."""
        return max(int(_number(each.iterations)) for each in self._swept)

    def _take_losses(self):
        named = [value for name, value in self._row.items() if name.endswith("loss")]
        if not named:
            raise InputError(f"a step of {self._recipe} logs {', '.join(self._row)}, and no loss")
        if self._progress is None:
            self._progress = Progress(f"{self._recipe} sweep", self._schedule.steps)
            self._progress.begin_epoch("learning rate")
        for loss in np.ravel(sum(ops.convert_to_numpy(value).astype("float64") for value in named)):
            if not math.isfinite(loss):
                raise _Over
            self.losses.append(loss)
            self._progress.step()
            if len(self.losses) == self._schedule.steps or blown_up(self.losses):
                raise _Over
        self._progress.show({"loss": loss})


def _number(tensor):
    return float(ops.convert_to_numpy(tensor))
