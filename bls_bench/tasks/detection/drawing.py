"""Boxes and masks drawn on images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor
from torchvision.ops import nms
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.drawing import enlarged
from bls_bench.tasks.showing import batches, picture

# Detections below this score are not drawn.
CERTAIN = 0.4
COLOURS = ("red", "lime", "blue", "yellow", "magenta", "cyan", "orange", "white", "deeppink", "springgreen")


def certain(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keep the detections that have a high score, and of several on one place the best."""
    keep = nms(found["boxes"], found["scores"], 0.5)
    keep = keep[found["scores"][keep] >= CERTAIN]
    return {name: values[keep] for name, values in found.items()}


def drawn(image: Tensor, on_it: Mapping[str, Tensor], classes: Sequence[str]) -> Tensor:
    """Draw boxes with classes and scores, and masks, on an image (3, S, S) in [0, 1].

    on_it: "boxes" (k, 4) and "labels" (k,) from 1, maybe "scores" (k,), "masks" (k, S, S) bool or
    (k, 1, S, S) in [0, 1]. Returns (3, T, T) uint8 on the CPU.
    """
    picture, factor = enlarged(image)
    labels = on_it["labels"].tolist()
    if not labels:
        return picture
    colours = [COLOURS[label % len(COLOURS)] for label in labels]
    texts = [classes[label - 1] for label in labels]
    if "scores" in on_it:
        texts = [f"{text} {score:.2f}" for text, score in zip(texts, on_it["scores"].tolist(), strict=True)]
    if "masks" in on_it:
        masks = on_it["masks"].cpu().view(-1, *image.shape[1:]) > 0.5
        masks = masks.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        picture = draw_segmentation_masks(picture, masks, alpha=0.5, colors=colours)
    return draw_bounding_boxes(picture, on_it["boxes"].cpu() * factor, texts, colours)


def annotated(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield training images (n,) with their boxes, and masks where they have some, and what is on them."""
    names = data.info.classes
    for images, targets in batches(data, indices):
        for image, on_it in zip(images, targets, strict=True):
            labels = [names[label - 1] for label in on_it["labels"].tolist()]
            yield Shown(", ".join(labels) or "nothing", picture(drawn(image, on_it, names)))
