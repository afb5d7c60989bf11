"""Every benchmark at a tiny size: the sides do the same work, and what is written. Times are not
judged."""

import gc
import importlib.util
import json
import weakref
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

import zoo
from benchmarks import (
    build,
    checkpoints,
    custom_layers,
    generation,
    initial_weights,
    memory,
    networks,
    operations,
    recipe_epoch,
    recurrent_cells,
    side_by_side,
    start,
    training_step,
)

BACKEND = keras.backend.backend()
# The networks, smaller where they can be.
SMALL = {
    "mlp": {"width": 8},
    "cnn": {"dropout_rate": 0.5},
    "resnet20": {"depth": 8},
    "lstm": {"width": 8},
    "gpt": {"depth": 1, "width": 16, "num_heads": 2, "context": 8},
    "vit_tiny": {"depth": 1, "width": 16, "num_heads": 2},
}
TOKENS = {"lstm": {"inputs": (8,)}, "gpt": {"inputs": (8,), "labels": (8,)}}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    for name, sizes in SMALL.items():
        network = networks.NETWORKS[name]
        network = network._replace(sizes=sizes, batch_size=8, **TOKENS.get(name, {}))
        monkeypatch.setitem(networks.NETWORKS, name, network)
    keras.utils.set_random_seed(0)


@pytest.fixture
def nothing_compiles(monkeypatch):
    """PyTorch's compiler takes half a minute for some networks."""
    if BACKEND == "torch":
        monkeypatch.setattr(training_step, "can_compile", lambda: False)


def results(folder, name, card=""):
    return json.loads((folder / f"{name}-{BACKEND}{card}.json").read_text())


def test_all_small_sizes_are_sizes():
    assert SMALL.keys() == networks.NETWORKS.keys()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.usefixtures("nothing_compiles")
def test_native_networks_train_as_ours_and_keras_do(name, monkeypatch):
    monkeypatch.setattr(training_step, "STACK", 3)
    sizes = {**SMALL[name], **({"dropout_rate": 0.0} if name == "cnn" else {})}
    sides = training_step.make_sides(name, sizes, networks.NETWORKS[name].batches(5))
    native = {
        "tensorflow": {"native graph", "native jitted", "ours, jit_compile"},
        "jax": {"native jitted"},
        "torch": {"native eager"},
    }
    assert sides.keys() == {"ours", "Keras fit", "ours, stacked"} | native[BACKEND]
    if name in TOKENS and BACKEND == "tensorflow":
        del sides["Keras fit"]  # it trains embeddings otherwise, see gradient_step
    assert training_step.prove_equal(sides) < 2e-5
    # And go on from there, all of them alike.
    assert training_step.prove_equal(sides) < 1e-4


def test_compiled_ways_train_alike():
    if not side_by_side.can_compile():
        pytest.skip("PyTorch compiles with g++")
    sides = training_step.make_sides("mlp", SMALL["mlp"], networks.NETWORKS["mlp"].batches(4))
    compiled = {"tensorflow": "ours, jit_compile", "jax": "ours", "torch": "native compiled"}
    assert compiled[BACKEND] in sides
    assert training_step.prove_equal(sides) < 1e-5


def test_checkpoints_are_a_part_of_the_run(tmp_path):
    checkpoints.main(epochs=2, rounds=1, folder=tmp_path)
    training, writing = results(tmp_path, "checkpoints")["rows"]
    assert training["what"].startswith("checkpoints of cnn_mnist, seconds of the training thread")
    assert writing["what"].startswith("checkpoints of cnn_mnist, processor time of the writing")
    for row in (training, writing):
        assert 0 < row["median"] < 100
        assert row["median"] == row["ours"] / row["theirs"]


def test_sides_that_do_other_work_are_found():
    losses = {"ours": np.ones(3), "Keras fit": np.ones(1), "native": np.array([1.0, 1.0, 1.1])}
    sides = {side: lambda found=found: found for side, found in losses.items()}
    with pytest.raises(ValueError, match="native does not do the same work as ours"):
        training_step.prove_equal(sides)
    sides["native"] = lambda: np.array([1.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="native does not do the same work as ours"):
        training_step.prove_equal(sides)


@pytest.mark.usefixtures("nothing_compiles")
def test_training_step_writes_a_row_for_each_comparison(tmp_path):
    training_step.main(["mlp"], proof_steps=2, round_seconds=0, rounds=1, folder=tmp_path)
    written = results(tmp_path, "training_step")
    compared = [row["what"] for row in written["rows"]]
    step = "float32 step of mlp, ours"
    assert compared[:3] == [
        f"{step} / Keras fit, seconds",
        f"{step} / native, seconds",
        f"{step}, stacked / native, seconds",
    ]
    assert len(compared) == (4 if BACKEND == "tensorflow" else 3)
    for row in written["rows"]:
        assert row["lowest"] <= row["median"] <= row["highest"]
        assert row["loss_difference"] < 1e-4
    assert written["versions"]["keras"] == keras.__version__
    assert keras.config.dtype_policy().name == "float32"


def test_a_gpu_is_measured_in_bfloat16_too_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(training_step.backend, "accelerator", lambda: "Card 100")
    measured = []

    def measure(name, *_):
        measured.append((keras.config.dtype_policy().name, name))
        return []

    monkeypatch.setattr(training_step, "measure", measure)
    training_step.main(["mlp"], folder=tmp_path)
    assert measured == [("float32", "mlp"), ("mixed_bfloat16", "mlp")]
    assert results(tmp_path, "training_step", "-card-100")["device"] == "Card 100"


@pytest.mark.usefixtures("nothing_compiles")
def test_networks_train_alike_in_bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for name in ("mlp", "gpt"):
            sides = training_step.make_sides(name, SMALL[name], networks.NETWORKS[name].batches(3))
            assert training_step.prove_equal(sides) < 2e-2
    finally:
        keras.config.set_dtype_policy(before)


def test_custom_layers(tmp_path):
    custom_layers.main(shape=(2, 4, 4, 3), round_seconds=0, rounds=1, folder=tmp_path)
    rows = results(tmp_path, "custom_layers")["rows"]
    assert [row["what"].split(",")[0] for row in rows] == [
        "BatchNormalization", "Dropout", "GELU", "LeakyReLU",
    ]  # fmt: skip


def test_custom_layers_that_compute_other_things_are_found(monkeypatch):
    pair = (lambda: layers.ReLU(), lambda: layers.LeakyReLU(0.01))
    monkeypatch.setitem(custom_layers.PAIRS, "GELU", pair)
    with pytest.raises(ValueError, match="GELU does not compute"):
        custom_layers.measure("GELU", (2, 3), 0, 1)


def test_recurrent_cells(tmp_path):
    recurrent_cells.main(shape=(2, 3, 4), units=5, round_seconds=0, rounds=1, folder=tmp_path)
    rows = results(tmp_path, "recurrent_cells")["rows"]
    assert [row["what"].split(",")[0] for row in rows] == [
        "step of RNNCell", "step of LSTMCell", "step of GRUCell",
    ]  # fmt: skip
    assert all(0 < row["lowest"] <= row["median"] <= row["highest"] for row in rows)


def test_recurrent_cells_that_train_otherwise_are_found(monkeypatch):
    cell, _ = recurrent_cells.PAIRS["GRUCell"]
    other = partial(layers.GRU, activation="relu")
    monkeypatch.setitem(recurrent_cells.PAIRS, "GRUCell", (cell, other))
    with pytest.raises(ValueError, match="GRUCell does not train as"):
        recurrent_cells.measure("GRUCell", (2, 3, 4), 5, 0, 1)


TINY_GPT2 = {"vocabulary_size": 50, "max_length": 16, "width": 16, "depth": 2, "num_heads": 2}


@pytest.mark.skipif(not importlib.util.find_spec("transformers"), reason="extra oracles")
def test_generation(tmp_path):
    generation.main(new={8: 4, 16: 6}, sizes=TINY_GPT2, rounds=1, folder=tmp_path)
    rows = results(tmp_path, "generation")["rows"]
    assert [row["what"].rpartition(",")[0] for row in rows] == [
        "further token up to 8, ours / transformers on PyTorch",
        "further token up to 16, ours / transformers on PyTorch",
        "first token behind 4, ours / transformers on PyTorch",
        "first token behind 10, ours / transformers on PyTorch",
        "further token up to 8, kept / computed anew",
        "further token up to 16, kept / computed anew",
        "further token up to 16 / up to 8, ours",
        "further token up to 16 / up to 8, transformers",
    ]


@pytest.mark.skipif(not importlib.util.find_spec("transformers"), reason="extra oracles")
def test_generation_of_other_tokens_is_found(monkeypatch):
    monkeypatch.setattr(zoo, "load_weights", lambda *_: None)
    with pytest.raises(ValueError, match="the two sides write"):
        generation.measure({8: 4}, TINY_GPT2, rounds=1)


def test_start(tmp_path):
    start.main(rounds=1, folder=tmp_path)
    rows = {row["what"].split(",")[1].strip(): row for row in results(tmp_path, "start")["rows"]}
    assert list(rows) == ["import", "build", "first step", "whole"]
    parts = sum(rows[part]["ours"] for part in start.PARTS)
    assert rows["whole"]["ours"] > parts


def test_memory(tmp_path):
    memory.main(steps={"mlp": 10}, rounds=1, folder=tmp_path)
    whole, training = results(tmp_path, "memory")["rows"]
    for side in ("ours", "theirs"):
        assert 50 < whole[side] < 5000
        assert 0 < training[side] < whole[side] - 50
    assert 0 <= whole["our_growth"] < 100


def test_memory_is_not_that_of_the_process_that_started_it(tmp_path):
    memory.write_work("mlp", tmp_path / "mlp.npz")
    ballast = np.ones(2**28)  # 2 GiB
    found = memory.in_new_process("native", str(tmp_path / "mlp.npz"), 2)
    assert found["largest"] < ballast.nbytes / memory.MEBIBYTE


@pytest.mark.parametrize("side", memory.SIDES)
def test_memory_is_that_of_training(tmp_path, side, monkeypatch):
    """Both sides begin with the same weights and see the same batches."""
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)
    losses = []
    make = memory.SIDES[side]

    def spy(*arguments):
        step = make(*arguments)
        return lambda *batch: losses.append(float(step(*batch))) or losses[-1]

    monkeypatch.setitem(memory.SIDES, side, spy)
    keras.utils.set_random_seed(0)
    memory.write_work("mlp", tmp_path / "mlp.npz")
    memory.train(side, tmp_path / "mlp.npz", 4)
    keras.utils.set_random_seed(0)
    sides = training_step.make_sides("mlp", SMALL["mlp"], networks.NETWORKS["mlp"].batches(4))
    np.testing.assert_allclose(losses, sides["ours"](), rtol=1e-4)


@pytest.mark.usefixtures("nothing_compiles")
def test_operations(tmp_path, capsys):
    operations.main(["cnn"], steps=2, folder=tmp_path)
    ours, native = results(tmp_path, "operations")["rows"]
    assert ours["what"] == "step of cnn, ours"
    assert native["what"].startswith("step of cnn, native")
    for row in (ours, native):
        assert len(row["operations"]) == operations.SHOWN
        assert sum(row["operations"].values()) <= row["milliseconds"] * 1.001
        # XLA has the convolutions within its fusions.
        expected = "fusion" if BACKEND == "jax" else "conv"
        assert any(expected in name.lower() for name in row["operations"]), row
    printed = capsys.readouterr().out
    assert all(row["what"] in printed for row in (ours, native))


@pytest.mark.usefixtures("nothing_compiles")
def test_recipe_epoch(tmp_path, capsys):
    recipe_epoch.main(training_examples=400, test_examples=50, rounds=1, folder=tmp_path)
    (row,) = results(tmp_path, "recipe_epoch")["rows"]
    assert row["fastest"].startswith("native")
    printed = capsys.readouterr().out
    assert "report: " in printed
    assert "accuracy" in printed


def test_sides_are_timed_in_turns(monkeypatch):
    clock, calls = [0.0], []

    def takes(name, seconds):
        def call():
            calls.append(name)
            clock[0] += seconds

        return call

    monkeypatch.setattr(side_by_side.time, "perf_counter", lambda: clock[0])
    sides = {"ours": takes("ours", 3.0), "theirs": takes("theirs", 2.0)}
    found = side_by_side.seconds(sides, rounds=3)
    assert found == {"ours": [3.0] * 3, "theirs": [2.0] * 3}
    assert calls[:2] == ["ours", "theirs"]  # to warm up
    assert calls[2:] == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_a_ratio_is_that_of_each_round():
    row = side_by_side.ratio("this", [2.0, 9.0, 4.0], [1.0, 3.0, 8.0], fastest="native graph")
    assert row == {
        "what": "this",
        "median": 2.0,
        "lowest": 0.5,
        "highest": 3.0,
        "ours": 4.0,
        "theirs": 3.0,
        "fastest": "native graph",
    }


def test_initial_weights_times_a_build_with_and_without_a_seed(tmp_path, monkeypatch):
    timed = []

    def seconds(sides, rounds):
        timed.append([sides[side]().get_weights()[0] for side in ("ours", "ours", "theirs")])
        return {side: [1.0] * rounds for side in sides}

    monkeypatch.setattr(initial_weights, "seconds", seconds)
    initial_weights.main(width=4, rounds=3, folder=tmp_path)
    for ours, again, theirs in timed:
        np.testing.assert_array_equal(ours, again)
        assert not np.array_equal(ours, theirs)
    rows = results(tmp_path, "initial_weights")["rows"]
    assert [row["what"] for row in rows] == [
        "build of mnist_cnn, with a seed / without, seconds",
        "build of VGG-16's dense layers, with a seed / without, seconds",
    ]


@pytest.fixture
def lenet_of_keras(monkeypatch):
    """keras.applications with a LeNet-5; [(arguments, reference of the model) of each call]."""
    calls = []

    def make(**arguments):
        model = zoo.build("lenet5")
        calls.append((arguments, weakref.ref(model)))
        return model

    monkeypatch.setattr(keras.applications, "LeNet5", make, raising=False)
    monkeypatch.setitem(build.SAME, "lenet5", "LeNet5")
    return calls


def test_build(tmp_path, capsys, lenet_of_keras):
    build.main(["mnist_cnn", "lenet5"], rounds=3, folder=tmp_path)
    alone, compared = results(tmp_path, "build")["rows"]
    assert alone.pop("ours") > 0
    assert alone == {
        "what": "build of mnist_cnn, seconds", "model": "mnist_cnn", "parameters": 421_738,
    }  # fmt: skip
    assert compared["what"] == "build of lenet5, ours / keras.applications, seconds"
    assert compared["lowest"] <= compared["median"] <= compared["highest"]
    assert compared["model"] == "lenet5"
    assert compared["parameters"] == 60_850
    printed = capsys.readouterr().out
    assert "build of mnist_cnn, seconds: " in printed
    assert " for 60,850 parameters against " in printed
    assert all(
        arguments == {"weights": None, "classifier_activation": None}
        for arguments, _ in lenet_of_keras
    )
    assert len(lenet_of_keras) == 5  # to count, to warm up, and each round


def test_build_keeps_no_model(monkeypatch, lenet_of_keras):
    alive = []

    def seconds(sides, rounds):
        for side in ("theirs", "theirs freed") * 2:
            sides[side]()
            alive.append(sum(model() is not None for _, model in lenet_of_keras))
        return {side: [1.0] for side in sides}

    monkeypatch.setattr(build, "seconds", seconds)
    gc.disable()
    try:
        build.measure("lenet5", rounds=1)
    finally:
        gc.enable()
    assert alive[1::2] == [0, 0]


def test_build_of_another_architecture_is_found(monkeypatch, lenet_of_keras):
    monkeypatch.setitem(build.SAME, "mnist_cnn", "LeNet5")
    with pytest.raises(ValueError, match=r"mnist_cnn has 421,738 .* keras.*LeNet5 60,850"):
        build.measure("mnist_cnn", rounds=1)


def test_build_compares_what_has_the_same_name():
    for name, theirs in build.SAME.items():
        assert name in zoo.list_models()
        assert theirs.lower() == name.replace("_", "")
        assert build.of_keras(name).func is getattr(keras.applications, theirs)
    for name in ("efficientnet_b0", "mobilenet_v3_small", "resnet50"):  # all take longer
        ours, theirs = (
            build.parameters(each) for each in (partial(zoo.build, name), build.of_keras(name))
        )
        assert ours == pytest.approx(theirs, rel=0.002)
