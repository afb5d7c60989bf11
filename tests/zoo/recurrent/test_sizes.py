"""RNN, LSTM and GRU: parameters to the unit, shapes, what is joined to what, and errors."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import zoo
from custom_layers import Dropout
from tests.unfilled import unfilled

# For each kind: the layer, its gates and its bias vectors.
KINDS = {"rnn": (layers.SimpleRNN, 1, 1), "lstm": (layers.LSTM, 4, 1), "gru": (layers.GRU, 3, 2)}
CASES = ("classifier", "tagger", "forecaster", "language_model")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_case = pytest.mark.parametrize("case", CASES)

# Of a layer of H units over D features, G gates and b biases: G (D H + H H + b H).
PARAMETERS = {
    # An embedding of 1,280,000; a layer with D = H = 128; 258 in the output.
    "rnn_classifier": 1_280_000 + 32_896 + 258,
    "lstm_classifier": 1_280_000 + 131_584 + 258,
    "gru_classifier": 1_280_000 + 99_072 + 258,
    # The layer both ways, and 17 outputs of 256 numbers.
    "rnn_tagger": 1_280_000 + 65_792 + 4_369,
    "lstm_tagger": 1_280_000 + 263_168 + 4_369,
    "gru_tagger": 1_280_000 + 198_144 + 4_369,
    # D = 1, H = 64; 24 outputs.
    "rnn_forecaster": 4_224 + 1_560,
    "lstm_forecaster": 16_896 + 1_560,
    "gru_forecaster": 12_864 + 1_560,
    # An embedding of 128 x 64; layers with D = 64, H = 256 and D = H = 256; 128 outputs.
    "rnn_language_model": 8_192 + 82_176 + 131_328 + 32_896,
    "lstm_language_model": 8_192 + 328_704 + 525_312 + 32_896,
    "gru_language_model": 8_192 + 247_296 + 394_752 + 32_896,
}


def tiny(name, **arguments):
    sizes = {"width": 4}
    if "forecaster" not in name and "num_features" not in arguments:
        sizes |= {"vocabulary_size": 9, "embedding_width": 3}
    return zoo.build(name, seed=0, **{**sizes, **arguments})


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_at_the_default_size(name):
    model = unfilled(name)
    assert model.count_params() == PARAMETERS[name]
    assert all(each.trainable for each in model.weights)


@every_kind
def test_parameters_of_deep_layers_both_ways(kind):
    _, gates, biases = KINDS[kind]
    model = unfilled(f"{kind}_classifier", num_features=5, width=7, depth=3, bidirectional=True)
    # The second layer and the third see both ways of the one below.
    inputs = (5, 14, 14)
    expected = sum(2 * gates * (each * 7 + 7 * 7 + biases * 7) for each in inputs) + 14 * 2 + 2
    assert model.count_params() == expected


SHAPES = {  # of the input, behind layer1 and of the output
    "classifier": ((None, None), (None, 128), (None, 2)),
    "tagger": ((None, None), (None, None, 256), (None, None, 17)),
    "forecaster": ((None, None, 1), (None, 64), (None, 24, 1)),
    "language_model": ((None, None), (None, None, 256), (None, None, 128)),
}


@every_kind
@every_case
def test_shapes_at_the_default_size(kind, case):
    model = unfilled(f"{kind}_{case}")
    shapes = (model.input_shape, model.get_layer("layer1").output.shape, model.output_shape)
    assert shapes == SHAPES[case]
    assert model.name == f"{kind}_{case}"
    assert model.input.dtype == ("float32" if case == "forecaster" else "int32")


@every_kind
@pytest.mark.parametrize("both_ways", [False, True])
def test_shapes_of_several_layers(kind, both_ways):
    arguments = {"num_features": 3, "width": 5, "depth": 3, "bidirectional": both_ways}
    classifier = unfilled(f"{kind}_classifier", **arguments)
    tagger = unfilled(f"{kind}_tagger", **arguments)
    width = 10 if both_ways else 5
    sequence, state = (None, None, width), (None, width)
    for model, last in [(classifier, state), (tagger, sequence)]:
        shapes = [model.get_layer(f"layer{index}").output.shape for index in (1, 2, 3)]
        assert shapes == [sequence, sequence, last]
        assert model.input_shape == (None, None, 3)


@every_kind
@every_case
def test_layers_are_those_of_keras_with_default_arguments(kind, case):
    """Others take no fused kernels."""
    layer = KINDS[kind][0]
    model = unfilled(f"{kind}_{case}", depth=2)
    for index in (1, 2):
        found = model.get_layer(f"layer{index}")
        ways = [found]
        if case == "tagger":
            assert type(found) is layers.Bidirectional and found.merge_mode == "concat"
            ways = [found.forward_layer, found.backward_layer]
            assert [each.go_backwards for each in ways] == [False, True]
        for way in ways:
            expected = layer(way.units).get_config()
            assert type(way) is layer
            ours = {"name", "return_sequences", "go_backwards", "zero_output_for_mask", "dtype"}
            for key in expected.keys() - ours:
                assert way.get_config()[key] == expected[key], key
            assert getattr(way, "use_cudnn", "auto") == "auto"  # not in the configuration
            if case != "tagger":
                assert not way.go_backwards
            several = case in ("tagger", "language_model") or index == 1
            assert way.return_sequences == several


@every_kind
@every_case
def test_dropout_is_behind_each_layer(kind, case):
    model = unfilled(f"{kind}_{case}", depth=3, dropout_rate=0.25)
    found = [layer for layer in model.layers if isinstance(layer, Dropout)]
    assert [layer.name for layer in found] == [f"layer{index}_dropout" for index in (1, 2, 3)]
    behind = [model.get_layer(name) for name in ("layer2", "layer3", "output")]
    for index, (layer, after) in enumerate(zip(found, behind, strict=True), start=1):
        assert layer.rate == 0.25
        assert layer.input is model.get_layer(f"layer{index}").output
        first = keras.tree.flatten(after.input)[0]  # and a mask
        assert first is layer.output


@every_kind
@pytest.mark.parametrize("case", ["classifier", "tagger"])
def test_without_classes_it_gives_the_states(kind, case):
    name, x = f"{kind}_{case}", np.array([[3, 1, 4], [8, 2, 7]])
    model, features = tiny(name, num_classes=5), tiny(name, num_classes=None)
    assert [each.shape for each in features.weights] == [each.shape for each in model.weights[:-2]]
    features.set_weights(model.get_weights()[:-2])
    kernel, bias = model.get_layer("output").get_weights()
    expected = numpy(features(x)).astype("float64") @ kernel + bias
    np.testing.assert_allclose(numpy(model(x)), expected, rtol=0, atol=1e-6)


def test_the_state_both_ways_is_that_of_each_way_at_its_end():
    """Behind the last step, and before the first."""
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    model = tiny("lstm_classifier", num_classes=None, num_features=3, bidirectional=True)
    states = tiny("lstm_tagger", num_classes=None, num_features=3)
    states.set_weights(model.get_weights())
    sequence = numpy(states(x))
    expected = np.concatenate([sequence[:, -1, :4], sequence[:, 0, 4:]], axis=1)
    np.testing.assert_allclose(numpy(model(x)), expected, rtol=0, atol=1e-6)
    # And each has seen all steps.
    for step in (0, 3):
        other = x.copy()
        other[:, step] += 1
        assert np.all(numpy(model(other)) != expected)


@every_kind
def test_a_forecast_has_a_row_for_each_step(kind):
    model = tiny(f"{kind}_forecaster", num_features=3, horizon=2, num_targets=5)
    output = model.get_layer("output")
    output.set_weights([np.zeros((4, 10)), np.arange(10.0)])
    forecast = numpy(model(np.ones((2, 4, 3), "float32")))
    np.testing.assert_array_equal(forecast, np.broadcast_to(np.arange(10).reshape(2, 5), (2, 2, 5)))
    assert unfilled(f"{kind}_forecaster", num_features=3, horizon=2).output_shape == (None, 2, 3)


@every_kind
def test_a_language_model_sees_what_was_and_not_what_comes(kind):
    model = tiny(f"{kind}_language_model")
    tokens = np.array([[4, 0, 0, 2, 8]])
    logits = numpy(model(tokens))
    assert logits.shape == (1, 5, 9)
    for step in range(5):
        others = tokens.copy()
        others[0, step] = 7
        changed = np.any(numpy(model(others)) != logits, axis=-1)[0]
        np.testing.assert_array_equal(changed, np.arange(5) >= step)
    # Token 0 is no padding.
    assert np.all(logits[0, 1] != logits[0, 2])
    assert not np.allclose(logits[0, 3], numpy(model(tokens[:, [0, 3]]))[0, 1], atol=1e-4)


WRONG = (0, -1, 2.5, "7", (4,), True)
NUMBERS = {
    "classifier": (
        "num_classes",
        "num_features",
        "vocabulary_size",
        "embedding_width",
        "width",
        "depth",
    ),
    "tagger": (
        "num_classes",
        "num_features",
        "vocabulary_size",
        "embedding_width",
        "width",
        "depth",
    ),
    "forecaster": ("horizon", "num_features", "num_targets", "width", "depth"),
    "language_model": ("vocabulary_size", "embedding_width", "width", "depth"),
}
# None stands for something.
OPTIONAL = {"num_classes", "num_targets"}


@every_case
def test_wrong_numbers_are_named(case):
    for argument in NUMBERS[case]:
        missing = () if argument in OPTIONAL else (None,)
        if argument == "num_features" and case != "forecaster":
            missing = ()
        for value in WRONG + missing:
            with pytest.raises(ValueError) as raised:
                unfilled(f"gru_{case}", **{argument: value})
            assert str(raised.value) == (
                f"gru_{case} needs {argument}, an integer of 1 or more, got {value!r}."
            )


@every_case
@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_wrong_rate_of_dropout_is_named(case, rate):
    with pytest.raises(ValueError, match=rf"rate must lie in \[0, 1\], got {rate}"):
        unfilled(f"rnn_{case}", dropout_rate=rate)


def test_integers_of_numpy_are_integers(tmp_path):
    """Such as the largest token of an array, and one more."""
    tokens = np.array([[1, 2, 8]])
    sizes = {name: np.int64(4) for name in NUMBERS["classifier"] if name != "num_features"}
    model = zoo.build("rnn_classifier", **{**sizes, "vocabulary_size": tokens.max() + 1})
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(tokens)), numpy(model(tokens)))
