"""What the pictures show, read back from the figures."""

import numpy as np
import pytest

from recipes.training import plots
from recipes.training.evaluate import Classification

FIRST, SECOND = ({"epoch": 1, "step": 2}, {"epoch": 2, "step": 3})
ROWS = [
    {"epoch": 1, "step": 1, "loss": 4.0},
    {"epoch": 1, "step": 2, "loss": 2.0},
    {**FIRST, "training_loss": 3.0, "validation_loss": 3.5, "validation_accuracy": 0.5},
    {"epoch": 2, "step": 3, "loss": 1.0},
    {**SECOND, "training_loss": 1.0, "validation_loss": 1.5, "validation_accuracy": 0.8},
    {"epoch": 2, "step": 3, "test_loss": 1.6, "test_accuracy": 0.7},
]


def test_curves_have_a_panel_for_each_quantity():
    loss, accuracy = plots.curves(ROWS).axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    each_step, average, validation = loss.lines
    np.testing.assert_array_equal(each_step.get_xydata(), [[1, 4], [2, 2], [3, 1]])
    np.testing.assert_array_equal(average.get_xydata(), [[1, 4], [2, 2], [3, 1]])
    np.testing.assert_array_equal(validation.get_xydata(), [[2, 3.5], [3, 1.5]])
    np.testing.assert_array_equal(accuracy.lines[0].get_xydata(), [[2, 0.5], [3, 0.8]])


def test_curves_of_many_steps_are_averaged_over_a_fiftieth_of_them():
    losses = np.random.default_rng(0).uniform(1, 2, 500)
    rows = [{"epoch": 1, "step": step, "loss": x} for step, x in enumerate(losses, start=1)]
    average = plots.curves(rows).axes[0].lines[1].get_xydata()
    assert average[0, 0] == 10
    assert average[-1, 0] == 500
    np.testing.assert_allclose(average[0, 1], losses[:10].mean())
    np.testing.assert_allclose(average[-1, 1], losses[-10:].mean())


def test_curves_with_negative_losses_have_a_linear_scale():
    rows = [{"epoch": 1, "step": 1, "loss": -1.0}, {"epoch": 1, "step": 2, "loss": -2.0}]
    assert plots.curves(rows).axes[0].get_yscale() == "linear"
    assert plots.curves(ROWS).axes[0].get_yscale() == "log"


@pytest.fixture
def result():
    # Four right ones, then a hesitant and a sure mistake.
    labels = np.array([0, 1, 2, 0, 1, 2])
    logits = np.array([[9, 0, 0], [0, 3, 0], [0, 0, 5], [1, 0, 0], [1, 0.9, 0], [0, 8, 0.0]])
    return Classification(np.arange(6 * 4).reshape(6, 2, 2, 1), labels, logits)


def test_samples_begin_with_the_surest_mistake(result):
    shown = plots.image_samples(result).axes
    assert [axes.get_title() for axes in shown] == [
        "predicted 1\ntrue 2",
        "predicted 0\ntrue 1",
        "predicted 0\ntrue 0",
        "predicted 2\ntrue 2",
        "predicted 1\ntrue 1",
        "predicted 0\ntrue 0",
    ]
    np.testing.assert_array_equal(shown[0].images[0].get_array(), [[20, 21], [22, 23]])
    np.testing.assert_array_equal(shown[1].images[0].get_array(), [[16, 17], [18, 19]])


def test_confusion_matrix_has_true_classes_as_rows(result):
    (axes,) = plots.confusion_matrix(result).axes
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    # (predicted, true): x goes right, y goes down
    assert texts == {(0, 0): "2", (0, 1): "1", (1, 1): "1", (2, 2): "1", (1, 2): "1"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert axes.images[0].get_array()[2, 1] == 1
    assert axes.images[0].get_array()[0, 0] == 0


def test_histograms_share_their_bins():
    (axes,) = plots.histograms({"a": np.array([0.0, 1.0]), "b": np.array([9.0, 10.0])}).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    first, second = axes.containers
    assert first[0].get_x() == second[0].get_x() == 0.0
