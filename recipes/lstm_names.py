"""An LSTM that writes names, a character after the other.

    python -m recipes run lstm_names
    python -m recipes run lstm_names --data-path names.txt

Graves 2013, "Generating Sequences with Recurrent Neural Networks", arXiv:1308.0850, section 2: from
the characters so far the network gives the probabilities of the next one, which is drawn, and so
on. The baseline counts pairs of characters.

Loss on the test part with the defaults, in nats a character, on a 2-core AMD EPYC:

                              tensorflow   jax     torch   baseline
    names.txt, 32,033 names   1.979        1.979   1.979   2.457
    --data embedded           1.623        1.623   1.623   2.201
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from recipes.data import names
from recipes.training import plots
from recipes.training.evaluate import classify_tokens
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.recurrent.lstm import lstm_language_model

END = 0  # the token before the first character and behind the last one
SAMPLES, SAMPLES_A_ROW = 40, 4


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: names a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        embedding_width: numbers that stand for a character
        width: units of a layer
        depth: number of layers
        dropout_rate: share of each layer's states that is dropped in training
        temperature: of the names that are drawn: below 1 likely characters become likelier
        data_path: a text file with a name a line; every tenth is in the test part
        seed: decides initial weights, validation part, shuffles, dropout and the names drawn
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 5e-3
    embedding_width: PositiveInt = 32
    width: PositiveInt = 128
    depth: PositiveInt = 1
    dropout_rate: Rate = 0.2
    temperature: PositiveFloat = 1.0
    data_path: str = ""
    seed: Seed = 0


def encode(texts, alphabet, length):
    """Texts -> inputs, targets and weights (N, length); a weight is 1 up to the end of a text."""
    token = {character: index for index, character in enumerate(alphabet, start=END + 1)}
    targets = np.full((len(texts), length), END, "int32")
    for row, text in zip(targets, texts, strict=True):
        row[: len(text)] = [token[character] for character in text]
    inputs = np.pad(targets[:, :-1], [(0, 0), (1, 0)], constant_values=END)
    weights = np.arange(length) <= np.array([[len(text)] for text in texts])
    return inputs, targets, weights.astype("float32")


def bigram_loss(train, split, num_tokens):
    """The baseline: how often a character follows another, each pair being counted once more."""
    inputs, targets, real = train[0], train[1], train[2] > 0
    counts = np.ones((num_tokens, num_tokens))
    np.add.at(counts, (inputs[real], targets[real]), 1)
    logarithms = np.log(counts / counts.sum(axis=1, keepdims=True))
    inputs, targets, real = split[0], split[1], split[2] > 0
    return -float(np.mean(logarithms[inputs, targets][real]))


def sample(model, alphabet, length, temperature, random):
    """Texts that the model writes: each character is drawn by the probabilities that it gives."""
    tokens = np.full((SAMPLES, length + 1), END, "int32")
    for step in range(length):
        logits = model.predict(tokens[:, :length], verbose=0)[:, step].astype("float64")
        shares = np.exp((logits - logits.max(axis=-1, keepdims=True)) / temperature)
        sums = np.cumsum(shares / shares.sum(axis=-1, keepdims=True), axis=-1)
        tokens[:, step + 1] = (random.random((SAMPLES, 1)) >= sums[:, :-1]).sum(axis=-1)
    characters = np.array(["\n", *alphabet])  # no text has a new line: it is the end
    return ["".join(row).partition("\n")[0] for row in characters[tokens[:, 1:]]]


def main(config, run):
    parts = run.load(names, config.data_path)
    alphabet = sorted(set("".join(text for (texts,) in parts for text in texts)))
    length = 1 + max(len(text) for (texts,) in parts for text in texts)
    num_tokens = len(alphabet) + 1
    train, validation, test = (encode(texts, alphabet, length) for (texts,) in parts)

    model = lstm_language_model(
        vocabulary_size=num_tokens, embedding_width=config.embedding_width, width=config.width,
        depth=config.depth, dropout_rate=config.dropout_rate,
    )  # fmt: skip
    run.initialize(model)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, run.total_steps(train))
    optimizer = keras.optimizers.Adam(schedule)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)

    def compute_loss(inputs, targets, weights):
        losses = cross_entropy(targets, model(inputs, training=True))  # (B, T)
        return ops.sum(weights * losses) / ops.sum(weights)

    def evaluate(split):
        inputs, targets, weights = split
        return classify_tokens(model, (inputs, targets), real=weights > 0)

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train):
            run.log(loss=step(*batch))
        run.log(validation_loss=evaluate(validation).loss)

    loss = evaluate(test).loss  # the one look at the test part
    drawn = sample(model, alphabet, length, config.temperature, np.random.default_rng(config.seed))
    known = set(parts[0][0])
    run.log(
        test_loss=loss, test_perplexity=float(np.exp(loss)),
        test_bigram_loss=bigram_loss(train, test, num_tokens),
        test_share_of_new=float(np.mean([text not in known for text in drawn])),
    )  # fmt: skip
    run.save(model)
    notes = [(text, "known" if text in known else "new", text not in known) for text in drawn]
    rows = [notes[start : start + SAMPLES_A_ROW] for start in range(0, SAMPLES, SAMPLES_A_ROW)]
    caption = "Names that the model wrote: new ones, and those known from the training part."
    run.picture("names", plots.texts(rows), caption)
