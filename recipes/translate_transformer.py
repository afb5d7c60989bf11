"""A transformer that translates.

    python -m recipes run translate_transformer
    python -m recipes run translate_transformer --data-path multi30k_en_de

Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sections 3 and 5: an encoder
reads a sentence, and a decoder writes it in another language, token by token; tokens are pieces of
words that both languages share; labels are smoothed; beams are searched. On a folder of one's own,
train.en, train.de, val.en and so on, such as Multi30k's 29,000 pairs.

The network is small, as is good for so few sentences (Wu, Kong, Bi, Li and Kong 2021, "Good for
Misconceived Reasons: An Empirical Revisiting on the Need for Visual Context in Multimodal Machine
Translation", arXiv:2105.14462, section 4). BLEU is sacrebleu's, of texts as they are.

BLEU on the test part with the defaults, on a 2-core AMD EPYC:

                       tensorflow   jax     torch
    embedded           100          100     100
    multi30k_en_de                  32.63

The embedded sentences are of a small grammar, far easier than people's: Multi30k's, of which the
test part is that of 2016, take two hours of a core.
"""

from dataclasses import dataclass

import keras
import numpy as np
import sacrebleu
from keras import ops
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import zoo
from recipes.data import translations
from recipes.data.vocabulary import PADDING, pad
from recipes.training import plots
from recipes.training.folder import whole_file
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.attention.transformer import transformer_base

SPECIAL = ("<padding>", "<start>", "<stop>")
START, STOP = 1, 2
ALIGNMENTS, SAMPLES = 3, 12
LENGTHS = 8  # batches are cut to multiples of it, so that few lengths are compiled
TOGETHER = 100  # sentences that are translated at a time


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: pairs a step
        learning_rate: Adam's after the first steps, in which it grows from 0; it falls with the
            root of their number
        warmup_steps: these first steps, at most a quarter of all
        vocabulary_size: pieces of words, at most
        length: pieces of a sentence, at most; the rest is left out in training
        width: features of a piece
        depth: number of blocks of the encoder, and of the decoder
        num_heads: heads of attention, a divisor of the width
        hidden_width: hidden units of the feed-forward networks
        dropout_rate: share of embeddings and changes dropped in training
        label_smoothing: share of the probability that labels give to all pieces alike
        beam_width: beginnings of a translation that are kept
        length_penalty: larger favours longer translations
        data_path: a folder with train.en, train.de, val.en, val.de, test.en and test.de
        seed: decides initial weights, shuffles and dropout
    """

    epochs: PositiveInt = 8
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 3e-3
    warmup_steps: PositiveInt = 1000
    vocabulary_size: PositiveInt = 6000
    length: PositiveInt = 48
    width: PositiveInt = 128
    depth: PositiveInt = 3
    num_heads: PositiveInt = 4
    hidden_width: PositiveInt = 256
    dropout_rate: Rate = 0.2
    label_smoothing: Rate = 0.1
    beam_width: PositiveInt = 4
    length_penalty: PositiveFloat = 0.6
    data_path: str = ""
    seed: Seed = 0


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """The paper's (section 5.3): it grows linearly, then falls with the root of the steps."""

    def __init__(self, learning_rate, steps):
        self.learning_rate, self.steps = learning_rate, steps

    def __call__(self, step):
        done = ops.cast(step, "float32") + 1
        return self.learning_rate * ops.minimum(
            done / self.steps, ops.sqrt(ops.cast(self.steps, "float32") / done)
        )


def learn_pieces(texts, size):
    """Byte pair encoding (Sennrich, Haddow and Birch 2015, arXiv:1508.07909), of all texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[*SPECIAL], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def smoothed(logits, labels, smoothing):
    """Mean cross-entropy over what is no padding, logits (B, T, V) and labels (B, T)."""
    logarithms = ops.log_softmax(logits, axis=-1)
    of_label = ops.take_along_axis(logarithms, labels[:, :, None], axis=-1)[:, :, 0]
    losses = -(1 - smoothing) * of_label - smoothing * ops.mean(logarithms, axis=-1)
    real = ops.cast(labels != PADDING, losses.dtype)
    return ops.sum(real * losses) / ops.sum(real)


def main(config, run):
    parts = run.load(translations, config.data_path)
    tokenizer = learn_pieces(map(str, np.concatenate(parts[0])), config.vocabulary_size)

    def encode(texts):
        return [each.ids for each in tokenizer.encode_batch([*map(str, texts)])]

    def encoded(sources, targets):
        """Strings -> sources (N, S), targets (N, T) from START on, and up to STOP, (N, T)."""
        targets = pad([[START, *each, STOP] for each in encode(targets)], config.length + 1)
        return pad(encode(sources), config.length), targets[:, :-1], targets[:, 1:]

    def cut(random, *arrays):
        """A batch without the columns that all its sentences leave empty, but for the last few."""
        longest = max(np.flatnonzero((each != PADDING).any(axis=0))[-1] + 1 for each in arrays)
        return tuple(each[:, : -(-longest // LENGTHS) * LENGTHS] for each in arrays)

    train, validation = encoded(*parts[0]), encoded(*parts[1])

    model = transformer_base(
        vocabulary_size=tokenizer.get_vocab_size(), width=config.width, depth=config.depth,
        num_heads=config.num_heads, hidden_width=config.hidden_width,
        dropout_rate=config.dropout_rate,
    )  # fmt: skip
    run.initialize(model)
    warmup = min(config.warmup_steps, max(1, run.total_steps(train) // 4))
    optimizer = keras.optimizers.Adam(
        WarmUp(config.learning_rate, warmup), beta_2=0.98, epsilon=1e-9
    )

    def compute_loss(sources, targets, labels):
        logits = model([sources, targets], training=True)
        return smoothed(logits, labels, config.label_smoothing)

    def loss_of(sources, targets, labels):
        """Mean cross-entropy of a part, in nats a piece."""
        total, count = 0.0, 0
        for start in range(0, len(sources), TOGETHER):
            rows = [each[start : start + TOGETHER] for each in (sources, targets, labels)]
            logits = model.predict_on_batch(rows[:2]).astype("float64")
            logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            real = rows[2] != PADDING
            total -= np.take_along_axis(logits, rows[2][:, :, None], axis=-1)[:, :, 0][real].sum()
            count += real.sum()
        return float(total / count)

    def translate(sources, beam_width=1, length_penalty=0.0):
        """Strings -> strings, the shortest first, so that those of a batch are as long."""
        tokens, texts = encode(sources), {}
        order = np.argsort([*map(len, tokens)], kind="stable")
        for start in range(0, len(order), TOGETHER):
            rows = order[start : start + TOGETHER]
            batch = [tokens[row][: config.length] for row in rows]
            found = zoo.generate(
                model, batch, config.length, stop=STOP, start=START, beam_width=beam_width,
                length_penalty=length_penalty,
            )  # fmt: skip
            lengths = zip(found.tokens.tolist(), found.lengths, strict=True)
            written = tokenizer.decode_batch([row[:length] for row, length in lengths])
            texts |= dict(zip(rows.tolist(), written, strict=True))
        return [texts[row].strip() for row in range(len(order))]

    def bleu(written, true):
        """Of texts, 0 to 100; 0 where nothing is written, which sacrebleu divides by."""
        if not any(written):
            return 0.0
        return sacrebleu.corpus_bleu(written, [[*map(str, true)]], force=True).score

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(train, cut):
            run.log(loss=step(*batch))
        written = translate(parts[1][0])
        run.log(validation_loss=loss_of(*validation), validation_bleu=bleu(written, parts[1][1]))

    sources, true = parts[2]
    written = translate(sources, config.beam_width, config.length_penalty)  # the one look
    run.log(test_loss=loss_of(*encoded(*parts[2])), test_bleu=bleu(written, true))
    run.save(model)
    with whole_file(run.folder / "tokenizer.json") as path:  # what the model's numbers stand for
        tokenizer.save(str(path))

    # Where the last block of the decoder looked, on the mean of its heads.
    *_, weights = model.get_layer(f"decoder{config.depth}_cross_attention").output
    looks = keras.Model(model.inputs, weights)
    shown = []
    for source, text in zip(sources[:ALIGNMENTS], written, strict=False):
        ((tokens,), (target,)) = encode([source]), encode([text])
        looked = looks.predict_on_batch([np.array([tokens]), np.array([[START, *target]])])
        pieces = [[tokenizer.decode([each]).strip() for each in row] for row in (tokens, target)]
        shown.append((pieces[0], [*pieces[1], SPECIAL[STOP]], looked[0].mean(axis=0)))
    caption = "Where the last block looked (columns) as it wrote each piece of a word (rows)."
    run.picture("alignments", plots.alignments(shown), caption)
    rows = []
    for source, text, right in zip(sources[:SAMPLES], written, true, strict=False):
        rows += [[(source, "", True)], [(f"  {text}", "", True)], [(f"  {right}", "true", True)]]
    run.picture("samples", plots.texts(rows), "Sentences of the test part, and what was written.")
