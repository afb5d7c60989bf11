"""Sequence-to-sequence networks against their papers' equations in NumPy, and their own steps."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit as sigmoid

import custom_layers
from tests.recurrent import assert_close
from zoo.recurrent import seq2seq_bahdanau, seq2seq_luong

MODULES = {"seq2seq_bahdanau": seq2seq_bahdanau, "seq2seq_luong": seq2seq_luong}
BUILD = {name: getattr(module, name) for name, module in MODULES.items()}
SIZES = {"source_vocabulary_size": 7, "target_vocabulary_size": 9, "embedding_width": 4, "width": 6}
TINY = {
    "seq2seq_bahdanau": {**SIZES, "attention_width": 5, "readout_width": 3},
    "seq2seq_luong": {**SIZES, "depth": 2, "dropout_rate": 0.0},
}
# Of each length one, from 1 up to all; and targets that are not as long as the sources.
SOURCES = np.array([[3, 1, 6, 2, 5], [4, 4, 0, 0, 0], [2, 0, 0, 0, 0], [6, 1, 3, 0, 0]])
TARGETS = np.array([[8, 2, 0, 0], [8, 1, 5, 3], [8, 7, 2, 0], [8, 0, 0, 0]])
ALIGNED_BY = {"seq2seq_bahdanau": "decoder", "seq2seq_luong": "attention"}

every_model = pytest.mark.parametrize("name", TINY)


def make(name, **arguments):
    model = BUILD[name](**{**TINY[name], **arguments})
    generator = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(generator.normal(scale=0.7, size=variable.shape))
    return model


def with_alignment(model):
    alignment = model.get_layer(ALIGNED_BY[model.name]).output[-1]
    return keras.Model(model.inputs, [model.output, alignment])


def computed(model, sources=SOURCES, targets=TARGETS):
    """Logits and alignment."""
    return with_alignment(model).predict_on_batch([sources, targets])


def gru(x, h, kernel, recurrent_kernel, bias):
    x_z, x_r, x_n = np.split(x @ kernel + bias[0], 3)
    h_z, h_r, h_n = np.split(h @ recurrent_kernel + bias[1], 3)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    return z * h + (1 - z) * np.tanh(x_n + r * h_n)


def lstm(x, h, c, kernel, recurrent_kernel, bias):
    i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def bahdanau(weights, source, target):
    """Appendix A.1 and A.2 of the paper, for one pair without padding."""
    embedded = weights["source_embedding"][0][source]
    ways = []
    for way, cell in ((1, weights["encoder"][:3]), (-1, weights["encoder"][3:])):
        h, states = np.zeros(cell[1].shape[0]), []
        for x in embedded[::way]:
            h = gru(x, h, *cell)
            states.append(h)
        ways.append(states[::way])
    annotations = np.concatenate(ways, axis=1)
    kernel, bias = weights["initial_state"]
    s = np.tanh(ways[1][0] @ kernel + bias)
    W, v, *cell = weights["decoder"]
    (U,), (output, output_bias) = weights["keys"], weights["output"]
    logits, alignment = [], []
    for y in weights["target_embedding"][0][target]:
        a = softmax(np.array([v[:, 0] @ np.tanh(s @ W + h @ U) for h in annotations]))
        c = sum(weight * h for weight, h in zip(a, annotations, strict=True))
        s = gru(np.concatenate([y, c]), s, *cell)
        pieces = [np.concatenate([s, y, c]) @ k + b for k, b in map(weights.get, READOUTS)]
        logits.append(np.maximum(*pieces) @ output + output_bias)
        alignment.append(a)
    return np.stack(logits), np.stack(alignment)


READOUTS = ("readout_a", "readout_b")


def luong(weights, source, target):
    """Equations 5 to 8, with the score "general", for one pair without padding."""
    x, last = weights["source_embedding"][0][source], []
    for cell in (weights["encoder1"], weights["encoder2"]):
        h = c = np.zeros(cell[1].shape[0])
        states = []
        for each in x:
            h, c = lstm(each, h, c, *cell)
            states.append(h)
        x = np.stack(states)
        last.append((h, c))
    keys, x = x, weights["target_embedding"][0][target]
    for cell, (h, c) in zip((weights["decoder1"], weights["decoder2"]), last, strict=True):
        states = []
        for each in x:
            h, c = lstm(each, h, c, *cell)
            states.append(h)
        x = np.stack(states)
    (W_a,), (W_c,), (output, bias) = map(weights.get, ("attention", "attentional", "output"))
    logits, alignment = [], []
    for h in x:
        a = softmax(np.array([h @ W_a @ key for key in keys]))
        context = sum(weight * key for weight, key in zip(a, keys, strict=True))
        logits.append(np.tanh(np.concatenate([context, h]) @ W_c) @ output + bias)
        alignment.append(a)
    return np.stack(logits), np.stack(alignment)


EQUATIONS = {"seq2seq_bahdanau": bahdanau, "seq2seq_luong": luong}


def weights_of(model):
    return {
        layer.name: [ops.convert_to_numpy(each).astype("float64") for each in layer.weights]
        for layer in model.layers
    }


def valid_parts(arrays):
    """Of logits and alignment of a batch, what belongs to no padding, for each row."""
    for row, (source, target) in enumerate(zip(SOURCES != 0, TARGETS != 0, strict=True)):
        logits, alignment = arrays
        yield [logits[row][target], alignment[row][target][:, source]]


@every_model
def test_padded_rows_are_what_the_papers_equations_give_for_each_alone(name):
    model = make(name)
    arrays, weights = computed(model), weights_of(model)
    assert arrays[0].shape == (4, 4, 9)
    assert arrays[1].shape == (4, 4, 5)
    for row, ours in enumerate(valid_parts(arrays)):
        source, target = SOURCES[row][SOURCES[row] != 0], TARGETS[row][TARGETS[row] != 0]
        assert_close(ours, EQUATIONS[name](weights, source, target), tolerance=1e-5)
    np.testing.assert_array_equal(arrays[1][(arrays[1] > 0) & (SOURCES == 0)[:, None]], [])


@every_model
def test_more_padding_changes_nothing(name):
    model = make(name)
    padded = computed(model, np.pad(SOURCES, [(0, 0), (0, 3)]), np.pad(TARGETS, [(0, 0), (0, 2)]))
    for ours, theirs in zip(
        valid_parts(without_more(padded)), valid_parts(computed(model)), strict=True
    ):
        assert_close(ours, theirs)


def without_more(arrays):
    logits, alignment = arrays
    assert not alignment[:, :, 5:].any()
    return logits[:, :4], alignment[:, :4, :5]


@every_model
def test_the_loss_is_the_mean_over_tokens_without_padding(name):
    model = make(name)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.roll(TARGETS, -1, axis=1)
    logits = computed(model)[0].astype("float64")
    losses = np.log(np.exp(logits).sum(axis=-1))
    losses -= np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    loss = model.test_on_batch([SOURCES, TARGETS], labels)
    np.testing.assert_allclose(loss, losses[TARGETS != 0].mean(), rtol=1e-5)


@every_model
@pytest.mark.parametrize("saved", [False, True])
def test_steps_give_what_the_model_gives(name, saved, tmp_path):
    model = make(name, dropout_rate=0.5)
    expected = computed(model)
    if saved:
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")
    MODULES[name].encoder_and_step(model)  # leaves the model as it was
    encoder, step = MODULES[name].encoder_and_step(model)
    memory, states = encoder.predict_on_batch(SOURCES)
    outputs = []
    for t in range(TARGETS.shape[1]):
        tokens = TARGETS[:, t : t + 1]
        logits, alignment, states = step.predict_on_batch([tokens, memory, states])
        outputs.append((logits, alignment))
    outputs = [np.concatenate(each, axis=1) for each in zip(*outputs, strict=True)]
    for ours, theirs in zip(valid_parts(outputs), valid_parts(expected), strict=True):
        assert_close(ours, theirs)
    if saved:
        model.save(tmp_path / "again.keras")
        assert_close(computed(keras.models.load_model(tmp_path / "again.keras")), expected)


@every_model
def test_steps_have_the_weights_of_the_model(name):
    model = make(name)
    encoder, step = MODULES[name].encoder_and_step(model)
    shared = {id(each) for each in encoder.weights} | {id(each) for each in step.weights}
    assert shared == {id(each) for each in model.weights}
    before = encoder.predict_on_batch(SOURCES)[0][0]
    for variable in model.weights:
        variable.assign(2 * variable)
    assert not np.allclose(encoder.predict_on_batch(SOURCES)[0][0], before)


def parameters(
    name, source_vocabulary_size, target_vocabulary_size, embedding_width, width, **more
):
    count = embedding_width * (source_vocabulary_size + target_vocabulary_size)
    if name == "seq2seq_luong":
        first = 4 * width * (embedding_width + width + 1)
        others = (more["depth"] - 1) * 4 * width * (2 * width + 1)
        count += 2 * (first + others) + width**2 + 2 * width * width
        return count + (width + 1) * target_vocabulary_size
    attention_width, readout_width = more["attention_width"], more["readout_width"]
    count += 2 * 3 * width * (embedding_width + width + 2) + (width + 1) * width
    count += (2 * width + width + 1) * attention_width
    count += 3 * width * (embedding_width + 2 * width + width + 2)
    count += 2 * (width + embedding_width + 2 * width + 1) * readout_width
    return count + (readout_width + 1) * target_vocabulary_size


@pytest.mark.parametrize(
    ("name", "papers"), [("seq2seq_bahdanau", 80_451_000), ("seq2seq_luong", 217_082_000)]
)
def test_parameters(name, papers):
    assert make(name).count_params() == parameters(name, **TINY[name])
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(BUILD[name]).parameters.items()
    }
    assert parameters(name, **defaults) == papers
    assert defaults["dropout_rate"] == {"seq2seq_bahdanau": 0, "seq2seq_luong": 0.2}[name]


DROPOUTS = {
    "seq2seq_bahdanau": ["source", "target", "readout"],
    "seq2seq_luong": ["encoder1", "encoder2", "decoder1", "decoder2", "attentional"],
}


@every_model
def test_dropout(name):
    model = make(name, dropout_rate=0.5)
    rates = {
        layer.name: layer.rate for layer in model.layers if isinstance(layer, custom_layers.Dropout)
    }
    assert rates == {f"{place}_dropout": 0.5 for place in DROPOUTS[name]}


@every_model
@pytest.mark.parametrize("size", [0, -1, 2.5, "7", None])
def test_bad_sizes_are_named(name, size):
    for argument in TINY[name].keys() - {"dropout_rate"}:
        with pytest.raises(ValueError, match=f"{name} needs {argument}.* got {size!r}"):
            make(name, **{argument: size})


@every_model
def test_mixed_float16(name):
    expected = computed(make(name))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make(name)
        encoder, step = MODULES[name].encoder_and_step(model)
    finally:
        keras.config.set_dtype_policy(before)
    outputs = computed(model)
    assert outputs[0].dtype == np.float16
    for ours, theirs in zip(valid_parts(outputs), valid_parts(expected), strict=True):
        assert_close(ours, theirs, tolerance=0.02)
    memory, states = encoder.predict_on_batch(SOURCES)
    logits, _, _ = step.predict_on_batch([TARGETS[:, :1], memory, states])
    assert_close([logits], [outputs[0][:, :1]], tolerance=0.01)
