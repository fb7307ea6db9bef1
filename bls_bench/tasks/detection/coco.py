"""The format of COCO: one JSON file of boxes and outlines for each folder of pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bls_bench.data.json_files import listed
from bls_bench.data.letterbox import Letterbox
from bls_bench.system.errors import InputError, folded
from bls_bench.system.lazy import Lazy, torch
from bls_bench.tasks.detection.annotations import Annotated, Checked, Thing
from bls_bench.tasks.detection.files import BoxPictures

if TYPE_CHECKING:
    from faster_coco_eval.core import mask as rle
    from torch import Tensor
else:
    rle = Lazy("faster_coco_eval.core.mask")

LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True, kw_only=True)
class COCO(BoxPictures):
    """`root` holds, for each of the splits `train` and `test`, a folder of that name with pictures, and
    annotations/instances_NAME.json. masks are drawn from the polygons or run lengths there.
    """

    name: str = "coco"
    train: str = "train2017"
    test: str = "val2017"

    def annotations(
        self, root: Path, checked: Checked
    ) -> tuple[Sequence[Annotated], Sequence[Annotated], tuple[str, ...]]:
        files = [root / "annotations" / f"instances_{split}.json" for split in (self.train, self.test)]
        train, test = (dict(zip(LISTS, listed(file, *LISTS), strict=True)) for file in files)
        classes = _classes(train, files[0])
        if _classes(test, files[1]) != classes:
            raise InputError(f"{files[1]} has other categories than {files[0]}")
        of = [
            _pictures(content, file, root / split, list(classes), checked)
            for content, file, split in zip((train, test), files, (self.train, self.test), strict=True)
        ]
        return of[0], of[1], tuple(classes.values())

    def draw(self, picture: Annotated, box: Letterbox) -> Tensor:
        masks = [_mask(outline, box) for outline in picture.outlines]
        return torch.stack(masks) if masks else torch.zeros(0, box.size, box.size, dtype=torch.bool)


def _classes(content: Mapping[str, Any], file: Path) -> dict[int, str]:
    """Return the names of the categories by their ids, ascending: the labels follow that order, from 1."""
    try:
        classes = {entry["id"]: entry["name"] for entry in content["categories"]}
    except (KeyError, TypeError):
        raise InputError(f"{file}: a category must have an id and a name") from None
    if not classes:
        raise InputError(f"{file} has no categories")
    return dict(sorted(classes.items()))


def _pictures(
    content: Mapping[str, Any], file: Path, folder: Path, ids: list[int], checked: Checked
) -> list[Annotated]:
    things: dict[int, list[Thing]] = defaultdict(list)
    labels = {category: label for label, category in enumerate(ids, 1)}
    try:
        sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
        for entry in content["annotations"]:
            things[entry["image_id"]].append(
                _thing(entry, f"{file}: annotation {entry['id']}", labels, sizes)
            )
        return [
            checked(folder / image["file_name"], image["width"], image["height"], things[image["id"]])
            for image in content["images"]
        ]
    except (KeyError, TypeError) as error:
        raise InputError(f"{file}: an image or annotation lacks what COCO's have: {folded(error)}") from None


def _thing(
    entry: Mapping[str, Any], what: str, labels: Mapping[int, int], sizes: Mapping[int, tuple[int, int]]
) -> Thing:
    if entry["image_id"] not in sizes:
        raise InputError(f"{what} is of image {entry['image_id']}, which is not among the images")
    if entry["category_id"] not in labels:
        raise InputError(
            f"{what} has category {entry['category_id']}, allowed are {', '.join(map(str, labels))}"
        )
    outline = entry.get("segmentation")
    size = sizes[entry["image_id"]]
    if isinstance(outline, dict) and tuple(outline["size"]) != size:
        found, wanted = ("x".join(map(str, reversed(pair))) for pair in (outline["size"], size))
        raise InputError(f"{what} has a mask of {found} pixels, its image has {wanted}")
    left, top, width, height = entry["bbox"]
    crowd = bool(entry.get("iscrowd", 0))
    return Thing(what, (left, top, left + width, top + height), labels[entry["category_id"]], crowd, outline)


def _mask(outline: Any, box: Letterbox) -> Tensor:
    """Draw an outline, polygons in pixels or run lengths of the whole picture, into the square."""
    if isinstance(outline, dict):
        if isinstance(outline["counts"], list):
            outline = rle.frPyObjects(outline, *outline["size"])
        return box.labels(torch.from_numpy(rle.decode(outline))[None], 0)[0].bool()
    if not outline:
        return torch.zeros(box.size, box.size, dtype=torch.bool)
    polygons = [box.points(torch.tensor(ring).view(-1, 2)).flatten().tolist() for ring in outline]
    drawn = rle.decode(rle.merge(rle.frPyObjects(polygons, box.size, box.size)))
    return torch.from_numpy(drawn).bool()
