"""The format of Pascal VOC: an XML file of boxes for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.detection.annotations import Annotated, Checked, Thing, label_of
from bls_bench.tasks.detection.files import BoxPictures

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


@dataclass(frozen=True, kw_only=True)
class VOC(BoxPictures):
    """`root` holds JPEGImages/, Annotations/ and ImageSets/Main/, there the lists `train` and `test`.

    classes: their names; VOC's twenty unless others are given. Objects that are marked as difficult are
    treated as crowds. VOC has no masks in these files.
    """

    name: str = "voc"
    train: str = "train"
    test: str = "val"
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.masks:
            raise ValueError("masks must be false for VOC, got true")

    def annotations(
        self, root: Path, checked: Checked
    ) -> tuple[Sequence[Annotated], Sequence[Annotated], tuple[str, ...]]:
        train, test = (self._split(root, split, checked) for split in (self.train, self.test))
        return train, test, tuple(self.classes)

    def _split(self, root: Path, split: str, checked: Checked) -> list[Annotated]:
        file = root / "ImageSets" / "Main" / f"{split}.txt"
        try:
            names = [line.split()[0] for line in file.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from None
        return [self._picture(root, name, checked) for name in names]

    def _picture(self, root: Path, name: str, checked: Checked) -> Annotated:
        file, picture = root / "Annotations" / f"{name}.xml", root / "JPEGImages" / f"{name}.jpg"
        if not picture.exists():
            raise InputError(f"{file} is of the image {picture}, which does not exist")
        try:
            tree = ElementTree.parse(file).getroot()
            width, height = (int(_text(tree, f"size/{side}")) for side in ("width", "height"))
            things = [self._thing(entry, file) for entry in tree.iter("object")]
        except InputError:
            raise
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise InputError(f"{file} cannot be read as an annotation of VOC: {folded(error)}") from None
        return checked(picture, width, height, things)

    def _thing(self, entry: ElementTree.Element, file: Path) -> Thing:
        label = label_of(_text(entry, "name"), self.classes, str(file))
        # VOC counts pixels from 1, and the last one belongs to the box.
        left, top = (float(_text(entry, f"bndbox/{side}")) - 1 for side in ("xmin", "ymin"))
        right, bottom = (float(_text(entry, f"bndbox/{side}")) for side in ("xmax", "ymax"))
        crowd = entry.findtext("difficult", "0").strip() == "1"
        return Thing(str(file), (left, top, right, bottom), label, crowd)


def _text(entry: ElementTree.Element, path: str) -> str:
    text = entry.findtext(path)
    if text is None:
        raise ValueError(f"it has no {path}")
    return text.strip()
