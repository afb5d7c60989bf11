"""Sequence-to-sequence networks made of PyTorch's recurrent layers, with random weights.

    python -m tests.parity.seq2seq_originals FOLDER

runs them in a process of its own, whatever the backend of the tests, in float64, and leaves of each
NAME.npz in FOLDER: "sources" and "targets", padded by 0; the weights, "name/" and theirs; "logits",
zero where the target is padded; "upstream", what weights them in the loss; and the gradients of the
loss, "gradient of name/" and theirs. PyTorch leaves padding out by packing sequences.
"""

import sys
from pathlib import Path

import numpy as np

SOURCE_TOKENS, TARGET_TOKENS, EMBEDDING, UNITS, ATTENTION, READOUT = 11, 13, 4, 6, 5, 3
SOURCE_LENGTHS, TARGET_LENGTHS = (4, 7, 1, 5), (6, 3, 4, 1)


def _tokens(torch, lengths, vocabulary_size):
    tokens = torch.randint(1, vocabulary_size, (len(lengths), max(lengths)))
    for row, length in enumerate(lengths):
        tokens[row, length:] = 0
    return tokens


def _networks(torch):
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    def packed(x):
        return pack_padded_sequence(x, SOURCE_LENGTHS, batch_first=True, enforce_sorted=False)

    class Bahdanau(nn.Module):
        def __init__(self):
            super().__init__()
            self.source_embedding = nn.Embedding(SOURCE_TOKENS, EMBEDDING)
            self.target_embedding = nn.Embedding(TARGET_TOKENS, EMBEDDING)
            self.encoder = nn.GRU(EMBEDDING, UNITS, batch_first=True, bidirectional=True)
            self.initial_state = nn.Linear(UNITS, UNITS)
            self.query = nn.Linear(UNITS, ATTENTION, bias=False)
            self.keys = nn.Linear(2 * UNITS, ATTENTION, bias=False)
            self.score = nn.Linear(ATTENTION, 1, bias=False)
            self.cell = nn.GRUCell(EMBEDDING + 2 * UNITS, UNITS)
            self.readout_a = nn.Linear(3 * UNITS + EMBEDDING, READOUT)
            self.readout_b = nn.Linear(3 * UNITS + EMBEDDING, READOUT)
            self.output = nn.Linear(READOUT, TARGET_TOKENS)

        def forward(self, source, target):
            states, last = self.encoder(packed(self.source_embedding(source)))
            states, _ = pad_packed_sequence(states, batch_first=True)
            h, keys = torch.tanh(self.initial_state(last[1])), self.keys(states)
            logits = []
            for y in self.target_embedding(target).unbind(1):
                scores = self.score(torch.tanh(self.query(h)[:, None] + keys))[..., 0]
                weights = scores.masked_fill(source == 0, -torch.inf).softmax(-1)
                context = torch.einsum("bs,bsk->bk", weights, states)
                h = self.cell(torch.cat([y, context], -1), h)
                seen = torch.cat([h, y, context], -1)
                logits.append(
                    self.output(torch.maximum(self.readout_a(seen), self.readout_b(seen)))
                )
            return torch.stack(logits, 1)

    class Luong(nn.Module):
        def __init__(self):
            super().__init__()
            self.source_embedding = nn.Embedding(SOURCE_TOKENS, EMBEDDING)
            self.target_embedding = nn.Embedding(TARGET_TOKENS, EMBEDDING)
            self.encoder = nn.LSTM(EMBEDDING, UNITS, num_layers=2, batch_first=True)
            self.decoder = nn.LSTM(EMBEDDING, UNITS, num_layers=2, batch_first=True)
            self.attention = nn.Linear(UNITS, UNITS, bias=False)
            self.attentional = nn.Linear(2 * UNITS, UNITS, bias=False)
            self.output = nn.Linear(UNITS, TARGET_TOKENS)

        def forward(self, source, target):
            keys, last = self.encoder(packed(self.source_embedding(source)))
            keys, _ = pad_packed_sequence(keys, batch_first=True)
            h, _ = self.decoder(self.target_embedding(target), last)
            scores = torch.einsum("bth,bsh->bts", h, self.attention(keys))
            weights = scores.masked_fill((source == 0)[:, None], -torch.inf).softmax(-1)
            seen = torch.cat([torch.bmm(weights, keys), h], -1)
            return self.output(torch.tanh(self.attentional(seen)))

    return {"seq2seq_bahdanau": Bahdanau, "seq2seq_luong": Luong}


def main(folder):
    import torch

    torch.manual_seed(0)
    for name, network in _networks(torch).items():
        model = network()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        model.double()
        sources = _tokens(torch, SOURCE_LENGTHS, SOURCE_TOKENS)
        targets = _tokens(torch, TARGET_LENGTHS, TARGET_TOKENS)
        logits = model(sources, targets) * (targets != 0)[..., None]
        upstream = torch.randn(logits.shape).double()
        (upstream * logits).sum().backward()
        arrays = {"sources": sources, "targets": targets, "logits": logits, "upstream": upstream}
        for key, parameter in model.named_parameters():
            arrays |= {f"name/{key}": parameter, f"gradient of name/{key}": parameter.grad}
        arrays = {key: each.detach().numpy() for key, each in arrays.items()}
        np.savez(Path(folder) / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
