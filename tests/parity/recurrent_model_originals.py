"""Modules of torch.nn's recurrent layers with random weights: what they save and what they compute.

    python -m tests.parity.recurrent_model_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves of each
case in FOLDER:

    NAME.pth                      a state dict, with names as people give them
    NAME.gradients.safetensors    gradients of the loss by these names; where one bias stands here
                                  for PyTorch's two, which have the same gradient, the second's is 0
    NAME.npz                      "inputs"; "lengths"; "outputs", zero where there is padding; and
                                  "upstream", what weights them in the loss

    python -m tests.parity.recurrent_model_originals FOLDER saved

has the same modules, with the names that ``zoo.save_weights`` gives, load NAME.saved.safetensors,
and leaves what they compute then in NAME.saved.npz.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

BATCH, TIME, WIDTH = 4, 5, 6
TOKENS, EMBEDDING, FEATURES, CLASSES, HORIZON = 11, 5, 3, 4, 2
LENGTHS = np.array([3, TIME, 1, 4])


class Case(NamedTuple):
    """A module of one of the three kinds of layers.

    Attributes:
        names: of the embedding (None: takes features), the recurrent layers and the output layer.
        depth: number of layers.
        both_ways: whether they are bidirectional.
        each_step: whether it gives an output for each step, or one from the last states.
        padded: whether the sequences have several lengths.
    """

    names: tuple
    depth: int
    both_ways: bool = False
    each_step: bool = False
    padded: bool = True


KINDS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
CASES = {
    "classifier": Case(("emb", "rnn", "fc"), depth=1),
    "classifier both ways": Case(("words.embed", "encoder", "classifier.1"), 2, both_ways=True),
    "tagger": Case((None, "0", "1"), depth=1, both_ways=True, each_step=True),
    "forecaster": Case((None, "model.rnn", "linear"), depth=1, padded=False),
    # The names of PyTorch's own example.
    "language_model": Case(("encoder", "rnn", "decoder"), 2, each_step=True, padded=False),
}
NAMES = [f"{kind} {case}" for kind in KINDS for case in CASES]


def _outputs(case):
    if case == "forecaster":
        return HORIZON * FEATURES
    return TOKENS if case == "language_model" else CLASSES


def _make(torch, name, names=None):
    """The module, of layers by their names."""
    kind, case = name.split(" ", 1)
    names = names or CASES[case].names
    _, depth, both_ways, *_ = CASES[case]
    inputs = FEATURES if names[0] is None else EMBEDDING
    layers = [
        None if names[0] is None else torch.nn.Embedding(TOKENS, EMBEDDING),
        getattr(torch.nn, KINDS[kind])(
            inputs, WIDTH, num_layers=depth, bidirectional=both_ways, batch_first=True
        ),
        torch.nn.Linear(WIDTH * (2 if both_ways else 1), _outputs(case)),
    ]
    module = torch.nn.Module()
    for path, layer in zip(names, layers, strict=True):
        if path is not None:
            *parents, last = path.split(".")
            parent = module
            for each in parents:
                if not hasattr(parent, each):
                    parent.add_module(each, torch.nn.Module())
                parent = getattr(parent, each)
            parent.add_module(last, layer)
    return module.double(), layers


def _compute(torch, case, layers, inputs, lengths):
    embedding, recurrent, output = layers
    x = inputs if embedding is None else embedding(inputs)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    sequence, states = recurrent(packed)
    if CASES[case].each_step:
        sequence, _ = torch.nn.utils.rnn.pad_packed_sequence(
            sequence, batch_first=True, total_length=TIME
        )
        mask = torch.arange(TIME) < torch.tensor(lengths)[:, None]
        return output(sequence) * mask[:, :, None]
    h = states[0] if isinstance(states, tuple) else states  # (layers and ways, B, WIDTH)
    last = h[-2:] if CASES[case].both_ways else h[-1:]
    outputs = output(torch.cat(list(last), dim=-1))
    return outputs.reshape(BATCH, HORIZON, FEATURES) if case == "forecaster" else outputs


def _write(torch, name, folder):
    from safetensors.torch import save_file

    kind, case = name.split(" ", 1)
    torch.manual_seed(NAMES.index(name))
    module, layers = _make(torch, name)
    for parameter in module.parameters():  # numbers that float32 holds
        parameter.data = torch.randn(parameter.shape).mul(0.4).double()
    torch.save(
        {key: each.float() for key, each in module.state_dict().items()}, _path(folder, name, "pth")
    )
    lengths = LENGTHS if CASES[case].padded else np.full(BATCH, TIME)
    if layers[0] is None:
        inputs = torch.randn(BATCH, TIME, FEATURES).double()
    else:  # token 0 is padding, but in a language model one like the others
        inputs = torch.randint(0 if case == "language_model" else 1, TOKENS, (BATCH, TIME))
        inputs *= torch.arange(TIME) < torch.tensor(lengths)[:, None]
    outputs = _compute(torch, case, layers, inputs, lengths)
    upstream = torch.randn(outputs.shape).double()
    (upstream * outputs).sum().backward()
    gradients = {key: each.grad.float() for key, each in module.named_parameters()}
    if kind != "gru":
        for key in gradients:
            if "bias_hh" in key:
                gradients[key] = torch.zeros_like(gradients[key])
    save_file(gradients, _path(folder, name, "gradients.safetensors"))
    arrays = {"inputs": inputs, "outputs": outputs.detach(), "upstream": upstream}
    np.savez(_path(folder, name, "npz"), lengths=lengths, **arrays)


def _load(torch, name, folder):
    from safetensors.torch import load_file

    kind, case = name.split(" ", 1)
    names = None if CASES[case].names[0] is None else "embedding", kind, "output"
    module, layers = _make(torch, name, names)
    module.load_state_dict(load_file(_path(folder, name, "saved.safetensors")))
    arrays = np.load(_path(folder, name, "npz"))
    outputs = _compute(torch, case, layers, torch.tensor(arrays["inputs"]), arrays["lengths"])
    np.savez(_path(folder, name, "saved.npz"), outputs=outputs.detach())


def _path(folder, name, suffix):
    return Path(folder) / f"{name}.{suffix}"


def main(folder, saved=False):
    import torch

    for name in NAMES:
        (_load if saved else _write)(torch, name, folder)


if __name__ == "__main__":
    main(sys.argv[1], saved=sys.argv[2:] == ["saved"])
