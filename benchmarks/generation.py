"""Generation with GPT-2 against transformers, and what it saves to keep keys and values.

Both sides have the same random weights, get the same text, and go on with the most probable tokens;
that these are the same is checked first. A text is one row. The first token takes the reading of
the text; what each further one takes is timed apart from it.
"""

import tempfile
from functools import partial

import keras
import numpy as np

import zoo
from benchmarks.side_by_side import ratio, seconds, write
from zoo.compiled import compiled

NEW = {64: 56, 256: 128, 1024: 128}  # {tokens: how many of them are written, the last ones}
SIZES = {"vocabulary_size": 50_257, "max_length": 1024, "width": 768, "depth": 12, "num_heads": 12}


def transformers_model(sizes):
    """(torch, transformers' model with random weights)."""
    from tests.parity.originals import _import

    on = _import()
    torch = on.torch
    torch.manual_seed(0)
    config = on.transformers.GPT2Config(
        vocab_size=sizes["vocabulary_size"], n_positions=sizes["max_length"],
        n_embd=sizes["width"], n_layer=sizes["depth"], n_head=sizes["num_heads"],
        # Wide enough that few tokens repeat, and narrow enough that rounding decides none.
        initializer_range=0.06, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch, on.transformers.GPT2LMHeadModel(config).eval().to(device)


def measure(new, sizes, rounds):
    """The rows of all lengths, {tokens: how many of them are written}.

    Raises:
        ValueError: the two sides do not write the same.
    """
    torch, theirs = transformers_model(sizes)
    ours = zoo.build("gpt2", **sizes)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        zoo.load_weights(ours, folder)
    random = np.random.default_rng(0)
    texts = {
        length: random.integers(0, sizes["vocabulary_size"], (1, length - count)).astype("int32")
        for length, count in new.items()
    }

    def write_here(length, count):
        return zoo.generate(ours, texts[length], count).tokens[0]

    def write_there(length, count):
        tokens = torch.as_tensor(texts[length], dtype=torch.long, device=theirs.device)
        whole = theirs.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count, do_sample=False
        )
        return whole[0, -count:].cpu().numpy()

    forward = compiled(lambda _, tokens: ours(tokens)[:, -1], ours)

    def anew(length):
        """One token of a text of that length, whose keys and values nobody has kept."""
        whole = np.zeros((1, length), "int32")
        whole[:, : texts[length].shape[1]] = texts[length]
        return keras.ops.convert_to_numpy(forward([], whole))

    for length, count in new.items():
        written = write_here(length, count), write_there(length, count)
        if not np.array_equal(*written):
            raise ValueError(f"the two sides write {written[0]} and {written[1]} at {length}.")
    sides = {}
    for length, count in new.items():
        sides["ours, first", length] = partial(write_here, length, 1)
        sides["theirs, first", length] = partial(write_there, length, 1)
        sides["ours", length] = partial(write_here, length, count)
        sides["theirs", length] = partial(write_there, length, count)
        sides["anew", length] = partial(anew, length)
    found = seconds(sides, rounds)

    def first(side, length):
        return found[f"{side}, first", length]

    def further(side, length):
        pairs = zip(found[side, length], first(side, length), strict=True)
        return [(whole - reading) / (new[length] - 1) for whole, reading in pairs]

    there = "ours / transformers on PyTorch, seconds"
    short, long = min(new), max(new)
    return [
        *(
            ratio(
                f"further token up to {length}, {there}",
                further("ours", length), further("theirs", length),
            )
            for length in new
        ),
        *(
            ratio(
                f"first token behind {length - new[length]}, {there}",
                first("ours", length), first("theirs", length),
            )
            for length in new
        ),
        *(
            ratio(
                f"further token up to {length}, kept / computed anew, seconds",
                further("ours", length), found["anew", length],
            )
            for length in new
        ),
        *(
            ratio(
                f"further token up to {long} / up to {short}, {whose}, seconds",
                further(side, long), further(side, short),
            )
            for side, whose in {"ours": "ours", "theirs": "transformers"}.items()
        ),
    ]  # fmt: skip


def main(new=NEW, sizes=SIZES, rounds=9, folder=None):
    write("generation", measure(new, sizes, rounds), folder)
