"""Networks that find depth: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

    from bls_bench.tasks.stereo.views import Views


@dataclass(frozen=True, kw_only=True)
class PlaneSweep(Model):
    """A plain plane-sweep network, of the kind of MVSNet (Yao et al. 2018), at a quarter of the size.

    planes: how many depths are tried. width: channels of the features. volume: of the convolutions in depth.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views"})
    gives: ClassVar[frozenset[str]] = frozenset({"depths"})
    planes: int = 32
    width: int = 16
    volume: int = 8

    def __post_init__(self) -> None:
        if self.planes < 2:
            raise ValueError(f"planes must be at least 2, got {self.planes}")
        for name in ("width", "volume"):
            if getattr(self, name) < 8 or getattr(self, name) % 8:
                raise ValueError(f"{name} must be a multiple of 8, got {getattr(self, name)}")

    def build(self, info: Views) -> nn.Module:
        """Build the network; it takes a `ViewBatch` and returns depths (b, H, W).

        Raises InputError for pictures that are no whole number of features high or wide.
        """
        from bls_bench.tasks.stereo.networks import STRIDE, PlaneSweepNet

        for name, value in (("height", info.height), ("width", info.width)):
            if value % STRIDE:
                raise InputError(
                    f"dataset.{name} must be a multiple of {STRIDE} for model=plane_sweep, got {value}"
                )
        return PlaneSweepNet(self)
