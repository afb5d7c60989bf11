"""Tensors of a checkpoint, read as NumPy arrays, without executing anything that is in it."""

import json
import re
from pathlib import Path

import numpy as np
import safetensors

_HUB = "hf://"
# What a folder may hold, the first that is there; the index of a checkpoint of several files first.
_NAMES = (
    "model.safetensors.index.json", "model.safetensors",
    "pytorch_model.bin.index.json", "pytorch_model.bin",
)  # fmt: skip
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def read_tensors(source):
    """({name: array}, the content of config.json) of a file, a folder or ``hf://``.

    Numbers of half precision become float32. A file has no config.json, and the content is {} then.

    Raises:
        ValueError: nothing can be read there; says why.
    """
    if str(source).startswith(_HUB):
        path = _download(str(source).removeprefix(_HUB))
    else:
        path = Path(source)
    config = {}
    try:
        if path.is_dir():
            config, path = _config(path), _file_in(path)
        tensors = _read_shards(path) if path.name.endswith(".index.json") else _read(path)
    except OSError as error:  # of a shard, its own name
        raise ValueError(
            f"cannot read {error.filename or path}: {error.strerror or error}."
        ) from None
    if not tensors:
        raise ValueError(f"{path} holds no tensors.")
    for name in tensors:
        if not name.isprintable():  # errors name it
            raise ValueError(f"{path} has a tensor of the name {name!r}.")
    return tensors, config


def _file_in(folder):
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    files = [
        path for path in sorted(folder.iterdir())
        if path.suffix in (".safetensors", ".bin", ".pt", ".pth")
    ]  # fmt: skip
    if len(files) == 1:
        return files[0]
    found = f"several: {', '.join(path.name for path in files)}" if files else "none"
    raise ValueError(
        f"the folder {folder} should hold one checkpoint and has {found}: name a file."
    )


def _config(folder):
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def described(config):
    """Of what it is, as timm ("architecture") and transformers ("model_type") write it; or ""."""
    name = str(config.get("architecture") or config.get("model_type") or "")
    return f" (of {name})" if name and name.isprintable() else ""


def _read_shards(index):
    try:
        files = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        # A name, and no path that leads elsewhere.
        if not all(isinstance(file, str) and Path(file).name == file for file in files):
            raise ValueError("its files must lie beside it")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index} is no index of a checkpoint: {_line(error)}.") from None
    tensors = {}
    for file in sorted(files):
        tensors |= _read(index.parent / file)
    return tensors


def _read(path):
    with open(path, "rb") as file:
        start = file.read(16)
    # A file of torch's is a zip archive, or, before version 1.6, a pickle. The length of the header
    # of safetensors may start like one; the header itself is behind it and starts with a brace.
    if start.startswith((b"PK\x03\x04", b"\x80")) and start[8:9] != b"{":
        return _read_torch(path)
    try:
        found = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is neither safetensors nor torch's: {_line(error)}.") from None
    return {name: _array(path, name, **tensor) for name, tensor in found}


def _array(path, name, dtype, shape, data):
    if dtype not in _DTYPES:
        raise ValueError(f"{name!r} in {path} has numbers of the unknown type {dtype}.")
    array = np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":  # the upper half of a float32
        return (array.astype("uint32") << 16).view("float32")
    return array.astype("float32") if dtype == "F16" else array


def _read_torch(path):
    try:
        import torch
    except ImportError:
        raise ValueError(
            f"{path} is torch's, and torch is not installed: pip install torch, or take the "
            f"checkpoint as safetensors."
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of whatever kind: a damaged pickle calls what it may wrongly
        raise ValueError(
            f"{path} is no state dict of tensors alone, and nothing else is read: "
            f"{_line_of_torch(error)}."
        ) from None
    # Training scripts save more around it, and DataParallel a prefix.
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no state dict, but a {type(content).__name__}.")
    return {
        str(name).removeprefix("module."): _of_torch(path, name, tensor)
        for name, tensor in content.items()
        if isinstance(tensor, torch.Tensor)
    }


def _of_torch(path, name, tensor):
    tensor = tensor.detach()
    try:
        if tensor.is_complex():
            raise TypeError("complex numbers")
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except (TypeError, RuntimeError) as error:  # sparse, quantized, or without memory
        raise ValueError(f"{name!r} in {path} is no array: {_line_of_torch(error)}.") from None


def _download(name):
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ValueError(
            f"{_HUB}{name} needs huggingface_hub: pip install huggingface_hub."
        ) from None
    for files in ("*.safetensors", "*.bin"):
        try:
            folder = Path(snapshot_download(name, allow_patterns=["*.json", files]))
        except Exception as error:  # of whatever kind: no network, no such name, no access
            raise ValueError(f"cannot download {_HUB}{name}: {_line(error)}") from None
        if any(folder.glob(files)):
            return folder
    raise ValueError(f"{_HUB}{name} holds neither .safetensors nor .bin.")


def _line(error):
    """An error as one line, without the explanations that some have below it."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def _line_of_torch(error):
    """The same without its advice to execute what is in the file."""
    if found := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it names {found[1]}"
    return re.split(r"(?<=\S)[.]\s", _line(error))[0].rstrip(".")
