"""The noising process and its reverse, by diffusers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from bls_bench.tasks.diffusion.task import Diffusion

# The noise in samples (n, C, H, W) at a time (0-d int64).
Noise = Callable[[Tensor, Tensor], Tensor]


class Noising:
    """Adds noise to clean samples, and takes it away again step by step."""

    def __init__(self, task: Diffusion, bounded: bool) -> None:
        """bounded: whether clean samples lie in [-1, 1], to which each step then clips."""
        kind: Any = DDIMScheduler if task.sampler == "ddim" else DDPMScheduler
        self.times, self.steps = task.times, task.steps
        self.name = f"{task.schedule}-{task.times}"
        self._process = kind(
            num_train_timesteps=task.times,
            beta_schedule="linear" if task.schedule == "linear" else "squaredcos_cap_v2",
            clip_sample=bounded,
        )

    def share(self, times: Tensor) -> Tensor:
        """Return how much of the variance is still the sample's own at times (b,): (b,) float32."""
        return self._process.alphas_cumprod.to(times.device)[times]

    def add(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return clean samples (b, C, H, W) as they are at times (b,) int64."""
        return self._process.add_noise(clean, noise, times)

    def reverse(self, start: Tensor, noise_in: Noise, generator: torch.Generator) -> Tensor:
        """Return clean samples from pure noise (n, C, H, W)."""
        self._process.set_timesteps(self.steps)
        samples = start
        for time in self._process.timesteps.to(start.device):
            samples = self._process.step(
                noise_in(samples, time), time, samples, generator=generator
            ).prev_sample
        return samples
