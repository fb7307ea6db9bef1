"""The selective scan of Mamba (Gu and Dao 2023), in plain PyTorch."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def selective_scan(inputs: Tensor, steps: Tensor, rates: Tensor, into: Tensor, out_of: Tensor) -> Tensor:
    """Run the state space model of each channel over a sequence; returns (b, L, d) float32.

    h[t] = exp(steps[t] * rates) * h[t - 1] + steps[t] * into[t] * inputs[t], and y[t] is the sum of
    out_of[t] * h[t] over the n states (its Algorithm 2; what comes in is stepped as its authors' code does).
    inputs, steps: (b, L, d). rates: (d, n), below 0. into, out_of: (b, L, n).
    """
    # Its states, n times as large as all else, are computed again for the gradient, not kept.
    with torch.autocast(inputs.device.type, enabled=False):
        tensors = (tensor.float() for tensor in (inputs, steps, rates, into, out_of))
        return checkpoint(_scan, *tensors, use_reentrant=False, preserve_rng_state=False)


def _scan(inputs: Tensor, steps: Tensor, rates: Tensor, into: Tensor, out_of: Tensor) -> Tensor:
    decay = torch.exp(steps[..., None] * rates)
    states = _Recurrence.apply(decay, (steps * inputs)[..., None] * into[:, :, None])
    return (states * out_of[:, :, None]).sum(3)


class _Recurrence(torch.autograd.Function):
    """h[t] = decay[t] * h[t - 1] + added[t] along the second dimension; h before the first is 0."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, added: Tensor) -> Tensor:
        states = recurrence(decay, added)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        # What a state does to all later ones: the same recurrence, from the end.
        following = F.pad(decay[:, 1:], (0, 0, 0, 0, 0, 1)).flip(1)
        found = recurrence(following, gradients[0].flip(1)).flip(1)
        before = F.pad(states[:, :-1], (0, 0, 0, 0, 1, 0))
        return found * before, found


def recurrence(decay: Tensor, added: Tensor) -> Tensor:
    """Return h[t] = decay[t] * h[t - 1] + added[t], all (b, L, d, n), in about 2 sqrt(L) steps.

    The sequence is cut into parts, which are gone through side by side, each from 0; then each is given what
    the one before it ends with. Nothing is divided, so nothing overflows where decays are small.
    """
    length = decay.shape[1]
    size = math.isqrt(max(length - 1, 0)) + 1
    rest = -length % size
    decays, states = (
        F.pad(tensor, (0, 0, 0, 0, 0, rest)).unflatten(1, (-1, size)) for tensor in (decay, added)
    )
    states, left = states.clone(), decays.clone()  # left: of a state at the beginning of a part
    for at in range(1, size):
        states[:, :, at] += decays[:, :, at] * states[:, :, at - 1]
        left[:, :, at] *= left[:, :, at - 1]
    for part in range(1, states.shape[1]):
        states[:, part] += left[:, part] * states[:, part - 1, -1:]
    return states.flatten(1, 2)[:, :length]
