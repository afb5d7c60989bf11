"""transformers' models with random weights: what they save, and what they compute.

    python -m tests.parity.transformer_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves of each
case in FOLDER:

    NAME/                         the folder that ``save_pretrained`` writes
    NAME.gradients.safetensors    gradients of the loss by the names there
    NAME.npz                      the inputs by our models' names, "outputs", and "upstream", what
                                  weights these in the loss
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.parity.originals import _import

BATCH, TIME, TOKENS, CLASSES = 4, 7, 50, 3
LENGTHS = np.array([5, TIME, 1, 6])


class Case(NamedTuple):
    """An original, and how to build the same model here.

    Attributes:
        make: makes the original; its argument is the module transformers.
        model: name in the catalog.
        arguments: of ``zoo.build``.
        outputs: of what the original returns, its logits or states.
        each_token: whether it gives an output for each token, which means nothing in padding.
    """

    make: Callable
    model: str
    arguments: dict
    outputs: Callable = lambda returned: returned.logits
    each_token: bool = False


def bert(on, kind, **options):
    config = on.BertConfig(
        vocab_size=TOKENS, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=16, num_labels=CLASSES,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return getattr(on, kind)(config, **options)


def gpt2(on, kind):
    config = on.GPT2Config(
        vocab_size=TOKENS, n_embd=32, n_layer=2, n_head=4, n_positions=16, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return getattr(on, kind)(config)


SMALL_BERT = {
    "vocabulary_size": TOKENS, "max_length": 16, "width": 32, "depth": 2, "num_heads": 4,
    "hidden_width": 64, "dropout_rate": 0.0,
}  # fmt: skip
CASES = {
    "gpt2": Case(
        lambda on: gpt2(on, "GPT2LMHeadModel"), "gpt2",
        {
            "vocabulary_size": TOKENS, "max_length": 16, "width": 32, "depth": 2, "num_heads": 4,
            "dropout_rate": 0.0,
        },
        each_token=True,
    ),
    "bert classifier": Case(
        lambda on: bert(on, "BertForSequenceClassification"), "bert_base",
        {**SMALL_BERT, "num_classes": CLASSES},
    ),
    "bert tagger": Case(
        lambda on: bert(on, "BertForTokenClassification"), "bert_large",
        {**SMALL_BERT, "num_classes": CLASSES, "head": "tagger"}, each_token=True,
    ),
    "bert pooled": Case(
        lambda on: bert(on, "BertModel"), "bert_base", {**SMALL_BERT, "num_classes": None},
        outputs=lambda returned: returned.pooler_output,
    ),
    "bert states": Case(
        lambda on: bert(on, "BertModel"), "minilm_l6",
        {**SMALL_BERT, "num_classes": None, "head": "tagger"},
        outputs=lambda returned: returned.last_hidden_state, each_token=True,
    ),
}  # fmt: skip


def _randomize(torch, model):
    """Values that are neither zero nor one, so that nothing that a model forgets stays unseen."""
    for name, value in model.named_parameters():
        with torch.no_grad():
            value.normal_(0, 0.3)
            if value.ndim == 1 and "Norm" in name and name.endswith("weight"):
                value.add_(1.0)
            value.copy_(value.float())  # numbers that float32 holds


def _write(on, name, case, folder):
    from safetensors.torch import save_file

    torch = on.torch
    torch.manual_seed(0)
    model = case.make(on.transformers)
    _randomize(torch, model)
    model.save_pretrained(folder / name)
    model = model.double().train()
    inside = torch.arange(TIME) < torch.tensor(LENGTHS)[:, None]
    tokens = torch.randint(1, TOKENS, (BATCH, TIME)) * inside
    segments = torch.randint(0, 2, (BATCH, TIME)) * inside
    told = {"attention_mask": inside.long()}
    if name.startswith("bert"):
        told["token_type_ids"] = segments
    returned = model(tokens, **told)
    outputs = case.outputs(returned)
    if case.each_token:
        outputs = outputs * inside[:, :, None]
    upstream = torch.randn(outputs.shape).double()
    (upstream * outputs).sum().backward()
    gradients = {
        key: (torch.zeros_like(each) if each.grad is None else each.grad).float()
        for key, each in model.named_parameters()
    }
    save_file(gradients, folder / f"{name}.gradients.safetensors")
    arrays = {"tokens": tokens, "segments": segments, "outputs": outputs, "upstream": upstream}
    np.savez(folder / f"{name}.npz", **{key: each.detach().numpy() for key, each in arrays.items()})


def main(folder):
    on = _import()
    for name, case in CASES.items():
        _write(on, name, case, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
