import keras
import numpy as np
import pytest
from keras import layers

from recipes import study_start_simple as study
from recipes.data import mnist
from recipes.data.batches import cut_validation
from recipes.study_start_simple import falls, multiplications, on_pixels
from recipes.training.evaluate import classify
from recipes.training.run import VALIDATION_FRACTION
from tests.recipes.spies import spied_run
from zoo.convolutional.lenet import lenet5


def test_multiplications_are_what_torch_counts():
    """Which counts a multiplication and an addition, 2 for each weight's use."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    inner = keras.Sequential(
        [
            keras.Input((14, 14, 4)),
            layers.Conv2D(6, 5, use_bias=False),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(),
        ]
    )
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            inner,
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(7),
            layers.Dense(3),
        ]
    )
    same = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, stride=2, padding=1),
        torch.nn.Conv2d(4, 6, 5, bias=False),
        torch.nn.Conv2d(6, 6, 3, padding=1, groups=6),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(150, 7),
        torch.nn.Linear(7, 3),
    )
    with FlopCounterMode(display=False) as counter:
        same(torch.zeros(1, 1, 28, 28))
    assert multiplications(model) == counter.get_total_flops() / 2


def test_multiplications_of_lenet5():
    """LeCun et al. 1998: C1 to the output; the sub-samplings S2 and S4 have one a value."""
    model = on_pixels("lenet5", layers.ZeroPadding2D(2), lenet5())
    convolutions = 28 * 28 * 6 * 25 + 10 * 10 * 60 * 25 + 120 * 16 * 25
    assert multiplications(model) == convolutions + 14 * 14 * 6 + 5 * 5 * 16 + 120 * 84 + 84 * 10


def test_a_linear_model_multiplies_each_pixel_by_each_digit():
    assert multiplications(on_pixels("linear", layers.Flatten(), layers.Dense(10))) == 7840


@pytest.mark.parametrize(
    ("values", "factor", "expected"),
    [
        ((3, 2, 1), 1, True),
        ((3, 1, 2), 1, False),
        ((3, 1, -2), 0.5, True),
        ((2, 3, 1), 1, False),
        ((2, 2), 1, False),
        ((100, 9, 0.8), 0.1, True),
        ((100, 9, 1), 0.1, False),
    ],
)
def test_falls(values, factor, expected):
    assert falls(values, factor) is expected


def test_its_figures_are_those_of_its_answers(tmp_path, monkeypatch):
    """The majority is that of the training part; the test part says how often it is right."""
    models = {}

    def remembered(name, *parts):
        models[name] = on_pixels(name, *parts)
        return models[name]

    monkeypatch.setattr(study, "on_pixels", remembered)
    run, batches = spied_run(monkeypatch, study, tmp_path)("--epochs", "1", "--batch-size", "1200")
    training, (images, labels) = mnist.embedded()
    majority = np.bincount(np.concatenate([given for _, given in batches])).argmax()
    share = {"majority": np.mean(labels == majority)}
    saved = keras.models.load_model(run.folder / "model.keras")
    for name, model in (models | {"large": saved}).items():
        share[name] = np.mean(model.predict(images, verbose=0).argmax(axis=1) == labels)
    assert list(share) == ["majority", "linear", "small", "large"]
    for name, expected in share.items():
        assert run.test[f"test_{name}_accuracy"] == pytest.approx(expected)

    _, validation = cut_validation(training, VALIDATION_FRACTION, seed=0)
    for name, model in models.items():
        found = run.epochs[-1][f"validation_{name}_loss"]
        assert found == pytest.approx(classify(model, validation).loss, rel=1e-4)

    of_best = (share["linear"] - share["majority"]) / (max(share.values()) - share["majority"])
    first, _ = run.description["verdicts"].values()
    assert first["measured"].startswith(f"{of_best:.0%} of the best gain")
