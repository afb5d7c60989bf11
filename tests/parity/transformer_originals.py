"""transformers' models with random weights: what they save, and what they compute.

    python -m tests.parity.transformer_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves of each
case in FOLDER:

    NAME/              the folder that ``save_pretrained`` writes
    NAME.gradients/    the same with gradients of the loss for weights
    NAME.npz           the inputs by our models' names, "outputs", and "upstream", what weights
                       these in the loss

    python -m tests.parity.transformer_originals FOLDER OTHER

reads what lies in OTHER as NAME/, which must be all that the original has, and leaves what it
computes then in OTHER as NAME.npy.
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


SMALL_LLAMA = {
    "vocab_size": TOKENS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip


def llama(on, tied=False, **rotary):
    config = on.LlamaConfig(
        **SMALL_LLAMA, rms_norm_eps=1e-5, tie_word_embeddings=tied, rope_parameters=rotary
    )
    return on.LlamaForCausalLM(config)


def qwen3(on, tied):
    rotary = {"rope_type": "default", "rope_theta": 1_000_000.0}
    config = on.Qwen3Config(
        **SMALL_LLAMA, head_dim=6, tie_word_embeddings=tied, rope_parameters=rotary
    )
    return on.Qwen3ForCausalLM(config)


def mixtral(on):
    return on.MixtralForCausalLM(on.MixtralConfig(**SMALL_LLAMA, num_local_experts=5))


OUR_SMALL_LLAMA = {
    "vocabulary_size": TOKENS, "width": 32, "depth": 2, "num_heads": 4, "num_key_value_heads": 2,
    "hidden_width": 48,
}  # fmt: skip
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
    "llama": Case(
        lambda on: llama(on, rope_type="default", rope_theta=100.0),
        "llama3_8b", {**OUR_SMALL_LLAMA, "rotary_base": 100.0}, each_token=True,
    ),
    "llama of long contexts, tied": Case(
        lambda on: llama(
            on, tied=True, rope_type="llama3", rope_theta=500_000.0, factor=32.0,
            low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192,
        ),
        "llama3_2_1b", OUR_SMALL_LLAMA, each_token=True,
    ),
    "mixtral": Case(
        mixtral, "mixtral_8x7b", {**OUR_SMALL_LLAMA, "num_experts": 5}, each_token=True,
    ),
    "qwen3": Case(
        lambda on: qwen3(on, tied=False), "qwen3_8b", {**OUR_SMALL_LLAMA, "head_width": 6},
        each_token=True,
    ),
    "qwen3, tied": Case(
        lambda on: qwen3(on, tied=True), "qwen3_0_6b", {**OUR_SMALL_LLAMA, "head_width": 6},
        each_token=True,
    ),
}  # fmt: skip


def _randomize(torch, model):
    """Values that are neither zero nor one, so that nothing that a model forgets stays unseen."""
    for name, value in model.named_parameters():
        with torch.no_grad():
            value.normal_(0, 0.3)
            if value.ndim == 1 and "norm" in name.lower() and name.endswith("weight"):
                value.add_(1.0)
            value.copy_(value.float())  # numbers that float32 holds


def _outputs(torch, name, case, model, tokens, segments):
    """Of a model in float64, as it computes in training; zeros in padding."""
    inside = torch.arange(TIME) < torch.tensor(LENGTHS)[:, None]
    told = {"attention_mask": inside.long()}
    if name.startswith("bert"):
        told["token_type_ids"] = segments
    if name == "mixtral":
        model.set_experts_implementation("eager")  # what it would take has no float64
    outputs = case.outputs(model.double().train()(tokens, **told))
    return outputs * inside[:, :, None] if case.each_token else outputs


def _write(on, name, case, folder):
    torch = on.torch
    torch.manual_seed(0)
    model = case.make(on.transformers)
    _randomize(torch, model)
    model.save_pretrained(folder / name)
    inside = torch.arange(TIME) < torch.tensor(LENGTHS)[:, None]
    tokens = torch.randint(1, TOKENS, (BATCH, TIME)) * inside
    segments = torch.randint(0, 2, (BATCH, TIME)) * inside
    outputs = _outputs(torch, name, case, model, tokens, segments)
    upstream = torch.randn(outputs.shape).double()
    (upstream * outputs).sum().backward()
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(torch.zeros_like(each) if each.grad is None else each.grad)
    model.float().save_pretrained(folder / f"{name}.gradients")
    arrays = {"tokens": tokens, "segments": segments, "outputs": outputs, "upstream": upstream}
    np.savez(folder / f"{name}.npz", **{key: each.detach().numpy() for key, each in arrays.items()})


def _read(on, name, case, folder, other):
    torch = on.torch
    original = type(case.make(on.transformers))
    model, told = original.from_pretrained(other / name, output_loading_info=True)
    assert not any(told.values()), (name, told)  # nothing missing, nothing left over
    arrays = np.load(folder / f"{name}.npz")
    inputs = [torch.tensor(arrays[each]) for each in ("tokens", "segments")]
    outputs = _outputs(torch, name, case, model, *inputs)
    np.save(other / f"{name}.npy", outputs.detach().numpy())


def main(folder, other=None):
    on = _import()
    for name, case in CASES.items():
        if other is None:
            _write(on, name, case, Path(folder))
        elif (Path(other) / name).is_dir():
            _read(on, name, case, Path(folder), Path(other))


if __name__ == "__main__":
    main(*sys.argv[1:])
