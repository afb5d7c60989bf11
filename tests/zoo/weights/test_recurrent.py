"""State dicts of torch.nn's recurrent layers: each number in its place, whatever the names are.

That PyTorch itself computes the same, tests/parity shows.
"""

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

import zoo

KINDS = {"rnn": 1, "lstm": 4, "gru": 3}  # and their gates
PHRASES = {"rnn": "an RNN", "lstm": "an LSTM", "gru": "a GRU"}
TOKENS, EMBEDDING, WIDTH, CLASSES = 9, 3, 4, 5

every_kind = pytest.mark.parametrize("kind", KINDS)
every_way = pytest.mark.parametrize("both_ways", [False, True], ids=["one way", "both ways"])


def tiny(kind, case="classifier", depth=1, both_ways=False, **arguments):
    sizes = {"num_classes": CLASSES, "vocabulary_size": TOKENS, "embedding_width": EMBEDDING}
    sizes |= {"width": WIDTH, "depth": depth, "bidirectional": both_ways}
    return zoo.build(f"{kind}_{case}", seed=0, **{**sizes, **arguments})


def state_dict(
    kind, depth=1, both_ways=False, inputs=EMBEDDING, width=WIDTH, classes=CLASSES,
    names=("embedding", None, "output"),
):  # fmt: skip
    """As torch.nn shapes it; None for a name is the kind's."""
    embedding, recurrent, output = names
    recurrent = kind if recurrent is None else recurrent
    prefix = f"{recurrent}." if recurrent else ""
    shapes = {}
    if embedding:
        shapes[f"{embedding}.weight"] = (TOKENS, EMBEDDING)
    ways, rows = (["", "_reverse"] if both_ways else [""]), KINDS[kind] * width
    for index in range(depth):
        for way in ways:
            below = inputs if index == 0 else len(ways) * width
            shapes |= {
                f"{prefix}weight_ih_l{index}{way}": (rows, below),
                f"{prefix}weight_hh_l{index}{way}": (rows, width),
                f"{prefix}bias_ih_l{index}{way}": (rows,),
                f"{prefix}bias_hh_l{index}{way}": (rows,),
            }
    if output:
        shapes |= {f"{output}.weight": (classes, len(ways) * width), f"{output}.bias": (classes,)}
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def values(model):
    return {each.path: ops.convert_to_numpy(each).copy() for each in model.weights}


def load(model, tensors, path, **arguments):
    save_file({name: np.array(each, order="C") for name, each in tensors.items()}, path)
    zoo.load_weights(model, path, **arguments)


def refused(model, tensors, path, **arguments):
    """What is told of it, in one line that names file and model; and the model is as it was."""
    before = values(model)
    with pytest.raises(ValueError) as raised:
        load(model, tensors, path, **arguments)
    message = str(raised.value)
    assert type(raised.value) is ValueError and len(message.splitlines()) == 1
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])
    start, found, told = message.partition(f" into {model.name}: ")
    assert found and start.startswith(f"cannot load {path}")
    return start.removeprefix(f"cannot load {path}"), told


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def in_our_layout(kind, tensors, end):
    """[kernel, recurrent kernel, bias] of one layer in one direction."""
    found = []
    for each in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        tensor = tensors[f"{kind}.{each}_{end}"]
        if kind == "gru":  # PyTorch has the gates r, z, n and Keras z, r, h
            r, z, n = tensor.reshape(3, WIDTH, *tensor.shape[1:])
            tensor = np.concatenate([z, r, n])
        found.append(tensor)
    kernel, recurrent_kernel, bias, state_bias = found
    bias = np.stack([bias, state_bias]) if kind == "gru" else bias + state_bias
    return [kernel.T, recurrent_kernel.T, bias]


@every_kind
@every_way
def test_every_number_is_in_its_place(kind, both_ways, path):
    model = tiny(kind, depth=2, both_ways=both_ways)
    tensors = state_dict(kind, depth=2, both_ways=both_ways)
    load(model, tensors, path)
    expected = [tensors["embedding.weight"]]
    for index in (0, 1):
        for way in ["", "_reverse"] if both_ways else [""]:
            expected += in_our_layout(kind, tensors, f"l{index}{way}")
    expected += [tensors["output.weight"].T, tensors["output.bias"]]
    found = values(model)
    assert len(found) == len(model.weights) == len(expected)
    for (name, ours), theirs in zip(found.items(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs, name)
    # Layers both ways have the way back second.
    assert ["backward" in name for name in found].count(True) == (6 if both_ways else 0)


@every_kind
@every_way
def test_what_is_saved_is_a_state_dict_and_loads_again(kind, both_ways, path):
    model = tiny(kind, "tagger", depth=2, both_ways=both_ways)
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(size=each.shape) for each in model.weights])
    before = values(model)
    zoo.save_weights(model, path)
    tensors, expected = load_file(path), state_dict(kind, depth=2, both_ways=both_ways)
    assert {name: each.shape for name, each in tensors.items()} == {
        name: each.shape for name, each in expected.items()
    }
    second = [each for name, each in tensors.items() if "bias_hh" in name]
    assert len(second) == (4 if both_ways else 2)
    assert all(each.any() == (kind == "gru") for each in second)
    model.set_weights([np.zeros(each.shape) for each in model.weights])
    zoo.load_weights(model, path)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name], name)
    # Of what is in a file, but for the sum of two biases, nothing is lost.
    load(model, expected, path)
    zoo.save_weights(model, path)
    for name, value in load_file(path).items():
        if "bias" not in name or kind == "gru" or name.startswith("output"):
            np.testing.assert_array_equal(value, expected[name], name)


NAMES = {
    "short": ("emb", "rnn", "fc"),
    "those of PyTorch's example": ("encoder", "rnn", "decoder"),
    "of modules within": ("text.embed.words", "text.encoder.layers", "heads.0.linear"),
    "of a Sequential": ("0", "1", "2"),
    "without a name": ("embedding", "", "head"),
    "of another kind": ("lstm", "gru", "rnn"),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_whatever_the_names(names, path):
    expected, model = tiny("lstm", both_ways=True), tiny("lstm", both_ways=True)
    load(expected, state_dict("lstm", both_ways=True), path)
    tensors = state_dict("lstm", both_ways=True, names=names)
    load(model, tensors, path)
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Errors have them, too.
    embedding, recurrent, output = names
    prefix = f"{recurrent}." if recurrent else ""
    for name in (f"{embedding}.weight", f"{prefix}bias_hh_l0_reverse", f"{output}.bias"):
        changed = {**tensors, name: np.zeros((7, 7), "float32")}
        _, told = refused(model, changed, path)
        assert told.startswith(f"its {name} of shape (7, 7) is to be ")


def test_features_and_a_state_dict_of_the_layers_alone(path):
    model = tiny("gru", num_features=3, num_classes=None)
    tensors = state_dict("gru", names=(None, "", None))
    load(model, tensors, path)
    np.testing.assert_array_equal(model.get_weights()[1][:, :WIDTH], tensors["weight_hh_l0"][4:8].T)


def test_a_forecaster_and_a_language_model(path):
    forecaster = zoo.build("lstm_forecaster", num_features=2, horizon=3, width=WIDTH)
    tensors = state_dict("lstm", inputs=2, classes=6, names=(None, "lstm", "linear"))
    load(forecaster, tensors, path)
    np.testing.assert_array_equal(forecaster.get_weights()[-2], tensors["linear.weight"].T)
    model = zoo.build(
        "lstm_language_model", vocabulary_size=TOKENS, embedding_width=EMBEDDING, width=WIDTH
    )
    tensors = state_dict("lstm", depth=2, classes=TOKENS)
    load(model, tensors, path)
    np.testing.assert_array_equal(model.get_weights()[0], tensors["embedding.weight"])


def without(*names):
    return lambda tensors: {name: each for name, each in tensors.items() if name not in names}


def of_shape(name, *shape):
    return lambda tensors: {**tensors, name: np.zeros(shape, "float32")}


PROBLEMS = {
    "an embedding": (
        without("embedding.weight"), "it lacks embedding.weight for embedding/embeddings."
    ),
    "a bias": (without("lstm.bias_hh_l1"), "it lacks lstm.bias_hh_l1 for layer2/bias."),
    "the way back": (
        without("lstm.weight_ih_l0_reverse"),
        "it lacks lstm.weight_ih_l0_reverse for layer1/backward/kernel.",
    ),
    "a projection": (of_shape("lstm.weight_hr_l0", 2, 4), "its lstm.weight_hr_l0 is left over."),
    "another matrix": (of_shape("attention.weight", 4, 4), "its attention.weight is left over."),
    "one behind it": (of_shape("word_gate.weight", 4, 4), "its word_gate.weight is left over."),
    "another layer": (
        lambda tensors: {**tensors, "dense.weight": np.zeros((4, 4)), "dense.bias": np.zeros(4)},
        "its dense.weight is left over; its dense.bias is left over.",
    ),
    "a layer behind it": (
        lambda tensors: {**tensors, "z.weight": np.zeros((4, 4)), "z.bias": np.zeros(4)},
        "its z.weight is left over; its z.bias is left over.",
    ),
    "a norm": (of_shape("norm.weight", 8), "its norm.weight is left over."),
    "as Keras has it": (
        of_shape("lstm.weight_ih_l0", 3, 16),
        "its lstm.weight_ih_l0 of shape (3, 16) is to be (16, 3) for layer1/kernel.",
    ),
    "a scalar": (
        of_shape("lstm.weight_ih_l0"),
        "its lstm.weight_ih_l0 of shape () is to be (16, 3) for layer1/kernel.",
    ),
    "other tokens": (
        of_shape("embedding.weight", 7, 3),
        "its embedding.weight of shape (7, 3) is to be (9, 3) for embedding/embeddings.",
    ),
    "other classes": (
        of_shape("output.weight", 2, 8),
        "its output.weight of shape (2, 8) is to be (5, 8) for output/kernel (head=False leaves "
        "that layer out).",
    ),
    "without a head": (
        without("output.weight", "output.bias"),
        "it lacks output.weight for output/kernel (head=False leaves that layer out); it lacks "
        "output.bias for output/bias (head=False leaves that layer out).",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return tiny("lstm", depth=2, both_ways=True)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_all_or_nothing(problem, model, path):
    change, expected = PROBLEMS[problem]
    tensors = state_dict("lstm", depth=2, both_ways=True)
    file, told = refused(model, change(tensors), path)
    assert sorted(told.removesuffix(".").split("; ")) == sorted(expected[:-1].split("; "))
    assert file == " (an LSTM of 2 layers both ways, 4 units)"


# The arguments of the model and of the file, what is told of the file, and the first of what
# does not fit.
OTHERS = {
    "LSTM into GRU": (
        ("gru", {}), ("lstm", {}), "(an LSTM of 1 layer, 4 units)",
        "its lstm.weight_ih_l0 of shape (16, 3) is to be (12, 3) for layer1/kernel; ",
    ),
    "GRU into RNN": (
        ("rnn", {}), ("gru", {}), "(a GRU of 1 layer, 4 units)",
        "its gru.weight_ih_l0 of shape (12, 3) is to be (4, 3) for layer1/kernel; ",
    ),
    "RNN into LSTM": (
        ("lstm", {}), ("rnn", {}), "(an RNN of 1 layer, 4 units)",
        "its rnn.weight_ih_l0 of shape (4, 3) is to be (16, 3) for layer1/kernel; ",
    ),
    "both ways into one": (
        ("gru", {}), ("gru", {"both_ways": True}), "(a GRU of 1 layer both ways, 4 units)",
        "its output.weight of shape (5, 8) is to be (5, 4) for output/kernel",
    ),
    "one way into both": (
        ("gru", {"both_ways": True}), ("gru", {}), "(a GRU of 1 layer, 4 units)",
        "it lacks gru.weight_ih_l0_reverse for layer1/backward/kernel; ",
    ),
    "more layers": (
        ("lstm", {}), ("lstm", {"depth": 3}), "(an LSTM of 3 layers, 4 units)",
        "; and 5 more.",
    ),
    "fewer layers": (
        ("lstm", {"depth": 2}), ("lstm", {}), "(an LSTM of 1 layer, 4 units)",
        "it lacks lstm.weight_ih_l1 for layer2/kernel; ",
    ),
    "wider": (
        ("rnn", {}), ("rnn", {"width": 6}), "(an RNN of 1 layer, 6 units)",
        "its rnn.weight_ih_l0 of shape (6, 3) is to be (4, 3) for layer1/kernel; ",
    ),
    "as wide as all gates": (
        ("lstm", {}), ("rnn", {"width": 16}), "(an RNN of 1 layer, 16 units)",
        "its rnn.weight_hh_l0 of shape (16, 16) is to be (16, 4) for layer1/recurrent_kernel; ",
    ),
    "tokens into features": (
        ("rnn", {"num_features": 3}), ("rnn", {}), "(an RNN of 1 layer, 4 units)",
        "its embedding.weight is left over.",
    ),
    "features into tokens": (
        ("rnn", {}), ("rnn", {"names": (None, "rnn", "output")}), "(an RNN of 1 layer, 4 units)",
        "it lacks embedding.weight for embedding/embeddings.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_another_architecture(other, path):
    (kind, arguments), (saved_kind, saved), phrase, expected = OTHERS[other]
    file, told = refused(tiny(kind, **arguments), state_dict(saved_kind, **saved), path)
    assert file == f" {phrase}"
    assert expected in told


@every_kind
def test_layers_that_are_left_over_are_named(kind, path):
    deeper = state_dict(kind, depth=2)
    more = [name for name in deeper if "l1" in name]
    for name in more:
        _, told = refused(tiny(kind), without(*set(more) - {name})(deeper), path)
        assert told == f"its {name} is left over."


def test_another_family(path):
    images = {"conv1.weight": np.zeros((2, 3, 3, 3), "float32")}
    file, told = refused(tiny("gru"), images, path)
    assert file.startswith(" (its names are those of resnet or resnet_cifar")
    assert told.startswith(
        "it lacks embedding.weight for embedding/embeddings; it lacks gru.weight"
    )
    network = zoo.build("resnet20_cifar", depth=1, width=4, input_shape=(8, 8, 3), seed=0)
    file, told = refused(network, state_dict("gru"), path)
    assert file == " (a GRU of 1 layer, 4 units)"


STRANGE = {
    "a vector": (16,),
    "no units": (16, 0),
    "no whole number of gates": (6, 4),
    "two gates": (8, 4),
}


@pytest.mark.parametrize("shape", STRANGE.values(), ids=STRANGE)
def test_what_is_no_known_layer_is_not_called_one(shape, path):
    tensors = {**state_dict("lstm"), "lstm.weight_hh_l0": np.zeros(shape, "float32")}
    file, told = refused(tiny("lstm"), tensors, path)
    assert file == ""
    assert f"its lstm.weight_hh_l0 of shape {shape} is to be (16, 4)" in told


def test_other_classes(path):
    model, tensors = tiny("gru"), state_dict("gru", classes=2, names=("emb", "enc", "fc"))
    before = values(model)
    load(model, tensors, path, head=False)
    for name, value in values(model).items():
        assert np.array_equal(value, before[name]) == name.startswith("output/"), name
    _, told = refused(model, without("enc.bias_hh_l0")(tensors), path, head=False)
    assert told == "it lacks enc.bias_hh_l0 for layer1/bias."


def test_a_model_without_output(path):
    model, tensors = tiny("rnn", num_classes=None), state_dict("rnn", names=("emb", "enc", "fc"))
    _, told = refused(model, tensors, path)
    remedy = "is left over (head=False leaves that layer out)"
    expected = [f"its fc.bias {remedy}", f"its fc.weight {remedy}"]
    assert sorted(told.removesuffix(".").split("; ")) == expected
    load(model, tensors, path, head=False)
    np.testing.assert_array_equal(model.get_weights()[0], tensors["emb.weight"])
    load(model, without("fc.weight", "fc.bias")(tensors), path)


def test_an_output_layer_that_has_no_bias_is_missed(path):
    tensors = without("output.bias")(state_dict("rnn"))
    _, told = refused(tiny("rnn"), tensors, path)
    assert told.startswith("it lacks output.bias for output/bias")


def test_a_state_dict_that_torch_saved(tmp_path):
    torch = pytest.importorskip("torch")
    tensors = state_dict("gru", both_ways=True)
    state = {f"module.{name}": torch.tensor(each).double() for name, each in tensors.items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "a.pth")
    model, expected = tiny("gru", both_ways=True), tiny("gru", both_ways=True)
    zoo.load_weights(model, tmp_path / "a.pth")
    load(expected, tensors, tmp_path / "a.safetensors")
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_folder_tells_what_it_holds(tmp_path):
    save_file({"conv1.weight": np.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "efficientnet_b0"}')
    with pytest.raises(ValueError, match=r"\(of efficientnet_b0\) into rnn_classifier: it lacks"):
        zoo.load_weights(tiny("rnn"), tmp_path)


def test_a_model_that_is_only_called_so(path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="lstm_tagger")
    _, told = refused(model, {"conv1.weight": np.zeros(1)}, path)
    assert told.startswith("it lacks dense")
