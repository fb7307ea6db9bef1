"""Planes and what another camera sees of them, against loops over pixels."""

import numpy as np
import pytest
import torch

from bls_bench.tasks.stereo.geometry import planes, rays, warp
from bls_bench.tasks.stereo.models import PlaneSweep
from bls_bench.tasks.stereo.rendered import RANGE, RenderedPlanes
from bls_bench.tasks.stereo.rendering import turned
from bls_bench.tasks.stereo.views import ViewBatch, Views

CPU = torch.device("cpu")


def seen(picture, x, y):
    """Return the colour of (C, h, w) at (x, y), counted from the corner; 0 beyond the edges."""
    height, width = picture.shape[1:]
    left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    total = np.zeros(len(picture))
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < height and 0 <= column < width:
                weight = (1 - abs(x - 0.5 - column)) * (1 - abs(y - 0.5 - row))
                total += weight * picture[:, row, column]
    return total


def slow_warp(picture, own, other, move, depths):
    """Go through each pixel by the homography of each plane that faces the first camera."""
    height, width = picture.shape[1:]
    first, second = (np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) for fx, fy, cx, cy in (own, other))
    found = np.zeros((len(picture), len(depths), height, width))
    for at, depth in enumerate(depths):
        away = np.outer(move[:, 3], [0, 0, 1]) / depth
        homography = second @ (move[:, :3] + away) @ np.linalg.inv(first)
        for row in range(height):
            for column in range(width):
                x, y, z = homography @ [column + 0.5, row + 0.5, 1]
                if z > 0:
                    found[:, at, row, column] = seen(picture, x / z, y / z)
    return found


def test_a_warp_is_the_homography_of_each_plane_pixel_by_pixel():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 6, 8, generator=generator)
    lenses = torch.tensor([[[7.0, 8, 4, 3], [8, 7, 3.5, 3.2]], [[9.0, 9, 4, 3], [6, 6, 4, 2.5]]])
    angles = torch.tensor([[0.1, -0.2, 0.3], [0.0, 2.0, 0.0]])  # the second looks mostly away
    shifts = torch.tensor([[0.3, -0.1, 0.2], [0.1, 0.0, 1.5]])
    move = torch.cat([turned(angles), shifts[..., None]], 2)
    depths = torch.tensor([[1.0, 2.0, 5.0], [0.5, 1.5, 3.0]])
    found = warp(features, (lenses[:, 0], lenses[:, 1]), move, depths)
    for at in range(2):
        one = (features[at], lenses[at, 0], lenses[at, 1], move[at], depths[at])
        expected = slow_warp(*(value.double().numpy() for value in one))
        assert (expected != 0).any()
        np.testing.assert_allclose(found[at].numpy(), expected, atol=1e-4)


def test_the_same_place_sees_the_same_at_every_depth():
    features = torch.rand(1, 2, 5, 7)
    lens = torch.tensor([[5.0, 5.0, 3.5, 2.5]])
    found = warp(features, (lens, lens), torch.eye(3, 4)[None], torch.tensor([[0.5, 9.0]]))
    torch.testing.assert_close(found, features[:, :, None].expand(-1, -1, 2, -1, -1), atol=1e-5, rtol=0)


def test_planes_go_from_end_to_end_in_even_steps_of_inverse_depth():
    found = planes(torch.tensor([[1.0, 4.0], [200.0, 300.0]]), 4)
    torch.testing.assert_close(found[0], torch.tensor([1.0, 4 / 3, 2.0, 4.0]))
    torch.testing.assert_close(found[1, [0, -1]], torch.tensor([200.0, 300.0]))


def test_rays_see_the_middle_straight_ahead():
    found = rays(torch.tensor([[4.0, 2.0, 1.5, 0.5]]), 2, 3)
    torch.testing.assert_close(found[0, :, 1], torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(found[0, :, 5], torch.tensor([0.25, 0.5, 1.0]))


@pytest.fixture(scope="module")
def batch():
    data = RenderedPlanes(scenes=8, height=48, width=64).load(0)
    return next(data.train.batches([torch.arange(8)], 0, CPU))


class TestRendered:
    def test_true_depths_bring_the_views_to_cover_each_other(self, batch):
        known = batch.depths > 0
        for view in (1, 2):
            lenses, move = (batch.lenses[:, 0], batch.lenses[:, view]), batch.moves[:, view - 1]

            def apart(depths, lenses=lenses, move=move, view=view):
                found = warp(batch.images[:, view], lenses, move, depths.flatten(1)[:, None])[:, :, 0]
                return (found - batch.images[:, 0]).abs().mean(1)[known].median()

            # Half of all pixels at least are seen by both, and differ by noise and by rounding to pixels.
            assert apart(batch.depths) < 0.1
            assert apart(batch.depths) < 0.4 * apart(batch.depths * 1.2)

    def test_is_the_same_for_every_seed_and_number_of_scenes(self, batch):
        other = RenderedPlanes(scenes=20, height=48, width=64).load(5)
        assert torch.equal(other.train.columns["depths"][:8], batch.depths)
        assert torch.equal(other.train.columns["images"][:8].float() / 127.5 - 1, batch.images)
        assert len(other.test) == 5

    def test_depths_are_in_range_and_nearly_all_known(self, batch):
        known = batch.depths > 0
        assert known.float().mean() > 0.95
        assert batch.depths[known].min() >= RANGE[0]
        assert batch.depths[known].max() <= RANGE[1]
        assert batch.depths[known].std() > 0.5


def test_the_cost_of_planes_is_the_variance_over_views(batch):
    batch = ViewBatch(*(column[:2] for column in batch))
    network = PlaneSweep(planes=5, width=8).build(Views(48, 64, 3))
    features = torch.rand(2, 3, 8, 12, 16)
    depths = planes(batch.ranges, 5)
    lenses = batch.lenses / 4
    own = features[:, 0, :, None].expand(-1, -1, 5, -1, -1)
    others = [
        warp(features[:, view], (lenses[:, 0], lenses[:, view]), batch.moves[:, view - 1], depths)
        for view in (1, 2)
    ]
    expected = torch.stack([own, *others]).var(0, correction=0)
    torch.testing.assert_close(network._variance(features, batch, depths), expected, atol=1e-5, rtol=1e-4)
