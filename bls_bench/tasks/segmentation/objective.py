"""Segmentation: cross-entropy over pixels, and mean intersection over union."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from colorsys import hsv_to_rgb
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.utils import draw_segmentation_masks

from bls_bench.data.base import Data, Images
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.drawing import enlarged, write_rows
from bls_bench.tasks.objective import Loss, Measure, Objective, Place
from bls_bench.tasks.segmentation.batches import IGNORED, Batch
from bls_bench.tasks.segmentation.task import Segmentation
from bls_bench.tasks.showing import batches, picture

# Images that are drawn at the end of a run.
SHOWN = 8
# Logits that are computed at once when measuring: it bounds the memory.
MEASURED_LOGITS = 2**24


class Segmenting(Objective):
    """A batch is (images, classes), see `PixelBatches`; a model returns logits (b, C, S, S)."""

    def __init__(self, task: Segmentation, info: Images) -> None:
        super().__init__()
        self.per_sample, self.num_classes = task.per_sample, info.num_classes
        self.measured_at_once = max(1, MEASURED_LOGITS // (info.image_size**2 * info.num_classes))

    def loss(self, model: nn.Module, batch: Batch, place: Place, wanted: frozenset[str]) -> Loss:
        images, classes = batch
        losses = F.cross_entropy(model(images).float(), classes, reduction="none", ignore_index=IGNORED)
        sums, counts = losses.sum((1, 2)), (classes != IGNORED).sum((1, 2))
        if not self.per_sample:
            sums, counts = sums.sum(), counts.sum()
        # A picture without a class teaches nothing.
        return Loss(sums / counts.clamp_min(1))

    def measure(self) -> MeanIntersection:
        return MeanIntersection(self.num_classes)

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw some of the test images, above with the classes they have, below with those found there."""
        device = next(model.parameters()).device
        images, classes = next(data.test.batches([torch.arange(min(SHOWN, len(data.test)))], 0, device))
        found = model(images).argmax(1).where(classes != IGNORED, IGNORED)
        rows = [
            [painted(image, one, self.num_classes) for image, one in zip(images, maps, strict=True)]
            for maps in (classes, found)
        ]
        write_rows(rows, folder / "classes.png")


class MeanIntersection(Measure):
    """mIoU in percent: the mean over classes of common pixels over those that either side gives the class.

    It is of the whole data set, not a mean of pictures. A class that is nowhere, neither there nor found,
    is left out.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, model: nn.Module, batch: Batch) -> None:
        images, classes = batch
        found = model(images).argmax(1)
        known = classes != IGNORED
        pairs = classes[known] * self.num_classes + found[known]
        counts = pairs.bincount(minlength=self.num_classes**2).view(self.num_classes, -1)
        self.confusion = self.confusion.to(counts.device) + counts

    def state(self) -> Tensor:
        return self.confusion.cpu()

    def merge(self, states: Sequence[Tensor]) -> None:
        self.confusion = torch.stack(list(states)).sum(0)

    def compute(self) -> dict[str, float]:
        common = self.confusion.diagonal().double()
        either = self.confusion.sum(0) + self.confusion.sum(1) - common
        shares = (common / either)[either > 0]
        return {"mIoU": 100 * float(shares.mean())}


def painted(image: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Paint the classes (S, S) over an image (3, S, S) in [0, 1]; returns (3, T, T) uint8 on the CPU.

    Class 0 and pixels without a class are left as they are.
    """
    large, factor = enlarged(image)
    spread = classes.cpu().repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    colours = [
        tuple(round(255 * part) for part in hsv_to_rgb(at / num_classes, 1, 1)) for at in range(num_classes)
    ]
    masks = spread == torch.arange(1, num_classes)[:, None, None]
    return draw_segmentation_masks(large, masks, alpha=0.6, colors=colours[1:]) if num_classes > 1 else large


def annotated(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield training images (n,) with the classes of their pixels painted over, and their names."""
    names = data.info.classes
    for images, classes in batches(data, indices):
        for image, one in zip(images, classes, strict=True):
            there = [names[at] for at in one.unique().tolist() if at not in (0, IGNORED)]
            yield Shown(", ".join(there) or names[0], picture(painted(image, one, len(names))))
