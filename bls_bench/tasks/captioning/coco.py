"""COCO Captions as published: a JSON file of images and annotations for each folder of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bls_bench.data.json_files import listed
from bls_bench.data.pictures import check_apart
from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.files import CaptionedPictures, Described, said_of


@dataclass(frozen=True, kw_only=True)
class COCOCaptions(CaptionedPictures):
    """`root` holds, for each of the splits `train` and `test`, a folder of that name with pictures, and
    annotations/captions_NAME.json. Pictures without a caption are refused.
    """

    name: str = "coco_captions"
    train: str = "train2017"
    test: str = "val2017"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_apart([self.train], [self.test])

    def described(self, root: Path) -> tuple[Sequence[Described], Sequence[Described]]:
        return _described(root, self.train), _described(root, self.test)


def _described(root: Path, split: str) -> Sequence[Described]:
    file = root / "annotations" / f"captions_{split}.json"
    images, annotations = listed(file, "images", "annotations")
    try:
        names = {entry["id"]: str(entry["file_name"]) for entry in images}
        captions = [(entry["image_id"], entry["caption"]) for entry in annotations]
    except (KeyError, TypeError):
        raise InputError(
            f"{file}: an image must have an id and a file_name, an annotation an image_id and a caption"
        ) from None
    said: dict[object, list[tuple[str, ...]]] = {}
    for number, (image, caption) in enumerate(captions, 1):
        where = f"{file}, annotation {number}"
        if image not in names:
            raise InputError(f"{where}: a caption of the image {image}, which is not there")
        said.setdefault(image, []).append(said_of(caption, where))
    for image, name in names.items():
        if image not in said:
            raise InputError(f"{file}: the image {name} has no caption")
    return [Described(root / split / name, said[image]) for image, name in names.items()]
