"""What a classifier's output says of each sample beside its loss: the higher, the harder.

All take logits (b, classes) and return (b,) float32, but `probabilities`, which returns a row a sample and
`lead`, the higher the easier. Targets are (b,) int64 classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def errors(logits: Tensor, targets: Tensor) -> Tensor:
    """Return p - y, (b, classes): the gradient of the cross-entropy with respect to the logits."""
    probabilities = logits.float().softmax(1)
    return probabilities - torch.nn.functional.one_hot(targets, logits.shape[1])


def error_norm(logits: Tensor, targets: Tensor) -> Tensor:
    """EL2N (Paul et al. 2021, Eq. 3): ||p - y||."""
    return errors(logits, targets).norm(dim=1)


def gradient_norm(logits: Tensor, targets: Tensor, features: Tensor) -> Tensor:
    """The norm of the loss' gradient in the last layer's weights, ||p - y|| * ||h||.

    features: h, (b, d), what the last layer got. The gradient is the outer product of p - y and h, so its
    norm needs no backward pass.
    """
    return error_norm(logits, targets) * features.float().flatten(1).norm(dim=1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the predicted distribution, in nats."""
    logs = logits.float().log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def margin(logits: Tensor) -> Tensor:
    """1 - (p_1 - p_2), of the two highest probabilities: 1 on the border of two classes."""
    first, second = logits.float().softmax(1).topk(2).values.unbind(1)
    return 1 - (first - second)


def lead(logits: Tensor, targets: Tensor) -> Tensor:
    """p_y less the highest of the other probabilities: below 0 where the prediction is wrong."""
    p, own = logits.float().softmax(1), targets[:, None]
    return (p.gather(1, own) - p.scatter(1, own, -1).amax(1, keepdim=True)).squeeze(1)


def probabilities(logits: Tensor) -> Tensor:
    """The predicted distribution, (b, classes) float32; for a scorer that is `wide`."""
    return logits.float().softmax(1)


def confidence(logits: Tensor) -> Tensor:
    """1 - p_1, of the highest probability."""
    return 1 - logits.float().softmax(1).amax(1)


def correct(logits: Tensor, targets: Tensor) -> Tensor:
    """1 where the prediction is the target, else 0."""
    return (logits.argmax(1) == targets).float()


# What a scorer may ask of a task that classifies, by name. `features` is None unless asked for.
SIGNALS: dict[str, Callable[[Tensor, Tensor, Any], Tensor]] = {
    "error_norm": lambda logits, targets, features: error_norm(logits, targets),
    "gradient_norm": gradient_norm,
    "entropy": lambda logits, targets, features: entropy(logits),
    "margin": lambda logits, targets, features: margin(logits),
    "lead": lambda logits, targets, features: lead(logits, targets),
    "probabilities": lambda logits, targets, features: probabilities(logits),
    "correct": lambda logits, targets, features: correct(logits, targets),
    "classes": lambda logits, targets, features: targets.float(),
}
