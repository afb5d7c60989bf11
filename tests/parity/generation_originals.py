"""transformers' greedy generation with random weights: what it saves, and what it writes.

    python -m tests.parity.generation_originals FOLDER

runs each model in a process of its own, whatever the backend of the tests, and leaves of each NAME
in FOLDER the folder NAME/ that ``save_pretrained`` writes, and in NAME.json the tokens that follow
each of ``PROMPTS``, a stop token at the end of some.
"""

import json
import sys
from pathlib import Path

from tests.parity.originals import _import
from tests.parity.transformer_originals import CASES, TOKENS

PROMPTS = [[3, 1, 4, 1], [5], [9, 2, 6, 5, 3, 5, 8, 9, 7], [9, 3]]
MAX_LENGTH, STOP = 7, 33
NAMES = ("gpt2", "llama", "mixtral", "qwen3", "t5")


def _write(on, name, folder):
    torch = on.torch
    torch.manual_seed(5)
    model = CASES[name].make(on.transformers).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, 0, 0.7)
    model.save_pretrained(folder / name)
    results = []
    for prompt in PROMPTS:
        tokens = torch.tensor([prompt])
        written = model.generate(
            tokens, attention_mask=torch.ones_like(tokens), do_sample=False, num_beams=1,
            max_new_tokens=MAX_LENGTH, eos_token_id=STOP, pad_token_id=TOKENS - 1,
        )  # fmt: skip
        results.append(written[0, len(prompt) :].tolist())
    (folder / f"{name}.json").write_text(json.dumps(results))


def main(folder):
    on = _import()
    for name in NAMES:
        _write(on, name, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
