"""What the pictures show, read back from the figures."""

import io
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from recipes.training import plots
from recipes.training.evaluate import Classification
from recipes.training.learning_rate_finder import smoothed
from recipes.training.saved_run import SavedRun
from tests import toy_run

CHECKOUT = Path(__file__).parents[3]


def saved(steps=(), epochs=()):
    return SavedRun(Path("run"), {}, list(steps), list(epochs), {}, [], None)


def steps(losses, name="loss"):
    return [{"epoch": 1, "step": step, name: x} for step, x in enumerate(losses, start=1)]


RUN = saved(toy_run.STEPS, toy_run.EPOCHS)
SLOWER = saved(
    steps([8.0, 7.0]), [{"epoch": 1, "step": 2, "training_loss": 7.5, "validation_loss": 6.0}]
)


def points(line):
    return line.get_xydata().tolist()


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.fixture
def result():
    # Four right ones, then a hesitant and a sure mistake.
    labels = np.array([0, 1, 2, 0, 1, 2])
    logits = np.array([[9, 0, 0], [0, 3, 0], [0, 0, 5], [1, 0, 0], [1, 0.9, 0], [0, 8, 0.0]])
    return Classification(np.arange(6 * 4).reshape(6, 2, 2, 1), labels, logits)


def classification(labels, confidences):
    """All is predicted to be of class 0; an image's pixels are its place in the split."""
    labels = np.array(labels)
    logits = np.stack([confidences, np.zeros(len(labels))], axis=-1).astype("float64")
    images = np.tile(np.arange(len(labels)).reshape(-1, 1, 1, 1), (1, 2, 2, 1))
    return Classification(images, labels, logits)


def shown(figure):
    """The images that a figure of such a ``Classification`` shows."""
    return [int(axes.images[0].get_array()[0, 0]) for axes in figure.axes]


def test_words():
    assert plots.words("validation_loss_of_all") == "validation loss of all"


def test_curves_of_one_run():
    drawn = plots.curves({"toy/run": RUN})
    assert list(drawn) == ["loss", "accuracy"]

    (axes,) = drawn["loss"].axes
    assert (axes.get_title(), axes.get_xlabel()) == ("loss", "step")
    each_step, average, validation = axes.lines
    assert points(each_step) == points(average) == [[1, 4], [2, 2], [3, 1], [4, 0.5]]
    assert points(validation) == [[2, 3.5], [4, 1.5]]
    assert legend(axes) == ["training", "validation"]
    assert [line.get_label() for line in axes.lines][1:] == ["training", "validation"]
    # The steps are pale behind their average, and epochs are points.
    assert each_step.get_color() == average.get_color() != validation.get_color()
    assert each_step.get_alpha() < 0.5
    assert average.get_alpha() is None
    assert [line.get_marker() for line in axes.lines] == ["None", "None", "o"]

    (axes,) = drawn["accuracy"].axes
    assert axes.get_title() == "accuracy"
    (validation,) = axes.lines
    assert points(validation) == [[2, 0.5], [4, 0.875]]
    assert legend(axes) == ["validation"]


def test_curves_of_several_runs():
    drawn = plots.curves({"quick": RUN, "slow": SLOWER})
    assert list(drawn) == ["loss", "accuracy"]
    (axes,) = drawn["loss"].axes
    average, validation, slower_average, slower_validation = axes.lines
    assert points(average) == [[1, 4], [2, 2], [3, 1], [4, 0.5]]
    assert points(validation) == [[2, 3.5], [4, 1.5]]
    assert points(slower_average) == [[1, 8], [2, 7]]
    assert points(slower_validation) == [[2, 6]]
    # Each run has one colour and one entry in the legend: that of its full line.
    assert legend(axes) == ["quick", "slow"]
    assert average.get_color() == validation.get_color()
    assert slower_average.get_color() == slower_validation.get_color() != average.get_color()
    assert average.get_alpha() == slower_average.get_alpha() == 0.5
    assert validation.get_alpha() is slower_validation.get_alpha() is None
    assert validation.get_marker() == slower_validation.get_marker() == "o"
    # A figure that only one run has.
    (axes,) = drawn["accuracy"].axes
    assert [points(line) for line in axes.lines] == [[[2, 0.5], [4, 0.875]]]
    assert axes.lines[0].get_color() == average.get_color()
    assert legend(axes) == ["quick"]


def test_curves_of_runs_with_other_quantities():
    generative = saved(steps([1.0, 2.0], "generator_loss"))
    drawn = plots.curves({"a": RUN, "b": generative})
    assert list(drawn) == ["loss", "accuracy", "generator_loss"]
    assert drawn["generator_loss"].axes[0].get_title() == "generator loss"
    assert legend(drawn["loss"].axes[0]) == ["a"]
    assert legend(drawn["generator_loss"].axes[0]) == ["b"]


def test_one_curve():
    """The backends' losses over each other, and below them how far apart they lie."""
    drawn = plots.one_curve(
        {"jax": RUN, "torch": RUN, "tensorflow": SLOWER},
        {"backends": [[1e-7, 1e-3, 1e-5], [1e-6, 1e-6, 1e-2, 1]], "floor": [[1e-8, 1e-4]]},
    )
    above, below = drawn.axes
    assert above.get_title() == "loss"
    assert [points(line) for line in above.lines] == [
        [[1, 4], [2, 2], [3, 1], [4, 0.5]],
        [[1, 4], [2, 2], [3, 1], [4, 0.5]],
        [[1, 8], [2, 7]],
    ]
    # Equal curves hide each other unless what is drawn later is thinner.
    widths = [line.get_linewidth() for line in above.lines]
    assert widths[0] > 2 * widths[1] > 4 * widths[2] > 0
    assert len({line.get_color() for line in above.lines + below.lines}) == 5
    assert legend(above) == ["jax", "torch", "tensorflow"]

    first, second, all_, floor, all_floor = below.lines
    assert points(first) == [[1, 1e-7], [2, 1e-3], [3, 1e-3]]
    assert points(second) == [[1, 1e-6], [2, 1e-6], [3, 1e-2]]
    assert points(all_) == [[1, 1e-6], [2, 1e-3], [3, 1e-2]]
    assert points(floor) == points(all_floor) == [[1, 1e-8], [2, 1e-4]]
    assert first.get_alpha() == second.get_alpha() == floor.get_alpha() < 0.5
    assert legend(below) == ["backends", "floor"]
    assert (below.get_xscale(), below.get_yscale(), below.get_xlabel()) == ("log", "log", "step")
    assert above.get_xlim() == below.get_xlim()


def test_one_curve_is_of_the_first_loss_or_else_of_the_first_figure():
    both = saved([{"epoch": 1, "step": 1, "rate": 0.5, "first_loss": 1.0, "second_loss": 2.0}])
    for run, name in ((both, "first loss"), (saved(steps([1.0], "reward")), "reward")):
        above, _ = plots.one_curve({"jax": run, "torch": run}, {"backends": [[0.1]]}).axes
        assert above.get_title() == name


def test_one_curve_of_runs_that_are_equal():
    drawn = plots.one_curve({"jax": RUN, "torch": RUN}, {"backends": [[0.0, 0.0]]})
    _, below = drawn.axes
    assert points(below.lines[-1]) == [[1, 0], [2, 0]]
    assert below.get_yscale() == "linear"  # matplotlib would warn


def test_more_runs_than_colours_are_all_drawn():
    (axes,) = plots.curves({f"run {i}": saved(steps([i + 1.0])) for i in range(9)})["loss"].axes
    assert [points(line) for line in axes.lines] == [[[1, i + 1.0]] for i in range(9)]
    assert legend(axes) == [f"run {i}" for i in range(9)]
    colors = [line.get_color() for line in axes.lines]
    assert len(set(colors[:7])) == 7
    assert colors[7:] == colors[:2]


def test_figures_that_only_steps_have():
    (axes,) = plots.curves({"one": saved(steps([2.0, 1.0], "rate"))})["rate"].axes
    assert [points(line) for line in axes.lines] == [[[1, 2], [2, 1]]] * 2
    assert legend(axes) == ["training"]
    two = plots.curves({"a": saved(steps([2.0, 1.0])), "b": saved(steps([3.0]))})
    # Without validation the average is the run's line, and not pale.
    assert legend(two["loss"].axes[0]) == ["a", "b"]
    assert [line.get_alpha() for line in two["loss"].axes[0].lines] == [None, None]


def test_figures_that_are_rare():
    run = saved(
        [*steps([4.0, 2.0]), {"epoch": 1, "step": 3, "loss": 1.0, "norm": 7.0}],
        [{"epoch": 1, "step": 2, "training_loss": 1.0},
         {"epoch": 2, "step": 3, "validation_score": 9.0}],
    )  # fmt: skip
    drawn = plots.curves({"run": run})
    assert list(drawn) == ["loss", "norm", "score"]
    assert points(drawn["norm"].axes[0].lines[0]) == [[3, 7]]
    assert points(drawn["score"].axes[0].lines[0]) == [[3, 9]]


def test_a_run_without_a_step_has_no_curves():
    assert plots.curves({"run": saved()}) == {}
    assert list(plots.curves({"a": saved(), "b": RUN})) == ["loss", "accuracy"]


@pytest.mark.parametrize(("count", "window"), [(1, 1), (99, 1), (100, 2), (500, 10)])
def test_curves_are_averaged_over_a_fiftieth_of_the_steps(count, window):
    losses = np.random.default_rng(0).uniform(1, 2, count)
    for runs in ({"one": saved(steps(losses))}, {"a": saved(steps(losses)), "b": SLOWER}):
        lines = plots.curves(runs)["loss"].axes[0].lines
        average = lines[1 if len(runs) == 1 else 0].get_xydata()
        np.testing.assert_array_equal(average[:, 0], np.arange(window, count + 1))
        np.testing.assert_allclose(average[0, 1], losses[:window].mean())
        np.testing.assert_allclose(average[-1, 1], losses[-window:].mean())


@pytest.mark.parametrize(
    ("name", "values", "scale"),
    [
        ("loss", [4.0, 0.01], "log"),
        ("generator_loss", [4.0, 0.01], "log"),
        ("loss", [4.0, 0.0], "linear"),
        ("loss", [-1.0, -2.0], "linear"),
        ("accuracy", [0.5, 0.9], "linear"),
    ],
)
def test_losses_have_a_logarithmic_scale_where_all_are_positive(name, values, scale):
    runs = {"a": saved(steps(values, name)), "b": saved(steps([1.0, 2.0], name))}
    assert plots.curves(runs)[name].axes[0].get_yscale() == scale
    assert plots.curves({"a": runs["a"]})[name].axes[0].get_yscale() == scale


def test_one_value_of_validation_decides_the_scale_too():
    epochs = [{"epoch": 1, "step": 2, "validation_loss": -0.5}]
    drawn = plots.curves({"a": saved(steps([2.0, 1.0]), epochs)})
    assert drawn["loss"].axes[0].get_yscale() == "linear"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.9, 0.03], {"0.05", "0.1", "0.2", "0.5", "1"}),
        ([0.9, 0.15], {"0.2", "0.5"}),
        ([2500.0, 90.0], {"100", "200", "500", "1000", "2000"}),
    ],
)
def test_a_logarithmic_scale_has_plain_numbers(values, expected):
    figure = plots.curves({"a": saved(steps(values))})["loss"]
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    low, high = axis.get_view_interval()
    labels = {label.get_text() for label in axis.get_majorticklabels()
              if low <= label.get_position()[1] <= high}  # fmt: skip
    assert labels - {"1"} == expected - {"1"}
    assert not any(label.get_text() for label in axis.get_minorticklabels())


def test_mistakes_come_surest_first(result):
    figure = plots.mistakes(result)
    assert [axes.get_title() for axes in figure.axes] == ["1 (100%)\ntrue: 2", "0 (44%)\ntrue: 1"]
    first, second = figure.axes
    np.testing.assert_array_equal(first.images[0].get_array(), [[20, 21], [22, 23]])
    np.testing.assert_array_equal(second.images[0].get_array(), [[16, 17], [18, 19]])
    assert first.images[0].get_cmap().name == "gray_r"  # ink is dark on white
    assert not first.axison


def test_mistakes_of_one_sureness_keep_their_order():
    figure = plots.mistakes(classification([1, 0, 1, 1, 0, 1], [1, 9, 2, 1, 9, 2]))
    assert shown(figure) == [2, 5, 0, 3]


def test_sixteen_mistakes_are_enough():
    figure = plots.mistakes(classification([1] * 40, np.arange(40) / 10))
    assert shown(figure) == list(range(39, 23, -1))
    places = [axes.get_subplotspec().get_geometry()[:3] for axes in figure.axes]
    assert places == [(4, 4, place) for place in range(16)]
    five = plots.mistakes(classification([1] * 5, np.arange(5)))
    places = [axes.get_subplotspec().get_geometry()[:3] for axes in five.axes]
    assert places == [(2, 4, place) for place in range(5)]
    assert five.get_figheight() == figure.get_figheight() / 2


def test_no_mistakes_at_all():
    figure = plots.mistakes(classification([0, 0], [1, 1]))
    assert figure.axes == []
    assert [text.get_text() for text in figure.texts] == ["none"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(48, range(0, 48, 3)), (16, range(16)), (5, range(5)), (20, [
        0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18])],
)  # fmt: skip
def test_samples_are_spread_evenly(count, expected):
    assert shown(plots.samples(classification([0] * count, [1] * count))) == list(expected)


def test_samples_say_what_is_right(result):
    figure = plots.samples(result)
    titles = {axes.get_title(): to_hex(axes.title.get_color()) for axes in figure.axes}
    assert list(titles) == [
        "0 (100%)\ntrue: 0", "1 (91%)\ntrue: 1", "2 (99%)\ntrue: 2", "0 (58%)\ntrue: 0",
        "0 (44%)\ntrue: 1", "1 (100%)\ntrue: 2",
    ]  # fmt: skip
    *right, wrong, also_wrong = titles.values()
    assert len(set(right)) == 1
    assert wrong == also_wrong != right[0]
    red, green, _ = to_rgb(wrong)
    assert red > green
    red, green, _ = to_rgb(right[0])
    assert green > red


def test_confusion_matrix_has_true_classes_as_rows(result):
    (axes,) = plots.confusion_matrix(result).axes
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    # (predicted, true): x goes right, y goes down
    assert texts == {(0, 0): "2", (0, 1): "1", (1, 1): "1", (2, 2): "1", (1, 2): "1"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [*axes.get_xticks()] == [*axes.get_yticks()] == [0, 1, 2]
    bold = {text.get_position() for text in axes.texts if text.get_weight() == "bold"}
    assert bold == {(0, 0), (1, 1), (2, 2)}


def test_confusion_matrix_with_the_names_of_classes(result):
    (axes,) = plots.confusion_matrix(result, ["cat", "dog", "owl"]).axes
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["cat", "dog", "owl"]


def test_samples_of_images_with_the_names_of_classes(result):
    figure = plots.samples(result, ["cat", "dog", "owl"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[1].startswith("dog (") and titles[1].endswith("true: dog")
    assert titles[5].startswith("dog (") and titles[5].endswith("true: owl")


@pytest.mark.parametrize("name", ["US$ or C$", "$x^$", r"\$ and $"])
def test_names_with_dollars_are_no_formulas(result, name):
    names = [name, "cat", "dog"]
    wrong = Classification(np.zeros((2, 2, 2, 1)), np.array([0, 1]), np.eye(3)[[2, 0]])
    words = Classification(np.array(["a", "b"]), wrong.labels, wrong.logits)
    drawn = {
        "confusion": plots.confusion_matrix(result, names),
        "most confused": plots.most_confused(wrong, names),
        "mistakes": plots.mistakes(wrong, names),
        "words": plots.mistakes(words, names),
        "curves": plots.curves({name: RUN, "other": RUN})["loss"],
    }
    for kind, figure in drawn.items():
        figure.savefig(io.BytesIO(), format="png", dpi=20)
        found = [text for text in figure.findobj(Text) if name in text.get_text()]
        assert found, kind
        assert not any(text.get_parse_math() for text in found), kind


def test_agreement_is_predicted_over_true():
    (axes,) = plots.agreement(np.array([1.0, 4]), np.array([2.0, 3])).axes
    line, found = axes.get_lines()
    assert points(line) == [[1, 1], [4, 4]]
    assert points(found) == [[1, 2], [4, 3]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true", "predicted")


def test_confusion_matrix_colours_mistakes_only():
    labels = np.array([0] * 9 + [1] * 3)
    logits = np.eye(2)[[0] * 5 + [1] * 4 + [1, 1, 0]]
    (axes,) = plots.confusion_matrix(Classification(None, labels, logits)).axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), [[0, 4], [1, 0]])
    alpha = image.to_rgba(image.get_array())[..., 3]
    assert alpha[0, 0] == alpha[1, 1] == 0
    assert alpha[0, 1] == pytest.approx(0.5, abs=0.01)  # so that the number can be read
    assert 0 < alpha[1, 0] < alpha[0, 1] / 2


def test_confusion_matrix_without_mistakes():
    result = Classification(None, np.array([0, 1]), np.eye(2))
    (axes,) = plots.confusion_matrix(result).axes
    assert not axes.images[0].to_rgba(axes.images[0].get_array())[..., 3].any()


def test_the_most_confused_classes_come_first():
    true, predicted = zip(*[(0, 1)] * 2 + [(1, 0)] * 3 + [(2, 2)] * 9 + [(2, 0)], strict=True)
    result = Classification(None, np.array(true), np.eye(3)[list(predicted)])
    (axes,) = plots.most_confused(result, ["yes", "no", "maybe"]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "no as yes", "yes as no", "maybe as yes",
    ]  # fmt: skip
    assert [bar.get_width() for bar in axes.patches] == [3, 2, 1]
    assert axes.yaxis_inverted()  # the first is above
    assert axes.get_xlabel() == "times"
    assert all(tick == int(tick) for tick in axes.get_xticks())
    (axes,) = plots.most_confused(result, ["yes", "no", "maybe"], count=2).axes
    assert [bar.get_width() for bar in axes.patches] == [3, 2]


def test_no_classes_are_confused():
    (axes,) = plots.most_confused(Classification(None, np.arange(2), np.eye(2)), "ab").axes
    assert not axes.patches


def placed(figure):
    """The texts of a figure of texts: {(line, letters before it): [text, note]}."""
    found = {}
    lines = round(figure.get_figheight() / 0.34)
    for text in figure.texts:
        x, y = text.get_position()
        line = int((1 - y) * lines + 1e-6)
        found.setdefault((line, round(x * plots.LETTERS_A_LINE)), []).append(text.get_text())
    return found


def test_texts_have_their_notes_below():
    figure = plots.texts(
        [[("He", "PRON", True), ("sees", "NOUN (VERB)", False)], [("$1$", "x", True)]]
    )
    assert placed(figure) == {
        (0, 0): ["He", "PRON"], (0, 5): ["sees", "NOUN (VERB)"], (1, 0): ["$1$", "x"],
    }  # fmt: skip
    colors = [to_hex(text.get_color()) for text in figure.texts]
    ink, right, _, wrong, _, also_right = colors
    assert right == also_right == plots._GREEN
    assert wrong == plots._RED != ink
    assert all(text.get_parse_math() is False for text in figure.texts)


def test_lines_without_notes_are_close():
    with_notes, without = (
        plots.texts([[(text, note, True)] for text in "abc"]) for note in ("note", "")
    )
    assert without.get_figheight() == pytest.approx(with_notes.get_figheight() / 2)
    assert [text.get_text() for text in without.texts[::2]] == [*"abc"]


def test_texts_go_on_in_the_next_line_where_there_is_no_room():
    rows = [[("a" * 40, "", True), ("b", "c" * 37, True), ("d", "e", True)], [("f", "", True)]]
    found = placed(plots.texts(rows))
    # 40 letters, a space and 37 of the note fill a line of 78.
    assert list(found) == [(0, 0), (0, 41), (1, 0), (2, 0)]
    rows[0][0] = ("a" * 41, "", True)
    assert list(placed(plots.texts(rows))) == [(0, 0), (1, 0), (1, 38), (2, 0)]


def test_a_text_that_is_too_long_is_cut_between_words():
    ((text, _),) = placed(plots.texts([[("word " * 40, "note", True)]])).values()
    assert text == "word " * 15 + "..."
    assert len(text) == 78


def test_a_line_of_letters_is_as_wide_as_the_picture():
    figure = plots.texts([[("m" * 78, "", True)]])
    (text, _) = figure.texts
    width = text.get_window_extent().width / figure.bbox.width
    assert 0.95 < width <= 1


def test_texts_of_a_classification(result):
    sentences = result._replace(inputs=np.array([f"sentence {i}" for i in range(6)]))
    names = ["yes", "no", "maybe"]
    assert list(placed(plots.mistakes(sentences, names)).values()) == [
        ["sentence 5", "no (100%), true: maybe"], ["sentence 4", "yes (44%), true: no"],
    ]  # fmt: skip
    drawn = plots.samples(sentences, names)
    assert list(placed(drawn).values())[::3] == [
        ["sentence 0", "yes (100%)"], ["sentence 3", "yes (58%)"],
    ]  # fmt: skip
    notes = [to_hex(text.get_color()) for text in drawn.texts[1::2]]
    assert notes == [plots._GREEN] * 4 + [plots._RED] * 2
    many = classification([1] * 40, np.arange(40) / 10)._replace(inputs=np.array(["text"] * 40))
    assert len(placed(plots.mistakes(many, names))) == 16


def test_alignments_have_the_source_below_and_what_was_written_at_the_left():
    weights = np.random.default_rng(0).uniform(size=(6, 9))
    figure = plots.alignments([("3 May", "03-05", weights), ("$1", "1", weights)])
    first, second = figure.axes
    assert [label.get_text() for label in first.get_xticklabels()] == [*"3 May"]
    assert [label.get_text() for label in first.get_yticklabels()] == [*"03-05"]
    assert [label.get_text() for label in second.get_xticklabels()] == ["$", "1"]
    assert not any(label.get_parse_math() for label in second.get_xticklabels())
    (image,) = first.images
    np.testing.assert_array_equal(image.get_array(), weights[:5, :5])
    np.testing.assert_array_equal(second.images[0].get_array(), weights[:1, :2])
    # Written from the top down; where it did not look, the page is seen.
    assert first.get_ylim()[0] > first.get_ylim()[1]
    colors = image.to_rgba(np.array([0.0, 0.5, 1.0]), norm=True)
    assert to_hex(colors[2]) == plots._BLUE
    np.testing.assert_allclose(colors[:, 3], [0, 0.5, 1], atol=0.01)


def test_words_and_their_tags():
    names = ("ADJ", "ADP", "ADV")
    result = Classification(None, np.array([0, 2, 1, 0]), np.eye(3)[[0, 1, 1, 2]])
    figure = plots.tagged([["light", "fast"], ["in"]], result, names)
    assert placed(figure) == {
        (0, 0): ["light", "ADJ"], (0, 6): ["fast", "ADP (ADV)"], (1, 0): ["in", "ADP"],
    }  # fmt: skip
    colors = [to_hex(text.get_color()) for text in figure.texts[1::2]]
    assert colors == [plots._GREEN, plots._RED, plots._GREEN]


def test_no_texts_at_all():
    assert [text.get_text() for text in plots.texts([]).texts] == ["none"]


def test_histograms_are_densities_over_the_same_bins():
    low, high = np.array([0.0, 1.0, 1.0, 1.0]), np.array([9.0, 10.0])
    (axes,) = plots.histograms({"a": low, "b": high}, bins=10).axes
    assert legend(axes) == ["a", "b"]
    for bars, values in zip(axes.containers, (low, high), strict=True):
        edges = [bar.get_x() for bar in bars]
        np.testing.assert_allclose(edges, np.arange(10))
        expected, _ = np.histogram(values, np.arange(11), density=True)
        np.testing.assert_allclose([bar.get_height() for bar in bars], expected)
    colors = [bars[0].get_facecolor() for bars in axes.containers]
    assert colors[0][:3] != colors[1][:3]
    assert colors[0][3] < 1  # what lies behind is seen


def test_forecasts_lie_over_what_came_and_behind_what_was_known():
    known, truth = np.arange(30.0).reshape(10, 3), np.arange(20.0).reshape(10, 2)
    panels = plots.forecasts(known, truth, truth + 100).axes
    assert [axes.get_lines()[0].get_ydata()[0] for axes in panels] == [0, 6, 15, 21]  # evenly
    before, came, forecast = panels[1].get_lines()
    assert points(before) == [[-2, 6], [-1, 7], [0, 8]]
    assert points(came) == [[1, 4], [2, 5]] and points(forecast) == [[1, 104], [2, 105]]
    assert legend(panels[0]) == ["truth", "forecast"]
    assert len({line.get_color() for line in (before, came, forecast)}) == 3
    assert len(plots.forecasts(known[:2], truth[:2], truth[:2]).axes) == 2


def test_lines_count_from_1_and_begin_at_zero():
    (axes,) = plots.lines({"a": [3, 5], "b": [4, 4]}, "ahead", "error").axes
    assert [points(line) for line in axes.get_lines()] == [[[1, 3], [2, 5]], [[1, 4], [2, 4]]]
    assert legend(axes) == ["a", "b"]
    assert axes.get_ylim()[0] == 0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("ahead", "error")


def test_graphs_have_a_panel_for_each_title():
    x = np.arange(1.0, 31)
    figure = plots.graphs(
        {"first": {"a": (x, 2 * x), "_b": (x[:3], -x[:3])}, "second": {"_b": (x, x**2)}},
        "width", "error", logarithmic="xy",
    )  # fmt: skip
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["first", "second"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["error", "error"]
    assert (first.get_xlabel(), second.get_xlabel()) == ("", "width")
    a, b = first.get_lines()
    assert points(a) == np.stack([x, 2 * x], axis=1).tolist()
    assert (a.get_marker(), b.get_marker()) == ("None", "o")
    assert a.get_color() != b.get_color() == second.get_lines()[0].get_color()
    assert legend(first) == ["a"] and second.get_legend() is None
    assert (first.get_xscale(), first.get_yscale()) == ("log", "linear")  # -1 has no logarithm
    assert (second.get_xscale(), second.get_yscale()) == ("log", "log")
    (axes,) = plots.graphs({"": {"a": (x, x)}}, "width").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")


def test_a_range_test_has_the_losses_their_average_and_the_suggestion():
    rates, losses = np.geomspace(1e-4, 1, 60), np.cos(np.arange(60.0)) + 2
    (axes,) = plots.range_test(rates, losses, 0.0123).axes
    loss, average, suggestion = axes.get_lines()
    assert points(loss) == np.stack([rates, losses], axis=1).tolist()
    assert points(average) == np.stack([rates, smoothed(losses)], axis=1).tolist()
    assert suggestion.get_xdata().tolist() == [0.0123, 0.0123]
    assert legend(axes) == ["loss", "smoothed", "suggestion, 0.012"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlabel() == "learning rate"


def test_decisions_are_drawn_below_the_points():
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    labels = np.array([0, 0, 0, 1])
    figure = plots.decisions(
        {
            "and": (corners, labels, lambda places: places.sum(axis=1) - 1.5),
            "never": (corners, labels, lambda places: places[:, 0] * 0 - 1),
            "x": (corners, labels, lambda places: places[:, 0] - 0.5),
        }
    )
    assert [axes.get_title() for axes in figure.axes] == ["and", "never", "x"]
    for axes, shares in zip(figure.axes, ([7 / 9, 2 / 9], [1, 0], [0.5, 0.5]), strict=True):
        filled, zeros, ones = axes.collections
        assert zeros.get_offsets().tolist() == corners[:3].tolist()
        assert ones.get_offsets().tolist() == corners[3:].tolist()
        areas = [
            sum(abs(polygon_area(each)) for each in path.to_polygons())
            for path in filled.get_paths()
        ]
        found = np.array([*areas, 0.0][:2]) / 1.5**2
        np.testing.assert_allclose(found, shares, atol=0.03)
        assert to_hex(zeros.get_facecolor()[0]) == plots._RED
        assert to_hex(ones.get_facecolor()[0]) == plots._BLUE


def polygon_area(corners):
    x, y = np.asarray(corners).T
    return 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))


def test_paths_lie_on_contour_lines():
    way = np.array([[-1.0, 1.0], [5.0, 0.0], [0.0, 0.5], [0.0, 0.0]])
    other = np.array([[-1.0, 1.0], [1.0, 0.0]])

    def bowl(x, y):
        return x**2 + 4 * y**2

    def turned(x, y):
        return bowl(y, x)

    figure = plots.paths(
        {"bowl": (bowl, {"a": way, "b": way[::3]}), "turned": (turned, {"b": other, "a": way})}
    )
    shown = {axes.get_title(): axes for axes in figure.axes}
    drawn = {title: points(*axes.get_lines()) for title, axes in shown.items()}
    assert list(drawn.items()) == [
        ("bowl: a, 3 steps", way.tolist()),
        ("turned: a, 3 steps", way.tolist()),
        ("bowl: b, 1 steps", way[::3].tolist()),
        ("turned: b, 1 steps", other.tolist()),
    ]
    # Around beginnings and ends; a way may leave it.
    limits = [axes.get_xlim() + axes.get_ylim() for axes in figure.axes]
    np.testing.assert_allclose(limits, [(-1.7, 0.7, -0.7, 1.7), (-2.4, 2.4, -0.7, 1.7)] * 2)
    for title, axes in shown.items():
        height = bowl if title.startswith("bowl") else turned
        (contours,) = axes.collections
        lines = 0
        for level, path in zip(contours.levels, contours.get_paths(), strict=True):
            np.testing.assert_allclose(height(*path.vertices.T), level, rtol=0.02, atol=0.01)
            lines += len(path.vertices) > 0
        assert lines == 12


def test_bars_have_their_values():
    (axes,) = plots.bars({"majority": 0.125, "linear": 0.5}, "accuracy").axes
    assert [bar.get_width() for bar in axes.patches] == [0.125, 0.5]
    assert [text.get_text() for text in axes.texts] == ["0.125", "0.5"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["majority", "linear"]
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "accuracy"


def test_a_gallery_scales_each_image_and_leaves_gaps():
    grey = np.zeros((3, 4, 5))
    grey[0, 0, 1], grey[1, 3, 4], grey[2] = 2, -5, 3
    colour = np.zeros((2, 8, 8, 3))
    colour[1, 2, 3] = [1, -4, 2]
    figure = plots.gallery({"grey": grey, "colour": colour}, columns=2)
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["grey", "colour"]
    assert not first.axison and not second.axison
    sheet = first.images[0].get_array()
    assert sheet.shape == (4 + 1 + 4, 5 + 1 + 5, 4)
    assert sheet[0, 1].tolist() == [1, 1, 1, 1]  # the largest is white
    assert sheet[1, 1].tolist() == [0.5, 0.5, 0.5, 1]
    assert sheet[3, 6 + 4].tolist() == [0, 0, 0, 1]  # and the least black
    assert (sheet[5:, :5] == 1).all()
    shown = np.zeros((9, 11), bool)
    shown[:4, :5] = shown[:4, 6:] = shown[5:, :5] = True
    np.testing.assert_array_equal(sheet[..., 3], shown)
    sheet = second.images[0].get_array()
    assert sheet.shape == (8, 8 + 2 + 8, 4)
    assert sheet[2, 10 + 3].tolist() == [0.625, 0, 0.75, 1]
    assert sheet[2, 3].tolist() == [0.5, 0.5, 0.5, 1]  # an image that is 0 everywhere


def figures(result):
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    return {
        "graphs": plots.graphs({"one": {"a": ([1, 2], [3, 4])}, "two": {}}, "x"),
        "decisions": plots.decisions(
            {"one": (corners, np.array([0, 1, 1, 0]), lambda places: places[:, 0] - 0.5)}
        ),
        "bars": plots.bars({"one": 1.0, "two": 0.25}, "accuracy"),
        "gallery": plots.gallery({"one": np.ones((9, 7, 7)), "two": np.ones((2, 7, 7, 3))}),
        "paths": plots.paths({"bowl": (lambda x, y: x**2 + y**2, {"a": corners})}),
        "one run": plots.curves({"one": RUN})["loss"],
        "eight runs": plots.curves({str(i): RUN for i in range(8)})["loss"],
        "confusion matrix": plots.confusion_matrix(result),
        "confusion of names": plots.confusion_matrix(result, ["yes", "no", "maybe"]),
        "agreement": plots.agreement(np.arange(3.0), np.arange(3.0)),
        "mistakes": plots.mistakes(result),
        "no mistakes": plots.mistakes(classification([0], [1])),
        "samples": plots.samples(result),
        "most confused": plots.most_confused(result, ["yes", "no", "maybe"]),
        "texts": plots.texts([[("a word", "right", True)], [("another", "wrong", False)]]),
        "no texts": plots.texts([]),
        "histograms": plots.histograms({"a": np.arange(4.0), "b": np.arange(9.0)}),
        "forecasts": plots.forecasts(*np.ones((3, 5, 2))),
        "lines": plots.lines({"a": [3, 5]}, "ahead", "error"),
    }


def contrast(color, ground):
    """As the Web Content Accessibility Guidelines have it, from 1 to 21."""

    def luminance(color):
        shares = np.array(to_rgb(color))
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    dark, light = sorted([luminance(color), luminance(ground)])
    return (light + 0.05) / (dark + 0.05)


def test_figures_read_on_white_and_on_black(result):
    for name, figure in figures(result).items():
        # As a report does, out of the functions that draw.
        memory = io.BytesIO()
        figure.savefig(memory, format="png", dpi=50)
        alpha = np.asarray(Image.open(memory).convert("RGBA"))[..., 3]
        assert np.mean(alpha == 0) > 0.3, f"{name} has a background"
        assert alpha[0, 0] == alpha[-1, -1] == 0

        texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
        assert texts
        lines = [line for axes in figure.axes for line in axes.get_lines()]
        spines = [spine.get_edgecolor() for axes in figure.axes for spine in axes.spines.values()]
        colors = [part.get_color() for part in [*texts, *lines]] + spines
        for ground in ("white", "black"):
            for color in colors:
                assert contrast(color, ground) > 3, f"{color} of {name} on {ground}"
        assert figure.get_figwidth() < 5, "too wide for a telephone"
        for axes in figure.axes:
            assert axes.get_legend() is None or axes.get_legend().get_frame().get_alpha() == 0


def test_the_style_is_given_back(result):
    with matplotlib.rc_context({"axes.facecolor": "red", "text.color": "red"}):
        before = dict(matplotlib.rcParams)
        figures(result)
        assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_imported_when_a_picture_is_drawn_and_pyplot_never():
    script = (
        "import sys, numpy\n"
        "from recipes.training import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.histograms({'a': numpy.zeros(2)})\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    drawn = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert drawn.stderr == ""
