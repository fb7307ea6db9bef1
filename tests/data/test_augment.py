"""Resized crop and cutout of whole batches equal torchvision's, image by image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, ks_2samp
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as vision

from bls_bench.data.augment import CropFlip, Cutout, ResizedCrop
from bls_bench.data.split import MemorySplit, Pixels
from tests.helpers import CPU

from .helpers import generator, random_images, read


@given(
    size=st.integers(4, 9),
    padding=st.integers(0, 3),
    reflect=st.booleans(),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_crop_and_flip_equal_torchvisions_on_each_image(size, padding, reflect, channels, seed):
    images = random_images(6, size, channels, seed)
    augment = CropFlip(padding=padding, reflect=reflect, flip=True)
    draws = augment.draw(6, generator(seed))
    mode = "reflect" if reflect else "constant"
    expected = []
    for image, (down, right, mirror) in zip(images, draws.tolist(), strict=True):
        crop = vision.crop(vision.pad(image, [padding] * 4, padding_mode=mode), down, right, size, size)
        expected.append(vision.horizontal_flip(crop) if mirror else crop)
    assert torch.equal(augment(images, draws), torch.stack(expected))


def test_every_crop_is_equally_likely_and_every_second_image_is_mirrored():
    draws = CropFlip(padding=2, reflect=True, flip=True).draw(50_000, generator())
    cells = (draws[:, 0] * 5 + draws[:, 1]) * 2 + draws[:, 2]
    counts = cells.bincount()
    assert len(counts) == 50
    assert chisquare(counts).pvalue > 1e-3
    assert not CropFlip(padding=2, reflect=True, flip=False).draw(1000, generator())[:, 2].any()


@given(size=st.integers(4, 40), seed=st.integers(0, 1000), flip=st.booleans())
def test_a_resized_crop_is_torchvisions(size, seed, flip):
    images = random_images(6, size, 3, seed)
    augment = ResizedCrop(size, flip)
    draws = augment.draw(6, generator(seed))
    expected = []
    for image, (top, left, height, width, mirror) in zip(images.float(), draws.tolist(), strict=True):
        crop = vision.resized_crop(image, top, left, height, width, [size, size])
        expected.append(vision.horizontal_flip(crop) if mirror else crop)
    # Positions of up to `size` are computed in float32, and one pixel's step changes it by 255 at most.
    bound = 255 * size * 8 * torch.finfo(torch.float32).eps
    torch.testing.assert_close(augment(images, draws), torch.stack(expected), rtol=0, atol=bound)


def test_boxes_are_drawn_as_torchvisions():
    size, count = 32, 4000
    draws = ResizedCrop(size, flip=True).draw(count, generator()).T
    image = torch.zeros(3, size, size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        boxes = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    theirs = torch.tensor(boxes).T
    for law in (*range(4), lambda box: box[2] * box[3], lambda box: box[2] / box[3]):
        ours, wanted = ((law(b) if callable(law) else b[law]).numpy() for b in (draws, theirs))
        assert ks_2samp(ours, wanted).pvalue > 1e-3
    assert abs(draws[4].float().mean() - 0.5) < 0.04


@given(size=st.integers(2, 9), side=st.integers(1, 12), seed=st.integers(0, 1000))
def test_cutout_erases_a_square_cut_at_the_edges(size, side, seed):
    inputs = torch.randn(6, 3, size, size, generator=generator(seed))
    cutout = Cutout(side, size)
    draws = cutout.draw(6, generator(seed))
    expected = []
    for image, (row, column) in zip(inputs, draws.tolist(), strict=True):
        top, left = row - side // 2, column - side // 2
        bottom, right = min(top + side, size), min(left + side, size)
        top, left = max(top, 0), max(left, 0)
        expected.append(vision.erase(image, top, left, bottom - top, right - left, torch.zeros(3, 1, 1)))
    assert torch.equal(cutout(inputs.clone(), draws), torch.stack(expected))


def test_every_centre_is_equally_likely():
    draws = Cutout(3, 7).draw(50_000, generator())
    counts = (draws[:, 0] * 7 + draws[:, 1]).bincount()
    assert len(counts) == 49
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("crop", [CropFlip(2, True, True), ResizedCrop(8, True)])
def test_cutout_leaves_the_crop_as_it_was(crop):
    plain, cut = (
        read(
            MemorySplit(
                random_images(12), torch.zeros(12).long(), Pixels((0,) * 3, (1,) * 3, crop, square), 0
            )
        )
        for square in (None, Cutout(4, 8))
    )
    erased = cut == 0
    assert 0 < erased.float().mean() < 1
    assert torch.equal(cut[~erased], plain[~erased])


@pytest.mark.parametrize(("size", "last"), [(16, False), (32, True)])
def test_batches_are_channels_last_where_that_pays(size, last):
    pixels = Pixels((0.5,) * 3, (0.2,) * 3, CropFlip(2, True, True))
    split = MemorySplit(random_images(12, size), torch.zeros(12).long(), pixels, 0)
    inputs, _ = next(split.batches([torch.arange(5)], 0, CPU))
    assert inputs.is_contiguous(memory_format=torch.channels_last) is last
    assert inputs.is_contiguous() is not last
