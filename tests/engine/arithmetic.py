"""A probe of a machine's arithmetic: float32 sums come out in another order on another one."""

import hashlib

import torch
from torch import nn
from torch.nn import functional as F


def digest(tensors):
    """Return a short hash of named tensors, bit for bit."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].detach().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def probe():
    """Return the digest of a few fixed steps of torch's own convolutions, products and sums."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convolutions = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
        )
        attention = nn.Sequential(
            nn.Flatten(2),
            nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, activation="gelu", batch_first=True),
            nn.Flatten(),
            nn.LayerNorm(64),
            nn.Linear(64, 10),
        )
        found = {}
        for name, model, squeeze in (("conv", convolutions, False), ("attention", attention, True)):
            optimizers = (
                torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4),
                torch.optim.AdamW(model.parameters(), lr=1e-3),
            )
            for size in (32, 32, 26, 8):
                inputs, targets = torch.randn(size, 1, 8, 8), torch.randint(10, (size,))
                for optimizer in optimizers:
                    optimizer.zero_grad()
                    losses = F.cross_entropy(
                        model(inputs[:, 0] if squeeze else inputs), targets, reduction="none"
                    )
                    (losses * torch.rand(size)).mean().backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
            found |= {f"{name}.{key}": value for key, value in model.state_dict().items()}
    return digest(found)
