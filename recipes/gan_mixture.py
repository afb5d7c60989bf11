"""A generative adversarial network on numbers with two modes.

    python -m recipes run gan_mixture

Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv:1406.2661, with the
non-saturating loss of its section 3. Two networks train each other: each step trains one of
them and reads the other.

Modes found with the defaults (true: -2 and 2), on a 2-core AMD EPYC:

    tensorflow   -2 and 1.949
    jax          -1.998 and 1.999
    torch        -1.972 and 1.976
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from custom_layers import LeakyReLU
from recipes.data import gaussian_mixture
from recipes.training import plots
from recipes.training.gradient_step import gradient_step
from recipes.training.options import PositiveFloat, PositiveInt, Seed


@dataclass(frozen=True)
class Config:
    """Options of this recipe.

    Attributes:
        epochs: passes over the training part
        batch_size: numbers a step
        learning_rate: Adam's at the first step, of both networks; it falls to 0 along a cosine
        noise_width: numbers of noise that the generator turns into one number
        seed: decides initial weights, validation part, shuffles and noise
    """

    epochs: PositiveInt = 60
    batch_size: PositiveInt = 200
    learning_rate: PositiveFloat = 2e-3
    noise_width: PositiveInt = 4
    seed: Seed = 0


def network(inputs, name):
    """(B, inputs) -> (B, 1)."""
    hidden = [layers.Dense(64), LeakyReLU(0.2), layers.Dense(64), LeakyReLU(0.2)]
    return keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(1)], name=name)


def main(config, run):
    (train, validation, test) = run.load(gaussian_mixture)

    generator = network(config.noise_width, "generator")
    discriminator = network(1, "discriminator")
    run.initialize(generator, discriminator)
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def draw_noise(random, count):
        return random.standard_normal((count, config.noise_width), "float32")

    def with_noise(random, real):
        """The batch of a step: noise for the discriminator's step and for the generator's."""
        return real, draw_noise(random, len(real)), draw_noise(random, len(real))

    def samples(count):
        """Generated numbers, of the same noise at every call."""
        generated = generator(draw_noise(np.random.default_rng(config.seed), count))
        return ops.convert_to_numpy(generated).astype("float32")

    def discriminator_loss(real, noise):
        real_logits = discriminator(real, training=True)
        fake_logits = discriminator(generator(noise, training=True), training=True)
        return cross_entropy(ops.ones_like(real_logits), real_logits) + cross_entropy(
            ops.zeros_like(fake_logits), fake_logits
        )

    def generator_loss(noise):
        logits = discriminator(generator(noise, training=True), training=True)
        return cross_entropy(ops.ones_like(logits), logits)

    def adam():
        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate, run.total_steps(train)
        )
        return keras.optimizers.Adam(schedule, beta_1=0.5)

    discriminator_step = gradient_step(discriminator_loss, discriminator, adam(), reads=[generator])
    generator_step = gradient_step(generator_loss, generator, adam(), reads=[discriminator])
    for _ in run.epochs(discriminator_step, generator_step):
        for real, noise_1, noise_2 in run.batches(train, with_noise):
            run.log(
                discriminator_loss=discriminator_step(real, noise_1),
                generator_loss=generator_step(noise_2),
            )
        generated = samples(len(validation[0]))
        run.log(validation_distance=distance(generated, validation[0]))

    generated = samples(len(test[0]))
    modes = {"low": generated[generated < 0], "high": generated[generated > 0]}
    run.log(
        test_distance=distance(generated, test[0]),
        # A generator that has collapsed has one of them alone.
        **{f"test_{name}_mode": float(each.mean()) for name, each in modes.items() if len(each)},
        test_share_of_high_mode=float((generated > 0).mean()),
    )
    run.save(generator)
    figure = plots.histograms({"test data": test[0].ravel(), "generated": generated.ravel()})
    run.picture("samples", figure, "Numbers of the test part and generated ones.")


def distance(generated, real):
    """1-Wasserstein distance of two samples of one size: how far sorted values lie apart."""
    return float(np.abs(np.sort(generated, axis=0) - np.sort(real, axis=0)).mean())
