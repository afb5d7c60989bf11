"""transformers' greedy generation with random weights: what it saves, and what it writes.

    python -m tests.parity.generation_originals FOLDER

runs each model in a process of its own, whatever the backend of the tests, and leaves of each NAME
in FOLDER the folder NAME/ that ``save_pretrained`` writes, and in NAME.json "stop", a token, and
"tokens", those that follow each of ``PROMPTS``, the stop token at the end of some. An
encoder-decoder reads the prompts, and begins with ``START``.
"""

import json
import sys
from pathlib import Path

from tests.parity.originals import _import
from tests.parity.transformer_originals import CASES, TOKENS, _randomize

PROMPTS = [[3, 1, 4, 1], [5], [9, 2, 6, 5, 3, 5, 8, 9, 7], [9, 3]]
MAX_LENGTH, START = 7, 2
NAMES = ("gpt2", "llama", "mixtral", "qwen3", "t5")


def _write(on, name, folder):
    torch, case = on.torch, CASES[name]
    torch.manual_seed(28)  # of which all models write several tokens
    model = case.make(on.transformers).eval()
    _randomize(torch, model)
    model.save_pretrained(folder / name)
    # Here an encoder-decoder writes no padding.
    of_pairs = {"decoder_start_token_id": START, "suppress_tokens": [0]} if case.of_pairs else {}

    def written(prompt, stop):
        tokens = torch.tensor([prompt])
        whole = model.generate(
            tokens, attention_mask=torch.ones_like(tokens), do_sample=False, num_beams=1,
            max_new_tokens=MAX_LENGTH, eos_token_id=stop, pad_token_id=TOKENS - 1, **of_pairs,
        )  # fmt: skip
        return whole[0, 1 if case.of_pairs else len(prompt) :].tolist()

    free = [written(prompt, None) for prompt in PROMPTS]
    some = [token for token in free[0] if not all(token in tokens for tokens in free)]
    stop = max(some, key=free[0].index)
    results = {"stop": stop, "tokens": [written(prompt, stop) for prompt in PROMPTS]}
    (folder / f"{name}.json").write_text(json.dumps(results))


def main(folder):
    on = _import()
    for name in NAMES:
        _write(on, name, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
