"""Pictures of words with what is written on them, and what is read."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

# Of one picture, and of the line below it, in pixels.
WIDTH, LINE, MARGIN, COLUMNS = 256, 22, 8, 4


def captioned(images: Tensor, texts: Sequence[str]) -> Image.Image:
    """Return a sheet of images (n, 3, H, W) in [0, 1], in rows of four, each with its text below it."""
    height = round(WIDTH * images.shape[2] / images.shape[3])
    cell = WIDTH + MARGIN, height + LINE + MARGIN
    rows = -(-len(texts) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell[0] + MARGIN, rows * cell[1] + MARGIN), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for at, (image, text) in enumerate(zip(images, texts, strict=True)):
        left, top = MARGIN + at % COLUMNS * cell[0], MARGIN + at // COLUMNS * cell[1]
        sheet.paste(to_pil_image(image.cpu().clamp(0, 1)).resize((WIDTH, height)), (left, top))
        pen.text((left, top + height + 2), text, "black", font)
    return sheet
