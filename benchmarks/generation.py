"""Generation with GPT-2 against transformers, and what it saves to keep keys and values.

Both sides have the same random weights, get the same text, and go on with the most probable tokens;
that these are the same is checked first. Here a text is one row; reading the text is timed with it.
"""

import tempfile

import keras
import numpy as np

import zoo
from benchmarks.side_by_side import ratio, seconds, write
from zoo.compiled import compiled

LENGTHS = (64, 256, 1024)
NEW = 32  # the last tokens of each length
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
        initializer_range=0.2, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch, on.transformers.GPT2LMHeadModel(config).eval().to(device)


def measure(lengths, new, sizes, rounds):
    """The rows of all lengths.

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
        length: random.integers(0, sizes["vocabulary_size"], (1, length - new)).astype("int32")
        for length in lengths
    }

    def write_here(length):
        return zoo.generate(ours, texts[length], new).tokens[0]

    def write_there(length):
        tokens = torch.as_tensor(texts[length], dtype=torch.long, device=theirs.device)
        whole = theirs.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=new, do_sample=False
        )
        return whole[0, -new:].cpu().numpy()

    forward = compiled(lambda _, tokens: ours(tokens)[:, -1], ours)

    def anew(length):
        """One token of a text of that length, whose keys and values nobody has kept."""
        whole = np.zeros((1, length), "int32")
        whole[:, : length - new] = texts[length]
        return keras.ops.convert_to_numpy(forward([], whole))

    for length in lengths:
        written = write_here(length), write_there(length)
        if not np.array_equal(*written):
            raise ValueError(f"the two sides write {written[0]} and {written[1]} at {length}.")
    sides = {}
    for length in lengths:
        sides["ours", length] = lambda length=length: write_here(length)
        sides["theirs", length] = lambda length=length: write_there(length)
        sides["anew", length] = lambda length=length: anew(length)
    found = seconds(sides, rounds)
    tokens = {
        (side, length): [each / (1 if side == "anew" else new) for each in times]
        for (side, length), times in found.items()
    }
    first, last = lengths[0], lengths[-1]
    return [
        *(
            ratio(
                f"token up to {length}, ours / transformers on PyTorch, seconds",
                tokens["ours", length], tokens["theirs", length],
            )
            for length in lengths
        ),
        *(
            ratio(
                f"token up to {length}, kept / computed anew, seconds",
                tokens["ours", length], tokens["anew", length],
            )
            for length in lengths
        ),
        ratio(
            f"token up to {last} / up to {first}, seconds",
            tokens["ours", last], tokens["ours", first],
        ),
    ]  # fmt: skip


def main(lengths=LENGTHS, new=NEW, sizes=SIZES, rounds=5, folder=None):
    write("generation", measure(lengths, new, sizes, rounds), folder)
