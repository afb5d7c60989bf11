"""Early stopping: a run ends once its validation loss has not become better for a while.

Prechelt 1998, "Early Stopping - But When?": the weights of the best epoch are those to keep.
"""


class EarlyStopping:
    """Follows the validation loss, as keras.callbacks.EarlyStopping does.

    Args:
        patience: epochs in a row without a better loss after which ``stopped`` is true; 0: never.
        min_delta: a loss is better that is lower than the best by more than this, in the units
            of the loss.
        state: what ``state`` was, to go on from there.

    Attributes:
        best: {"epoch", "validation_loss"} of the best epoch so far, and what else was given with
            it; None before the first.
        waited: epochs since then.
    """

    def __init__(self, patience, min_delta, state=None):
        self._patience = patience
        self._min_delta = min_delta
        self.best, self.waited = (state["best"], state["waited"]) if state else (None, 0)

    def update(self, epoch, validation_loss, **more):
        """Takes the validation loss of the next epoch; ``more`` is kept with it if it is best."""
        if self.best is None or validation_loss < self.best["validation_loss"] - self._min_delta:
            self.best = {"epoch": epoch, "validation_loss": validation_loss, **more}
            self.waited = 0
        else:
            self.waited += 1

    @property
    def stopped(self):
        """Whether the patience is over."""
        return 0 < self._patience <= self.waited

    @property
    def state(self):
        """All that it remembers, as JSON has it."""
        return {"best": self.best, "waited": self.waited}
