"""SpeechBrain's attention of Bahdanau et al. with random weights: what it computes.

    python -m tests.parity.attention_originals FOLDER

runs it in a process of its own, whatever the backend of the tests, in float64, and leaves
additive_attention.npz in FOLDER: the "query", the "keys" and their "lengths"; the weights by their
names; the "context", the attention "weights" and what weights both in the loss, "upstream of
context" and "upstream of weights"; and the gradients of the loss as "gradient of query" and so on.
"""

import sys
from pathlib import Path
from unittest import mock

import numpy as np

BATCH, QUERY_TIME, KEY_TIME, QUERY_WIDTH, KEY_WIDTH, UNITS = 4, 3, 5, 6, 2, 7
LENGTHS = (5, 1, 3, 4)
COMPARED = ("mlp_dec.weight", "mlp_enc.weight", "mlp_attn.weight")


def main(folder):
    # SpeechBrain imports them with everything else; its attention does without.
    for name in ("torchaudio", "hyperpyyaml"):
        sys.modules[name] = mock.MagicMock()
    import torch
    from speechbrain.nnet.attention import ContentBasedAttention

    torch.manual_seed(0)
    layer = ContentBasedAttention(KEY_WIDTH, QUERY_WIDTH, UNITS, KEY_WIDTH)
    for name, parameter in layer.named_parameters():
        torch.nn.init.normal_(parameter, std=0.5)
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    torch.nn.init.eye_(layer.mlp_out.weight)
    layer.double()
    given = {
        "query": torch.randn(BATCH, QUERY_TIME, QUERY_WIDTH).double().requires_grad_(),
        "keys": torch.randn(BATCH, KEY_TIME, KEY_WIDTH).double().requires_grad_(),
    }
    # One step of the query a call.
    steps = [
        layer(given["keys"], torch.tensor(LENGTHS), query) for query in given["query"].unbind(1)
    ]
    contexts, weights = zip(*steps, strict=True)
    arrays = {"lengths": torch.tensor(LENGTHS)}
    loss = 0
    for name, each in {"context": contexts, "weights": weights}.items():
        arrays[name] = torch.stack(each, dim=1)
        arrays[f"upstream of {name}"] = torch.randn(arrays[name].shape)
        loss += (arrays[f"upstream of {name}"] * arrays[name]).sum()
    loss.backward()
    parameters = dict(layer.named_parameters())
    given |= {name: parameters[name] for name in COMPARED}
    arrays |= given
    arrays |= {f"gradient of {name}": each.grad for name, each in given.items()}
    path = Path(folder) / "additive_attention.npz"
    np.savez(path, **{name: each.detach().numpy() for name, each in arrays.items()})


if __name__ == "__main__":
    main(sys.argv[1])
