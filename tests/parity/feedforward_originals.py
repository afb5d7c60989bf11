"""PyTorch's layers in a row, and the authors' residual network, with random weights: what they do.

    python -m tests.parity.feedforward_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves of each
NAME.npz in FOLDER, each array by its kind and its number:

    fresh         the weights as the original draws them, in its order
    before        the weights and statistics that it computes with, and ``after`` a training step
    examples, inference, training
                  what it is given and gives; in training with dropout
    keep          which units each dropout kept then
    upstream, gradient
                  what weights the outputs in the loss, and the gradient of that in training
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

BATCH = 16
# The shape of an example, by the name of the original.
SHAPES = {
    "mlp": (6,),
    "mlp of images with batch norm": (2, 4, 3),
    "residual_mlp": (6,),
    "residual_mlp in its default size": (8,),
}


def _make(on, name):
    nn = on.nn
    return {
        "mlp": lambda: nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(6, 9), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(9, 7), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(7, 3),
        ),
        "mlp of images with batch norm": lambda: nn.Sequential(
            nn.Flatten(), nn.Dropout(0.1),
            nn.Linear(24, 9, bias=False), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(9, 7, bias=False), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(7, 3),
        ),
        "residual_mlp": lambda: on.ResNet(
            d_in=6, d_out=3, n_blocks=3, d_block=7, d_hidden=9, d_hidden_multiplier=None,
            dropout1=0.3, dropout2=0.1,
        ),
        # The example of the package's README.
        "residual_mlp in its default size": lambda: on.ResNet(
            d_in=8, d_out=1, n_blocks=2, d_block=192, d_hidden=None, d_hidden_multiplier=2.0,
            dropout1=0.15, dropout2=0.0,
        ),
    }[name]()  # fmt: skip


def _randomize(torch, model):
    """Values that float32 holds, and neither zero nor one, so that nothing forgotten is unseen."""
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.3)
        elif value.ndim == 2:
            torch.nn.init.kaiming_normal_(value)
        elif value.ndim == 1:  # a normalization's factors
            value.uniform_(0.5, 1.5)


def _state(model):
    return [
        value.numpy().astype("float32")
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    ]


def _write(on, name, folder):
    torch = on.torch
    torch.manual_seed(0)
    model = _make(on, name)
    kinds = {"fresh": [each.detach().clone() for each in model.parameters()], "keep": []}
    _randomize(torch, model)
    kinds["before"] = _state(model)
    model.double()
    examples, upstream = torch.randn(BATCH, *SHAPES[name]), None
    kinds["examples"] = [examples]
    kinds["inference"] = [model.eval()(examples.double()).detach()]

    for module in model.modules():
        if isinstance(module, on.nn.Dropout):
            module.register_forward_hook(
                lambda module, inputs, outputs: kinds["keep"].append(outputs != 0)
            )
    outputs = model.train()(examples.double())
    upstream = torch.randn(outputs.shape)
    (upstream * outputs).sum().backward()
    kinds |= {
        "training": [outputs.detach()],
        "upstream": [upstream],
        "gradient": [each.grad for each in model.parameters()],
        "after": _state(model),
    }
    np.savez(
        folder / f"{name}.npz",
        **{
            f"{kind} {at}": each for kind, arrays in kinds.items() for at, each in enumerate(arrays)
        },
    )


def main(folder):
    import torch
    from rtdl_revisiting_models import ResNet

    for name in SHAPES:
        _write(SimpleNamespace(torch=torch, nn=torch.nn, ResNet=ResNet), name, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
