"""Pictures of a run, as matplotlib figures.

matplotlib is imported when a picture is drawn: it costs a third of a second, and a run draws
when it is over.
"""

import numpy as np

_ROWS_OF_SAMPLES = 4
_SAMPLES_A_ROW = 8


def curves(rows):
    """Curves over the steps of a run, one panel for each quantity (loss, accuracy, ...).

    Args:
        rows: the rows of metrics.jsonl. A step's values are drawn pale with their moving
            average; an epoch's ``validation_`` values as points; ``training_`` means are left
            out, being the average of what is drawn.
    """
    series = {}
    for row in rows:
        for name, value in row.items():
            if name not in ("epoch", "step") and not name.startswith(("training_", "test_")):
                series.setdefault(name, ([], []))
                series[name][0].append(row["step"])
                series[name][1].append(value)
    quantities = list(dict.fromkeys(name.removeprefix("validation_") for name in series))
    figure = _figure(5.2 * max(1, len(quantities)), 3.4)
    for column, quantity in enumerate(quantities, start=1):
        axes = figure.add_subplot(1, len(quantities), column)
        if quantity in series:
            steps, values = series[quantity]
            axes.plot(steps, values, color="#4c78a8", alpha=0.25, linewidth=0.8)
            axes.plot(*_moving_average(steps, values), color="#4c78a8", label="training")
        if f"validation_{quantity}" in series:
            axes.plot(*series[f"validation_{quantity}"], "o-", color="#e45756", label="validation")
        if quantity.endswith("loss"):
            _logarithmic_if_positive(axes, series, quantity)
        axes.set_xlabel("step")
        axes.set_title(quantity.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_matrix(result):
    """Counts of (true, predicted) classes of a ``Classification``; mistakes are coloured."""
    counts = result.confusion
    classes = range(len(counts))
    mistakes = counts - np.diag(np.diag(counts))
    figure = _figure(5.2, 4.8)
    axes = figure.add_subplot()
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(1, mistakes.max()) * 1.5)
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


def image_samples(result):
    """Images of a ``Classification``: mistakes first, the surest of them at the front."""
    mistaken = result.predicted != result.labels
    order = np.lexsort((-result.confidence, ~mistaken))[: _ROWS_OF_SAMPLES * _SAMPLES_A_ROW]
    figure = _figure(1.2 * _SAMPLES_A_ROW, 1.45 * _ROWS_OF_SAMPLES)
    for place, index in enumerate(order, start=1):
        axes = figure.add_subplot(_ROWS_OF_SAMPLES, _SAMPLES_A_ROW, place)
        axes.imshow(result.inputs[index].squeeze(), cmap="gray_r")
        axes.set_axis_off()
        axes.set_title(
            f"predicted {result.predicted[index]}\ntrue {result.labels[index]}",
            color="#c03030" if mistaken[index] else "#207030",
            fontsize=8,
        )
    return figure


def histograms(samples, bins=80):
    """Histograms over each other, as densities: {label: values (N,)}."""
    figure = _figure(6, 3.4)
    axes = figure.add_subplot()
    edges = np.histogram_bin_edges(np.concatenate(list(samples.values())), bins)
    for label, values in samples.items():
        axes.hist(values, edges, density=True, alpha=0.55, label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _figure(width, height):
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    return Figure(figsize=(width, height), layout="constrained")


def _moving_average(steps, values):
    window = max(1, len(values) // 50)
    averages = np.convolve(values, np.ones(window) / window, mode="valid")
    return steps[window - 1 :], averages


def _logarithmic_if_positive(axes, series, quantity):
    values = [
        *series.get(quantity, ([], []))[1],
        *series.get(f"validation_{quantity}", ([], []))[1],
    ]
    if min(values) > 0:
        axes.set_yscale("log")
