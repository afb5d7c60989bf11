import json

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import __main__ as command_line
from recipes.data import mnist
from recipes.data.batches import cut_validation
from recipes.training.evaluate import classify
from recipes.training.run import VALIDATION_FRACTION


def test_learns_and_reports_what_its_model_does(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    words = ["--data", "embedded", "--epochs", "4", "--seed", "3", "--runs", str(tmp_path)]
    assert command_line.main(["run", "cnn_mnist", *words]) == 0
    (folder,) = (tmp_path / "cnn_mnist").iterdir()
    *_, epoch, last = (
        json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()
    )
    assert last["test_accuracy"] > 0.9

    # The figures are those of the saved model, on the splits that they name.
    model = keras.models.load_model(folder / "model.keras")
    training, test = mnist.embedded()
    _, validation = cut_validation(training, VALIDATION_FRACTION, seed=3)
    for split, row, name in ((validation, epoch, "validation"), (test, last, "test")):
        result = classify(model, split)
        assert row[f"{name}_accuracy"] == result.accuracy
        assert row[f"{name}_loss"] == pytest.approx(result.loss, rel=1e-6)

    # A digit in a file is what that digit is in the test part.
    Image.fromarray(test[0][950, ..., 0]).save(tmp_path / "digit.png")
    logits = result.logits[950]
    share = np.exp(logits.max()) / np.exp(logits).sum()
    capsys.readouterr()
    assert command_line.main(["predict", str(folder), str(tmp_path / "digit.png")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'digit.png'}  {logits.argmax()}  {share:.1%}  (then ")

    # It takes pixels from 0 to 255, and its batch-norm statistics have followed the batches.
    rescaling, network = model.layers
    np.testing.assert_allclose(rescaling.scale, 1 / 255)
    for block in ("block1", "block2"):
        norm = network.get_layer(f"{block}_norm")
        assert norm.momentum == 0.9
        assert np.all(np.abs(keras.ops.convert_to_numpy(norm.moving_mean)) > 0)
