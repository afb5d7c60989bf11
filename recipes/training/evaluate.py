"""Figures of a trained model on a split."""

from typing import NamedTuple

import numpy as np


class Classification(NamedTuple):
    """A classifier's answers on a split.

    Shapes: inputs (N, ...), labels (N,) integers, logits (N, classes).
    """

    inputs: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    @property
    def predicted(self):
        """The most probable class of each example, (N,)."""
        return np.argmax(self.logits, axis=-1)

    @property
    def accuracy(self):
        """Share of the examples whose most probable class is the right one, in [0, 1]."""
        return float(np.mean(self.predicted == self.labels))

    @property
    def loss(self):
        """Mean cross-entropy in nats."""
        return float(np.mean(_log_sum_exp(self.logits) - self._of_class(self.labels)))

    @property
    def confidence(self):
        """Probability that the model gives to its most probable class, (N,)."""
        return np.exp(self._of_class(self.predicted) - _log_sum_exp(self.logits))

    @property
    def confusion(self):
        """Counts, (classes, classes): row the true class, column the predicted one."""
        classes = self.logits.shape[-1]
        pairs = np.ravel_multi_index((self.labels, self.predicted), (classes, classes))
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def _of_class(self, classes):
        return np.take_along_axis(self.logits, classes[:, None], axis=-1)[:, 0]


def classify(model, split, batch_size=500):
    """Runs a classifier, in inference, over all of a split (inputs, labels)."""
    inputs, labels = split
    return Classification(inputs, labels, _logits(model, split, batch_size))


def classify_tokens(model, split, real, batch_size=500):
    """Runs a model of sequences, in inference, over all of a split (tokens, labels), both (N, T).

    The examples are the tokens, those of the first sequence first, where ``real`` (N, T) is true:
    padding is none.
    """
    tokens, labels = split
    logits = _logits(model, split, batch_size)
    return Classification(tokens[real], labels[real], logits[real])


def relative_error(predicted, values):
    """Root mean square error, in standard deviations of the values (N, 1)."""
    return float(np.sqrt(np.mean((predicted - values) ** 2, dtype="float64")) / np.std(values))


def _logits(model, split, batch_size):
    """Those of all of a split, (N, ..., classes).

    One batch goes around ``predict``, which makes a pipeline of data at every call: on TensorFlow
    that takes longer than a small network's answers.
    """
    inputs, labels = split
    if len(labels) <= batch_size:
        logits = model.predict_on_batch(inputs)
    else:
        logits = model.predict(inputs, batch_size=batch_size, verbose=0)
    return logits.astype("float64")


def _log_sum_exp(logits):
    largest = logits.max(axis=-1)
    return largest + np.log(np.exp(logits - largest[:, None]).sum(axis=-1))
