"""Probes that look on, and filters that are edges, beside SciPy's and NumPy's."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from recipes import __main__ as command_line
from recipes import study_features as study
from recipes.data import batches as batching
from recipes.data import shapes
from recipes.data.batches import cut_validation
from recipes.training.run import VALIDATION_FRACTION
from recipes.training.saved_run import read_run
from tests.recipes.spies import spied_run, ways_between

COLOUR = np.array([0.6, -0.8, 0.0])


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the study into a folder of a name and returns what it is over."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(name, *words):
        runs = tmp_path / name
        words = ["run", "study_features", *map(str, words), "--runs", str(runs)]
        assert command_line.main(words) == 0
        (folder,) = (runs / "study_features").iterdir()
        return read_run(folder)

    return call


def derivative(order, width, angle, size=7):
    """SciPy's, of a Gaussian that it samples and turns itself."""
    impulse = np.zeros((41, 41))
    impulse[20, 20] = 1
    wide = ndimage.gaussian_filter(impulse, width, order=(0, order))
    turned = ndimage.rotate(wide, angle, reshape=False, order=3)
    start = 20 - size // 2
    return turned[start : start + size, start : start + size]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("width", [1, 1.5])
@pytest.mark.parametrize("angle", [0, 30, 90, 135])
def test_derivatives_of_gaussians_are_edges_of_any_colour(order, width, angle):
    grey = derivative(order, width, angle)
    kernel = np.stack([grey[..., None] * COLOUR, -3 * grey[..., None] * COLOUR[::-1]], axis=-1)
    assert (study.edge_likeness(kernel) > 0.97).all()
    assert (study.edge_likeness(kernel) <= 1 + 1e-6).all()


def test_what_is_no_edge(random):
    even = np.ones((7, 7, 3, 1))
    assert study.edge_likeness(even) < 1e-6
    checks = np.indices((7, 7)).sum(axis=0) % 2 - 0.5
    assert study.edge_likeness(checks[..., None, None] * np.ones((3, 1))) < 0.3
    noise = random.normal(size=(7, 7, 3, 200))
    assert np.mean(study.edge_likeness(noise) >= study.EDGE) < 0.01


def test_the_likeness_is_a_correlation(random):
    """Of a grey filter, with the edge that fits best: NumPy's own, as edges have a mean of 0."""
    kernel = random.normal(size=(7, 7, 1, 5))
    kernel -= kernel.mean(axis=(0, 1))
    edges = study.edges_and_bars(7)
    expected = [
        max(abs(np.corrcoef(edge.ravel(), kernel[..., 0, index].ravel())[0, 1]) for edge in edges)
        for index in range(5)
    ]
    np.testing.assert_allclose(study.edge_likeness(kernel), expected, rtol=1e-6)


def test_edges_lie_in_all_directions():
    """By the moments of the first derivatives of width 1 that are not moved."""
    down, right = np.indices((7, 7)) - 3
    odd = study.edges_and_bars(7)[2::36]
    angles = [np.degrees(np.arctan2((down * edge).sum(), (right * edge).sum())) for edge in odd]
    assert len(set(np.mod(np.round(angles), 180))) == 12


def test_features_are_means_of_places(random):
    x = random.normal(size=(2, 32, 32, 3)).astype("float32")
    expected = x.reshape(2, 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(2, 48)
    found = ops.convert_to_numpy(study.of_places(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_each_layer_has_as_many_features_and_a_probe():
    model = study.network(5, "small")
    assert [tuple(each.shape) for each in model.outputs] == [
        (None, 10), (None, 48), (None, 80), (None, 80), (None, 80),
    ]  # fmt: skip
    counts = [probe.count_params() for probe in study.probes_of(model)]
    assert counts == [490, 810, 810, 810]


def test_probes_look_on_and_initial_weights_stay(run, monkeypatch):
    """The network learns the same without them, and its twin learns nothing."""
    options = ["--epochs", 2, "--width", 4, "--batch-size", 100]
    one = run("one", *options)
    networks = []
    network = study.network

    def remembered(width, name):
        networks.append(network(width, name))
        return networks[-1]

    monkeypatch.setattr(study, "network", remembered)
    monkeypatch.setattr(study.ops, "stop_gradient", lambda features: 0 * features)
    other = run("other", *options)
    for name in ("learned_loss", "untrained_loss"):
        found, expected = ([row[name] for row in each.steps] for each in (one, other))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    learned, untrained = (each.get_layer("filters1").kernel for each in networks)
    kernels = [ops.convert_to_numpy(each) for each in (learned, untrained)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01
    limit = np.sqrt(6 / (49 * (3 + 4)))  # Glorot's, which decay and training leave
    assert 0.9 * limit < np.abs(kernels[1]).max() <= limit


def test_its_figures_are_those_of_its_networks_and_probes(tmp_path, monkeypatch):
    """And each picture is moved by up to 3 pixels, and mirrored or not, before it is learned."""
    kept = []
    make = study.probes_of

    def remembered(model):
        kept.append((model, make(model)))
        return kept[-1][1]

    monkeypatch.setattr(study, "probes_of", remembered)
    run, batches = spied_run(monkeypatch, study, tmp_path)(
        "--epochs", "1", "--width", "4", "--batch-size", "100"
    )  # fmt: skip
    training, test = shapes.embedded()
    training, validation = cut_validation(training, VALIDATION_FRACTION, seed=0)
    figures = run.epochs[-1] | run.test
    for part, (images, labels) in {"validation": validation, "test": test}.items():
        for model, probes in kept:
            logits, *features = model(images)
            answers = {model.name: logits}
            for probe, each in zip(probes, features, strict=True):
                answers[probe.name] = probe(each)
            assert len(answers) == 5
            for name, logits in answers.items():
                share = np.mean(ops.convert_to_numpy(logits).argmax(axis=1) == labels)
                found = figures[f"{part}_{name}_accuracy"]
                assert found == pytest.approx(share, abs=0.004), name  # one picture at most
    saved = keras.models.load_model(run.folder / "model.keras")
    for weight, other in zip(saved.get_weights(), kept[0][0].get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)

    of_layers, of_learning, _ = run.description["verdicts"].values()
    for verdict, name in ((of_layers, "learned"), (of_learning, "untrained")):
        told = [f"{run.test[f'test_{name}_layer{depth}_accuracy']:.1%}" for depth in range(4)]
        assert verdict["measured"].startswith(", ".join(told))

    first = run.steps[0]  # before anything is learned
    assert first["learned_loss"] == pytest.approx(first["untrained_loss"], rel=1e-6)
    images, labels = next(batching.batches(training, 100, 0, 1))
    seen, given = batches[0]
    np.testing.assert_array_equal(given, labels)
    ways = ways_between(images, seen, 3)
    for axis in (0, 1):
        assert {way[axis] for way in ways} == set(range(-3, 4))
    assert 0.3 < np.mean([mirrored for *_, mirrored in ways]) < 0.7
