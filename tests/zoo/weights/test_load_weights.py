"""Weights of checkpoints in the models of the catalog: each in its place, or none at all.

That the names in the tables are those of the originals, tests/parity shows.
"""

import re
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops
from safetensors.numpy import save_file

import zoo
from custom_layers import BatchNormalization
from tests.unfilled import unfilled
from zoo import weights
from zoo.initial_weights import without_values
from zoo.weights.convolutional import TABLES


def tiny(num_classes=3):
    return zoo.build(
        "resnet20_cifar", depth=1, width=4, num_classes=num_classes, input_shape=(8, 8, 3), seed=0
    )


def random(shapes):
    generator = np.random.default_rng(0)
    return {name: generator.random(shape, "float32") for name, shape in shapes.items()}


def tensors_of_tiny(num_classes=3):
    """A state dict for it, as pytorch_resnet_cifar10 names and shapes it."""
    shapes = {"conv1.weight": (4, 3, 3, 3), "linear.weight": (num_classes, 16)}
    shapes["linear.bias"] = (num_classes,)
    norms = {"bn1": 4}
    for stage, (inputs, outputs) in enumerate([(4, 4), (4, 8), (8, 16)], start=1):
        for index, maps in enumerate([inputs, outputs], start=1):
            shapes[f"layer{stage}.0.conv{index}.weight"] = (outputs, maps, 3, 3)
            norms[f"layer{stage}.0.bn{index}"] = outputs
    for name, maps in norms.items():
        for each in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{each}"] = (maps,)
    return random(shapes)


def shapes_in_file(model, saved_by):
    """{tensor: shape} as one of the tables of the model has it."""
    targets = weights._targets(model, weights._tables_of(model)[1][saved_by])
    return {name: target.shape for name, target in targets.items()}


def load(model, tensors, path, **arguments):
    save_file({name: np.array(each, order="C") for name, each in tensors.items()}, path)
    zoo.load_weights(model, path, **arguments)


def values(model):
    """{layer/variable: value}."""
    return {
        f"{layer.name}/{each.name}": ops.convert_to_numpy(ops.convert_to_tensor(each)).copy()
        for layer in model.layers
        for each in layer.weights
    }


def error_of(model, tensors, path, **arguments):
    """The error of loading, which must be one line that names the model."""
    with pytest.raises(ValueError) as raised:
        load(model, tensors, path, **arguments)
    message = str(raised.value)
    assert type(raised.value) is ValueError and len(message.splitlines()) == 1
    assert model.name in message
    return message


def refused(model, tensors, path, **arguments):
    """The same; and the model is as it was, bit for bit."""
    before = values(model)
    message = error_of(model, tensors, path, **arguments)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])
    return message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


@pytest.fixture(scope="module")
def model():
    return tiny()


def test_every_kind_of_layer(path):
    """In a model called like the one whose checkpoints have the names of the layers here."""
    image = keras.Input((8, 9, 5), name="image")
    x = layers.Conv2D(4, (2, 3), name="conv")(image)
    x = layers.DepthwiseConv2D((3, 2), name="depthwise")(x)
    x = layers.Conv2DTranspose(6, (2, 3), name="transposed")(x)
    x = BatchNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(7, name="output")(x), name="unet")
    theirs = random({
        "conv.weight": (4, 5, 2, 3), "conv.bias": (4,),
        "depthwise.weight": (4, 1, 3, 2), "depthwise.bias": (4,),
        "transposed.weight": (4, 6, 2, 3), "transposed.bias": (6,),
        "norm.weight": (6,), "norm.bias": (6,), "norm.running_mean": (6,), "norm.running_var": (6,),
        "output.weight": (7, 6), "output.bias": (7,),
    })  # fmt: skip
    load(model, {**theirs, "norm.num_batches_tracked": np.array(3)}, path)
    expected = {
        "conv/kernel": np.einsum("oihw->hwio", theirs["conv.weight"]),
        "conv/bias": theirs["conv.bias"],
        "depthwise/kernel": np.einsum("oihw->hwoi", theirs["depthwise.weight"]),
        "depthwise/bias": theirs["depthwise.bias"],
        "transposed/kernel": np.einsum("iohw->hwoi", theirs["transposed.weight"]),
        "transposed/bias": theirs["transposed.bias"],
        "norm/gamma": theirs["norm.weight"],
        "norm/beta": theirs["norm.bias"],
        "norm/moving_mean": theirs["norm.running_mean"],
        "norm/moving_variance": theirs["norm.running_var"],
        "output/kernel": np.einsum("oi->io", theirs["output.weight"]),
        "output/bias": theirs["output.bias"],
    }
    ours = values(model)
    assert ours.keys() == expected.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], expected[name], err_msg=name)


def test_every_variable_of_a_model(model, path):
    tensors = tensors_of_tiny()
    load(model, tensors, path)
    ours = values(model)
    assert len(ours) == len(tensors)
    theirs = {"gamma": "weight", "beta": "bias"}
    theirs |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    for name, value in ours.items():
        layer, variable = name.replace("stem_", "stem1_").split("/")
        if layer == "output":
            expected = tensors[f"linear.{'weight' if variable == 'kernel' else 'bias'}"].T
        else:
            stage, kind, index = re.fullmatch(r"st\w+?(\d)_.*?(conv|norm)(\d?)", layer).groups()
            prefix = f"layer{stage}.0." if index else ""
            kind = {"conv": "conv", "norm": "bn"}[kind]
            expected = tensors[f"{prefix}{kind}{index or 1}.{theirs.get(variable, 'weight')}"]
            expected = expected.transpose(2, 3, 1, 0) if kind == "conv" else expected
        np.testing.assert_array_equal(value, expected, err_msg=name)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32"])
def test_numbers_of_another_type(dtype, model, path):
    tensors = {name: (9 * each).astype(dtype) for name, each in tensors_of_tiny().items()}
    load(model, tensors, path)
    expected = tensors["linear.weight"].T.astype("float32")
    np.testing.assert_array_equal(values(model)["output/kernel"], expected, strict=True)


def test_mixed_precision(path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tiny()
        load(model, tensors_of_tiny(), path)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("output").compute_dtype == "float16"
    expected = tensors_of_tiny()["linear.weight"].T
    np.testing.assert_array_equal(values(model)["output/kernel"], expected, strict=True)


def test_axes_of_size_1_and_flat_kernels(model, path):
    """As others keep what is a convolution here, or a dense layer."""
    tensors = tensors_of_tiny()
    changed = {
        "linear.weight": tensors["linear.weight"][:, :, None, None],
        "conv1.weight": tensors["conv1.weight"].reshape(4, 27),
        "bn1.bias": tensors["bn1.bias"].reshape(1, 4, 1, 1),
    }
    load(model, tensors, path)
    expected = values(model)
    load(model, {name: np.zeros_like(each) for name, each in tensors.items()}, path)
    load(model, {**tensors, **changed}, path)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, expected[name])


def without(*names):
    return lambda tensors: {name: each for name, each in tensors.items() if name not in names}


def of_shape(name, *shape):
    return lambda tensors: {**tensors, name: np.zeros(shape, "float32")}


NORM = ("bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var")
PROBLEMS = {
    "missing": (
        without("layer2.0.bn1.running_var"),
        "it lacks layer2.0.bn1.running_var for stage2_block1_norm1/moving_variance.",
    ),
    "left over": (
        of_shape("layer2.1.conv1.weight", 8, 8, 3, 3), "its layer2.1.conv1.weight is left over.",
    ),
    "of another width": (
        of_shape("layer2.0.conv1.weight", 8, 5, 3, 3),
        "its layer2.0.conv1.weight of shape (8, 5, 3, 3) is to be (8, 4, 3, 3) for "
        "stage2_block1_conv1/kernel.",
    ),
    "transposed": (
        of_shape("layer2.0.conv1.weight", 4, 8, 3, 3), "of shape (4, 8, 3, 3) is to be (8, 4, 3, 3)"
    ),
    "as Keras has it": (of_shape("linear.weight", 16, 3), "of shape (16, 3) is to be (3, 16)"),
    "a scalar": (of_shape("bn1.weight"), "its bn1.weight of shape () is to be (4,)"),
    "of other classes": (
        lambda tensors: tensors_of_tiny(5),
        "its linear.weight of shape (5, 16) is to be (3, 16) for output/kernel (head=False leaves "
        "that layer out); its linear.bias of shape (5,) is to be (3,) for output/bias (head=False",
    ),
    "without a head": (
        without("linear.weight", "linear.bias"),
        "it lacks linear.weight for output/kernel (head=False leaves that layer out)",
    ),
    "three": (without(*NORM[:3]), "it lacks bn1.running_mean for stem_norm/moving_mean."),
    "four": (without(*NORM), "it lacks bn1.running_mean for stem_norm/moving_mean; and 1 more."),
    "of each kind": (
        lambda tensors: {**of_shape("conv1.weight", 9)(without(*NORM[:2])(tensors)),
                         "first": np.zeros(1), "second": np.zeros(1)},
        "its conv1.weight of shape (9,) is to be (4, 3, 3, 3) for stem_conv/kernel; and 2 more.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_all_or_nothing(problem, model, path):
    change, told = PROBLEMS[problem]
    message = refused(model, change(tensors_of_tiny()), path)
    assert message.startswith(f"cannot load {path} (its names are those of ")
    assert told in message.partition(" into resnet20_cifar: ")[2]


def test_other_classes(path):
    model, tensors = tiny(num_classes=5), tensors_of_tiny()
    before = values(model)
    load(model, tensors, path, head=False)
    for name, value in values(model).items():
        assert np.array_equal(value, before[name]) == name.startswith("output/"), name
    # Of the rest nothing may be missing or left over all the same.
    changed = of_shape("second", 1)(without("bn1.bias")(tensors))
    told = "lacks bn1.bias for stem_norm/beta; its second is left over."
    assert told in refused(model, changed, path, head=False)


def test_a_model_without_output(path):
    model, tensors = tiny(num_classes=None), tensors_of_tiny()
    told = refused(model, tensors, path)
    assert "its linear.weight is left over (head=False leaves that layer out)" in told
    load(model, tensors, path, head=False)
    stem = tensors["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(values(model)["stem_conv/kernel"], stem)
    load(model, without("linear.weight", "linear.bias")(tensors), path)


OTHERS = {  # a model, the checkpoint of another one, and what is told of it
    "resnet18": ("mobilenet_v3_small", "torchvision", "mobilenet_v3_small"),
    "mobilenet_v2": ("efficientnet_b0", "timm", "mobilenet_v2 or efficientnet"),
    "convnext_tiny": ("googlenet", "torchvision", "googlenet"),
    "vgg11": ("resnet18", "transformers", "resnet"),
    "unet": ("densenet121", "torchvision, old names", "densenet"),
    "alexnet": ("vgg11_bn", "timm", "vgg11_bn"),
    "gpt2": ("mixtral_8x7b", "transformers", "mixtral"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_architecture(name, path):
    other, saved_by, guess = OTHERS[name]
    tensors = dict.fromkeys(shapes_in_file(unfilled(other), saved_by), np.zeros(1))
    told = error_of(unfilled(name), tensors, path)
    assert told.startswith(f"cannot load {path} (its names are those of {guess}) into {name}: it")


def test_names_that_nobody_has(model, path):
    told = refused(model, {"kernel": np.zeros(3), "first": np.zeros(3)}, path)
    assert told.startswith(f"cannot load {path} into resnet20_cifar: it lacks conv1.weight for")


def test_another_variant(path):
    shapes = [
        shapes_in_file(unfilled(name, width=4), "torchvision and timm")
        for name in ("resnet18", "resnet34")
    ]
    told = error_of(unfilled("resnet18", width=4), random(shapes[1]), path)
    assert re.search(r"into resnet18: its layer[1-4]\.[2-5]\.\w+\.\w+ is left over; ", told)
    assert told.endswith(f"; and {len(shapes[1]) - len(shapes[0]) - 3} more.")


def test_a_folder_tells_what_it_holds(model, tmp_path):
    save_file({"conv1.weight": np.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "efficientnet_b0"}')
    with pytest.raises(ValueError, match=r"\(of efficientnet_b0\) into resnet20_cifar: it lacks"):
        zoo.load_weights(model, tmp_path)


def given(tensors, path, name, head=True, **arguments):
    """{layer/variable: value} that loading gives a model, which has no values before."""
    with without_values() as scope:
        model = zoo.build(name, **arguments)
        load(model, tensors, path, head=head)
        found = {
            f"{layer.name}/{each.name}": scope.get_current_value(each)
            for layer in model.layers
            for each in layer.weights
        }
    return {name: ops.convert_to_numpy(each) for name, each in found.items() if each is not None}


def test_densenet_by_its_old_names(path):
    """Those of the files that torchvision gives away, as its own code translates them."""
    small = {"depths": (2, 1, 1, 1), "growth_rate": 4, "width": 8}
    tensors = random(shapes_in_file(unfilled("densenet121", **small), "torchvision and timm"))
    old = {re.sub(r"(layer\d+\.(?:norm|conv))", r"\1.", name): tensors[name] for name in tensors}
    assert len(old.keys() - tensors.keys()) == 5 * 10
    found = given(old, path, "densenet121", **small)
    assert len(found) == len(tensors)
    expected = tensors["features.denseblock1.denselayer2.conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(found["block1_layer2_conv1/kernel"], expected)


def test_auxiliary_classifiers(path):
    """Those of GoogLeNet serve training: a model without them takes a checkpoint with them."""
    small = {"num_classes": 3, "input_shape": (64, 64, 3)}
    both = {**small, "auxiliary": True}
    tensors = random(shapes_in_file(unfilled("googlenet", **both), "torchvision"))
    plain = {name: each for name, each in tensors.items() if not name.startswith("aux")}
    assert len(plain) == len(tensors) - 2 * 9
    assert len(given(tensors, path, "googlenet", **small)) == len(plain)
    assert len(given(tensors, path, "googlenet", **both)) == len(tensors)
    told = error_of(unfilled("googlenet", **both), plain, path)
    assert "it lacks aux1.conv.conv.weight for auxiliary1_conv/kernel" in told
    # For other classes they are heads as well.
    five = {**both, "num_classes": 5}
    told = error_of(unfilled("googlenet", **five), tensors, path)
    assert "for auxiliary1_output/kernel (head=False leaves that layer out)" in told
    found = given(tensors, path, "googlenet", head=False, **five)
    assert len(found) == len(tensors) - 3 * 2
    assert not any("output" in name for name in found)


def test_a_tensor_of_three(path):
    """torch.nn's attention has one for queries, keys and values."""
    small = {"vocabulary_size": 5, "width": 4, "depth": 1, "num_heads": 2, "hidden_width": 6}
    model = unfilled("transformer_base", **small)
    tensors = weights._without_shares(random(shapes_in_file(model, "torch.nn")))
    attention = "transformer.decoder.layers.0.multihead_attn"
    matrix, bias = (tensors[f"{attention}.in_proj_{each}"] for each in ("weight", "bias"))
    assert matrix.shape == (12, 4) and bias.shape == (12,)
    found = given(tensors, path, "transformer_base", **small)
    assert len(found) == len(model.weights)
    for index, part in enumerate(["query", "key", "value"]):
        share = slice(4 * index, 4 * index + 4)
        np.testing.assert_array_equal(found[f"decoder1_cross_{part}/kernel"], matrix[share].T)
        np.testing.assert_array_equal(found[f"decoder1_cross_{part}/bias"], bias[share])

    name = f"{attention}.in_proj_weight"
    misshapen = {name: matrix[:11]}, {name: matrix[:, :3]}, {name: matrix[0, 0]}, {}
    for each, told in zip(
        misshapen,
        (
            "its {}, 3 of 3 of shape (3, 4) is to be (4, 4) for decoder1_cross_value/kernel",
            "its {}, 1 of 3 of shape (4, 3) is to be (4, 4) for decoder1_cross_query/kernel",
            "it lacks {}, 2 of 3 for decoder1_cross_key/kernel",
            "it lacks {}, 2 of 3 for decoder1_cross_key/kernel",
        ),
        strict=True,
    ):
        others = {key: value for key, value in tensors.items() if key != name}
        assert told.format(name) in error_of(model, others | each, path)


VARIANTS = (
    "alexnet", "convnext_base", "densenet201", "efficientnet_b0", "efficientnet_b3", "googlenet",
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "resnet34", "resnet50",
    "resnet20_cifar", "resnext50", "se_resnet50", "unet", *zoo.list_models("vgg*"),
)  # fmt: skip


@pytest.mark.parametrize("key", TABLES)
def test_a_table_is_of_a_module_or_of_a_model(key):
    modules = {name: path.rpartition(".")[2] for name, path in zoo._MODULES.items()}
    assert any(key in (name, modules[name]) for name in VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_names_are_in_the_table_and_distinct(name):
    model = unfilled(name, **({"auxiliary": True} if name == "googlenet" else {}))
    for saved_by, table in weights._tables_of(model)[1].items():
        assert len(weights._targets(model, table)) == len(model.weights), saved_by
        for layer in model.layers:
            for variable in layer.weights:
                ours = layer.name, f"{layer.name}/{variable.name}"
                assert any(weights._name(each, table) for each in ours), (saved_by, ours)


@pytest.mark.parametrize("name", ["sequential", "resnet", "lenet5"])
def test_models_without_known_checkpoints(name, path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name=name)
    told = error_of(model, {"output.weight": np.zeros(1)}, path)
    assert f"no checkpoints are known for a model of name '{name}': build alexnet, " in told
    assert "lenet5," not in told


def test_another_model_of_a_name_in_the_catalog(path):
    model = keras.Sequential([keras.Input((3, 2)), layers.LSTM(2, name="lstm")], name="resnet18")
    told = error_of(model, {"conv1.weight": np.zeros(1)}, path)
    assert "into resnet18: it lacks lstm.weight for lstm/kernel; " in told


def test_loading_needs_no_other_import(model, path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("zoo.weights")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(zoo, "weights")
    load(model, tensors_of_tiny(), path)
    assert zoo.weights is not weights
