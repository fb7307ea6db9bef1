"""Multi-view stereo: the error of depths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from matplotlib import colormaps
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.drawing import enlarged, write_rows
from bls_bench.tasks.objective import Loss, Measure, Objective, Place
from bls_bench.tasks.showing import batches, picture, spread
from bls_bench.tasks.stereo.task import Stereo
from bls_bench.tasks.stereo.views import ViewBatch, Views

# Scenes that are drawn at the end of a run.
SHOWN = 6
# Pixels that are measured at once: it bounds the memory.
MEASURED_PIXELS = 2**18


class Matching(Objective):
    """A batch is a `ViewBatch`; a model returns depths (b, H, W) in metres."""

    def __init__(self, task: Stereo, info: Views) -> None:
        super().__init__()
        self.per_sample, self.bound = task.per_sample, task.bound
        self.measured_at_once = max(1, MEASURED_PIXELS // (info.height * info.width))

    def loss(self, model: nn.Module, batch: ViewBatch, place: Place, wanted: frozenset[str]) -> Loss:
        errors, known = _errors(model(batch), batch)
        sums, counts = errors.sum((1, 2)), known.sum((1, 2))
        if not self.per_sample:
            sums, counts = sums.sum(), counts.sum()
        return Loss(sums / counts.clamp_min(1))

    def measure(self) -> DepthErrors:
        return DepthErrors(self.bound)

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw depths.png, a test scene a row: the picture, its depth, and the depth that is found."""
        device = next(model.parameters()).device
        (batch,) = data.test.batches([spread(len(data.test), SHOWN)], 0, device)
        rows = []
        for image, depth, found, ends in zip(
            batch.images[:, 0], batch.depths, model(batch), batch.ranges, strict=True
        ):
            maps = [coloured(depth, ends), coloured(found, ends)]
            rows.append([enlarged(one)[0] for one in (image / 2 + 0.5, *maps)])
        write_rows(rows, folder / "depths.png")


class DepthErrors(Measure):
    """The share of depths that are less than `bound` metres off, in percent, and the mean error in metres.

    Both are over all pixels of known depth of the whole data set.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound
        # The pixels, those within the bound, and the sum of errors.
        self._sums = torch.zeros(3, dtype=torch.float64)

    def update(self, model: nn.Module, batch: ViewBatch) -> None:
        errors, known = _errors(model(batch), batch)
        within = known & (errors < self.bound)
        found = torch.stack([one.sum(dtype=torch.float64) for one in (known, within, errors)])
        self._sums = self._sums.to(found.device) + found

    def state(self) -> Tensor:
        return self._sums.cpu()

    def merge(self, states: Sequence[Tensor]) -> None:
        self._sums = torch.stack(list(states)).sum(0)

    def compute(self) -> dict[str, float]:
        count, within, errors = self._sums.tolist()
        return {"within": 100 * within / count, "mean_error": errors / count}


def _errors(found: Tensor, batch: ViewBatch) -> tuple[Tensor, Tensor]:
    """Return how far off depths (b, H, W) are, 0 where the depth is not known, and where it is."""
    known = batch.depths > 0
    return (found.float() - batch.depths).abs() * known, known


def coloured(depths: Tensor, ends: Tensor) -> Tensor:
    """Return (3, H, W) in [0, 1] of depths (H, W): yellow near, blue far, black where it is not known."""
    near, far = ends.tolist()
    shares = ((1 / depths.clamp_min(near) - 1 / far) / (1 / near - 1 / far)).clamp(0, 1).cpu()
    colours = torch.from_numpy(colormaps["viridis"](shares.numpy())[..., :3]).float()
    return (colours * (depths.cpu() > 0)[..., None]).permute(2, 0, 1)


def depicted(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield training scenes (n,): the first view beside its depth, with the depth's mean as the label."""
    for batch in batches(data, indices):
        for images, depth, ends in zip(batch.images, batch.depths, batch.ranges, strict=True):
            pair = torch.cat([images[0] / 2 + 0.5, coloured(depth, ends)], 2)
            mean = float(depth.sum() / (depth > 0).sum().clamp_min(1))
            yield Shown(f"{mean:.2f} m", picture((pair * 255).round().to(torch.uint8)))
