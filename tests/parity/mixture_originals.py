"""transformers' mixture of experts of Mixtral with random weights: what it computes.

    python -m tests.parity.mixture_originals FOLDER

runs it in a process of its own, whatever the backend of the tests, in float64, and leaves
mixture_of_experts.npz in FOLDER: the inputs "x", and the "mask" of the tokens that count in the
loss that balances experts; the weights by their names there; the outputs "y", what weights them in
the loss, "upstream", and that "balance" of two routers over all layers; and the gradients of the
sum of both losses as "gradient of x" and so on.
"""

import sys
from pathlib import Path

import numpy as np

from tests.parity.originals import _import

BATCH, TIME, WIDTH, HIDDEN, EXPERTS, CHOSEN = 3, 5, 6, 7, 5, 2


def main(folder):
    torch = _import().torch  # without which transformers fails to import
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import (
        MixtralSparseMoeBlock,
        load_balancing_loss_func,
    )

    torch.manual_seed(0)
    config = MixtralConfig(
        hidden_size=WIDTH, intermediate_size=HIDDEN, num_local_experts=EXPERTS,
        num_experts_per_tok=CHOSEN, experts_implementation="eager",
    )  # fmt: skip
    block = MixtralSparseMoeBlock(config).double().train()
    for each in block.parameters():
        torch.nn.init.normal_(each, std=0.7)
    x = torch.randn(BATCH, TIME, WIDTH).double().requires_grad_()
    mask = torch.rand(BATCH, TIME) < 0.7
    y = block(x)
    # Those of two layers, of which the second sees other inputs.
    scores = tuple(block.gate(each)[0] for each in (x, 1 - 2 * x))
    balance = load_balancing_loss_func(scores, EXPERTS, CHOSEN, mask.long())
    upstream = torch.randn(y.shape).double()
    ((upstream * y).sum() + balance).backward()
    given = {"x": x, **dict(block.named_parameters())}
    arrays = {"mask": mask, "y": y, "upstream": upstream, "balance": balance, **given}
    arrays |= {f"gradient of {name}": each.grad for name, each in given.items()}
    path = Path(folder) / "mixture_of_experts.npz"
    np.savez(path, **{name: each.detach().numpy() for name, each in arrays.items()})


if __name__ == "__main__":
    main(sys.argv[1])
