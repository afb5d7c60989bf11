"""transformers' models, and torch.nn's, with random weights: what they save and what they compute.

    python -m tests.parity.transformer_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves of each
case in FOLDER:

    NAME/              the folder that ``save_pretrained`` writes
    NAME.gradients/    the same with gradients of the loss for weights
    NAME.npz           the inputs by our models' names, "outputs", and "upstream", what weights
                       these in the loss; "rounding", the largest difference of a gradient in
                       float32, as a share of its largest value

    python -m tests.parity.transformer_originals FOLDER OTHER

reads what lies in OTHER as NAME/, which must be all that the original has, and leaves what it
computes then in OTHER as NAME.npy.

The first also leaves T5's buckets of keys (S) for queries (T) in buckets.npz, as "both ways" and
"causal".
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tests.parity.originals import _import

BATCH, TIME, TOKENS, CLASSES = 4, 7, 50, 3
LENGTHS = np.array([5, TIME, 1, 6])
# Of sources, and time of targets: so long that not every distance has a bucket of its own.
SOURCE_TIME, TARGET_TIME, SOURCE_TOKENS = 13, 20, 40
SOURCE_LENGTHS = np.array([9, SOURCE_TIME, 1, 11])
DISTANCES = 300


class Case(NamedTuple):
    """An original, and how to build the same model here.

    Attributes:
        make: makes the original; its argument is the module transformers.
        model: name in the catalog.
        arguments: of ``zoo.build``.
        outputs: of what the original returns, its logits or states.
        each_token: whether it gives an output for each token, which means nothing in padding.
        of_pairs: whether it takes a source and a target.
    """

    make: Callable
    model: str
    arguments: dict
    outputs: Callable = lambda returned: returned.logits
    each_token: bool = False
    of_pairs: bool = False


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


def mistral(on):
    config = on.MistralConfig(**SMALL_LLAMA, rms_norm_eps=1e-5, sliding_window=3)
    return on.MistralForCausalLM(config)


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


def t5(on, gated):
    import torch

    config = on.T5Config(
        vocab_size=TOKENS, d_model=8, d_kv=3, d_ff=32, num_layers=2, num_heads=4,
        dropout_rate=0.0, feed_forward_proj="gated-gelu" if gated else "relu",
        tie_word_embeddings=not gated,
    )  # fmt: skip
    model = on.T5ForConditionalGeneration(config)
    if gated:  # this version of transformers ties what checkpoints have apart
        model.lm_head.weight = torch.nn.Parameter(torch.empty(TOKENS, 8))
    return model


def transformer(final_norm, two_vocabularies):
    """torch.nn's, between what the paper has before and behind it."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    kind = {"dim_feedforward": 64, "dropout": 0.0, "batch_first": True}

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            sides = {}
            if not final_norm:
                encoder = nn.TransformerEncoderLayer(32, 4, **kind)
                decoder = nn.TransformerDecoderLayer(32, 4, **kind)
                sides["custom_encoder"] = nn.TransformerEncoder(encoder, 2)
                sides["custom_decoder"] = nn.TransformerDecoder(decoder, 2)
            self.transformer = nn.Transformer(32, 4, 2, 2, **kind, **sides)
            if two_vocabularies:
                self.source_embedding = nn.Embedding(SOURCE_TOKENS, 32)
                self.target_embedding = nn.Embedding(TOKENS, 32)
            else:
                self.embedding = nn.Embedding(TOKENS, 32)

        def save_pretrained(self, folder):
            folder.mkdir()
            save_file(self.state_dict(), folder / "model.safetensors")

        def embedded(self, tokens, table):
            time, width = torch.arange(tokens.shape[1]).double(), table.weight.shape[1]
            places = torch.empty(len(time), width).to(table.weight.dtype)
            for feature in range(width):
                angles = time / 10_000 ** (feature // 2 * 2 / width)
                places[:, feature] = angles.cos() if feature % 2 else angles.sin()
            return width**0.5 * table(tokens) + places

        def forward(self, source, attention_mask, decoder_input_ids):
            tables = [self.source_embedding, self.target_embedding] if two_vocabularies else [
                self.embedding, self.embedding
            ]  # fmt: skip
            time = decoder_input_ids.shape[1]
            hidden = self.transformer(
                self.embedded(source, tables[0]), self.embedded(decoder_input_ids, tables[1]),
                tgt_mask=torch.ones(time, time).triu(1).bool(),
                src_key_padding_mask=attention_mask == 0,
                memory_key_padding_mask=attention_mask == 0,
            )  # fmt: skip
            return SimpleNamespace(logits=hidden @ tables[1].weight.T)

    return Network()


SMALL_BERT = {
    "vocabulary_size": TOKENS, "max_length": 16, "width": 32, "depth": 2, "num_heads": 4,
    "hidden_width": 64, "dropout_rate": 0.0,
}  # fmt: skip
# Narrow, as scores are not scaled: of wider ones the softmax is sharp, and enlarges rounding.
SMALL_T5 = {
    "vocabulary_size": TOKENS, "width": 8, "depth": 2, "num_heads": 4, "head_width": 3,
    "hidden_width": 32, "dropout_rate": 0.0,
}  # fmt: skip
SMALL_TRANSFORMER = {
    "vocabulary_size": TOKENS, "width": 32, "depth": 2, "num_heads": 4, "hidden_width": 64,
    "dropout_rate": 0.0,
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
    "mistral": Case(
        mistral, "mistral_7b", {**OUR_SMALL_LLAMA, "window": 3}, each_token=True,
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
    "t5": Case(lambda on: t5(on, gated=False), "t5_small", SMALL_T5, of_pairs=True),
    "t5 v1.1": Case(lambda on: t5(on, gated=True), "t5_v1_1_small", SMALL_T5, of_pairs=True),
    "transformer": Case(
        lambda on: transformer(final_norm=False, two_vocabularies=False),
        "transformer_base", SMALL_TRANSFORMER, of_pairs=True,
    ),
    "transformer of torch.nn, two vocabularies": Case(
        lambda on: transformer(final_norm=True, two_vocabularies=True),
        "transformer_big",
        {**SMALL_TRANSFORMER, "source_vocabulary_size": SOURCE_TOKENS, "final_norm": True},
        of_pairs=True,
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


INPUTS = ("tokens", "segments", "source", "target")


def _outputs(torch, name, case, model, inputs):
    """As a model computes in training; zeros in padding."""
    if case.of_pairs:
        given, told = inputs["source"], {"decoder_input_ids": inputs["target"]}
        inside = torch.arange(SOURCE_TIME) < torch.tensor(SOURCE_LENGTHS)[:, None]
    else:
        given, told = inputs["tokens"], {}
        inside = torch.arange(TIME) < torch.tensor(LENGTHS)[:, None]
    if name.startswith("bert"):
        told["token_type_ids"] = inputs["segments"]
    if name == "mixtral":
        model.set_experts_implementation("eager")  # what it would take has no float64
    outputs = case.outputs(model.train()(given, attention_mask=inside.long(), **told))
    return outputs * inside[:, :, None] if case.each_token else outputs


def _write(on, name, case, folder):
    torch = on.torch
    torch.manual_seed(0)
    model = case.make(on.transformers)
    _randomize(torch, model)
    model.save_pretrained(folder / name)
    if case.of_pairs:
        inside = torch.arange(SOURCE_TIME) < torch.tensor(SOURCE_LENGTHS)[:, None]
        source = torch.randint(1, SOURCE_TOKENS, (BATCH, SOURCE_TIME)) * inside
        target = torch.randint(0, TOKENS, (BATCH, TARGET_TIME))
        target[:, 0] = 0
        inputs = {"source": source, "target": target}
    else:
        inside = torch.arange(TIME) < torch.tensor(LENGTHS)[:, None]
        tokens = torch.randint(1, TOKENS, (BATCH, TIME)) * inside
        inputs = {"tokens": tokens, "segments": torch.randint(0, 2, (BATCH, TIME)) * inside}
    rounded = _outputs(torch, name, case, model, inputs)
    upstream = torch.randn(rounded.shape)
    rounded_gradients = _gradients(torch, upstream, rounded, model)
    outputs = _outputs(torch, name, case, model.double(), inputs)
    gradients = _gradients(torch, upstream, outputs, model)
    largest = [each.abs().max() for each in gradients]
    rounding = max(
        (found - exact).abs().max() / size
        for found, exact, size in zip(rounded_gradients, gradients, largest, strict=True)
        if size > 1e-6 * max(largest)  # others are zero but for rounding
    )
    with torch.no_grad():
        for each, gradient in zip(model.parameters(), gradients, strict=True):
            each.copy_(gradient)
    model.float().save_pretrained(folder / f"{name}.gradients")
    arrays = {**inputs, "outputs": outputs, "upstream": upstream, "rounding": rounding}
    np.savez(folder / f"{name}.npz", **{key: each.detach().numpy() for key, each in arrays.items()})


def _gradients(torch, upstream, outputs, model):
    """Of all parameters; zero of those that have none."""
    given = torch.autograd.grad(
        (upstream * outputs).sum(), [*model.parameters()], allow_unused=True, materialize_grads=True
    )
    return [each.double() for each in given]


def _read(on, name, case, folder, other):
    torch = on.torch
    original = type(case.make(on.transformers))
    model, told = original.from_pretrained(other / name, output_loading_info=True)
    assert not any(told.values()), (name, told)  # nothing missing, nothing left over
    arrays = np.load(folder / f"{name}.npz")
    inputs = {each: torch.tensor(arrays[each]) for each in INPUTS if each in arrays}
    outputs = _outputs(torch, name, case, model.double(), inputs)
    np.save(other / f"{name}.npy", outputs.detach().numpy())


def _write_buckets(on, folder):
    places = on.torch.arange(DISTANCES)
    layer = on.transformers.models.t5.modeling_t5.T5Attention
    buckets = {
        name: layer._relative_position_bucket(places - places[:, None], bidirectional).numpy()
        for name, bidirectional in {"both ways": True, "causal": False}.items()
    }
    np.savez(folder / "buckets.npz", **buckets)


def main(folder, other=None):
    on = _import()
    for name, case in CASES.items():
        if other is None:
            _write(on, name, case, Path(folder))
        elif (Path(other) / name).is_dir():
            _read(on, name, case, Path(folder), Path(other))
    if other is None:
        _write_buckets(on, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
