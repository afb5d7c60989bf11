"""Initial weights that a seed decides, bit for bit the same on every backend.

    model = seeded(resnet50, seed=0, num_classes=10)  # or any other function that builds one

    with remembered_initializers():
        model = keras.Sequential([keras.Input((28, 28, 1)), layers.Conv2D(32, 3)])
    draw_weights(model, seed=0)

Keras draws with the random numbers of its backend, so one seed gives other weights on each.
Here NumPy draws: the seed, a weight's position in ``model.weights``, its shape and its
initializer decide it. Paths decide nothing, because Keras counts layers of one name in a process.

Distributions are those of keras.initializers:

    variance scaling   variance 1 / fan-in (LeCun et al. 1998, "Efficient BackProp"),
                       2 / (fan-in + fan-out) (Glorot and Bengio 2010) or
                       2 / fan-in (He et al. 2015, arXiv:1502.01852),
                       uniform, normal, or normal within two standard deviations
    orthogonal         Saxe et al. 2013, arXiv:1312.6120
    random             uniform, normal, or normal within two standard deviations, as told

An initializer's own seed does not count. What does not draw gives its own value: zeros, ones,
constants, identity, arrays and functions.
"""

import contextlib
import functools
import math
import numbers
import random

import keras
import numpy as np
from keras import initializers, layers

# Standard deviation of a standard normal variable that is cut off at -2 and 2.
_TRUNCATED_DEVIATION = 0.87962566103423978
_STREAM = 0  # of the seed's streams of random numbers, the one for weights


def seeded(build, seed, **arguments):
    """The model that ``build(**arguments)`` makes, with weights and masks decided by a seed.

    Layers that draw a seed for themselves, such as dropout, draw it from Python's ``random``,
    which is left as it was.

    Raises:
        ValueError: as ``draw_weights`` does.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        with _remembered_initializers(zeros_first=True):  # as JAX compiles a program for each shape
            model = build(**arguments)
    finally:
        random.setstate(state)
    draw_weights(model, seed=seed)
    return model


@contextlib.contextmanager
def without_values():
    """Variables that are made in it have shapes and get no values: a full-size model costs nothing.

    Keras lists them, to fill all of them, gigabytes, when a scope next closes: its list is emptied,
    with the rest of the state that ``keras.utils.clear_session`` forgets.
    """
    try:
        with keras.StatelessScope(initialize_variables=False) as scope:
            yield scope
    finally:
        keras.utils.clear_session(free_memory=False)


def remembered_initializers():
    """Within it every new weight of a layer remembers its initializer, for ``draw_weights``."""
    return _remembered_initializers(zeros_first=False)


@contextlib.contextmanager
def _remembered_initializers(zeros_first):
    """With ``zeros_first`` Keras does not draw what NumPy will."""
    add_weight = layers.Layer.add_weight

    @functools.wraps(add_weight)
    def remembering(layer, shape=None, initializer=None, *arguments, **options):
        given = initializers.get(initializer)
        first = "zeros" if zeros_first else given
        variable = add_weight(layer, shape, first, *arguments, **options)
        if given is None:  # Keras's default
            given = initializers.get("glorot_uniform" if "float" in variable.dtype else "zeros")
        variable.remembered_initializer = given
        return variable

    layers.Layer.add_weight = remembering
    try:
        yield
    finally:
        layers.Layer.add_weight = add_weight


def draw_weights(*models, seed):
    """Gives models their initial weights, and forgets what weights they had.

    Args:
        models: keras models, or layers, made within ``remembered_initializers``. Several, such
            as the two of a GAN, count as one: their weights lie behind each other.
        seed: integer, 0 or more.

    Raises:
        ValueError: the seed is out of range, a model has no weights yet, or a weight was made
            elsewhere or has an initializer that is not Keras's. Then no weight has changed.
    """
    if not (isinstance(seed, numbers.Integral) and seed >= 0):
        raise ValueError(f"seed must be an integer, 0 or more, got {seed!r}.")
    for model in models:
        if not model.built:
            raise ValueError(f"{model.name} has no weights yet: build it first.")
    variables = weights_of(*models)
    for variable in variables:
        _check(variable)
    for position, variable in enumerate(variables):
        initializer, shape = variable.remembered_initializer, tuple(variable.shape)
        if type(initializer) in _DRAWN:
            seeds = np.random.SeedSequence(seed, spawn_key=(_STREAM, position))
            draw = _DRAWN[type(initializer)]
            variable.assign(draw(initializer, np.random.default_rng(seeds), shape))
        else:
            variable.assign(initializer(shape, dtype=variable.dtype))


def weights_of(*models):
    """The weights of all models in their order, each once, also where models share it."""
    return list({id(each): each for model in models for each in model.weights}.values())


def _check(variable):
    if not hasattr(variable, "remembered_initializer"):
        raise ValueError(
            f"the initializer of the weight {variable.path} is not known: make the model within "
            f"remembered_initializers()."
        )
    initializer = variable.remembered_initializer
    if isinstance(initializer, initializers.Initializer) and type(initializer) not in (
        *_DRAWN,
        *_FIXED,
    ):
        raise ValueError(
            f"the weight {variable.path} has the initializer {type(initializer).__name__}, which "
            f"is not one of keras.initializers and cannot be drawn by NumPy: take one of those, "
            f"or a function, whose value is taken as it is."
        )


def _uniform(generator, shape, low, high):
    return generator.random(shape, "float32") * np.float32(high - low) + np.float32(low)


def _normal(generator, shape, mean, deviation):
    return generator.standard_normal(shape, "float32") * np.float32(deviation) + np.float32(mean)


def _truncated_normal(generator, shape, mean, deviation):
    """A normal variable, drawn again where it is more than two standard deviations off."""
    values = generator.standard_normal(math.prod(shape), "float32")
    outside = np.flatnonzero(np.abs(values) > 2)
    while len(outside):
        values[outside] = generator.standard_normal(len(outside), "float32")
        outside = outside[np.abs(values[outside]) > 2]
    return values.reshape(shape) * np.float32(deviation) + np.float32(mean)


def _variance_scaling(initializer, generator, shape):
    fan_in, fan_out = _fans(shape, initializer.input_axes, initializer.output_axes)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    deviation = math.sqrt(initializer.scale / max(1, fan[initializer.mode]))
    if initializer.distribution == "uniform":
        limit = math.sqrt(3) * deviation
        return _uniform(generator, shape, -limit, limit)
    if initializer.distribution == "truncated_normal":
        return _truncated_normal(generator, shape, 0, deviation / _TRUNCATED_DEVIATION)
    return _normal(generator, shape, 0, deviation)


def _fans(shape, input_axes, output_axes):
    """How many inputs each output sees, and outputs each input: (fan-in, fan-out)."""
    if input_axes is not None and output_axes is not None:
        return tuple(math.prod(shape[axis] for axis in axes) for axes in (input_axes, output_axes))
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    # A kernel (..., inputs, outputs) of a convolution.
    *window, inputs, outputs = shape
    return math.prod(window) * inputs, math.prod(window) * outputs


def _orthogonal(initializer, generator, shape):
    """Orthonormal columns, or rows where they are fewer, of a (rows, shape[-1]) matrix."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    # In float64, whose rounding differs with the processor, so that float32 rounds it away.
    normal = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # else not every orthogonal matrix is as likely
    return (initializer.gain * (q if rows >= columns else q.T)).reshape(shape).astype("float32")


_DRAWN = {
    initializers.RandomUniform: lambda initializer, generator, shape: _uniform(
        generator, shape, initializer.minval, initializer.maxval
    ),
    initializers.RandomNormal: lambda initializer, generator, shape: _normal(
        generator, shape, initializer.mean, initializer.stddev
    ),
    initializers.TruncatedNormal: lambda initializer, generator, shape: _truncated_normal(
        generator, shape, initializer.mean, initializer.stddev
    ),
    **dict.fromkeys(
        [
            initializers.VarianceScaling,
            initializers.GlorotNormal,
            initializers.GlorotUniform,
            initializers.HeNormal,
            initializers.HeUniform,
            initializers.LecunNormal,
            initializers.LecunUniform,
        ],
        _variance_scaling,
    ),
    initializers.Orthogonal: _orthogonal,
}
_FIXED = (
    initializers.Constant,
    initializers.Identity,
    initializers.Ones,
    initializers.STFT,
    initializers.Zeros,
)
