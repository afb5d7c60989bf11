"""A BERT from scratch, and one that begins with a checkpoint."""

import json

import keras
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

import zoo
from recipes import __main__ as command_line
from recipes import bert_intents
from recipes.data import intents
from recipes.training.saved_run import read_run

SIZES = ["--width", "32", "--depth", "1", "--num-heads", "2", "--length", "12"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the recipe and returns (its folder, what it is over)."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())

    def call(*words):
        runs = tmp_path / str(len(list(tmp_path.iterdir())))
        words = ["run", "bert_intents", "--data", "embedded", *map(str, words)]
        assert command_line.main([*words, "--runs", str(runs)]) == 0
        (folder,) = (runs / "bert_intents").iterdir()
        return folder, read_run(folder)

    return call


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of a small BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special)
    tokenizer.train_from_iterator(map(str, intents.embedded()[0][0]), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    model = small_bert(tokenizer.get_vocab_size(), num_classes=3)
    zoo.save_weights(model, folder / "model.safetensors")
    return folder


def small_bert(vocabulary_size, num_classes):
    return zoo.build(
        "minilm_l6", vocabulary_size=vocabulary_size, width=32, depth=1, num_heads=2,
        hidden_width=128, num_classes=num_classes, head="classifier", seed=5,
    )  # fmt: skip


def test_from_scratch(run):
    folder, over = run(
        *SIZES, "--weights", "none", "--epochs", "3", "--scratch-learning-rate", "5e-3"
    )
    assert over.test["test_accuracy"] > 0.8
    known = json.loads((folder / "vocabulary.json").read_text("utf-8"))
    sentences, true = intents.embedded()[2]
    rows = [["<start>", *str(sentence).split()][:12] for sentence in sentences]
    tokens = np.zeros((len(rows), 12), "int32")
    for row, words in enumerate(rows):
        tokens[row, : len(words)] = [
            known["words"].index(word) if word in known["words"] else 1 for word in words
        ]
    model = keras.models.load_model(folder / "model.keras")
    logits = model.predict([tokens, np.zeros_like(tokens)], verbose=0)
    right = np.array(known["intents"])[logits.argmax(axis=1)] == true
    assert over.test["test_accuracy"] == np.mean(right)


def test_a_checkpoint_and_its_tokenizer(run, checkpoint):
    """All but the output layer begins with its weights, and reads what its tokenizer tells."""
    folder, over = run(*SIZES, "--weights", checkpoint, "--epochs", "1", "--learning-rate", "1e-9")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    known = json.loads((folder / "vocabulary.json").read_text("utf-8"))
    assert known.keys() == {"intents"}
    model = keras.models.load_model(folder / "model.keras")
    ours = small_bert(tokenizer.get_vocab_size(), num_classes=12)
    zoo.load_weights(ours, checkpoint, head=False)
    for one, other in zip(model.weights, ours.weights, strict=True):
        if not one.path.startswith("output/"):
            np.testing.assert_allclose(one, other, atol=1e-6, err_msg=one.path)

    sentences, true = intents.embedded()[2]
    tokens = np.zeros((len(sentences), 12), "int32")
    for row, sentence in enumerate(sentences):
        ids = tokenizer.encode(str(sentence)).ids
        assert ids[0] == 2 and ids[-1] == 3 and len(ids) <= 12
        tokens[row, : len(ids)] = ids
    logits = model.predict([tokens, np.zeros_like(tokens)], verbose=0)
    right = np.array(known["intents"])[logits.argmax(axis=1)] == true
    assert over.test["test_accuracy"] == np.mean(right)


def test_tuned_at_the_rate_of_a_checkpoint(run, checkpoint, monkeypatch):
    """It grows over a tenth of the steps, then falls; matrices alone decay."""
    made, step = [], bert_intents.gradient_step
    monkeypatch.setattr(
        bert_intents, "gradient_step", lambda loss, *both: made.extend(both) or step(loss, *both)
    )
    words = [*SIZES, "--epochs", "2", "--weights", checkpoint, "--scratch-learning-rate", "1e-9"]
    _, tuned = run(*words, "--learning-rate", "5e-3")
    assert tuned.steps[-1]["loss"] < tuned.steps[0]["loss"] - 0.3

    model, optimizer = made
    steps = len(tuned.steps)
    rates = [float(optimizer._learning_rate(step)) for step in range(steps + 1)]
    assert rates[0] == 0 and rates[steps] == pytest.approx(0, abs=1e-9)
    assert max(rates) == rates[steps // 10] == pytest.approx(5e-3)
    decayed = {each.path for each in model.trainable_variables if optimizer._use_weight_decay(each)}
    spared = {each.path.rpartition("/")[2] for each in model.trainable_variables} - {
        path.rpartition("/")[2] for path in decayed
    }
    assert spared == {"bias", "gamma", "beta"}
    assert all(path.endswith(("kernel", "embeddings", "positions")) for path in decayed)
    assert optimizer.weight_decay == 0.01 and optimizer.global_clipnorm == 1


def test_where_the_weights_are_not_installed(run, monkeypatch, capsys):
    monkeypatch.setattr(bert_intents, "PACKAGE", "no_such_package")
    folder, _ = run(*SIZES, "--epochs", "1", "--batch-size", "200")
    assert "from scratch: the package no-such-package is not installed" in capsys.readouterr().out
    captions = read_run(folder).description["pictures"]
    assert captions["samples.png"].endswith("trained from scratch.")
    assert not (folder / "tokenizer.json").exists()


def test_batches_are_cut_and_mean_the_same(run, monkeypatch):
    """Columns that all sentences of a batch leave empty change no loss."""
    losses, lengths = [], []
    step = bert_intents.gradient_step

    def gradient_step(compute_loss, *arguments):
        def recorded(tokens, labels):
            lengths.append(tokens.shape[1])
            return compute_loss(tokens, labels)

        return step(recorded, *arguments)

    monkeypatch.setattr(bert_intents, "gradient_step", gradient_step)
    words = [*SIZES[:-1], "40", "--weights", "none", "--epochs", "1", "--dropout-rate", "0"]
    for multiple in (8, 40):
        monkeypatch.setattr(bert_intents, "LENGTHS", multiple)
        _, over = run(*words, "--batch-size", "100")
        losses.append([row["loss"] for row in over.steps])
    assert set(lengths) == {16, 40}
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"--weights": "nowhere"}, "cannot read the tokenizer of --weights nowhere: "),
        ({"--width": "30", "--num-heads": "4"}, "cannot split width=30 among num_heads=4"),
        ({"--weights": "CHECKPOINT", "--depth": "2"}, "block2"),
        ({"--length": "513"}, "--length 513 is too long: the network has 512 positions"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    options, told, checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    options = dict(zip(SIZES[::2], SIZES[1::2], strict=True)) | {"--weights": "none"} | options
    words = [
        word.replace("CHECKPOINT", str(checkpoint)) for pair in options.items() for word in pair
    ]
    words = ["run", "bert_intents", "--data", "embedded", *words]
    assert command_line.main([*words, "--runs", str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    assert told in error
    assert list(tmp_path.glob("*/*")) == []
