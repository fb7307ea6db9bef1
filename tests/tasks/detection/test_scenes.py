"""Laws of the composed scenes and of how whole batches of them are moved."""

import pytest
import torch

from bls_bench.data import scenes
from bls_bench.data.columns import Ragged
from bls_bench.data.jitter import Jitter, clipped, kept
from bls_bench.tasks.detection.batches import Batches
from bls_bench.tasks.detection.scenes import Scenes

from .helpers import columns_of


@pytest.fixture(scope="module")
def made():
    return scenes.compose(40, 48, 4, train=True)


def test_boxes_are_tight_around_masks_that_do_not_overlap(made):
    assert len(made.images) == 40
    assert 0 in made.boxes.lengths
    assert int(made.boxes.lengths.max()) <= 4
    for boxes, masks in zip(made.boxes.rows(), made.masks.rows(), strict=True):
        assert int(masks.sum(0).max()) <= 1
        for (left, top, right, bottom), mask in zip(boxes.long().tolist(), masks, strict=True):
            assert mask[top:bottom, left:right].sum() == mask.sum()
            for edge in (mask[top], mask[bottom - 1], mask[:, left], mask[:, right - 1]):
                assert edge.any()


def test_the_same_scenes_every_time_and_others_to_test_on(made):
    again = scenes.compose(5, 48, 4, train=True)
    assert torch.equal(again.images, made.images[:5])
    (train, _), (test, _) = scenes.handwritten()
    assert len(train) + len(test) == 1797
    assert not torch.equal(scenes.compose(5, 48, 4, train=False).images, again.images)


def test_a_batch_does_not_hang_on_the_others(made):
    """Sample i is moved by row i of the epoch's numbers, whichever batch it is in."""
    split = Scenes(images=16, image_size=48).load(seed=3).train
    device = torch.device("cpu")
    whole, boxes = next(split.batches([torch.arange(16)], 1, device))
    picked = torch.tensor([9, 2, 5])
    images, targets = next(split.batches([picked], 1, device))
    torch.testing.assert_close(images, whole[picked])
    for at, target in zip(picked.tolist(), targets, strict=True):
        torch.testing.assert_close(target["boxes"], boxes[at]["boxes"])
        assert torch.equal(target["labels"], boxes[at]["labels"])
    other, _ = next(split.batches([torch.arange(16)], 2, device))
    assert not torch.equal(other, whole)
    plain, _ = next(split.plain().batches([picked], 1, device))
    assert torch.equal((plain * 255).round().to(torch.uint8), split.columns["images"][picked])


class TestJitter:
    def test_images_against_a_loop_over_pixels(self):
        size, draws = 9, torch.tensor([[1.25, 0.1, -0.2, 1.0], [0.8, -0.3, 0.05, 0.0]])
        images = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0))
        moved = Jitter(0.3, (0.8, 1.25), True).images(images, draws, "nearest")
        for image, found, (scale, right, down, mirror) in zip(images, moved, draws.tolist(), strict=True):
            for row in range(size):
                for column in range(size):
                    x, y = column + 0.5 - size / 2, row + 0.5 - size / 2
                    x = ((-x if mirror else x) - right * size) / scale + size / 2
                    y = (y - down * size) / scale + size / 2
                    inside = 0 <= x < size and 0 <= y < size
                    assert found[0, row, column] == (image[0, int(y), int(x)] if inside else 0)

    def test_boxes_move_with_what_they_surround(self, made):
        batches = Batches(Jitter(0.2, (0.7, 1.4), True))
        draws = batches.draw(40, torch.Generator().manual_seed(1))
        _, targets = batches(columns_of(made, torch.arange(40)), draws)
        assert sum(len(target["boxes"]) for target in targets) < len(made.boxes.values)  # some went out
        for target in targets:
            assert len(target["boxes"]) == len(target["labels"]) == len(target["masks"])
            for box, mask in zip(target["boxes"], target["masks"], strict=True):
                rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
                around = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).flatten()
                assert (box - around).abs().max() < 2  # pixels are whole, boxes are not

    def test_without_movement_nothing_moves(self, made):
        still = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(40, -1)
        columns = columns_of(made, torch.arange(40))
        images, targets = Batches(Jitter(0, (1, 1), False))(columns, still)
        torch.testing.assert_close(images * 255, made.images.float(), atol=1e-3, rtol=0)
        assert torch.equal(torch.cat([target["boxes"] for target in targets]), made.boxes.values)
        assert torch.equal(torch.cat([target["masks"] for target in targets]), made.masks.values)

    def test_a_batch_without_any_object(self, made):
        empty = (made.boxes.lengths == 0).nonzero().flatten()[:3]
        batches = Batches(Jitter(0.2, (0.7, 1.4), True))
        draws = batches.draw(len(empty), torch.Generator().manual_seed(1))
        _, targets = batches(columns_of(made, empty), draws)
        assert [len(target["masks"]) for target in targets] == [0] * len(empty)

    def test_what_is_left_of_boxes_at_the_edge(self):
        boxes = torch.tensor([[-8.0, 0, 2, 4], [-3, 0, 2, 4], [1, 1, 5, 5], [9.5, 0, 11, 4]])
        inside, keep = clipped(boxes, 10)
        assert inside[0].tolist() == [0, 0, 2, 4]
        assert keep.tolist() == [False, True, True, False]  # a fifth is left; two fifths; all; half a pixel

    def test_rows_lose_what_is_not_kept(self):
        column = Ragged.of([torch.arange(3), torch.arange(0), torch.arange(3, 5)])
        rows = kept(column, torch.tensor([True, False, True, False, True])).rows()
        assert [row.tolist() for row in rows] == [[0, 2], [], [4]]
