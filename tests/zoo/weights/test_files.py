"""Files of checkpoints: all types of numbers, both formats of torch, folders, and what is none."""

import io
import json
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from tests.full_disk import read_only, writable_folder
from zoo.weights import files
from zoo.weights.files import read_tensors

both_formats = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])


def safetensors(tensors, header_size=0):
    """A file by hand, of {name: (dtype, shape, bytes)}; spaces fill the header."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    text = json.dumps(header).encode().ljust(header_size)
    return len(text).to_bytes(8, "little") + text + data


def one(name, header_size=0):
    return safetensors({name: ("F32", [1], bytes(4))}, header_size)


def saved(content, zipped=True):
    """What torch.save writes."""
    file = io.BytesIO()
    pytest.importorskip("torch").save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def fill(folder, *names):
    """Files by what their suffixes say, each with one tensor that is called like the file."""
    folder.mkdir(exist_ok=True)
    for name in names:
        if name.endswith(".safetensors"):
            (folder / name).write_bytes(one(name))
        else:
            (folder / name).write_bytes(saved({name: pytest.importorskip("torch").zeros(1)}))


def error_of(source, named=None):
    """The error of reading it, which must be one line that names ``named``, by default it."""
    with pytest.raises(ValueError) as raised:
        read_tensors(source)
    return checked(raised.value, named or source)


def checked(error, named):
    message = str(error)
    assert type(error) is ValueError and len(message.splitlines()) == 1
    assert str(named) in message
    assert "weights_only" not in message, "torch's advice to execute what is in the file"
    return message


NUMBERS = {  # as stored, and what they are
    "F64": (np.array([0.1, -1e300, 5e-324], "<f8"), np.float64([0.1, -1e300, 5e-324])),
    "F32": (np.array([0.1, -1e38, 1e-45], "<f4"), np.float32([0.1, -1e38, 1e-45])),
    "F16": (
        np.array([0x3C00, 0x3555, 0x0001, 0xFBFF], "<u2"),
        np.float32([1, 0.333251953125, 2**-24, -65504]),
    ),
    "BF16": (
        np.array([0x3F80, 0xC049, 0x0001, 0x7F7F], "<u2"),
        np.float32([1, -3.140625, 2**-133, (2 - 2**-7) * 2**127]),
    ),
    "I64": (np.array([1, -(2**63), 2**63 - 1], "<i8"), np.int64([1, -(2**63), 2**63 - 1])),
    "I32": (np.array([1, -(2**31), 2**31 - 1], "<i4"), np.int32([1, -(2**31), 2**31 - 1])),
    "I16": (np.array([1, -(2**15), 2**15 - 1], "<i2"), np.int16([1, -(2**15), 2**15 - 1])),
    "I8": (np.array([1, -128, 127], "i1"), np.int8([1, -128, 127])),
    "U8": (np.array([1, 128, 255], "u1"), np.uint8([1, 128, 255])),
    "BOOL": (np.array([1, 0, 1], "u1"), np.array([True, False, True])),
}


@pytest.mark.parametrize("dtype", NUMBERS)
def test_all_types_of_numbers(dtype, tmp_path):
    stored, expected = NUMBERS[dtype]
    shapes = {"matrix": (2, len(stored)), "scalar": (), "nothing": (0, 3)}
    contents = [stored.tobytes() + stored[::-1].tobytes(), stored[:1].tobytes(), b""]
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors({name: (dtype, shapes[name], contents.pop(0)) for name in shapes}))
    tensors, config = read_tensors(str(path))
    assert config == {}
    assert {name: array.shape for name, array in tensors.items()} == shapes
    assert {array.dtype for array in tensors.values()} == {expected.dtype}
    np.testing.assert_array_equal(tensors["matrix"], [expected, expected[::-1]])
    assert tensors["scalar"] == expected[0]


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_numbers_of_an_unknown_type(dtype, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors({"conv.weight": (dtype, [3], bytes(3))}))
    assert f"'conv.weight' in {path} has numbers of the unknown type {dtype}" in error_of(path)


@pytest.mark.parametrize("size", [0x80, 0x280, 0x480])
def test_a_header_whose_length_starts_like_a_pickle(size, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # which reads safetensors as well
    (tmp_path / "a.safetensors").write_bytes(one("a", size))
    assert list(read_tensors(tmp_path / "a.safetensors")[0]) == ["a"]


def prefixed(state):
    return {f"module.{name}": each for name, each in state.items()}


WRAPPED = {
    "alone": lambda state: state,
    "beside others": lambda state: {**state, "epoch": 3, "name": "resnet", "more": [1]},
    "as state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "as model": lambda state: {"model": state, "optimizer": {"state": {}}, "epoch": 3},
    "of DataParallel": prefixed,
    "of DataParallel, as state_dict": lambda state: {"epoch": 3, "state_dict": prefixed(state)},
}


@both_formats
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_state_dicts_of_torch(wrapped, zipped, tmp_path):
    torch = pytest.importorskip("torch")
    state = {
        "transposed.weight": torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T),
        "half": torch.tensor([1 / 3, -65504, 2**-24]).half(),
        "bfloat16": torch.tensor([-3.140625, 2**-133]).bfloat16(),
        "count": torch.tensor(7),
    }
    (tmp_path / "a.pth").write_bytes(saved(WRAPPED[wrapped](state), zipped))
    tensors, config = read_tensors(tmp_path / "a.pth")
    assert (list(tensors), config) == (list(state), {})
    assert [each.dtype.name for each in tensors.values()] == 3 * ["float32"] + ["int64"]
    np.testing.assert_array_equal(tensors["transposed.weight"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(tensors["half"], np.float32([0.333251953125, -65504, 2**-24]))
    np.testing.assert_array_equal(tensors["bfloat16"], np.float32([-3.140625, 2**-133]))
    np.testing.assert_array_equal(tensors["count"], np.array(7), strict=True)


@pytest.mark.parametrize("kind", ["sparse", "complex", "meta"])
def test_tensors_of_torch_that_are_no_arrays(kind, tmp_path):
    torch = pytest.importorskip("torch")
    sparse, numbers = torch.eye(3).to_sparse(), torch.ones(3, dtype=torch.complex64)
    meta = torch.ones(3, device="meta")
    path = tmp_path / "a.pth"
    tensor = {"sparse": sparse, "complex": numbers, "meta": meta}[kind]
    path.write_bytes(saved({"conv.weight": tensor}))
    assert f"'conv.weight' in {path} is no array: " in error_of(path)


class Payload:
    """What a pickle executes when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


HOSTILE = {
    "torch's zip": lambda: saved({"a": Payload()}),
    "torch's pickle": lambda: saved({"a": Payload()}, zipped=False),
    **{f"pickle {i}": lambda i=i: pickle.dumps(Payload(), i) for i in range(6)},
    "pickle as a header": lambda: (40).to_bytes(8, "little") + pickle.dumps(Payload()),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["a.pth", "a.bin", "a.safetensors"])
@pytest.mark.parametrize("content", HOSTILE)
def test_no_code_is_executed(content, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(HOSTILE[content]())
    error_of(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def zip_of_a_text():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "hello")
    return file.getvalue()


NEITHER, NO_STATE = "is neither safetensors nor torch's", "is no state dict of tensors alone"
NONE = {  # and what is told of it
    "nothing": (lambda: b"", NEITHER),
    "a text": (lambda: b"An error occurred: 404\n", NEITHER),
    "half of safetensors": (lambda: one("a")[:40], NEITHER),
    "safetensors but for a byte": (lambda: one("a")[:-1], NEITHER),
    "an enormous header": (lambda: (2**63 - 1).to_bytes(8, "little") + b"{}", NEITHER),
    "a header of 10 GB": (lambda: (10 * 2**30).to_bytes(8, "little") + b"{}", NEITHER),
    "a header without end": (lambda: (10**6).to_bytes(8, "little") + 10**6 * b"[", NEITHER),
    "no tensor": (lambda: safetensors({}), "holds no tensors"),
    "a name of two lines": (lambda: one("a\nb"), r"has a tensor of the name 'a\nb'"),
    "half of a zip": (lambda: saved({"a": 1})[:300], NO_STATE),
    "a zip of a text": (zip_of_a_text, NO_STATE),
    "a list": (lambda: saved([1, 2]), "is no state dict, but a list"),
    "a number": (lambda: saved({"epoch": 1}), "holds no tensors"),
    "an object": (lambda: saved(types.SimpleNamespace()), "it names types.SimpleNamespace"),
}


@pytest.mark.parametrize("content", NONE)
def test_what_is_no_checkpoint(content, tmp_path):
    make, told = NONE[content]
    (tmp_path / "a.pth").write_bytes(make())
    assert told in error_of(tmp_path / "a.pth")


@pytest.mark.filterwarnings("ignore")
@both_formats
def test_damaged_files_of_torch(zipped, tmp_path):
    """Whatever the damage makes of them: an error of one line, or other numbers."""
    torch = pytest.importorskip("torch")
    content = saved({"a": torch.ones(3), "b": torch.ones(2).half(), "c": torch.tensor(7)}, zipped)
    generator, refused = np.random.default_rng(0), 0
    path = tmp_path / "a.pth"
    for length in generator.integers(16, len(content), 50):
        path.write_bytes(content[:length])
        error_of(path)
    for _ in range(300):
        damaged = bytearray(content)
        for position in generator.integers(16, len(content), 2):
            damaged[position] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            read_tensors(path)
        except ValueError as error:
            refused += 1
            checked(error, path)
    assert refused > 100


@pytest.mark.parametrize(
    "names",  # the first of which is taken
    [
        ["model.safetensors"],
        ["pytorch_model.bin"],
        ["model.safetensors", "pytorch_model.bin", "another.safetensors"],
        ["resnet-v2 (1).safetensors"],
        ["resnet50-11ad3fa6.pth"],
        ["epoch.pt"],
        ["rest.bin"],
    ],
    ids=lambda names: names[0],
)
def test_a_folder(names, tmp_path):
    fill(tmp_path, *names)
    (tmp_path / "README.md").write_text("no checkpoint")
    assert list(read_tensors(tmp_path)[0]) == list(read_tensors(f"{tmp_path}/")[0]) == names[:1]


def test_a_folder_without_a_checkpoint_or_with_several(tmp_path):
    (tmp_path / "README.md").write_text("no checkpoint")
    assert "should hold one checkpoint and has none" in error_of(tmp_path)
    fill(tmp_path, "b.safetensors", "a.pth")
    assert "has several: a.pth, b.safetensors: name a file" in error_of(tmp_path)


def write_index(folder, *names, stem="model.safetensors"):
    path = folder / f"{stem}.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {each: each for each in names}}))
    return path


@pytest.mark.parametrize("stem", ["model.safetensors", "pytorch_model.bin"])
def test_several_files_and_their_index(stem, tmp_path):
    shards = [f"{i}-of-2.{stem}" for i in (1, 2)]
    fill(tmp_path, *shards, f"3-of-2.{stem}", stem, "pytorch_model.bin")
    index = write_index(tmp_path, *shards, stem=stem)
    assert sorted(read_tensors(tmp_path)[0]) == sorted(read_tensors(index)[0]) == shards
    (tmp_path / shards[1]).unlink()
    assert "No such file" in error_of(tmp_path, named=tmp_path / shards[1])


@pytest.mark.parametrize("name", ["../elsewhere", "{}/elsewhere", "below/elsewhere"])
def test_an_index_names_files_beside_it_alone(name, tmp_path, monkeypatch):
    folder, read = tmp_path / "folder", []
    fill(folder, "first.safetensors")
    (folder / "below").mkdir()
    for path in (tmp_path, folder / "below"):
        (path / "elsewhere").write_bytes(one("a"))
    index = write_index(folder, "first.safetensors", name.format(tmp_path))
    monkeypatch.setattr(files, "_read", lambda path: read.append(path) or {})
    assert "its files must lie beside it" in error_of(folder, named=index)
    assert read == []


DAMAGED = [
    b"", b'{"weight_map": {', b"[1]", b"{}", b'{"weight_map": 3}', b'{"weight_map": ["a"]}',
    b'{"weight_map": {"a": 3}}', b'{"weight_map": {"a": ["b"]}}', b"\xff\xfe\x80", b"[" * 10**6,
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_index(content, tmp_path):
    fill(tmp_path, "model.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(content)
    assert "is no index of a checkpoint" in error_of(tmp_path, named=index)


CONFIGS = [
    (b'{"architecture": "resnet34", "num_classes": 1000}', " (of resnet34)"),  # timm's
    (b'{"model_type": "convnext", "depths": [3]}', " (of convnext)"),  # transformers'
    (b'{"architecture": "vgg11", "model_type": "timm_wrapper"}', " (of vgg11)"),
    (b'{"model_type": "two\\nlines"}', ""),
    *((content, "") for content in (b"{}", b'["resnet34"]', b"", b"\xff", b"[" * 10**6)),
]


@pytest.mark.parametrize(("config", "expected"), CONFIGS, ids=range(len(CONFIGS)))
def test_what_config_json_tells(config, expected, tmp_path):
    fill(tmp_path, "model.safetensors")
    (tmp_path / "config.json").write_bytes(config)
    assert files.described(read_tensors(tmp_path)[1]) == expected


def test_paths_that_cannot_be_read(tmp_path):
    assert "No such file or directory" in error_of(tmp_path / "none.pth")
    assert "File name too long" in error_of(tmp_path / (300 * "a"))
    with writable_folder() as folder:
        below = folder / "below"
        fill(below, "model.safetensors")
        for path in (below / "model.safetensors", below):
            path.chmod(0)
            with read_only(folder):
                assert "Permission denied" in error_of(path)
        below.chmod(0o755)


@both_formats
def test_torch_is_not_installed(zipped, tmp_path, monkeypatch):
    fill(tmp_path, "a.safetensors")
    (tmp_path / "a.pth").write_bytes(saved({}, zipped))
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install torch" in error_of(tmp_path / "a.pth")
    assert list(read_tensors(tmp_path / "a.safetensors")[0]) == ["a.safetensors"]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """In the place of huggingface_hub: what it was asked for, and ``download`` of patterns."""

    def snapshot_download(name, allow_patterns):
        hub.asked.append((name, allow_patterns))
        hub.download(allow_patterns)
        return str(tmp_path)

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    hub = types.SimpleNamespace(asked=[], download=lambda patterns: None)
    return hub


def test_the_hub(hub, tmp_path):
    fill(tmp_path, "model.safetensors", "pytorch_model.bin")
    (tmp_path / "config.json").write_text('{"architecture": "resnet34"}')
    tensors, config = read_tensors("hf://timm/resnet34.a1_in1k")
    assert (list(tensors), files.described(config)) == (["model.safetensors"], " (of resnet34)")
    assert hub.asked == [("timm/resnet34.a1_in1k", ["*.json", "*.safetensors"])]


def test_the_hub_has_no_safetensors(hub, tmp_path):
    assert "holds neither .safetensors nor .bin" in error_of("hf://timm/vgg11")
    hub.download = lambda patterns: "*.bin" in patterns and fill(tmp_path, "pytorch_model.bin")
    assert list(read_tensors("hf://timm/vgg11")[0]) == ["pytorch_model.bin"]


@pytest.mark.parametrize("words", ["404 Not Found.\n\nIs it private?", "", "\n"])
def test_the_hub_does_not_answer(words, hub):
    def download(patterns):
        raise ConnectionError(words)

    hub.download = download
    told = f"cannot download hf://timm/vgg11: ConnectionError{words and ': '}{words}".strip(" :\n")
    assert error_of("hf://timm/vgg11") == told.partition("\n")[0]


def test_huggingface_hub_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install huggingface_hub" in error_of("hf://timm/vgg11")
