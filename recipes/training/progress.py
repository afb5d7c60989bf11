"""What a person sees while a run trains: a bar in a terminal, plain lines in a pipe."""

import time

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10


class Progress:
    """Shows the steps of a whole run, with the latest figures, the rate and the time left."""

    def __init__(self, title, total_steps, done=0):
        self._title = title
        # disable=None: no bar where the output is not a terminal
        self._bar = tqdm(
            total=total_steps, initial=done, unit="step", disable=None, dynamic_ncols=True
        )
        self._done = done  # before this process
        self._step = 0
        self._training_seconds = 0.0
        self._training = False

    def begin_epoch(self, name):
        self._name = name
        self._bar.set_description(f"{self._title} {name}")
        self._resumed = self._spoken = time.perf_counter()
        self._training = True

    def step(self, count=1):
        self._step += count
        self._bar.update(count)

    def show(self, values):
        """Shows figures of the last step."""
        if not self._bar.disable:
            self._bar.set_postfix_str(figures(values))
            return
        now = time.perf_counter()
        if now - self._spoken < _SECONDS_BETWEEN_LINES:
            return
        self._spoken = now
        rate = self._step / (self._training_seconds + now - self._resumed)
        step = self._done + self._step
        left = tqdm.format_interval((self._bar.total - step) / rate)
        print(
            f"{self._name}  step {step}/{self._bar.total}  {figures(values)}  "
            f"{rate:.1f} steps/s  {left} left",
            flush=True,
        )

    def training_seconds(self):
        """Seconds that the batches of this epoch have taken so far, in this process."""
        return time.perf_counter() - self._resumed if self._training else 0.0

    def end_training(self):
        """The batches of an epoch are through; returns the seconds that they took."""
        seconds = self.training_seconds()
        self._training = False
        self._training_seconds += seconds
        return seconds

    def end_epoch(self, values, seconds):
        """Writes the line of an epoch, which stays."""
        with tqdm.external_write_mode():
            print(f"{self._name}  {figures(values)}  {seconds:.1f} s", flush=True)

    def close(self):
        self._bar.close()


def figures(values):
    """Figures as people read them, in one line."""
    return "  ".join(f"{name} {figure(name, value)}" for name, value in values.items())


def is_share_right(name):
    """Whether a figure is the share of examples that a model gets right."""
    return name.endswith(("accuracy", "exact_match"))


def figure(name, value):
    """A figure as people read it: a share that is right in percent, all else with four digits."""
    return f"{value:.2%}" if is_share_right(name) else f"{value:.4g}"
