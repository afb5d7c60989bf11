"""The benchmark's networks and training step in plain PyTorch.

Images are (B, C, H, W) here, in the memory format that is fastest for convolutions.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Flatten(nn.Module):
    """(B, C, H, W) -> (B, H * W * C), the order in which Keras has the weights behind it."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def mlp(width):
    return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))


def cnn(dropout_rate):
    def block(inputs, outputs):
        return [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.LeakyReLU(0.01),
        ]

    return nn.Sequential(
        *block(1, 32),
        *block(32, 64),
        Flatten(),
        nn.Dropout(dropout_rate),
        nn.Linear(7 * 7 * 64, 128),
        nn.GELU(),
        nn.Dropout(dropout_rate),
        nn.Linear(128, 10),
    )


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.convolution1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.convolution2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = F.relu(self.norm1(self.convolution1(x)))
        y = self.norm2(self.convolution2(y))
        if x.shape != y.shape:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
        return F.relu(x + y)


def resnet(depth):
    widths = [16, *(width for width in (16, 32, 64) for _ in range((depth - 2) // 6))]
    blocks = [
        ResidualBlock(before, after, 1 if before == after else 2)
        for before, after in pairwise(widths)
    ]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class LSTMClassifier(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(256, 64)
        self.lstm = nn.LSTM(64, width, batch_first=True)
        self.output = nn.Linear(width, 10)
        # Keras has one bias where PyTorch adds two.
        self.lstm.bias_hh_l0.requires_grad_(False).zero_()

    def forward(self, tokens):
        _, (state, _) = self.lstm(self.embedding(tokens))
        return self.output(state[0])


class TransformerBlock(nn.Module):
    def __init__(self, width, num_heads, causal):
        super().__init__()
        self.num_heads, self.causal = num_heads, causal
        self.norm1 = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, time, width = x.shape
        heads = self.query_key_value(self.norm1(x)).view(batch, time, 3, self.num_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (B, N, T, K)
        y = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        x = x + self.projection(y.transpose(1, 2).reshape(batch, time, width))
        return x + self.contract(F.gelu(self.expand(self.norm2(x))))


class Positions(nn.Module):
    def __init__(self, time, width):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(time, width))

    def forward(self, x):
        return x + self.table


class GPT(nn.Module):
    def __init__(self, depth, width, num_heads, context):
        super().__init__()
        self.embedding = nn.Embedding(65, width)
        self.positions = Positions(context, width)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, num_heads, causal=True) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, 65)

    def forward(self, tokens):
        return self.output(self.norm(self.blocks(self.positions(self.embedding(tokens)))))


class ViT(nn.Module):
    def __init__(self, depth, width, num_heads):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.positions = Positions(64, width)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, num_heads, causal=False) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, 10)

    def forward(self, images):
        x = self.positions(self.patches(images).flatten(2).transpose(1, 2))
        return self.output(self.norm(self.blocks(x)).mean(1))


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "resnet20": resnet,
    "lstm": LSTMClassifier,
    "gpt": GPT,
    "vit_tiny": ViT,
}


def make_steps(name, sizes, weights, statistics, learning_rate, precision):
    """{"eager", "compiled": a function of one batch that trains a step and returns the loss}."""
    torch.compiler.reset()  # which compiles a line of code a few times only, for all networks
    return {
        kind: _step(name, sizes, weights, statistics, learning_rate, precision, kind == "compiled")
        for kind in ("eager", "compiled")
    }


def _step(name, sizes, weights, statistics, learning_rate, precision, compiled):
    device = DEVICE
    network = NETWORKS[name](**sizes)
    load(network, weights, statistics)
    network.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), learning_rate, eps=1e-12, fused=True)
    half = precision == "mixed_bfloat16"

    def step(inputs, labels):
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = network(inputs)
        loss = F.cross_entropy(logits.float().flatten(0, -2), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return torch.compile(step) if compiled else step


def to_device(inputs, labels):
    """A NumPy batch as PyTorch's users have it."""
    inputs = torch.as_tensor(inputs, device=DEVICE)
    if inputs.ndim == 4:
        inputs = inputs.permute(0, 3, 1, 2)  # (B, C, H, W), whose memory stays (B, H, W, C)
    return inputs, torch.as_tensor(labels, dtype=torch.long, device=inputs.device)


@torch.no_grad()
def load(network, weights, statistics):
    """Fills a network with a Keras model's weights and statistics, which come in the same order."""
    weights, statistics = iter(weights), iter(statistics)
    for module in network.modules():
        for name, axes in KERAS_AXES.get(type(module), {}).items():
            tensor = getattr(module, name)
            if tensor is not None:
                array = next(statistics if name.startswith("running") else weights)
                tensor.copy_(torch.as_tensor(array).permute(*axes))


# What PyTorch calls each layer's weights, in Keras's order, and the order of Keras's axes there.
KERAS_AXES = {
    nn.Linear: {"weight": (1, 0), "bias": (0,)},
    nn.Conv2d: {"weight": (3, 2, 0, 1), "bias": (0,)},
    nn.BatchNorm2d: {name: (0,) for name in ("weight", "bias", "running_mean", "running_var")},
    nn.LayerNorm: {"weight": (0,), "bias": (0,)},
    nn.Embedding: {"weight": (0, 1)},
    nn.LSTM: {"weight_ih_l0": (1, 0), "weight_hh_l0": (1, 0), "bias_ih_l0": (0,)},
    Positions: {"table": (0, 1)},
}
