"""Checkpoints of torchvision, timm and Hugging Face, loaded into the models of the zoo.

    model = zoo.build("resnet50")
    zoo.load_weights(model, "resnet50-11ad3fa6.pth")
    zoo.load_weights(model, "hf://timm/resnet50.a1_in1k")
    zoo.save_weights(model, "mine.safetensors")

and those of a module of one's own that has torch.nn's recurrent layers, whatever it calls them:

    zoo.load_weights(zoo.build("lstm_tagger"), "tagger.pth")

All or nothing: a tensor that is missing, left over or of another shape is an error that names it,
and no weight has changed then. No code in a file is executed.
"""

import functools
import itertools
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from keras import layers, ops
from safetensors.numpy import save

import zoo
from custom_layers import MixtureOfExperts, SwiGLU
from zoo.weights import attention, convolutional, recurrent
from zoo.weights.config import config_of, differences
from zoo.weights.files import described, read_tensors

# {module of the zoo: {who saves so: {layer or layer/variable: name there}}}. The first pattern
# that fits counts; {x} is a number, {x:4|5} one of these, and {x-1} there the one before it. Two
# names, "a + b", are of what adds up to a variable, or of the rows of one that is a matrix; "a | b"
# are of what lies side by side along its last axis; a name with * is of all rows of a variable,
# whose numbers are in its place. A name behind "= " is of a tensor whose axes are in our order
# already, one before "[0]" of one that has an axis of size 1 in front, and one before ", 1 of 3" of
# the first third of a tensor's rows.
_TABLES = {**attention.TABLES, **convolutional.TABLES, **recurrent.TABLES}
_UNUSED = {**attention.UNUSED, **convolutional.UNUSED}

_VARIABLES = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var", "embeddings": "weight",
}  # fmt: skip
_KERNELS = ("kernel", "recurrent_kernel", "router", "gate", "up", "down")
# Axes of a kernel as PyTorch has it, in the order in which Keras has them.
_AXES = {
    layers.Dense: (1, 0),  # (outputs, inputs)
    layers.DepthwiseConv2D: (2, 3, 0, 1),  # (maps, 1, height, width)
    layers.Conv2DTranspose: (2, 3, 1, 0),  # (inputs, outputs, height, width)
    layers.Conv2D: (2, 3, 1, 0),  # (outputs, inputs, height, width)
    layers.RNN: (1, 0),  # (outputs, inputs), also of the recurrent kernel
    SwiGLU: (1, 0),  # (outputs, inputs)
    MixtureOfExperts: (1, 0),  # (outputs, inputs), of each expert
}
# Gates of a layer in the order in which the other side has them, each way: r, z, n and z, r, n.
_GATES = {layers.GRU: (1, 0, 2)}
# Name of the layer that gives the logits, in all models; that of a second one ends with it.
_HEAD = "output"
_HEADS = (_HEAD, f"distillation_{_HEAD}")  # but those that a model may leave unread
_GROUP = r"\{(\w+)(?::([^}]*))?\}"  # in a pattern
_AS_IT_IS = "= "  # in front of the name of a tensor
_SHARE = re.compile("(.+), [0-9]+ of ([0-9]+)")  # the name of a tensor's share of rows
_FIRST = "[0]"  # behind it
_SUM, _BESIDE = " + ", " | "  # between names
_JOIN = {  # how the values of parts make that of a variable
    "added": lambda values: functools.reduce(np.add, values),
    "rows": np.stack,
    "columns": lambda values: np.concatenate(values, axis=-1),
}
_POSITIONS = "positions/positions"  # path of the variable that grows with the input
_EMBEDDINGS = "token_embedding/embeddings"  # path of the variable that may be saved twice
_TOLD = 3  # tensors that an error names


class _Target(NamedTuple):
    """A tensor of a file, and what it is in the model.

    Attributes:
        path: of the variable, for errors.
        variable: that it gives, or a part of it.
        axes: of the tensor, in the order in which the variable has them; None: as they are.
        gates: that its first axis has, in the order in which the variable has them; None: none.
        part: number of the part.
        parts: how many the variable has.
        joined: how they make it: "added", or stacked as "rows", or side by side as "columns".
        is_first: whether the tensor is the part behind an axis of size 1.
    """

    path: str
    variable: object
    axes: tuple | None = None
    gates: tuple | None = None
    part: int = 0
    parts: int = 1
    joined: str = "added"
    is_first: bool = False

    @property
    def _place(self):
        """The index of the part in the variable."""
        if self.joined == "rows":
            return self.part
        if self.joined == "columns":
            size = self.variable.shape[-1] // self.parts
            return ..., slice(self.part * size, (self.part + 1) * size)
        return ...

    @property
    def shape(self):
        """The shape of the tensor in a file."""
        ours = np.broadcast_to(0, tuple(self.variable.shape))[self._place].shape
        if self.axes is not None:
            ours = tuple(ours[i] for i in np.argsort(self.axes))
        return (1, *ours) if self.is_first else ours

    @property
    def is_head(self):
        return self.path.partition("/")[0].endswith(_HEAD)

    def fits(self, shape):
        """Whether it is that shape, but for axes of size 1 and for kernels that are flat."""
        flat = (self.shape[0], int(np.prod(self.shape[1:])))
        return _squeezed(shape) in (_squeezed(self.shape), _squeezed(flat))

    def value(self, array):
        """What a tensor of a file gives the variable."""
        array = array.reshape(self.shape)
        array = self._with_gates_in_order(array[0] if self.is_first else array)
        return array if self.axes is None else array.transpose(self.axes)

    def read(self):
        """The tensor that a file has for the variable."""
        array = ops.convert_to_numpy(self.variable.value)[self._place]
        if self.joined == "added" and self.part:  # all is in the first
            array = np.zeros_like(array)
        if self.axes is not None:
            array = array.transpose(np.argsort(self.axes))
        array = self._with_gates_in_order(array)
        return array[None] if self.is_first else array

    def _with_gates_in_order(self, array):
        if self.gates is None:
            return array
        blocks = np.split(array, len(self.gates))
        return np.concatenate([blocks[gate] for gate in self.gates])


def load_weights(model, source, head=True):
    """Gives a model of the catalog the weights of a checkpoint.

    Args:
        model: what ``zoo.build`` returned.
        source: a file (``.safetensors``, or a state dict that ``torch.save`` wrote), a folder with
            such a file, or ``hf://organization/name`` to download it from the Hugging Face Hub.
        head: False leaves the output layer as it is, and its tensors in the file unread: for
            other classes than those of the checkpoint.

    Raises:
        ValueError: the model is not of the catalog, the file cannot be read, or it does not fit,
            by its tensors or by transformers' config.json beside them. Says what differs; no weight
            has changed.
    """
    module, tables = _tables_of(model)
    tensors, config = read_tensors(source)
    tensors = {
        attention.renamed(name): array
        for name, array in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    if module in recurrent.TABLES:
        tables = recurrent.tables_of(tensors, module)
    layouts = {saved_by: _targets(model, table) for saved_by, table in tables.items()}
    saved_by = max(layouts, key=lambda each: len(layouts[each].keys() & tensors.keys()))
    targets, unused = layouts[saved_by], _UNUSED.get(module, "")
    tensors = _with_shares(tensors, targets)
    # In the file, also where the model has no head.
    heads = [_name(each, tables[saved_by]) for each in _HEADS]
    if not head:
        targets = {name: each for name, each in targets.items() if not each.is_head}
        tensors = {
            name: array for name, array in tensors.items() if name.rpartition(".")[0] not in heads
        }
    problems = _problems(tensors, targets, unused, heads)
    problems += _other_embeddings(tensors, targets) + differences(module, model, config)
    if problems:
        more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        raise ValueError(
            f"cannot load {source}{described(config) or _guess(tensors)} into {model.name}: "
            f"{'; '.join(problems[:_TOLD])}{more}."
        )
    parts = {}
    for name, target in targets.items():
        parts.setdefault(target.path, []).append((target, tensors[name]))
    for each in parts.values():
        target, values = each[0][0], [target.value(array) for target, array in each]
        target.variable.assign(_JOIN[target.joined](values))


def save_weights(model, file):
    """Saves the weights of a model of the catalog as ``load_weights`` reads them.

    Names, and the order of the axes, are those of the first of the others who save such a model,
    torchvision in most cases; its dense layers that are convolutions here keep their four axes.
    Those of a recurrent network are what a module of torch.nn's calls ``embedding``, ``rnn``,
    ``lstm`` or ``gru``, and ``output``; of its two biases the second is zero, where it is one here.

    Args:
        model: what ``zoo.build`` returned.
        file: path of the ``.safetensors`` file, which is written whole or not at all; or, without
            a suffix, of a folder, where ``from_pretrained`` of transformers finds a BERT, GPT-2 or
            Llama: ``model.safetensors`` and ``config.json``.

    Raises:
        ValueError: the model is not of the catalog, or not of the three that have folders.
        OSError: the file cannot be written.
    """
    module, tables = _tables_of(model)
    file = Path(file)
    if file.is_dir() or not file.suffix:
        config = json.dumps(config_of(module, model), indent=2)
        file.mkdir(parents=True, exist_ok=True)
        _write(file / "config.json", f"{config}\n".encode())
        file = file / "model.safetensors"
    targets = _targets(model, next(iter(tables.values())))
    arrays = _without_shares({name: each.read() for name, each in targets.items()})
    _write(file, save(arrays, {"format": "pt"}))  # which transformers asks for


def _write(file, content):
    unfinished = file.with_name(f"unfinished-{file.name}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _tables_of(model):
    modules = {name: path.rpartition(".")[2] for name, path in zoo._MODULES.items()}
    for key in (model.name, modules.get(model.name)):
        if model.name in modules and key in _TABLES:
            return key, _TABLES[key]
    known = sorted(name for name, module in modules.items() if {name, module} & _TABLES.keys())
    raise ValueError(
        f"no checkpoints are known for a model of name {model.name!r}: build {', '.join(known)}."
    )


def _with_shares(tensors, targets):
    """The tensors, and in the place of one whose shares are among the targets these."""
    tensors = dict(tensors)
    for name, count in {found.groups() for found in map(_SHARE.fullmatch, targets) if found}:
        if name in tensors and tensors[name].ndim:
            shares = np.array_split(tensors.pop(name), int(count))
            tensors |= {f"{name}, {n} of {count}": share for n, share in enumerate(shares, start=1)}
    return tensors


def _without_shares(arrays):
    """The reverse."""
    whole = {}
    for name in sorted(arrays):
        found = _SHARE.fullmatch(name)
        whole.setdefault(found[1] if found else name, []).append(arrays[name])
    return {
        name: np.ascontiguousarray(shares[0] if len(shares) == 1 else np.concatenate(shares))
        for name, shares in whole.items()
    }


def _problems(tensors, targets, unused, heads):
    """What does not fit, a phrase for each tensor: missing, of another shape, left over."""
    remedy = " (head=False leaves that layer out)"
    of_positions = " (build the model with the input_shape or max_length of the checkpoint)"
    missing = [
        f"it lacks {name} for {each.path}" + (remedy if each.is_head else "")
        for name, each in targets.items()
        if name not in tensors
    ]
    misshapen = [
        f"its {name} of shape {tensors[name].shape} is to be {each.shape} for {each.path}"
        + (remedy if each.is_head else of_positions if each.path == _POSITIONS else "")
        for name, each in targets.items()
        if name in tensors and not each.fits(tensors[name].shape)
    ]
    left = [
        f"its {name} is left over" + (remedy if name.rpartition(".")[0] in heads else "")
        for name in tensors
        if name not in targets and not re.fullmatch(unused, name)
    ]
    return missing + misshapen + left


def _other_embeddings(tensors, targets):
    """Embeddings that a file has once more, and that are others: a phrase for each."""
    table = next((name for name, each in targets.items() if each.path == _EMBEDDINGS), None)
    return [
        f"its {name} is not its {table}, which the model has for both"
        for name, array in tensors.items()
        if name not in targets
        and re.fullmatch(attention.AGAIN, name)
        and not np.array_equal(array, tensors.get(table))
    ]


def _guess(tensors):
    """Whose names the tensors of a file have, as a phrase; "" if nobody's."""
    if phrase := recurrent.described(tensors):
        return phrase
    named = {module: each for module, each in _TABLES.items() if module not in recurrent.TABLES}
    shares = dict.fromkeys(named, 0)
    for module, tables in named.items():
        for table in tables.values():
            # A row that is a group alone fits the names of anyone.
            rows = (row for row in table.items() if not re.fullmatch(_GROUP, row[1]))
            pattern = "|".join(itertools.starmap(_regex_of_theirs, rows))
            known = re.compile(f"(?:{pattern})(?:[.][a-z_]+)?")
            share = sum(bool(known.fullmatch(name)) for name in tensors)
            shares[module] = max(share, shares[module])
    best = max(shares.values())
    if best <= len(tensors) / 2:
        return ""
    modules = [module for module, share in shares.items() if share == best]
    return f" (its names are those of {' or '.join(modules)})"


def _targets(model, table):
    """{name of a tensor in a file: ``_Target``} for all variables of a model."""
    targets = {}
    for place, layer in _places(model):
        gates = next((gates for kind, gates in _GATES.items() if isinstance(layer, kind)), None)
        for variable in layer.weights:
            path = f"{place}/{variable.name}"
            names, ending = _name(path, table), ""
            if names is None:
                # Others than in the tables has what is no model of the catalog but is called so.
                names = _name(place, table) or place
                ending = f".{_VARIABLES.get(variable.name, variable.name)}"
            axes = None
            if variable.name in _KERNELS:
                kinds = (axes for kind, axes in _AXES.items() if isinstance(layer, kind))
                axes = next(kinds, None)
            if names.startswith(_AS_IT_IS):
                names, axes = names.removeprefix(_AS_IT_IS), None
            is_first, joined = names.endswith(_FIRST), "added"
            names = names.removesuffix(_FIRST)
            if "*" in names:
                names = [names.replace("*", str(row)) for row in range(variable.shape[0])]
                joined = "rows"
            elif _BESIDE in names:
                names, joined = names.split(_BESIDE), "columns"
            else:
                names = names.split(_SUM)
                if len(names) > 1 and len(variable.shape) > 1:
                    joined = "rows"
            for part, name in enumerate(names):
                targets[name + ending] = _Target(
                    path, variable, axes, gates, part, len(names), joined, is_first
                )
    return targets


def _places(model):
    """(name, layer) of all layers; of one that goes both ways, of the layer of each way."""
    for layer in model.layers:
        if isinstance(layer, layers.Bidirectional):
            yield layer.name, layer.forward_layer
            yield f"{layer.name}/backward", layer.backward_layer
        else:
            yield layer.name, layer


def _name(ours, table):
    """The name that a table has for a layer or a variable; None if it has none."""
    for pattern, template in table.items():
        if found := re.fullmatch(_regex(pattern), ours):
            return re.sub(r"\{(\w+)([+-]\d+)?\}", lambda each: _shifted(found, each), template)
    return None


def _shifted(found, place):
    text = found[place[1]]
    return str(int(text) + int(place[2])) if place[2] else text


def _regex(pattern):
    return re.sub(_GROUP, lambda each: f"(?P<{each[1]}>{each[2] or '[0-9]+'})", pattern)


def _regex_of_theirs(pattern, template):
    """What names there are like those that a row of a table gives."""
    groups = dict(re.findall(_GROUP, pattern))
    template = _SHARE.sub(r"\1", template.removeprefix(_AS_IT_IS).removesuffix(_FIRST))
    names = template.split(_BESIDE)
    return re.sub(
        r"\\{(\w+).*?\\}",
        lambda each: f"(?:{groups[each[1]] or '[0-9]+'})",
        "|".join(map(re.escape, names)).replace(r"\*", "[0-9]+"),
    )


def _squeezed(shape):
    return tuple(size for size in shape if size != 1)
