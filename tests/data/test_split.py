"""Augmentation depends on seed, epoch and sample alone, whatever kind of split gives the batches."""

import os
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from PIL import Image

from bls_bench.data.augment import CropFlip, Cutout, ResizedCrop
from bls_bench.data.base import Split
from bls_bench.data.split import MemorySplit, Pixels
from bls_bench.tasks.classification.folder import ImageFolder
from tests.helpers import CPU

from .helpers import generator, random_images, read, targets, write_tree


def memory_split(seed: int, tmp_path: Path) -> Split:
    augmented = Pixels((0.5,) * 3, (0.2,) * 3, CropFlip(padding=2, reflect=True, flip=True))
    return MemorySplit(random_images(12), torch.arange(12) % 3, augmented, seed)


def folder_split(seed: int, tmp_path: Path, **options: object) -> Split:
    root = tmp_path / "tree"
    return ImageFolder(root=str(root if root.exists() else write_tree(root)), **options).load(seed).train


def augmented_split(augment: object, cutout: Cutout | None) -> Callable[[int, Path], Split]:
    def make(seed: int, tmp_path: Path) -> Split:
        return MemorySplit(
            random_images(12), torch.arange(12) % 3, Pixels((0.5,) * 3, (0.2,) * 3, augment, cutout), seed
        )

    return make


KINDS = {
    "memory-resized-cutout": augmented_split(ResizedCrop(8, flip=True), Cutout(4, 8)),
    "memory-zero": augmented_split(CropFlip(padding=2, reflect=False, flip=True), None),
    "memory": memory_split,
    "folder": lambda seed, tmp_path: folder_split(seed, tmp_path, in_memory=False, workers=0),
    "folder-large": lambda *args: folder_split(*args, in_memory=False, image_size=80, workers=0),
    "folder-large-workers": lambda *args: folder_split(*args, in_memory=False, image_size=80, workers=2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_depends_on_seed_epoch_and_sample_alone(kind, tmp_path):
    make = KINDS[kind]
    split = make(7, tmp_path)
    whole = read(split, epoch=3)
    assert torch.equal(read(split, epoch=3), whole)
    assert torch.equal(read(make(7, tmp_path), epoch=3), whole)

    order = torch.randperm(12, generator=generator(1))
    read(split, epoch=4)  # Nothing is carried over from other epochs.
    assert torch.equal(read(split, 3, order, size=12), whole[order])
    pruned = order[:7]
    assert torch.equal(read(split, 3, pruned, size=2), whole[pruned])
    rest_of_an_epoch = order[7:]
    assert torch.equal(read(split, 3, rest_of_an_epoch, size=3), whole[rest_of_an_epoch])

    for other in (read(split, epoch=4), read(make(8, tmp_path), epoch=3)):
        assert (other != whole).flatten(1).any(1).sum() >= 6
    repeated = read(split, 3, torch.tensor([5, 5]))
    assert torch.equal(repeated[0], repeated[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_are_augmented_apart(tmp_path, workers):
    """Twelve copies of one image come out as different crops."""
    Image.fromarray(random_images(1, 80)[0].permute(1, 2, 0).numpy()).save(tmp_path / "one.png")
    for name in ("train/a", "test/a"):
        (tmp_path / name).mkdir(parents=True)
        for index in range(12):
            (tmp_path / name / f"{index}.png").symlink_to(tmp_path / "one.png")
    data = ImageFolder(root=str(tmp_path), image_size=80, in_memory=False, workers=workers).load(0)
    assert len(read(data.train).unique(dim=0)) >= 11
    assert len(read(data.test).unique(dim=0)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_reading_leaves_the_global_generator_alone(kind, tmp_path):
    split = KINDS[kind](0, tmp_path)
    before = torch.get_rng_state()
    read(split)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_what_the_contract_says(kind, tmp_path):
    split = KINDS[kind](0, tmp_path)
    index_batches = [torch.tensor([4, 0, 11]), torch.tensor([7])]
    batches = list(split.batches(index_batches, 0, CPU))
    assert [inputs.shape[:2] for inputs, _ in batches] == [(3, 3), (1, 3)]
    everything = targets(split)
    for (inputs, labels), indices in zip(batches, index_batches, strict=True):
        assert (inputs.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert torch.equal(labels, everything[indices])
    assert list(split.batches([], 0, CPU)) == []


def test_images_decoded_at_need_equal_images_in_memory(tmp_path):
    root = str(write_tree(tmp_path, size=(40, 52)))
    memory, folder = (ImageFolder(root=root, in_memory=kept).load(0) for kept in (True, False))
    for part in ("train", "test"):
        for epoch in (0, 1):
            assert torch.equal(read(getattr(memory, part), epoch), read(getattr(folder, part), epoch))


def test_workers_leave_ctrl_c_to_the_main_process(tmp_path):
    split = folder_split(0, tmp_path, in_memory=False, workers=2)
    batches = split.batches(torch.arange(12).split(1), 0, CPU)
    next(batches), next(batches)
    groups = {os.getpgid(worker.pid) for worker in active_children()}
    batches.close()
    assert len(groups) == 2
    assert os.getpgrp() not in groups
