"""torch.compile for the shapes that come again, and plain execution for all others."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from bls_bench.system.errors import folded

BACKEND = "inductor"


class Compiler:
    """Compiles a model once, as `trainer.compile` says. pending: whether that is still to be done."""

    def __init__(self, mode: str, accumulates: bool, device: torch.device) -> None:
        self.mode, self.device = mode, device
        # A CUDA graph's gradients are overwritten, not added up.
        self._graphs = not accumulates
        self.pending, self._compiled = mode != "none", False

    def eagerly(self, unless: bool = False) -> AbstractContextManager[Any]:
        """Where compiled code is not to run: on shapes that come once, each of which it would compile."""
        return torch.compiler.set_stance("force_eager") if self._compiled and not unless else nullcontext()

    def compile(self, model: nn.Module) -> None:
        """Have the model compiled by its next call; without a compiler, warn and go on without."""
        self.pending = False
        try:
            probe = torch.compile(torch.sin, dynamic=False, backend=BACKEND)
            probe(torch.zeros(2, device=self.device))
        except Exception as error:  # every platform lacks something else
            warnings.warn(
                f"trainer.compile={self.mode}: no compiler here, training without ({folded(error)})",
                stacklevel=2,
            )
            return
        mode = "max-autotune-no-cudagraphs" if self.mode == "max-autotune" and not self._graphs else self.mode
        model.compile(mode=mode, dynamic=False, backend=BACKEND)
        self._compiled = True
