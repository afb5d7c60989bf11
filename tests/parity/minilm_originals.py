"""What transformers computes from the checkpoint all-MiniLM-L6-v2.

    python -m tests.parity.minilm_originals MODEL FILE.npz

reads "tokens" (B, T) and "segments" from the file, 0 being padding, and adds "states" (B, T, 384)
and "pooled" (B, 384).
"""

import sys

import numpy as np

from tests.parity.originals import _import


def main(folder, file):
    on = _import()
    given = np.load(file)
    tokens, segments = (on.torch.tensor(given[name]).long() for name in ("tokens", "segments"))
    model = on.transformers.BertModel.from_pretrained(folder).double().eval()
    with on.torch.no_grad():
        returned = model(tokens, attention_mask=(tokens != 0).long(), token_type_ids=segments)
    states, pooled = returned.last_hidden_state.numpy(), returned.pooler_output.numpy()
    np.savez(file, **given, states=states, pooled=pooled)


if __name__ == "__main__":
    main(*sys.argv[1:])
