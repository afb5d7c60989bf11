import re
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special, stats

from recipes import study_optimizers
from recipes.training import landscapes, optimizers
from recipes.training.evaluate import classify
from tests.recipes.spies import spied_run

NAMES = ["gradient_descent", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
WORDS = [name.replace("_", " ") for name in NAMES]


def name_of(optimizer):
    """Of an optimizer of Keras, that of the six which it is."""
    name = type(optimizer).__name__.lower()
    if name != "sgd":
        return name
    if optimizer.momentum == 0:
        return "gradient_descent"
    return "nesterov" if optimizer.nesterov else "momentum"


def test_every_formula_is_raced_as_the_optimizer_that_it_is():
    assert list(study_optimizers.OPTIMIZERS) == NAMES
    for name, (formula, keras_optimizer) in study_optimizers.OPTIMIZERS.items():
        assert formula is getattr(optimizers, name)
        assert name_of(keras_optimizer(0.01)) == name
        assert study_optimizers.largest_difference(formula, keras_optimizer, seed=1) < 1e-5, name


def test_a_network_ends_where_its_formula_did_on_the_same_batches(tmp_path, monkeypatch):
    rehearsed, trained = {}, {}
    best_result, gradient_step = landscapes.best_result, study_optimizers.gradient_step

    def rehearse(differentiate, formula, weights, batches, validation):
        result = best_result(differentiate, formula, weights, batches, validation)
        if differentiate is landscapes.differentiate_network:
            rehearsed[formula.__name__] = (weights, batches, validation, result)
        return result

    def make_step(compute_loss, network, optimizer):
        trained[name_of(optimizer)] = (network, optimizer, network.get_weights())
        return gradient_step(compute_loss, network, optimizer)

    monkeypatch.setattr(landscapes, "best_result", rehearse)
    monkeypatch.setattr(study_optimizers, "gradient_step", make_step)
    run, batches = spied_run(monkeypatch, study_optimizers, tmp_path)(
        "--epochs", "2", "--batch-size", "320"
    )
    assert list(rehearsed) == list(trained) == NAMES
    assert len(batches) == 2 * 4 * 6
    for position, (images, labels) in enumerate(batches):
        first_images, first_labels = batches[position - position % 6]
        assert np.array_equal(images, first_images) and np.array_equal(labels, first_labels)
    training = {image.tobytes() for images, _ in batches for image in images}
    rates = set()
    for name in NAMES:
        start, rehearsal, (images, _), best = rehearsed[name]
        network, optimizer, began = trained[name]
        for ours, other, first in zip(start, began, rehearsed["adam"][0], strict=True):
            assert np.array_equal(ours, other) and np.array_equal(ours, first)
        for expected, seen in zip(rehearsal, batches[::6], strict=True):
            assert all(map(np.array_equal, expected, seen))
        assert len(images) == 144 and training.isdisjoint(image.tobytes() for image in images)
        assert float(optimizer.learning_rate) == pytest.approx(best.rate)
        rates.add(best.rate)
        ways = [np.subtract(end, first) for end, first in zip(best.weights, start, strict=True)]
        for found, first, way in zip(network.get_weights(), start, ways, strict=True):
            # Keras's Adam has epsilon elsewhere, which tells where gradients are nearly 0.
            apart = 0.1 if name.startswith("adam") else 1e-3
            assert np.linalg.norm(found - first - way) < apart * np.linalg.norm(way), name
    assert len(rates) > 1
    assert set(run.test) == {f"test_{rare}{name}_loss" for rare in ("", "rare_") for name in NAMES}


class Judge(SimpleNamespace):
    """In the place of a run: trains nothing, and keeps what it is told.

    The study's figures are given by names: ``steps`` of a place and a formula, ``rare`` and
    ``trained`` losses, ``differences``.
    """

    def __init__(self, monkeypatch, **changes):
        figures = {
            "differences": dict.fromkeys(NAMES, 1.0),
            "ravine": dict.fromkeys(NAMES, 100),
            "saddle": dict.fromkeys(NAMES, 100),
            "rare": dict.fromkeys(NAMES, 1.0),
            "trained": dict.fromkeys(NAMES, 1.0) | {"adam": 0.5},
        }
        for kind, values in changes.items():
            figures[kind] |= values
        super().__init__(figures=figures, logged={}, verdicts={}, pictures={}, names={})
        places = {id(plane): place for place, plane in landscapes.PLANES.items()}

        def fastest_way(plane, formula, steps):
            count = figures[places[id(plane)]][formula.__name__]
            return landscapes.Way(0.5, count, np.linspace((0, 0), (count, 1), count + 1))

        def best_result(differentiate, formula, weights, batches, validation):
            assert validation[0][0] == 1
            return landscapes.Result(0.5, weights)

        def make_step(compute_loss, network, optimizer):
            self.names[network] = name_of(optimizer)

        def test_loss(network, part):
            assert part[0][0] == 2
            return SimpleNamespace(loss=figures["trained"][self.names[network]])

        def difference(formula, keras_optimizer, seed):
            return figures["differences"][formula.__name__]

        monkeypatch.setattr(landscapes, "fastest_way", fastest_way)
        monkeypatch.setattr(landscapes, "best_result", best_result)
        monkeypatch.setattr(study_optimizers, "gradient_step", make_step)
        monkeypatch.setattr(study_optimizers, "classify", test_loss)
        monkeypatch.setattr(study_optimizers, "largest_difference", difference)
        monkeypatch.setattr(
            study_optimizers, "rare_loss", lambda formula, seed: figures["rare"][formula.__name__]
        )
        study_optimizers.main(study_optimizers.Config(), self)

    def load(self, module):
        return [(np.full(16, part), np.zeros(16)) for part in range(3)]

    def initialize(self, *networks):
        pass

    def epochs(self, *steps):
        return ()

    def log(self, **figures):
        self.logged |= figures

    def verdict(self, statement, holds, measured):
        self.verdicts[statement] = (bool(holds), measured)

    def save(self, network):
        assert self.names[network] == "adam"

    def picture(self, name, figure, caption):
        self.pictures[name] = figure


FORMULAS = "The formulas are Keras's optimizers"
MOMENTUM = "Momentum crosses a ravine in fewer steps than gradient descent"
NESTEROV = "Nesterov's momentum crosses a ravine in fewer steps than Polyak's"
SADDLE = "Adam leaves a saddle in fewer steps than gradient descent"
RARE = "Adam wins on sparse and noisy gradients"
NETWORK = "Momentum trains a small network as well as Adam"


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, []),
        ({"differences": dict.fromkeys(NAMES, 9.9e-6)}, [FORMULAS]),
        ({"differences": dict.fromkeys(NAMES, 9.9e-6) | {"adamw": 1.1e-5}}, []),
        ({"differences": dict.fromkeys(NAMES, 9.9e-6) | {"gradient_descent": 1.1e-5}}, []),
        ({"ravine": {"momentum": 75}}, [MOMENTUM]),
        ({"ravine": {"momentum": 76}}, []),
        ({"ravine": {"nesterov": 75}}, [NESTEROV]),
        ({"ravine": {"nesterov": 76}}, []),
        ({"ravine": {"rmsprop": 1, "adam": 1, "adamw": 1}}, []),
        ({"saddle": {"adam": 75}}, [SADDLE]),
        ({"saddle": {"adam": 76}}, []),
        ({"saddle": {"momentum": 1, "nesterov": 1, "rmsprop": 1, "adamw": 1}}, []),
        ({"rare": {"adam": 0.979}}, [RARE]),
        ({"rare": {"adam": 0.981}}, []),
        ({"rare": {"adam": 0.979, "gradient_descent": 0.99}}, []),
        ({"rare": {"adam": 0.979, "momentum": 0.99}}, []),
        ({"rare": {"adam": 0.979, "nesterov": 0.99}}, []),
        ({"rare": {"adam": 0.979, "rmsprop": 0.98, "adamw": 0.98}}, [RARE]),
        ({"rare": {"adam": 0.979, "rmsprop": 0.978}}, []),
        ({"rare": {"adam": 0.979, "adamw": 0.978}}, []),
        ({"trained": {"momentum": 0.6}}, [NETWORK]),
        ({"trained": {"momentum": 0.601}}, []),
        ({"trained": {"gradient_descent": 0, "nesterov": 0, "rmsprop": 0, "adamw": 0}}, []),
    ],
)
def test_a_statement_is_judged_by_those_that_it_names(changes, held, monkeypatch):
    verdicts = Judge(monkeypatch, **changes).verdicts
    assert list(verdicts) == [FORMULAS, MOMENTUM, NESTEROV, SADDLE, RARE, NETWORK]
    assert [statement for statement, (holds, _) in verdicts.items() if holds] == held


@pytest.fixture
def of_six(monkeypatch):
    """A ``Judge`` whose figures are all different."""
    return Judge(
        monkeypatch,
        ravine={name: 10 + place for place, name in enumerate(NAMES)},
        saddle={name: 20 + place for place, name in enumerate(NAMES)},
        rare={name: 0.3 + place / 100 for place, name in enumerate(NAMES)},
        trained={name: 0.4 + place / 100 for place, name in enumerate(NAMES)},
    )


def test_a_verdict_says_what_it_compared(of_six):
    numbers = {
        statement: [float(each) for each in re.findall(r"\d+(?:\.\d+)?", measured)]
        for statement, (_, measured) in of_six.verdicts.items()
        if statement != FORMULAS
    }
    assert numbers == {
        MOMENTUM: [11, 10, 0.5, 0.5],
        NESTEROV: [12, 11, 0.5, 0.5],
        SADDLE: [24, 20, 0.5, 0.5],
        RARE: [0.34, 0.3, 2, 0.33, 0.35],
        NETWORK: [0.41, 0.44],
    }


def test_the_pictures_and_the_test_show_all_six(of_six):
    titles = [axes.get_title() for axes in of_six.pictures["paths"].axes]
    assert titles == [
        f"{place}: {name}, {steps + row} steps"
        for row, name in enumerate(WORDS)
        for place, steps in (("ravine", 10), ("saddle", 20))
    ]
    for picture, kind, figure in (
        ("rare", "rare", "test_rare_{}_loss"),
        ("network", "trained", "test_{}_loss"),
    ):
        expected = of_six.figures[kind]
        (axes,) = of_six.pictures[picture].axes
        assert [bar.get_width() for bar in axes.patches] == list(expected.values())
        assert [label.get_text() for label in axes.get_yticklabels()] == WORDS
        found = {name: of_six.logged[figure.format(name)] for name in NAMES}
        assert found == expected
    assert len(of_six.logged) == 12


@pytest.mark.parametrize("share", [1e-3, 1e-2])
def test_a_difference_is_relative_to_the_largest_weight(share):
    _, keras_optimizer = study_optimizers.OPTIMIZERS["gradient_descent"]

    def longer(state, gradient, weights, learning_rate):
        """100 gradients of at most 1.5 go by, of which a weight keeps the sum."""
        step = optimizers.gradient_descent(state, gradient, weights, learning_rate)
        return step * (1 + share)

    random = np.random.default_rng(2)
    sums = -0.01 * (
        random.uniform(0.5, 1.5, (100, 1000)) * random.choice([-1.0, 1.0], (100, 1000))
    ).sum(axis=0)
    expected = share * np.abs(sums).max() / np.abs(1 + (1 + share) * sums).max()
    found = study_optimizers.largest_difference(longer, keras_optimizer, seed=2)
    assert found == pytest.approx(expected, rel=0.01)


def test_the_networks_formula_differentiates_the_network():
    random = np.random.default_rng(3)
    network = study_optimizers.small_network()
    weights = [random.normal(0, 0.3, each.shape) for each in network.get_weights()]
    network.set_weights(weights)
    images = random.integers(0, 256, (5, 28, 28, 1)).astype("uint8")
    labels = np.array([0, 3, 9, 3, 5])
    loss, _ = landscapes.differentiate_network(weights, images, labels)
    assert loss == pytest.approx(classify(network, (images, labels)).loss, rel=1e-5)


def test_a_rare_loss_is_of_the_examples_drawn_last(monkeypatch):
    monkeypatch.setattr(study_optimizers, "STEPS", 1)

    def to_a_tenth(state, gradient, weights, learning_rate):
        return 0.1 - weights

    best_result, given = landscapes.best_result, []

    def spied(differentiate, formula, weights, batches, validation):
        given.extend([batches, validation])
        return best_result(differentiate, formula, weights, batches, validation)

    monkeypatch.setattr(landscapes, "best_result", spied)
    random = np.random.default_rng(4)
    signs = landscapes.draw_signs(random)
    batch, validation, (features, answers) = (
        landscapes.draw_rare(random, count, signs) for count in (16, 4000, 4000)
    )
    logits = 0.1 * features.sum(axis=1, keepdims=True)
    expected = -np.mean(special.log_expit(np.where(answers == 1, logits, -logits)))
    found = study_optimizers.rare_loss(to_a_tenth, seed=4)
    assert found == pytest.approx(expected, rel=1e-6)
    ((seen,), used) = given
    assert all(map(np.array_equal, seen, batch)) and all(map(np.array_equal, used, validation))


def test_rare_features_are_learned_a_little_by_every_step(monkeypatch):
    losses = {}
    for steps in (0, 20, 100):
        monkeypatch.setattr(study_optimizers, "STEPS", steps)
        losses[steps] = study_optimizers.rare_loss(optimizers.adam, seed=0)
    assert losses[0] == pytest.approx(np.log(2))
    least = stats.bernoulli(0.1).entropy()  # a tenth of the labels is wrong
    assert least < losses[100] < losses[20] < losses[0]
