"""What the data sets of photographs share: how their training images are augmented."""

from dataclasses import dataclass

from bls_bench.data.augment import CropFlip, Cutout, ResizedCrop
from bls_bench.data.classes import ClassDataset
from bls_bench.data.split import Pixels

CROPS = ("auto", "reflect", "zero", "resized", "none")


@dataclass(frozen=True, kw_only=True)
class Photographs(ClassDataset):
    """`crop` is the random crop, beside which images are mirrored at random.

    reflect and zero pad every side by an eighth, mirrored or black, and crop the old size; resized is
    ImageNet's crop of random size and shape; none only mirrors; auto is reflect, but resized above 64
    pixels. `cutout` is the side of a square that becomes the mean colour, 0 for none.
    """

    crop: str = "auto"
    cutout: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop not in CROPS:
            raise ValueError(f"crop must be one of {', '.join(CROPS)}, got {self.crop!r}")
        if self.cutout < 0:
            raise ValueError(f"cutout must be at least 0, got {self.cutout}")

    def augmented(self, mean: tuple[float, ...], std: tuple[float, ...], size: int, cropped: bool) -> Pixels:
        """Return the pixels of the training images, of side `size`; `cropped`: they are so already."""
        crop: CropFlip | ResizedCrop | None = None
        random = self.augment and not cropped
        if random and self.crop == "resized":
            crop = ResizedCrop(size, flip=True)
        elif random and self.crop == "none":
            crop = CropFlip(padding=0, reflect=False, flip=True)
        elif random:
            crop = CropFlip(padding=size // 8, reflect=self.crop != "zero", flip=True)
        return Pixels(mean, std, crop, Cutout(self.cutout, size) if self.cutout else None)
