"""DeepFool: the distance of each input to the nearest decision boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


# As in the DeepFool paper's code: how far beyond the boundary an iterate goes, and the rivals looked at.
OVERSHOOT, RIVALS = 0.02, 9


@dataclass(kw_only=True)
class DeepFool(RankingPruner):
    """DeepFool margin (Ducoffe & Precioso 2018): keep the inputs closest to a decision boundary.

    max_steps: linearisations a sample at most.
    """

    balanced: bool = True
    max_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {self.max_steps}")

    def probe(self, model: nn.Module, batch: Any) -> Tensor:
        inputs, _ = batch
        return deepfool(model, inputs, self.max_steps).flatten(1).norm(dim=1).float()

    def score(self, observed: Observations) -> Tensor:
        assert observed.probed is not None
        return -observed.probed


def deepfool(model: Callable[[Tensor], Tensor], inputs: Tensor, max_steps: int) -> Tensor:
    """Return the smallest steps found, (b, ...), that change the predicted class once OVERSHOOT is added.

    inputs: (b, ...). Over and over the model is taken as linear, and the input moved to the nearest boundary
    with one of the RIVALS next classes (Moosavi-Dezfooli et al. 2016, Algorithm 2).
    """
    moved, classes = torch.zeros_like(inputs), None
    for _ in range(max_steps):
        with torch.enable_grad():
            at = (inputs + (1 + OVERSHOOT) * moved).requires_grad_()
            logits = model(at).float()
            if classes is None:
                classes = logits.topk(min(1 + RIVALS, logits.shape[1])).indices
            unmoved = logits.argmax(1) == classes[:, 0]
            if not unmoved.any():
                break
            leads = logits.gather(1, classes[:, :1]) - logits.gather(1, classes[:, 1:])
            slopes = [torch.autograd.grad(lead.sum(), at, retain_graph=True)[0] for lead in leads.unbind(1)]
        norms = torch.stack([slope.flatten(1).norm(dim=1) for slope in slopes], 1).clamp(min=1e-12)
        distances, nearest = (leads.detach().clamp(min=0) / norms).min(1)
        slope = torch.stack(slopes, 1)[torch.arange(len(inputs)), nearest]
        length = (distances + 1e-6) / norms.gather(1, nearest[:, None])[:, 0]
        moved -= slope * (length * unmoved).view(-1, *[1] * (inputs.ndim - 1))
    return moved
