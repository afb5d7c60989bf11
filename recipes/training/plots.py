"""Pictures of a run, as matplotlib figures.

They have no background, and inks that read on white and on black, because a report is shown on
both. Each is narrow enough for a telephone; the report puts them side by side where there is
room. matplotlib is imported when a picture is drawn: it costs a third of a second, and a run
draws when it is over.
"""

import functools
import itertools

import numpy as np

_INK = "#7a7a7a"  # contrast 4.3 on white, 4.9 on black
_COLORS = ("#4c88c8", "#e0524e", "#2f9e4f", "#b07cc6", "#cf7a12", "#1fa5a5", "#a0785a")
_BLUE, _RED, _GREEN, *_ = _COLORS
_STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.framealpha": 0,
    "grid.alpha": 0.35,
    **dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], _INK
    ),
}
_SAMPLES = 16
_SAMPLES_A_ROW = 4


def words(name):
    """A figure's name as people write it: validation_loss, validation loss."""
    return name.replace("_", " ")


def _styled(draw):
    @functools.wraps(draw)
    def styled(*arguments, **options):
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*arguments, **options)

    return styled


@_styled
def curves(runs):
    """Curves over the steps, one figure for each quantity: {"loss": figure, ...}.

    Args:
        runs: {label: ``SavedRun``}. A single run's steps are drawn pale with their moving
            average, its epochs' validation figures as points; of several runs, the moving
            averages are pale and the validation figures are full lines.
    """
    drawn = {}
    for quantity in dict.fromkeys(name for run in runs.values() for name in _quantities(run)):
        drawn[quantity] = _figure(4.8, 3.3)
        axes = drawn[quantity].add_subplot()
        if len(runs) == 1:
            _draw_run(axes, quantity, *runs.values())
        else:
            _draw_runs(axes, quantity, runs)
        if quantity.endswith("loss"):
            _make_logarithmic(axes)
        axes.set_xlabel("step")
        axes.set_title(words(quantity))
        axes.grid()
        axes.legend(fontsize="small")
    return drawn


def _draw_run(axes, quantity, run):
    steps = _series(run.steps, quantity)
    validation = _series(run.epochs, f"validation_{quantity}")
    _plot(axes, steps, color=_BLUE, alpha=0.25, linewidth=0.8)
    _plot(axes, _moving_average(*steps), color=_BLUE, label="training")
    _plot(axes, validation, marker="o", color=_RED, label="validation")


def _draw_runs(axes, quantity, runs):
    for color, (label, run) in zip(itertools.cycle(_COLORS), runs.items(), strict=False):
        average = _moving_average(*_series(run.steps, quantity))
        validation = _series(run.epochs, f"validation_{quantity}")
        behind = {"alpha": 0.5, "linewidth": 0.9} if validation[0] else {"label": label}
        _plot(axes, average, color=color, **behind)
        _plot(axes, validation, marker="o", markersize=4, color=color, label=label)


@_styled
def one_curve(curves, differences):
    """A seed's curves on all backends, over each other, and how far apart they lie.

    Args:
        curves: {backend: ``SavedRun``} of one seed.
        differences: {label: [(steps,) values, one for each seed]}; drawn is the largest so far,
            for each seed and, full, for all.
    """
    figure = _figure(7.2, 5.4)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    # Curves that are equal hide each other: each is drawn thinner than the one below it.
    widths = 2.4 ** np.arange(len(curves))[::-1]
    for color, width, (label, run) in zip(_COLORS, widths, curves.items(), strict=False):
        name = min(_quantities(run), key=lambda name: not name.endswith("loss"))  # the first loss
        _plot(above, _series(run.steps, name), color=color, linewidth=width, label=label)
    above.set_title(words(name))
    for color, (label, seeds) in zip(_COLORS[3:], differences.items(), strict=False):
        steps = min(map(len, seeds))
        so_far = np.array([np.maximum.accumulate(values[:steps]) for values in seeds])
        for values in so_far:
            _plot(below, (range(1, steps + 1), values), color=color, alpha=0.35, linewidth=0.8)
        _plot(below, (range(1, steps + 1), so_far.max(axis=0)), color=color, label=label)
    below.set_title("largest relative difference so far")
    below.set_xlabel("step")
    below.set_xscale("log")
    below.xaxis.set_major_formatter("{x:g}")
    if any(max(line.get_ydata()) > 0 for line in below.get_lines()):
        below.set_yscale("log")  # leaves zeros out
    _make_logarithmic(above)
    for axes in (above, below):
        axes.grid()
        axes.legend(fontsize="small")
    return figure


def _make_logarithmic(axes):
    """Logarithmic values, where all are positive."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if min(min(line.get_ydata()) for line in axes.get_lines()) <= 0:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")  # 0.05 and not 5 x 10^-2
    axes.yaxis.set_minor_formatter(NullFormatter())


@_styled
def confusion_matrix(result):
    """Counts of (true, predicted) classes of a ``Classification``; mistakes are coloured."""
    from matplotlib.colors import LinearSegmentedColormap

    counts = result.confusion
    classes = range(len(counts))
    wrong = counts - np.diag(np.diag(counts))
    figure = _figure(4.8, 4.5)
    axes = figure.add_subplot()
    transparent_to_red = LinearSegmentedColormap.from_list("mistakes", [f"{_RED}00", _RED])
    axes.imshow(wrong, cmap=transparent_to_red, vmin=0, vmax=max(1, wrong.max()) * 2)
    for true in classes:
        for predicted in classes:
            if counts[true, predicted]:
                weight = "bold" if true == predicted else "normal"
                text = str(counts[true, predicted])
                axes.text(predicted, true, text, ha="center", va="center", weight=weight)
    axes.set_xticks(classes)
    axes.set_yticks(classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def mistakes(result):
    """Images of a ``Classification`` whose predicted class is wrong, the surest first."""
    wrong = np.flatnonzero(result.predicted != result.labels)
    return _images(result, wrong[np.argsort(-result.confidence[wrong], kind="stable")])


def samples(result):
    """Images of a ``Classification``, taken evenly from all of them."""
    count = len(result.labels)
    return _images(result, np.linspace(0, count, min(_SAMPLES, count), endpoint=False, dtype=int))


@_styled
def _images(result, indices):
    """Images with their predicted class, its probability and the true class."""
    indices = indices[:_SAMPLES]
    rows = max(1, -(-len(indices) // _SAMPLES_A_ROW))
    figure = _figure(4.8, 1.6 * rows)
    if not len(indices):
        figure.text(0.5, 0.5, "none", ha="center", va="center")
    for place, index in enumerate(indices, start=1):
        axes = figure.add_subplot(rows, _SAMPLES_A_ROW, place)
        axes.imshow(result.inputs[index].squeeze(), cmap="gray_r")
        axes.set_axis_off()
        right = result.predicted[index] == result.labels[index]
        axes.set_title(
            f"{result.predicted[index]} ({result.confidence[index]:.0%})\n"
            f"true: {result.labels[index]}",
            color=_GREEN if right else _RED,
            fontsize=9,
        )
    return figure


@_styled
def histograms(samples, bins=80):
    """Histograms over each other, as densities: {label: values (N,)}."""
    figure = _figure(4.8, 3.3)
    axes = figure.add_subplot()
    edges = np.histogram_bin_edges(np.concatenate(list(samples.values())), bins)
    for color, (label, values) in zip(_COLORS, samples.items(), strict=False):
        axes.hist(values, edges, density=True, alpha=0.55, color=color, label=label)
    axes.grid()
    axes.legend()
    return figure


def _figure(width, height):
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    return Figure(figsize=(width, height), layout="constrained")


def _plot(axes, series, **style):
    if len(series[0]):
        axes.plot(*series, **style)


def _quantities(run):
    """What is drawn of a run: what its steps log, and its validation figures."""
    names = dict.fromkeys(name for row in run.steps + run.epochs for name in row)
    return [
        name.removeprefix("validation_")
        for name in names
        if name not in ("epoch", "step") and not name.startswith("training_")
    ]


def _series(rows, name):
    """(steps, values) of the rows that have a figure."""
    rows = [row for row in rows if name in row]
    return [row["step"] for row in rows], [row[name] for row in rows]


def _moving_average(steps, values):
    window = max(1, len(values) // 50)
    averages = np.convolve(values, np.ones(window) / window, mode="valid") if values else []
    return steps[window - 1 :], averages
