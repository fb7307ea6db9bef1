"""Scenes in files: frames of a way through a room, WHU-MVS, and what is wrong with them."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.stereo.frames import RgbdFrames
from bls_bench.tasks.stereo.geometry import warp
from bls_bench.tasks.stereo.whu import WhuMvs

from .helpers import aerial, depths, frames, sight

CPU = torch.device("cpu")
SHARED = Path(__file__).parents[3] / "../shared/data"


def room(root, **options):
    options = {"height": 32, "width": 48, "gap": 1, "workers": 0} | options
    return RgbdFrames(name="room", root=str(root), focal=1.0, near=0.7, far=4.0, **options)


class TestFrames:
    def test_a_frame_and_the_nearest_beside_it(self, tmp_path):
        data = room(frames(tmp_path, 40), gap=2, views=4).load(0)
        (batch,) = data.train.batches([torch.tensor([0, 5])], 0, CPU)
        # The pose is from a camera to the world; a camera to the right sees things further left.
        torch.testing.assert_close(batch.moves[0, :, 0, 3], torch.tensor([-0.1, -0.2, -0.3]))
        torch.testing.assert_close(batch.moves[1, :, 0, 3], torch.tensor([0.1, -0.1, 0.2]))
        assert torch.equal(batch.lenses[0, 0], torch.tensor([48.0, 48.0, 24.0, 16.0]))

    def test_depths_beyond_the_ends_are_unknown(self, tmp_path):
        data = room(frames(tmp_path, values=(0, 500, 900, 4000, 4001, 65535))).load(0)
        (batch,) = data.test.batches([torch.arange(1)], 0, CPU)
        expected = torch.tensor([0.0, 0.0, 0.9, 4.0, 0.0, 0.0]).repeat(8)
        torch.testing.assert_close(batch.depths[0, 0], expected)

    def test_smaller_pictures_keep_their_geometry(self, tmp_path):
        data = room(frames(tmp_path), height=32, width=36).load(0)
        (batch,) = data.test.batches([torch.arange(1)], 0, CPU)
        # As before in height, three quarters in width.
        assert torch.equal(batch.lenses[0, 1], torch.tensor([36.0, 48.0, 18.0, 16.0]))
        assert batch.images.shape == (1, 3, 3, 32, 36)

    def test_the_last_fifth_is_for_testing_and_shares_no_frame(self, tmp_path):
        data = room(frames(tmp_path, 20)).load(0)
        sides = [
            {image.numpy().tobytes() for image in batch.images.flatten(0, 1)}
            for split in (data.train, data.test)
            for batch in split.batches([torch.arange(len(split))], 0, CPU)
        ]
        assert [len(side) for side in sides] == [16, 4]
        assert not sides[0] & sides[1]

    @pytest.mark.parametrize("kept", ["true", "false"])
    def test_the_same_batches_in_memory_or_read_as_needed(self, kept, tmp_path):
        frames(tmp_path)
        some = [torch.tensor([3, 1])]
        batches = [
            next(room(tmp_path, in_memory=one).load(0).train.batches(some, 0, CPU)) for one in ("true", kept)
        ]
        assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))

    def test_what_is_missing_or_wrong_is_named(self, tmp_path):
        def refused(message, **options):
            with pytest.raises(InputError, match=message):
                room(folder, in_memory="true", **options).load(0)
            shutil.rmtree(folder)
            frames(folder)

        folder = frames(tmp_path / "frames")
        pose, depth = folder / "003.txt", folder / "003.png"
        pose.unlink()
        refused(r"003.jpg has no pose .*003.txt")
        np.savetxt(pose, np.eye(4)[:3])
        refused(r"003.txt must hold a pose of 4x4 numbers, it has 12")
        np.savetxt(pose, np.full((4, 4), np.nan))
        refused(r"003.txt holds a pose that is not finite")
        np.savetxt(pose, 2 * np.eye(4))
        refused(r"003.txt holds a pose whose upper left 3x3 numbers are no rotation")
        pose.write_text("one two")
        refused(r"003.txt: could not convert string to float: 'one'")
        depths(depth, [900], (24, 16))
        refused(r"003.png is a map of 24x16 depths, its picture has 48x32")
        depths(depth, [0, 100, 5000])
        refused(r"003.png has no depth between 0.7 and 4 m")
        sight(depth)
        refused(r"003.png must have one channel of 16 bits, it has mode RGB")
        depth.unlink()
        refused(r"003.jpg has no map of depths .*003.png")
        depth.write_bytes(b"none")
        refused(r"003.png cannot be read as an image")
        refused(r"has 0 neighbour frames at dataset.gap=99 among 12 frames, dataset.views=3 needs 2", gap=99)
        refused(r"has no pictures to train on", picture=".gif")


class TestWhu:
    def test_views_of_each_area(self, tmp_path):
        data = WhuMvs(name="whu", root=str(aerial(tmp_path)), height=32, width=48, workers=0).load(0)
        assert (len(data.train), len(data.test)) == (20, 20)
        (batch,) = data.train.batches([torch.tensor([0])], 0, CPU)
        assert batch.images.shape == (1, 5, 3, 32, 48)
        assert (batch.depths == 100).all()
        assert torch.equal(batch.ranges, torch.tensor([[80.0, 120.0]]))
        assert torch.equal(batch.lenses[0, 0], torch.tensor([60.0, 60.0, 24.0, 16.0]))
        # Ten metres apart at half a million: no rounding. Ahead is down to the ground, whose y is flipped.
        assert torch.equal(batch.moves[0, :, 0, 3], torch.tensor([-10.0, -20.0, -30.0, -40.0]))
        torch.testing.assert_close(batch.moves[0, 0, :, :3], torch.eye(3))

    def test_a_point_on_the_ground_is_seen_where_the_files_say(self, tmp_path):
        """Photogrammetry's equations with y up and z backwards, as the files have them, against a warp."""
        data = WhuMvs(name="whu", root=str(aerial(tmp_path)), height=32, width=48, views=2, workers=0).load(0)
        (batch,) = data.train.batches([torch.tensor([0])], 0, CPU)
        place = torch.zeros(1, 1, 32, 48)
        # 6 m right of the first camera and 10 m up, seen by the second, which is 10 m to the right.
        right, up = 6 - 10, 10
        column, row = 24 + 60 * right / 100, 16 - 60 * up / 100
        place[0, 0, int(row), int(column)] = 1
        lenses, depth = (batch.lenses[:, 0], batch.lenses[:, 1]), torch.tensor([[100.0]])
        found = warp(place, lenses, batch.moves[:, 0], depth)[0, 0, 0]
        expected = (16 - 60 * up / 100, 24 + 60 * 6 / 100)
        assert divmod(int(found.argmax()), 48) == (int(expected[0]), int(expected[1]))

    def test_what_is_missing_or_wrong_is_named(self, tmp_path):
        def refused(message, **options):
            options = {"height": 32, "width": 48, "workers": 0, "in_memory": "true"} | options
            with pytest.raises(InputError, match=message):
                WhuMvs(name="whu", root=str(root), **options).load(0)
            shutil.rmtree(root)
            aerial(root)

        root = aerial(tmp_path / "whu")
        camera = root / "train" / "Cams" / "002_35" / "1" / "001.txt"
        camera.unlink()
        refused(r"001.png has no camera .*001.txt")
        camera.write_text(camera.read_text().replace("120.0", "70.0"))
        refused(r"001.txt must hold: extrinsic, 16 numbers, .* all of these above 0")
        camera.write_text("extrinsic\n1 2 3")
        refused(r"001.txt must hold: extrinsic, 16 numbers")
        camera.write_text(camera.read_text().replace("500010", "inf"))
        refused(r"001.txt holds a pose that is not finite")
        (root / "train" / "pair.txt").write_text("5\n0\n4 1 2")
        refused(r"pair.txt must hold how many views there are")
        (root / "test" / "index.txt").unlink()
        refused(r"the list of areas cannot be read: .*index.txt")
        (root / "test" / "index.txt").write_text("008")
        refused(r"there is no folder .*008")
        refused(r"pair.txt has 4 views beside view 0, dataset.views=6 needs 5", views=6)
        depths(root / "train" / "Depths" / "006_8" / "0" / "000.png", [1], (8, 8))
        refused(r"000.png is a map of 8x8 depths, its picture has 48x32")


def test_scene7_of_the_shared_data(tmp_path):
    archive = SHARED / "scene7.tar.xz"
    if not archive.exists():
        pytest.skip("the shared data are not here")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    data = RgbdFrames(
        name="scene7",
        root=str(tmp_path / "scene7"),
        focal=585 / 640,
        gap=8,
        near=0.7,
        far=4.0,
        workers=0,
        in_memory="false",
    ).load(0)
    assert (len(data.train), len(data.test)) == (200, 50)
    (batch,) = data.train.batches([torch.arange(0, 200, 40)], 0, CPU)
    lenses, at = (batch.lenses[:, 0], batch.lenses[:, 1]), batch.depths.flatten(1)[:, None]
    found = warp(batch.images[:, 1], lenses, batch.moves[:, 0], at)[:, :, 0]
    known = (batch.depths > 0)[:, None] & (found != 0)
    apart = [((one - batch.images[:, 0]).abs() * known).sum() for one in (found, batch.images[:, 1])]
    # True depths bring the frames to cover each other, which they do not as they are.
    assert apart[0] < 0.6 * apart[1]
