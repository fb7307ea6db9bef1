"""Penn-Fudan: street pictures, each with an image that numbers the pixels of its pedestrians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bls_bench.data.decoding import opened
from bls_bench.data.letterbox import Letterbox
from bls_bench.data.trees import Tree
from bls_bench.system.errors import InputError, folded
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream
from bls_bench.tasks.detection.annotations import Annotated, Checked, Thing
from bls_bench.tasks.detection.files import BoxPictures

if TYPE_CHECKING:
    from torch import Tensor

# Of the names that the folders have, as published and as they are often copied.
FOLDERS = (("PNGImages", "PedMasks"), ("images", "masks"))
TEST = 40


@dataclass(frozen=True, kw_only=True)
class PennFudan(BoxPictures):
    """`root` holds PNGImages/ and PedMasks/, or images/ and masks/. Of the 170 pictures 40, always the
    same, are tested on. A mask has 0 where nothing is, and k where pedestrian k is.
    """

    name: str = "pennfudan"

    def annotations(
        self, root: Path, checked: Checked
    ) -> tuple[Sequence[Annotated], Sequence[Annotated], tuple[str, ...]]:
        found = next(((root / a, root / b) for a, b in FOLDERS if (root / a).is_dir()), None)
        if found is None:
            raise InputError(f"dataset.root={root} has neither a folder PNGImages nor images")
        tree = Tree(found[0])
        pictures = [self._picture(path, found[1], checked) for path in sorted(map(Path, tree.files()))]
        tree.tell()
        order = torch.randperm(len(pictures), generator=stream(0, "pennfudan")).tolist()
        count = min(TEST, len(pictures) // 4)
        test = [pictures[at] for at in sorted(order[:count])]
        return [pictures[at] for at in sorted(order[count:])], test, ("person",)

    def _picture(self, path: Path, folder: Path, checked: Checked) -> Annotated:
        names = (f"{path.stem}.png", f"{path.stem}_mask.png")
        file = next((folder / name for name in names if (folder / name).exists()), None)
        if file is None:
            raise InputError(f"{path} has no mask {folder / names[0]}")
        numbers = _numbers(file)
        height, width = numbers.shape
        things = []
        for number in numbers.unique().tolist():
            if number:
                rows, columns = (numbers == number).nonzero().T
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                left, top, right, bottom = (float(side) for side in box)
                things.append(Thing(str(file), (left, top, right, bottom), 1, outline=(file, number)))
        try:
            with opened(path) as picture:
                size = picture.size
        except OSError as error:
            raise InputError(f"{path} cannot be read as an image: {folded(error)}") from None
        if size != (width, height):
            raise InputError(
                f"{file} has a mask of {width}x{height} pixels, its image has {size[0]}x{size[1]}"
            )
        return checked(path, width, height, things)

    def draw(self, picture: Annotated, box: Letterbox) -> Tensor:
        if not picture.outlines:
            return torch.zeros(0, box.size, box.size, dtype=torch.bool)
        files, numbers = zip(*picture.outlines, strict=True)
        placed = box.labels(_numbers(files[0])[None], 0)
        return placed == torch.tensor(numbers, dtype=torch.uint8)[:, None, None]


def _numbers(file: Path) -> Tensor:
    """Return (H, W) uint8 of a mask."""
    try:
        with opened(file) as mask:
            if mask.mode not in ("L", "P"):
                raise InputError(f"{file} must have one channel of 8 bits, it has the mode {mask.mode}")
            width, height = mask.size
            pixels = bytearray(mask.tobytes())
    except OSError as error:
        raise InputError(f"{file} cannot be read as an image: {folded(error)}") from None
    return torch.frombuffer(pixels, dtype=torch.uint8).view(height, width)
