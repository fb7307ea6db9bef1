"""Detection: the sum of the detector's losses, and mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchmetrics.detection import MeanAveragePrecision

from bls_bench.data.base import Data, Images
from bls_bench.data.transfer import moved
from bls_bench.system.streams import drawing_from
from bls_bench.tasks.detection.batches import Batch
from bls_bench.tasks.detection.drawing import certain, drawn
from bls_bench.tasks.drawing import write_rows
from bls_bench.tasks.objective import Loss, Measure, Objective, Place

# Images that are drawn at the end of a run.
SHOWN = 8
# Pixels of the images that are measured at once: it bounds the memory.
MEASURED_PIXELS = 2**21


class Detecting(Objective):
    """A batch is (images, targets): (b, 3, S, S) float32 in [0, 1] and a dict for each image, `Batches`.

    A model in training takes both and returns a dict of 0-d losses; in evaluation it takes images and
    returns for each a dict of boxes (k, 4), labels (k,) and scores (k,).
    """

    def __init__(self, info: Images, masks: bool = False) -> None:
        """masks: measure masks too; the model then returns masks (k, 1, S, S) in [0, 1] as well."""
        super().__init__()
        self.info, self.kinds = info, {"segm": "mask_", "bbox": ""} if masks else {"bbox": ""}
        self.measured_at_once = max(1, MEASURED_PIXELS // info.image_size**2)

    def loss(self, model: nn.Module, batch: Batch, place: Place, wanted: frozenset[str]) -> Loss:
        images, targets = batch
        # Some detectors choose the proposals that they learn from at random.
        with drawing_from(place.stream("detector"), images.device):
            losses = model(images, targets)
        value = torch.stack(list(losses.values())).sum()
        return Loss(value, {name.removeprefix("loss_"): loss.detach() for name, loss in losses.items()})

    def measure(self) -> MeanPrecision:
        return MeanPrecision(self.kinds)

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw some of the test images, above as they are annotated, below as the model sees them."""
        device = next(model.parameters()).device
        images, targets = next(data.test.batches([torch.arange(min(SHOWN, len(data.test)))], 0, device))
        found = [certain(one) for one in model(images)]
        rows = [
            [drawn(image, one, self.info.classes) for image, one in zip(images, ones, strict=True)]
            for ones in (targets, found)
        ]
        write_rows(rows, folder / "detections.png")


class MeanPrecision(Measure):
    """COCO's mean average precision in percent: mAP50-95, over ten overlaps, and mAP50.

    kinds: of what, "bbox" or "segm", each with what its names begin with.
    """

    def __init__(self, kinds: dict[Any, str]) -> None:
        self.kinds = kinds
        # The engine brings the processes together.
        self._metric = MeanAveragePrecision(
            iou_type=tuple(kinds), backend="faster_coco_eval", sync_on_compute=False
        )
        self._metric.warn_on_many_detections = False  # COCO counts the best 100 of an image

    def update(self, model: nn.Module, batch: Batch) -> None:
        images, targets = batch
        kept = {"boxes", "labels", "scores", *(("masks",) if "segm" in self.kinds else ())}
        found = [{name: one[name] for name in kept} for one in model(images)]
        for one in found:
            if "masks" in one:
                one["masks"] = one["masks"][:, 0] > 0.5
        self._metric.update(*moved((found, targets), torch.device("cpu")))

    def state(self) -> dict[str, Any]:
        return dict(self._metric.metric_state)

    def merge(self, states: Sequence[dict[str, Any]]) -> None:
        """Process r of n saw images r, r + n, ...: they are brought back into their order."""
        for name in self._metric.metric_state:
            turns = zip_longest(*(state[name] for state in states))
            merged = [one for turn in turns for one in turn if one is not None]
            setattr(self._metric, name, merged)

    def compute(self) -> dict[str, float]:
        found = self._metric.compute()
        values = {}
        for kind, prefix in self.kinds.items():
            of = f"{kind}_" if len(self.kinds) > 1 else ""
            values[f"{prefix}mAP50-95"] = 100 * float(found[f"{of}map"])
            values[f"{prefix}mAP50"] = 100 * float(found[f"{of}map_50"])
        return values
