"""PyTorch's multi-head attention with random weights: what it computes.

    python -m tests.parity.multi_head_attention_originals FOLDER

runs it in a process of its own, whatever the backend of the tests, in float64, and leaves of each
NAME.npz in FOLDER: the "inputs", and where it does not look at these the "memory"; the "inside" of
this, True for what is no padding; the weights by their names; the "output", the attention "weights"
of each head and what weights both in the loss, "upstream of output" and "upstream of weights"; and
the gradients of the loss as "gradient of inputs" and so on.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

BATCH, TIME, PLACES, HEADS, WIDTH, MEMORY_WIDTH = 4, 5, 6, 3, 12, 7


class Case(NamedTuple):
    causal: bool = False
    has_memory: bool = False  # of another width
    lengths: tuple | None = None  # of what is looked at, the rest is padding


CASES = {
    "self": Case(),
    "causal, padded": Case(causal=True, lengths=(5, 1, 3, 4)),
    "memory, padded": Case(has_memory=True, lengths=(2, 6, 1, 5)),
}


def _write(torch, name, case, folder):
    torch.manual_seed(0)
    of_memory = {"kdim": MEMORY_WIDTH, "vdim": MEMORY_WIDTH} if case.has_memory else {}
    layer = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **of_memory)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    layer.double()
    given = {"inputs": torch.randn(BATCH, TIME, WIDTH).double().requires_grad_()}
    if case.has_memory:
        given["memory"] = torch.randn(BATCH, PLACES, MEMORY_WIDTH).double().requires_grad_()
    memory = given["memory" if case.has_memory else "inputs"]
    places = memory.shape[1]
    lengths = torch.tensor(case.lengths or [places] * BATCH)
    inside = torch.arange(places) < lengths[:, None]
    behind = torch.ones(TIME, places).triu(1).bool() if case.causal else None
    output, weights = layer(
        given["inputs"], memory, memory, key_padding_mask=~inside, attn_mask=behind,
        need_weights=True, average_attn_weights=False,
    )  # fmt: skip

    arrays, loss = {"inside": inside}, 0
    for key, each in {"output": output, "weights": weights}.items():
        upstream = torch.randn(each.shape)
        loss += (upstream * each).sum()
        arrays |= {key: each, f"upstream of {key}": upstream}
    loss.backward()
    given |= dict(layer.named_parameters())
    arrays |= given | {f"gradient of {key}": each.grad for key, each in given.items()}
    np.savez(folder / f"{name}.npz", **{key: each.detach() for key, each in arrays.items()})


def main(folder):
    import torch

    for name, case in CASES.items():
        _write(torch, name, case, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
