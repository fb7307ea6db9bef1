"""The views: whole batches beside one sample at a time, and what they leave alone."""

import pytest
import torch
from torchvision.transforms.v2 import functional as slow

from bls_bench.data.augment import CropFlip, Cutout
from bls_bench.data.base import Images
from bls_bench.tasks.semisupervised.images import COLOURS, MOVES, Strong, Weak, changed, moved, recoloured
from bls_bench.tasks.semisupervised.sound import Strong as StrongSound
from bls_bench.tasks.semisupervised.sound import Weak as WeakSound
from bls_bench.tasks.semisupervised.texts import HIDDEN, Hidden, Padded, uniform

INFO = Images(3, 16, tuple("ab"), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))


@pytest.fixture
def pixels():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_colours_are_those_of_torchvision_image_by_image(pixels):
    strength = torch.linspace(0.05, 0.95, 6)
    found = recoloured(pixels, strength[:, None, None, None])
    assert len(found) == COLOURS
    for i, (image, u) in enumerate(zip(pixels, strength.tolist(), strict=True)):
        factor = 0.05 + 0.9 * u
        expected = {
            0: image,
            1: slow.adjust_brightness(image, factor),
            2: slow.adjust_contrast(image, factor),
            3: slow.adjust_saturation(image, factor),
            6: slow.solarize(image, u),
            7: slow.autocontrast(image),
        }
        for number, value in expected.items():
            torch.testing.assert_close(found[number][i], value, atol=2e-3, rtol=0)
        assert len(found[5][i].unique()) <= 2 ** (4 + int(4 * u))
        assert found[4][i].std() < image.std()


def test_an_image_without_contrast_stays():
    flat = torch.full((1, 3, 16, 16), 0.3)
    for image in (*recoloured(flat, torch.tensor(0.5).view(1, 1, 1, 1))[2:5],):
        torch.testing.assert_close(image, flat)
    torch.testing.assert_close(recoloured(flat, torch.zeros(1, 1, 1, 1))[7], flat)


def test_moves_are_those_of_torchvision_image_by_image(pixels):
    which, strength = torch.tensor([-1, 0, 3, 4, 1, 0]), torch.tensor([0.9, 0.5, 0.25, -0.5, 0.5, -1.0])
    found = moved(pixels, which, strength)
    torch.testing.assert_close(found[0], pixels[0], atol=1e-5, rtol=0)
    bilinear = {"interpolation": slow.InterpolationMode.BILINEAR}
    for i in (1, 5):
        turned = slow.rotate(pixels[i], float(strength[i]) * 30, **bilinear)
        torch.testing.assert_close(found[i], turned, atol=1e-4, rtol=0)
    # 0.6 of half the side times the strength: 1.2 pixels to the left, 2.4 down.
    for i, (right, down) in {2: (-1.2, 0.0), 3: (0.0, 2.4)}.items():
        at = torch.arange(3, 13)
        low = pixels[i].roll((int(down // 1), int(right // 1)), (1, 2))
        high = pixels[i].roll((int(down // 1) + (down != 0), int(right // 1) + (right != 0)), (1, 2))
        share = (down or right) % 1
        expected = low + (high - low) * share
        torch.testing.assert_close(found[i][:, at][:, :, at], expected[:, at][:, :, at], atol=1e-4, rtol=0)


def test_all_operations_come_up_and_an_image_is_changed_as_alone(pixels):
    many = pixels[:1].repeat(4 * (COLOURS + MOVES), 1, 1, 1)
    choice = (torch.arange(len(many)) + 0.5) / len(many)
    strength = torch.full((len(many),), 0.8)
    found = changed(many, choice, strength)
    assert len(found.flatten(1).unique(dim=0)) == COLOURS + MOVES
    alone = [changed(many[i : i + 1], choice[i : i + 1], strength[i : i + 1]) for i in range(0, len(many), 9)]
    torch.testing.assert_close(torch.cat(alone), found[::9])


def test_the_strong_view_of_images_is_the_weak_one_changed_and_cut_out(pixels):
    weak = Weak(INFO, CropFlip(padding=2, reflect=True, flip=True))
    strong, inputs = Strong(weak, Cutout(8, 16)), weak.normalised(pixels)
    draws = strong.draw(6, torch.Generator().manual_seed(1))
    draws[:, 0] = draws[:, 2] = 0.01  # both times the operation that changes nothing
    seen = strong(inputs, draws)
    plain = weak(inputs, draws[:, 6:])
    kept = seen != 0
    torch.testing.assert_close(seen[kept], plain[kept], atol=1e-4, rtol=1e-4)
    assert (~kept).flatten(1).sum(1).min() >= 3 * 16  # a quarter of the square at least
    assert not torch.equal(plain, inputs)


def test_a_sound_as_fast_and_loud_as_before_stays():
    waves = torch.randn(3, 200)
    strong = StrongSound(WeakSound(shift=True))
    draws = torch.tensor([[0.0, 0.5, 0.5, 0, 0, 0, 0]]).repeat(3, 1)
    torch.testing.assert_close(strong(waves, draws), waves)
    draws[:, 0] = 0.25
    torch.testing.assert_close(strong(waves, draws), waves.roll(-50, 1))
    draws[:, 2] = 1.0
    torch.testing.assert_close(strong(waves, draws), 2 * waves.roll(-50, 1))
    draws[:, 3:5] = torch.tensor([0.5, 0.5])
    silent = (strong(waves, draws) == 0).all(0).nonzero()[:, 0]
    assert silent.tolist() == list(range(100, 120))


def test_a_faster_sound_is_higher():
    rate = torch.arange(400) / 400
    wave = (2 * torch.pi * 20 * rate).sin()[None]
    strong = StrongSound(WeakSound(shift=False))
    for speed, expected in ((1.0, 25), (0.0, 16)):
        draws = torch.tensor([[0.0, speed, 0.5, 0, 0, 0, 0]])
        assert int(torch.fft.rfft(strong(wave, draws)).abs().argmax()) == expected
    assert not WeakSound(shift=False).draw(5, torch.Generator()).any()


def test_some_inner_tokens_are_hidden_and_no_others():
    lengths = torch.tensor([3, 40, 2, 64])
    shown = (torch.arange(64) < lengths[:, None]).long()
    inputs = {"input_ids": torch.ones(4, 64, dtype=torch.long), "attention_mask": shown}
    view, share = Hidden(), []
    for seed in range(50):
        draws = view.draw(4, torch.Generator().manual_seed(seed))
        seen = view(inputs, draws)["attention_mask"]
        assert torch.equal(
            view({k: v[1:2] for k, v in inputs.items()}, draws[1:2])["attention_mask"], seen[1:2]
        )
        assert not (seen > shown).any()
        assert seen[:, 0].all()
        assert seen.gather(1, lengths[:, None] - 1).all()
        share.append(1 - float(seen[3, 1:63].float().mean()))
    assert sum(share) / 50 == pytest.approx(HIDDEN, abs=0.03)


def test_numbers_from_one_seed_are_uniform():
    numbers = uniform(torch.arange(500)[:, None], torch.arange(100))
    counts = numbers.flatten().histc(10, 0, 1)
    assert counts.min() > 4700
    assert counts.max() < 5300
    assert len(numbers[:, 0].unique()) == 500


def test_texts_are_joined_by_padding():
    parts = [
        {"input_ids": torch.full((2, n), n), "attention_mask": torch.ones(2, n, dtype=torch.long)}
        for n in (3, 5)
    ]
    joined = Padded(16).joined(parts)
    assert joined["input_ids"].shape == (4, 5)
    assert joined["attention_mask"].sum(1).tolist() == [3, 3, 5, 5]
