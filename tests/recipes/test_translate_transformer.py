"""A transformer that translates, its labels, its learning rate and its figures."""

import gzip

import keras
import numpy as np
import pytest
import sacrebleu
from keras import ops
from tokenizers import Tokenizer

import zoo
from recipes import __main__ as command_line
from recipes import translate_transformer
from recipes.data import translations
from recipes.data.vocabulary import pad
from recipes.training import plots
from recipes.training.saved_run import read_run
from recipes.translate_transformer import WarmUp, learn_pieces, smoothed

LENGTH = 36  # pieces of a sentence; embedded ones have no more
SIZES = ["--length", str(LENGTH), "--vocabulary-size", "400", "--width", "32", "--depth", "1",
         "--num-heads", "2", "--hidden-width", "64"]  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe and returns (its folder, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        words = ["run", "translate_transformer", *map(str, words), "--runs", str(tmp_path)]
        assert command_line.main(words) == 0
        (folder,) = (tmp_path / "translate_transformer").iterdir()
        return folder, read_run(folder)

    return call


def test_the_learning_rate_grows_and_falls():
    rates = [float(WarmUp(0.01, 4)(step)) for step in (0, 1, 3, 4, 15, 399)]
    expected = [0.0025, 0.005, 0.01, 0.01 * (4 / 5) ** 0.5, 0.005, 0.001]
    assert rates == pytest.approx(expected)


def test_smoothed_labels():
    """As Keras has them over all classes, of what is no padding."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 4, 5)).astype("float32")
    labels = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [3, 3, 1, 2]])
    loss = float(smoothed(ops.convert_to_tensor(logits), ops.convert_to_tensor(labels), 0.2))
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    expected = keras_loss(np.eye(5)[labels[labels != 0]], logits[labels != 0])
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_pieces_are_of_words_and_say_all():
    tokenizer = learn_pieces(["the cat", "the cap", "die Katze"], 300)
    assert tokenizer.get_vocab_size() <= 300
    for text in ("the cat", "étrange ☂, new"):
        ids = tokenizer.encode(text).ids
        assert min(ids) >= 3  # neither padding nor START nor STOP
        assert tokenizer.decode(ids).strip() == text
    assert len(tokenizer.encode("the cat").ids) == 2


def test_it_learns(run, monkeypatch):
    shown, texts = {}, plots.texts
    monkeypatch.setattr(plots, "texts", lambda rows: shown.update(rows=rows) or texts(rows))
    alignments = plots.alignments
    monkeypatch.setattr(
        plots, "alignments", lambda rows: shown.update(alignments=rows) or alignments(rows)
    )
    made, step = [], translate_transformer.gradient_step
    monkeypatch.setattr(
        translate_transformer, "gradient_step",
        lambda loss, *both: made.extend(both) or step(loss, *both),
    )  # fmt: skip
    folder, over = run(
        "--epochs", "3", "--learning-rate", "0.01", "--warmup-steps", "60", *SIZES,
        "--dropout-rate", "0.05", "--beam-width", "2",
    )  # fmt: skip
    assert over.test["test_bleu"] > 10 and over.epochs[-1]["validation_bleu"] > 10

    _, optimizer = made
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.98, 1e-9)
    rate = optimizer._learning_rate
    assert (rate.learning_rate, rate.steps) == (0.01, min(60, len(over.steps) // 4))

    # The saved model and its pieces give the same figures.
    sources, true = (side.tolist() for side in translations.embedded()[2])
    model = keras.models.load_model(folder / "model.keras")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    prompts = [each.ids for each in tokenizer.encode_batch(sources)]
    found = zoo.generate(
        model, prompts, LENGTH, stop=2, start=1, beam_width=2, length_penalty=0.6,
    )  # fmt: skip
    rows = zip(found.tokens.tolist(), found.lengths, strict=True)
    written = [tokenizer.decode(row[:length]).strip() for row, length in rows]
    bleu = sacrebleu.corpus_bleu(written, [true], force=True).score
    assert over.test["test_bleu"] == pytest.approx(bleu, abs=0.3)  # of batches that are as long

    targets = [[1, *each.ids, 2] for each in tokenizer.encode_batch(true)]
    inputs, labels = pad(prompts), pad(targets)
    logits = model.predict([inputs, labels[:, :-1]], verbose=0).astype("float64")
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(logits, labels[:, 1:, None], axis=-1)[:, :, 0]
    expected = losses[labels[:, 1:] != 0].mean()
    assert over.test["test_loss"] == pytest.approx(expected, rel=1e-4)

    # Pictures show sentences of the test part, and where the last block looked.
    ((first,), (second,), (third,)) = shown["rows"][:3]
    assert first == (sources[0], "", True)
    assert second[0].strip() in written and third == (f"  {true[0]}", "true", True)
    pieces, target, looked = shown["alignments"][0]
    assert "".join(pieces) == sources[0].replace(" ", "")
    assert target[-1] == "<stop>" and looked.shape == (len(target), len(pieces))
    np.testing.assert_allclose(looked.sum(axis=-1), 1, atol=1e-5)


def test_a_folder_of_ones_own(run, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for part, count in {"train": 40, "val": 8, "test": 6}.items():
        for language, word in {"en": "number", "de": "Zahl"}.items():
            text = "".join(f"{word} {index}\n" for index in range(count))
            (folder / f"{part}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    _, over = run("--data-path", folder, "--epochs", "1", "--batch-size", "10", *SIZES)
    assert over.description["data"]["description"] == (
        "own: 40 for training, 8 for validation, 6 for the test"
    )
    assert len(over.steps) == 4


def test_a_folder_that_lacks_a_file_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    (tmp_path / "own").mkdir()
    words = ["run", "translate_transformer", "--data-path", str(tmp_path / "own")]
    assert command_line.main([*words, "--runs", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: cannot read --data-path ") and "\n" not in error
    assert "it needs train.en and train.de" in error
