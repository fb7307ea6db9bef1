"""Karpathy's format: one JSON file of images, their split and sentences, as for COCO, Flickr30k and RSICD."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bls_bench.data.json_files import listed
from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.files import Described, said_of
from bls_bench.tasks.captioning.splits import SplitPictures


@dataclass(frozen=True, kw_only=True)
class Karpathy(SplitPictures):
    """`root` holds the JSON `file`, and pictures at filepath (if there is one) and filename."""

    file: str = "dataset_coco.json"
    train: tuple[str, ...] = ("train", "restval")
    test: tuple[str, ...] = ("test",)

    def found(self, root: Path) -> tuple[Path, dict[str, list[Described]]]:
        path = root / self.file
        found: dict[str, list[Described]] = {}
        (images,) = listed(path, "images")
        for number, entry in enumerate(images, 1):
            where = f"{path}, image {number}"
            try:
                picture = root / entry.get("filepath", "") / entry["filename"]
                split, raw = entry["split"], [sentence["raw"] for sentence in entry["sentences"]]
            except (KeyError, TypeError, AttributeError):
                raise InputError(
                    f"{where}: needed are filename, split, and sentences that have raw"
                ) from None
            if not raw:
                raise InputError(f"{where}: no caption")
            said = [said_of(sentence, where) for sentence in raw]
            found.setdefault(split, []).append(Described(picture, said))
        return path, found
