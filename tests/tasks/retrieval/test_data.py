"""Pairs of views: scenes, frames of a film, lists of files, and what is wrong in them."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from bls_bench.system.errors import InputError
from bls_bench.tasks.retrieval.frames import FramePairs, neighbours
from bls_bench.tasks.retrieval.listed import ListedPairs
from bls_bench.tasks.retrieval.scenes import SceneViews

CPU = torch.device("cpu")
PLAIN = {"image_size": 32, "workers": 0}


def first(split, count, epoch=0):
    (batch,) = split.batches([torch.arange(count)], epoch, CPU)
    return batch


def frames(root, count):
    root.mkdir(exist_ok=True)
    for at in range(count):
        Image.new("RGB", (40, 30), (10 * at, 90, 200)).save(root / f"{at:03}.jpg", quality=95)
    return root


class TestScenes:
    def test_both_views_are_of_the_same_scene(self):
        data = SceneViews(images=40).load(0)
        assert (len(data.train), len(data.test)) == (40, 10)
        batch = first(data.test, 10)
        assert batch.queries.shape == batch.places.shape == (10, 3, 48, 48)
        assert torch.equal(batch.queries[:, 0], batch.queries[:, 1])  # grey
        # A turn leaves how much is dark about as it is, a negative makes light of it.
        light = torch.stack([1 - batch.queries.mean((1, 2, 3)), batch.places.mean((1, 2, 3))])
        assert torch.corrcoef(light)[0, 1] > 0.8
        again = first(SceneViews(images=40).load(1).test, 10)
        assert torch.equal(batch.queries, again.queries)

    def test_the_views_are_moved_each_by_itself_and_the_same_in_any_batch(self):
        data = SceneViews(images=24).load(0)
        whole = first(data.train, 24, epoch=2)
        (some,) = data.train.batches([torch.tensor([7, 3])], 2, CPU)
        assert torch.equal(some.queries, whole.queries[[7, 3]])
        assert torch.equal(some.places, whole.places[[7, 3]])
        still = first(data.train.plain(), 24)
        moved = [(one - other).abs().mean((1, 2, 3)) for one, other in zip(whole[:2], still[:2], strict=True)]
        assert (moved[0] > 0).all()
        assert not torch.allclose(moved[0], moved[1])


class TestFrames:
    def test_no_frame_is_in_two_pairs(self):
        names = [Path(str(at)) for at in range(11)]
        for gap, expected in (
            (1, [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]),
            (2, [(0, 2), (1, 3), (4, 6), (5, 7), (8, 10)]),
        ):
            pairs = [(int(str(one)), int(str(other))) for one, other in neighbours(names, gap)]
            assert pairs == expected

    @pytest.mark.parametrize("kept", ["true", "false"])
    def test_frames_of_a_folder(self, kept, tmp_path):
        data = FramePairs(root=str(frames(tmp_path, 20)), in_memory=kept, **PLAIN).load(0)
        assert (len(data.train), len(data.test)) == (8, 2)
        batch = first(data.test, 2)
        shades = (255 * torch.stack([batch.queries, batch.places])[:, :, 0, 0, 0]).round() / 10
        torch.testing.assert_close(shades, torch.tensor([[16.0, 18], [17, 19]]), atol=0.3, rtol=0)

    def test_too_few(self, tmp_path):
        with pytest.raises(InputError, match=r"has 4 frames, too few for pairs on both sides"):
            FramePairs(root=str(frames(tmp_path, 4)), **PLAIN).load(0)


def listed(root, lines="001.jpg,000.jpg,more\n003.jpg,002.jpg,more\n", **options):
    frames(root, 4)
    for name in ("train.csv", "val.csv"):
        (root / name).write_text(lines)
    return ListedPairs(name="pairs", root=str(root), train="train.csv", test="val.csv", **PLAIN | options)


class TestLists:
    def test_columns(self, tmp_path):
        data = listed(tmp_path).load(0)
        batch = first(data.test, 2)
        for views, at in ((batch.queries, [0, 2]), (batch.places, [1, 3])):
            shades = (255 * views[:, 0, 16, 16]).round() / 10
            torch.testing.assert_close(shades, torch.tensor(at).float(), atol=0.3, rtol=0)

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ("000.jpg,001.jpg\n009.jpg,000.jpg\n", r"009.jpg is in a pair, but is not there"),
            ("000.jpg,001.jpg\n,000.jpg\n", r"train.csv, line 2: needed are files in 2 columns"),
            ('000.jpg,001.jpg\n"a"b,c\n', r"train.csv, line 2: '?,'? expected after"),
            ("000.jpg\n", r"train.csv, line 1: needed are files in 2 columns, got \['000.jpg'\]"),
            ("", r"train.csv is empty"),
        ],
    )
    def test_bad_lists(self, lines, message, tmp_path):
        with pytest.raises(InputError, match=message):
            listed(tmp_path, lines).load(0)


@pytest.mark.parametrize("exif", [False, True])
def test_orientation_tags_are_followed_by_choice(exif, tmp_path):
    frames(tmp_path, 10)
    for path in tmp_path.rglob("*.jpg"):
        with Image.open(path) as file:
            picture, tags = file.convert("RGB"), file.getexif()
        # Top-left is white, and the tag says that it was turned by half.
        picture.paste("black", (0, 0, *picture.size))
        picture.paste("white", (0, 0, picture.width // 2, picture.height // 2))
        tags[0x0112] = 3
        picture.save(path, exif=tags)
    data = FramePairs(root=str(tmp_path), exif=exif, **PLAIN).load(0)
    (batch,) = data.test.batches([torch.arange(1)], 0, CPU)
    for image in batch[:2]:
        corners = image[0, 0, [8, -8]][:, [8, -8]]
        bright = [[False, False], [False, True]] if exif else [[True, False], [False, False]]
        assert (corners > 0.5).tolist() == bright
