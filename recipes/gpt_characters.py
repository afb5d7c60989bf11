"""A GPT that writes a text, a character after the other.

    python -m recipes run gpt_characters
    python -m recipes run gpt_characters --data-path mine.txt

The blocks are GPT-2's (Radford et al. 2019); sizes and training are those with which Karpathy's
nanoGPT (2022) trains on a CPU, but for the learning rate: 4 blocks of 128 features, contexts of 64
characters, 12 of them a step, 2,000 steps. The baseline counts pairs of characters.

Loss on the test part with the defaults, in nats a character, on a 2-core AMD EPYC:

                       tensorflow   jax     torch   baseline
    tiny_shakespeare   1.793        1.791   1.811   2.49
    --data embedded    1.339        1.344   1.342   2.333

On the validation part of tiny_shakespeare it is 1.715, 1.720 and 1.722, where nanoGPT has 1.88.
"""

import textwrap
from dataclasses import dataclass

import keras
import numpy as np

import zoo
from recipes.data import characters
from recipes.training import plots
from recipes.training.errors import InputError
from recipes.training.evaluate import classify_tokens
from recipes.training.folder import write_json
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Rate, Seed
from zoo.attention.gpt2 import gpt2

SAMPLES = 4


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: how often the loss on the validation part is measured
        steps: steps between two such measurements
        batch_size: contexts a step, from anywhere in the training part
        learning_rate: AdamW's after a twentieth of the steps, in which it grows from 0; then it
            falls to a tenth along a cosine
        weight_decay: AdamW's, of matrices
        context: characters that are seen at most
        width: features of a character
        depth: number of blocks
        num_heads: heads of attention, a divisor of the width
        dropout_rate: share of embeddings, attention weights and changes dropped in training
        temperature: of the texts that are drawn: below 1 likely characters become likelier
        characters: length of these texts
        data_path: a text file; its last fifth is the validation and the test part
        seed: decides initial weights, contexts, dropout and the texts drawn
    """

    epochs: PositiveInt = 8
    steps: PositiveInt = 250
    batch_size: PositiveInt = 12
    learning_rate: PositiveFloat = 3e-3
    weight_decay: Rate = 0.1
    context: PositiveInt = 64
    width: PositiveInt = 128
    depth: PositiveInt = 4
    num_heads: PositiveInt = 4
    dropout_rate: Rate = 0.0
    temperature: PositiveFloat = 0.8
    characters: PositiveInt = 400
    data_path: str = ""
    seed: Seed = 0


def in_contexts(tokens, context):
    """Tokens (N,) -> inputs and targets (N / context, context), side by side."""
    count = (len(tokens) - 1) // context
    inputs = tokens[: count * context].reshape(count, context)
    return inputs, tokens[1 : count * context + 1].reshape(count, context)


def bigram_loss(train, tokens, num_tokens):
    """The baseline: how often a character follows another, each pair being counted once more."""
    counts = np.ones((num_tokens, num_tokens))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    logarithms = np.log(counts / counts.sum(axis=1, keepdims=True))
    return -float(np.mean(logarithms[tokens[:-1], tokens[1:]]))


def write(model, prompts, length, context, temperature, seed):
    """Tokens of that length that go on after prompts (B, P): each part sees what fits before it."""
    texts = prompts
    while texts.shape[1] < prompts.shape[1] + length:
        seen = texts[:, -(context + 1) // 2 :]
        new = min(context + 1 - seen.shape[1], prompts.shape[1] + length - texts.shape[1])
        seed += 1
        found = zoo.generate(model, seen, new, temperature=temperature, seed=seed)
        texts = np.concatenate([texts, found.tokens], axis=1)
    return texts[:, prompts.shape[1] :]


def wrapped(text):
    """The lines of a text, the long ones in several."""
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, plots.LETTERS_A_LINE) or [""]
    ]


def main(config, run):
    parts = [part for (part,) in run.load(characters, config.data_path)]
    alphabet, tokens = np.unique(np.concatenate(parts), return_inverse=True)
    train, validation, test = np.split(
        tokens.astype("int32"), np.cumsum([len(part) for part in parts])[:-1]
    )
    shortest = min(map(len, (train, validation, test)))
    if config.context >= shortest:
        raise InputError(
            f"--context {config.context} is too long for a part of {shortest} characters: give less"
        )

    model = gpt2(
        vocabulary_size=len(alphabet), max_length=config.context, width=config.width,
        depth=config.depth, num_heads=config.num_heads, dropout_rate=config.dropout_rate,
    )  # fmt: skip
    run.initialize(model)
    places = (np.arange(config.steps * config.batch_size),)  # as many as an epoch has contexts
    total = run.total_steps(places)
    warmup = total // 20
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total - warmup, alpha=0.1, warmup_target=config.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=config.weight_decay, beta_2=0.99, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def anywhere(random, places):
        """The batch of a step: contexts of the training part, and what follows each character."""
        starts = random.integers(0, len(train) - config.context, len(places))
        rows = starts[:, None] + np.arange(config.context)
        return train[rows], train[rows + 1]

    def compute_loss(inputs, targets):
        return cross_entropy(targets, model(inputs, training=True))

    def evaluate(tokens):
        inputs, targets = in_contexts(tokens, config.context)
        return classify_tokens(model, (inputs, targets), real=np.ones(inputs.shape, bool))

    step = gradient_step(compute_loss, model, optimizer)
    for _ in run.epochs(step):
        for batch in run.batches(places, anywhere):
            run.log(loss=step(*batch))
        run.log(validation_loss=evaluate(validation).loss)

    loss = evaluate(test).loss  # the one look at the test part
    run.log(
        test_loss=loss, test_perplexity=float(np.exp(loss)),
        test_bigram_loss=bigram_loss(train, test, len(alphabet)),
    )  # fmt: skip
    run.save(model)
    write_json(run.folder / "vocabulary.json", {"characters": [*alphabet]})
    prompts, _ = in_contexts(test, max(config.context // 4, 1))
    prompts = prompts[np.linspace(0, len(prompts) - 1, SAMPLES).astype(int)]
    written = write(
        model, prompts, config.characters, config.context, config.temperature, config.seed
    )
    texts = np.concatenate([prompts, written], axis=1)
    lines = [line for text in texts for line in [*wrapped("".join(alphabet[text])), ""]]
    rows = [[(line, "", True)] for line in lines]
    caption = f"What the model wrote after the first {prompts.shape[1]} characters of each text."
    run.picture("texts", plots.texts(rows), caption)
