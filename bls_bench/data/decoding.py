"""Image files to pictures of 8 bits a channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from bls_bench.system.errors import InputError, folded
from bls_bench.system.processes import process_rank

if TYPE_CHECKING:
    from torch import Tensor

# TIFF's tags for the bits of a sample, the largest value and the kind of numbers, and the kind with a sign.
BITS, LARGEST, KIND, SIGNED = 258, 281, 339, 2
# So many files are looked at to tell what will be scaled.
LOOKED_AT = 100


def decode(
    path: str, transform: Callable[[Image.Image], Tensor], exif: bool = False, content: bytes | None = None
) -> Tensor:
    """Read an image file as RGB and transform it. exif: turn it first as its orientation tag says.

    content: of the file, where it is no file of its own; `path` then only names it.
    Whole numbers of more than 8 bits are scaled by the range of their type. Raises InputError, naming the
    file, if it cannot be read, is no regular file, holds floating-point numbers, whose range nothing tells,
    or would turn black.
    """
    try:
        with opened(path) if content is None else Image.open(BytesIO(content)) as image:
            picture = to_8_bits(image) if is_deep(image) else image
            if exif:
                picture = ImageOps.exif_transpose(picture)
            return transform(picture.convert("RGB"))
    except Exception as error:  # Pillow's formats fail in many ways: OSError, SyntaxError, struct.error...
        raise InputError(f"{path} cannot be decoded as an image: {_first_line(error)}") from error


def opened(path: str | Path) -> Image.Image:
    """Open an image file; raises OSError also for a pipe, which would never end."""
    if Path(path).exists() and not Path(path).is_file():
        raise OSError("it is no regular file")
    return Image.open(path)


def size_of(file: Path) -> tuple[int, int]:
    """Return width and height, of the header alone. Raises InputError if it cannot be read."""
    try:
        with opened(file) as picture:
            return picture.size
    except OSError as error:
        raise InputError(f"{file} cannot be read as an image: {folded(error)}") from None


def is_deep(image: Image.Image) -> bool:
    """Whether it has one channel of more than 8 bits; Pillow scales those of colour by itself."""
    return image.mode.startswith(("I", "F"))


def to_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey picture of 8 bits of one that has more, scaled by its type. Raises ValueError."""
    values, top = _values(image)
    if values.min() < 0:
        raise ValueError(f"it has values below 0, the least is {values.min()}: convert it")
    scaled = np.rint(values * (255 / top)).astype(np.uint8)
    if values.any() and not scaled.any():
        raise ValueError(f"its values end at {values.max()} of {top} and would all turn black: convert it")
    grey = Image.fromarray(scaled)
    grey.info["exif"] = image.getexif().tobytes()
    return grey


def tell_depth(paths: Sequence[str]) -> None:
    """Print, in one line of the first process, that images of more than 8 bits are scaled.

    Looked at are LOOKED_AT files, spread over all. One that cannot be read is left to its decoding.
    """
    if process_rank()[0] != 0:
        return
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        try:
            with opened(path) as image:
                if not is_deep(image) or image.mode == "F":
                    continue
                values, top = _values(image)
        except Exception:  # as many kinds as there are formats
            continue
        dark = f"; its own end at {values.max()}" if values.max() < top / 8 else ""
        print(f"{path} has more than 8 bits: such images are scaled from 0 ... {top} to 0 ... 255{dark}")
        return


def _values(image: Image.Image) -> tuple[np.ndarray, int]:
    """Return the values of a channel and the largest that its type holds. Raises ValueError for floats."""
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers, whose range nothing tells: convert it")
    values, tags = np.asarray(image), dict(image.tag_v2) if isinstance(image, TiffImageFile) else {}
    if LARGEST in tags:
        return values, int(np.max(tags[LARGEST]))
    # Pillow brings every other format to 16 bits.
    bits, signed = int(np.max(tags.get(BITS, 16))), np.max(tags.get(KIND, 1)) == SIGNED
    if bits == 32 and not signed:
        values = values.view(np.uint32)
    return values, 2 ** (bits - signed) - 1


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
