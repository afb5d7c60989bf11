"""PyTorch's recurrent layers with random weights: what they compute.

    python -m tests.parity.recurrent_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves of each
NAME.npz in FOLDER: the sequences "x", the states "h" and "c" before the first step and the weights
by their names; the outputs as "output 0" and so on, and what weights them in the loss as
"upstream 0"; and the gradients of the loss as "gradient of x".
"""

import sys
from pathlib import Path

import numpy as np

NAMES = ("RNN", "LSTM", "GRU")
BATCH, TIME, WIDTH, UNITS = 4, 7, 5, 6


def _random(torch, *shape):
    """Values that float32 holds."""
    return torch.randn(shape).double().requires_grad_()


def _write(torch, name, folder):
    torch.manual_seed(0)
    layer = getattr(torch.nn, name)(WIDTH, UNITS, batch_first=True)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    layer.double()
    inputs = {"x": _random(torch, BATCH, TIME, WIDTH), "h": _random(torch, 1, BATCH, UNITS)}
    if name == "LSTM":
        inputs["c"] = _random(torch, 1, BATCH, UNITS)
        outputs, states = layer(inputs["x"], (inputs["h"], inputs["c"]))
    else:
        outputs, *states = layer(inputs["x"], inputs["h"])

    given = {**inputs, **dict(layer.named_parameters())}
    arrays = dict(given)
    loss = 0
    for position, output in enumerate([outputs, *states]):
        upstream = torch.randn(output.shape)
        loss += (upstream * output).sum()
        arrays |= {f"output {position}": output, f"upstream {position}": upstream}
    loss.backward()
    arrays |= {f"gradient of {key}": each.grad for key, each in given.items()}
    np.savez(folder / f"{name}.npz", **{key: each.detach() for key, each in arrays.items()})


def main(folder):
    import torch

    for name in NAMES:
        _write(torch, name, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
