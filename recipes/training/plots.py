"""Pictures of a run, as matplotlib figures.

They have no background, and inks that read on white and on black, because a report is shown on
both. Each is narrow enough for a telephone; the report puts them side by side where there is
room. matplotlib is imported when a picture is drawn: it costs a third of a second, and a run
draws when it is over.
"""

import functools
import itertools
import textwrap

import numpy as np

from recipes.training.learning_rate_finder import smoothed

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
# A name may have dollars, which would begin a formula.
_PLAIN = {"parse_math": False}
_SAMPLES = 16
_SAMPLES_A_ROW = 4
LETTERS_A_LINE = 78  # of the font of texts


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
        for text in axes.legend(fontsize="small").get_texts():
            text.set(**_PLAIN)
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
def confusion_matrix(result, names=None):
    """Counts of (true, predicted) classes of a ``Classification``; mistakes are coloured.

    Args:
        result: the ``Classification``.
        names: of the classes; None shows their numbers.
    """
    counts = result.confusion
    classes = range(len(counts))
    wrong = counts - np.diag(np.diag(counts))
    figure = _figure(4.8, 4.5)
    axes = figure.add_subplot()
    axes.imshow(wrong, cmap=_transparent_to(_RED), vmin=0, vmax=max(1, wrong.max()) * 2)
    for true in classes:
        for predicted in classes:
            if counts[true, predicted]:
                weight = "bold" if true == predicted else "normal"
                text = str(counts[true, predicted])
                axes.text(predicted, true, text, ha="center", va="center", weight=weight)
    names = names or list(map(str, classes))
    rotation = 90 if max(map(len, names)) > 2 else 0
    axes.set_xticks(classes, names, rotation=rotation, **_PLAIN)
    axes.set_yticks(classes, names, **_PLAIN)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


@_styled
def most_confused(result, names, count=12):
    """Which classes of a ``Classification`` are taken for which others, and how often.

    Args:
        result: the ``Classification``.
        names: of the classes.
        count: of pairs (true, predicted) that are shown, the most frequent first.
    """
    counts = result.confusion
    np.fill_diagonal(counts, 0)
    most = np.argsort(-counts, axis=None, kind="stable")[:count]
    pairs = [
        pair for pair in zip(*np.unravel_index(most, counts.shape), strict=True) if counts[pair]
    ]
    figure = _figure(4.8, 0.9 + 0.25 * len(pairs))
    axes = figure.add_subplot()
    labels = [f"{names[true]} as {names[predicted]}" for true, predicted in pairs]
    axes.barh(range(len(pairs)), [counts[pair] for pair in pairs], color=_RED)
    axes.set_yticks(range(len(pairs)), labels, **_PLAIN)
    axes.invert_yaxis()
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("times")
    return figure


@_styled
def texts(rows):
    """Words or sentences with a note below each; without a note in all of them, lines are close.

    Args:
        rows: each a list of (text, note, right): side by side, in as many lines as they need. The
            note is green where ``right`` is true, and red where it is not.
    """
    cells = []  # (line, letters before it, text, note, right)
    line = -1
    for row in rows:
        line, letters = line + 1, 0
        for text, note, right in row:
            text = textwrap.shorten(text, LETTERS_A_LINE, placeholder=" ...")
            size = max(len(text), len(note))
            if letters and letters + size > LETTERS_A_LINE:
                line, letters = line + 1, 0
            cells.append((line, letters, text, note, right))
            letters += size + 1
    lines = line + 1
    height = 0.34 if any(note for _, _, _, note, _ in cells) else 0.17
    figure = _figure(4.8, height * max(1, lines))
    if not cells:
        figure.text(0.5, 0.5, "none", ha="center", va="center")
    style = {"family": "monospace", "fontsize": 7, "va": "top", **_PLAIN}
    for line, letters, text, note, right in cells:
        x, y = letters / LETTERS_A_LINE, 1 - line / lines
        figure.text(x, y, text, **style)
        figure.text(x, y - 0.42 / lines, note, color=_GREEN if right else _RED, **style)
    return figure


def tagged(sentences, result, names):
    """Sentences with the predicted tag below each word, and the true one if it is another.

    Args:
        sentences: lists of words.
        result: the ``Classification`` of all their words, and maybe of more.
        names: of the tags.
    """
    tags = zip(result.predicted, result.labels, strict=True)
    return texts(
        [
            [
                (word, names[tag] if tag == true else f"{names[tag]} ({names[true]})", tag == true)
                for word, (tag, true) in zip(sentence, tags, strict=False)
            ]
            for sentence in sentences
        ]
    )


def mistakes(result, names=None):
    """Inputs of a ``Classification`` whose predicted class is wrong, the surest first.

    Args:
        result: the ``Classification``, of images or of texts.
        names: of the classes; None, for images, shows their numbers.
    """
    wrong = np.flatnonzero(result.predicted != result.labels)
    return _inputs(result, wrong[np.argsort(-result.confidence[wrong], kind="stable")], names)


def samples(result, names=None):
    """Inputs of a ``Classification``, taken evenly from all of them; arguments of ``mistakes``."""
    count = len(result.labels)
    evenly = np.linspace(0, count, min(_SAMPLES, count), endpoint=False, dtype=int)
    return _inputs(result, evenly, names)


def _inputs(result, indices, names):
    indices = indices[:_SAMPLES]
    if result.inputs.dtype.kind != "U":
        return _images(result, indices, names or range(result.logits.shape[-1]))
    rows = []
    for index in indices:
        predicted, true = result.predicted[index], result.labels[index]
        note = f"{names[predicted]} ({result.confidence[index]:.0%})"
        right = predicted == true
        rows.append(
            [(result.inputs[index], note if right else f"{note}, true: {names[true]}", right)]
        )
    return texts(rows)


@_styled
def _images(result, indices, names):
    """Images with their predicted class, its probability and the true class."""
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
            f"{names[result.predicted[index]]} ({result.confidence[index]:.0%})\n"
            f"true: {names[result.labels[index]]}",
            color=_GREEN if right else _RED,
            fontsize=9,
            **_PLAIN,
        )
    return figure


@_styled
def agreement(true, predicted):
    """Amounts (N,) that were predicted, over what they are; a line where both are equal."""
    figure = _figure(4.8, 4.5)
    axes = figure.add_subplot()
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, color=_INK)
    axes.plot(true, predicted, ".", color=_BLUE, markersize=3)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.grid()
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


@_styled
def forecasts(known, truth, forecast, windows=4):
    """Some windows, taken evenly: what was known, what came and what was forecast.

    Shapes: known (N, lookback), truth and forecast (N, horizon).
    """
    count = min(windows, len(known))
    figure = _figure(4.8, 1.6 * count)
    before, ahead = np.arange(1 - known.shape[1], 1), np.arange(1, truth.shape[1] + 1)
    rows = figure.subplots(count, sharex=True, squeeze=False)[:, 0]
    places = np.linspace(0, len(known), count, endpoint=False, dtype=int)
    for axes, index in zip(rows, places, strict=True):
        _plot(axes, (before, known[index]), color=_INK)
        _plot(axes, (ahead, truth[index]), color=_BLUE, label="truth")
        _plot(axes, (ahead, forecast[index]), color=_RED, label="forecast")
        axes.grid()
    rows[0].legend(fontsize="small")
    rows[-1].set_xlabel("rows ahead")
    return figure


@_styled
def alignments(examples):
    """Where a decoder looked as it wrote: the bluer, the more.

    Args:
        examples: each (source, written, weights (T, S)): two texts or lists of tokens, and how much
            each character or token of the source (columns) was looked at as each was written
            (rows). T and S may be larger, by padding.
    """
    shapes = [(len(written), len(source)) for source, written, _ in examples]
    figure = _figure(4.8, 0.4 + sum(0.5 + 0.15 * height for height, _ in shapes))
    rows = figure.subplots(
        len(examples), squeeze=False, height_ratios=[height for height, _ in shapes]
    )[:, 0]
    for axes, (source, written, weights), (height, width) in zip(
        rows, examples, shapes, strict=True
    ):
        axes.imshow(
            weights[:height, :width], cmap=_transparent_to(_BLUE), vmin=0, vmax=1, aspect="auto"
        )
        style = {"family": "monospace", "fontsize": 7, **_PLAIN}
        rotation = 90 if max(map(len, source)) > 1 else 0
        axes.set_xticks(range(width), list(source), rotation=rotation, **style)
        axes.set_yticks(range(height), list(written), **style)
        axes.tick_params(length=0)
    return figure


@_styled
def lines(values, x_label, y_label):
    """Lines over 1, 2, ...: {label: values (N,)}."""
    figure = _figure(4.8, 3.3)
    axes = figure.add_subplot()
    for color, (label, each) in zip(_COLORS, values.items(), strict=False):
        _plot(axes, (range(1, len(each) + 1), each), color=color, label=label)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(bottom=0)
    axes.grid()
    axes.legend(fontsize="small")
    return figure


@_styled
def graphs(panels, x_label, y_label="", logarithmic=""):
    """Lines over any x, a panel below the other.

    Args:
        panels: {title: {label: (x, y)}}, two sequences of one length. A label keeps its colour
            from panel to panel; a label that begins with "_" is in no legend.
        x_label, y_label: of all panels.
        logarithmic: "x", "y" or "xy": these axes, where all values are positive.
    """
    figure = _figure(4.8, 0.5 + 2.5 * len(panels))
    rows = figure.subplots(len(panels), squeeze=False)[:, 0]
    labels = list(dict.fromkeys(label for panel in panels.values() for label in panel))
    for axes, (title, panel) in zip(rows, panels.items(), strict=True):
        for label, (x, y) in panel.items():
            marker = "o" if len(x) < 20 else None
            color = _COLORS[labels.index(label) % len(_COLORS)]
            _plot(axes, (x, y), color=color, label=label, marker=marker, markersize=4)
        for axis in logarithmic:
            drawn = [getattr(line, f"get_{axis}data")() for line in axes.get_lines()]
            if min(map(min, drawn)) > 0:
                getattr(axes, f"set_{axis}scale")("log")
        axes.set_title(title)
        axes.set_ylabel(y_label)
        axes.grid()
        if any(not label.startswith("_") for label in panel):
            axes.legend(fontsize="small")
    rows[-1].set_xlabel(x_label)
    return figure


def range_test(rates, losses, suggestion):
    """The loss over growing learning rates, smoothed too, and what they suggest."""
    averages = smoothed(losses)
    ends = [min(averages), max(averages)]
    drawn = {
        "loss": (rates, losses),
        "smoothed": (rates, averages),
        f"suggestion, {suggestion:.2g}": ([suggestion, suggestion], ends),
    }
    return graphs({"": drawn}, "learning rate", "loss", logarithmic="xy")


@_styled
def decisions(panels):
    """Points of the plane in the colours of their classes, on what was decided for their places.

    Args:
        panels: {title: (points (N, 2), labels (N,) of 0 and 1, decide)}; ``decide`` takes points
            (M, 2) and returns (M,) numbers, which are positive for class 1.
    """
    figure = _figure(4.8, 2.4 * -(-len(panels) // 2))
    cells = figure.subplots(-(-len(panels) // 2), 2, squeeze=False).ravel()
    for axes in cells[len(panels) :]:
        axes.remove()
    for axes, (title, (points, labels, decide)) in zip(cells, panels.items(), strict=False):
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.25 * (high - low)
        sides = [np.linspace(*ends, 120) for ends in zip(low - margin, high + margin, strict=True)]
        x, y = np.meshgrid(*sides)
        places = np.stack([x.ravel(), y.ravel()], axis=1).astype(points.dtype)
        is_one = np.asarray(decide(places)).reshape(x.shape) > 0
        axes.contourf(x, y, is_one, levels=[-0.5, 0.5, 1.5], colors=[_RED, _BLUE], alpha=0.25)
        for label, color in enumerate((_RED, _BLUE)):
            axes.scatter(*points[labels == label].T, color=color, s=80 if len(points) < 9 else 9)
        axes.set_title(title, fontsize=9)
    return figure


@_styled
def paths(panels):
    """Ways over landscapes, which are drawn as contour lines: a column for each, a row for a way.

    Args:
        panels: {title: (height, {label: places (N, 2)})}, with the same labels for all; ``height``
            takes arrays x and y. A column shows what lies around the places where each of its ways
            begins and ends: what goes farther out leaves it.
    """
    labels = list(next(iter(panels.values()))[1])
    figure = _figure(2.8 * len(panels), 0.3 + 1.4 * len(labels))
    cells = figure.subplots(len(labels), len(panels), sharex="col", sharey="col", squeeze=False)
    for column, (title, (height, ways)) in zip(cells.T, panels.items(), strict=True):
        ends = np.concatenate([way[[0, -1]] for way in ways.values()])
        margin = 0.7 * np.ptp(ends, axis=0)
        low, high = ends.min(axis=0) - margin, ends.max(axis=0) + margin
        x, y = np.meshgrid(*(np.linspace(*sides, 120) for sides in zip(low, high, strict=True)))
        heights = height(x, y)
        # As many places lie between one line and the next.
        levels = np.unique(np.quantile(heights, np.linspace(0.02, 0.98, 12)))
        for axes, label in zip(column, labels, strict=True):
            way = ways[label]
            axes.contour(
                x, y, heights, levels=levels, colors=_INK, linewidths=0.4, linestyles="solid"
            )
            _plot(axes, way.T, color=_BLUE, marker=".", markersize=3, linewidth=1)
            axes.set_title(f"{title}: {label}, {len(way) - 1} steps", fontsize=8)
            axes.tick_params(labelsize=7)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.locator_params(nbins=5)
    return figure


@_styled
def bars(values, x_label):
    """A bar for each: {label: value}, the first above."""
    figure = _figure(4.8, 0.7 + 0.3 * len(values))
    axes = figure.add_subplot()
    drawn = axes.barh(list(values), list(values.values()), color=_BLUE)
    axes.bar_label(drawn, fmt="{:.3g}", padding=3)
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.set_xlabel(x_label)
    return figure


@_styled
def gallery(panels, columns=8):
    """Small images in rows, such as the filters of a convolution, a panel below the other.

    Args:
        panels: {title: images (N, H, W) or (N, H, W, 3)}. Each image is scaled by its own largest
            value, be it positive or negative; 0 is grey.
        columns: images a row.
    """
    shapes = {
        title: (-(-len(images) // columns), *images.shape[1:3]) for title, images in panels.items()
    }
    width = 4.8
    heights = [
        width * rows * height / (columns * breadth) for rows, height, breadth in shapes.values()
    ]
    figure = _figure(width, sum(heights) + 0.3 * len(panels))
    cells = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, images) in zip(cells, panels.items(), strict=True):
        rows, height, breadth = shapes[title]
        gap = max(1, height // 4)
        tall, wide = height + gap, breadth + gap
        sheet = np.zeros((rows * tall - gap, columns * wide - gap, 4))  # gaps are transparent
        for index, image in enumerate(images):
            row, column = divmod(index, columns)
            place = sheet[row * tall :, column * wide :][:height, :breadth]
            colours = image.reshape(height, breadth, -1)
            place[..., :3] = 0.5 + 0.5 * colours / max(np.abs(image).max(), 1e-12)
            place[..., 3] = 1
        axes.imshow(sheet, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title)
    return figure


def _transparent_to(color):
    """A colormap, of which 0 shows the page."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("", [f"{color}00", color])


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
