"""Recurrent networks in PyTorch's state dicts: torch.nn's Embedding, RNN, LSTM or GRU, and Linear.

What these three are called is up to who writes a module, so their names are found in the file. What
stands below them is PyTorch's.

The syntax of the patterns is explained in ``zoo.weights``.
"""

import re
from typing import NamedTuple


def _table(recurrent, embedding="embedding", output="output"):
    """``recurrent`` is a prefix: a state dict of the layers alone has none."""
    names = {"embedding": embedding, "output": output}
    for ours, suffix in {"layer{i}": "", "layer{i}/backward": "_reverse"}.items():
        ends = f"l{{i-1}}{suffix}"
        names |= {
            f"{ours}/kernel": f"{recurrent}weight_ih_{ends}",
            f"{ours}/recurrent_kernel": f"{recurrent}weight_hh_{ends}",
            f"{ours}/bias": f"{recurrent}bias_ih_{ends} + {recurrent}bias_hh_{ends}",
        }
    return names


TABLES = {name: {"torch.nn": _table(f"{name}.")} for name in ("rnn", "lstm", "gru")}

_FIRST = re.compile(r"(.+\.)?weight_hh_l0")
_KINDS = {1: "an RNN", 3: "a GRU", 4: "an LSTM"}  # by its number of gates


class _Layers(NamedTuple):
    """Recurrent layers in a file."""

    prefix: str
    kind: str
    units: int
    depth: int
    both_ways: bool


def tables_of(tensors, module):
    """The tables of a module, with the names of a file where it has others.

    The recurrent layers are what has a ``weight_hh_l0``. Of the other matrices, one without a bias
    is the embedding and one with a bias the output layer: of several, the one as wide as the
    layers, so that an error names the others.
    """
    found = _recurrent(tensors)
    if found is None:
        return TABLES[module]
    kernel = tensors.get(f"{found.prefix}weight_ih_l0")
    widths = {
        "embedding": () if kernel is None else kernel.shape[1:],
        "output": ((2 if found.both_ways else 1) * found.units,),
    }
    names = {}
    for name, array in sorted(tensors.items()):
        if name.endswith(".weight") and array.ndim == 2:
            layer = name.removesuffix(".weight")
            ours = "output" if f"{layer}.bias" in tensors else "embedding"
            if ours not in names or array.shape[1:] == widths[ours]:
                names[ours] = layer
    return {"torch.nn": _table(found.prefix, **names)}


def described(tensors):
    """What recurrent layers a file has, as a phrase; "" if none."""
    found = _recurrent(tensors)
    if found is None:
        return ""
    layers = "1 layer" if found.depth == 1 else f"{found.depth} layers"
    ways = " both ways" if found.both_ways else ""
    return f" ({found.kind} of {layers}{ways}, {found.units} units)"


def _recurrent(tensors):
    """The first recurrent layers of a known kind; None if there are none."""
    for name, array in sorted(tensors.items()):
        if (found := _FIRST.fullmatch(name)) and array.ndim == 2:
            (rows, units), prefix = array.shape, found[1] or ""
            if units and rows % units == 0 and rows // units in _KINDS:
                depth = sum(
                    f"{prefix}weight_hh_l{index}" in tensors for index in range(len(tensors))
                )
                both_ways = f"{prefix}weight_hh_l0_reverse" in tensors
                return _Layers(prefix, _KINDS[rows // units], units, depth, both_ways)
    return None
