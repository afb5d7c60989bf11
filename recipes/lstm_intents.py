"""A recurrent network that tells what somebody wants from an assistant.

    python -m recipes run lstm_intents

An LSTM (Hochreiter and Schmidhuber 1997, "Long Short-Term Memory") reads a sentence both ways, and
its two last states tell the intent, on the 150 intents of clinc_oos (Larson et al. 2019, "An
Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", arXiv:1909.02027).

Test accuracy with the defaults, on a 2-core AMD EPYC:

                      tensorflow   jax       torch
    clinc_oos         91.58%       91.69%    91.58%
    --data embedded   100.00%      100.00%   100.00%

In table 2 of the paper, in scope, on the same 4,500 sentences: fastText 89.0%, a CNN 91.2%, an MLP
on pretrained sentence vectors 93.5%. The embedded sentences are made from templates, far easier.
"""

from dataclasses import dataclass

import keras
import numpy as np

from recipes.data import intents
from recipes.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from recipes.training import plots
from recipes.training.evaluate import classify
from recipes.training.folder import write_json
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.recurrent.lstm import lstm_classifier


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: sentences a step
        learning_rate: Adam's at the first step; it falls to 0 along a cosine
        length: words of a sentence that are read, the first ones
        embedding_width: numbers that stand for a word
        width: units of the LSTM in each direction
        dropout_rate: share of the LSTM's last states that is dropped in training
        word_dropout_rate: share of the words that are unknown in training, as new ones are later
        seed: decides initial weights, shuffles and dropout
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 4e-3
    length: PositiveInt = 20
    embedding_width: PositiveInt = 256
    width: PositiveInt = 128
    dropout_rate: Rate = 0.5
    word_dropout_rate: Rate = 0.2
    seed: Seed = 0


def main(config, run):
    train, validation, test = run.load(intents)
    vocabulary = Vocabulary(map(str.split, train[0]))
    names = np.unique(train[1])
    length = min(config.length, max(map(len, map(str.split, train[0]))))

    def encode(sentences, intents):
        """Strings -> tokens (N, T) and labels (N,)."""
        tokens = vocabulary.encode([sentence.split() for sentence in sentences], length)
        return tokens, np.searchsorted(names, intents).astype("int32")

    train, validation = encode(*train), encode(*validation)

    model = lstm_classifier(
        num_classes=len(names), vocabulary_size=len(vocabulary),
        embedding_width=config.embedding_width, width=config.width, bidirectional=True,
        dropout_rate=config.dropout_rate,
    )  # fmt: skip
    run.initialize(model)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, run.total_steps(train))
    optimizer = keras.optimizers.Adam(schedule)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def drop_words(random, tokens, labels):
        dropped = random.random(tokens.shape) < config.word_dropout_rate
        return np.where(dropped & (tokens != PADDING), np.int32(UNKNOWN), tokens), labels

    def compute_loss(tokens, labels):
        return cross_entropy(labels, model(tokens, training=True))

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train, drop_words):
            run.log(loss=step(*batch))
        result = classify(model, validation)
        run.log(validation_loss=result.loss, validation_accuracy=result.accuracy)

    result = classify(model, encode(*test))  # the one look at the test part
    run.log(test_loss=result.loss, test_accuracy=result.accuracy)
    run.save(model)
    # What the model's numbers stand for.
    write_json(run.folder / "vocabulary.json", {"words": vocabulary.tokens, "intents": [*names]})
    result = result._replace(inputs=test[0])
    run.picture("confusion", plots.most_confused(result, names), "Intents taken for others.")
    run.picture("mistakes", plots.mistakes(result, names), "Mistakes, the surest first.")
    run.picture("samples", plots.samples(result, names), "Sentences of the test part.")
