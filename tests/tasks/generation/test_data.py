"""The data sets of the tasks that generate images."""

import gzip
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bls_bench.system.errors import InputError
from bls_bench.tasks.generation.mnist import MNIST
from bls_bench.tasks.generation.photos import Photos

from .helpers import CPU

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "mnist.tar.xz"


def idx(values):
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_mnist(root, train=30, test=20, zipped=False, **changed):
    """Write the four files, of random digits; `changed`: other labels, by part."""
    root.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = changed.get(part, (np.arange(count) % 10).astype(np.uint8))
        for name, values in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if zipped:
                (root / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
            else:
                (root / name).write_bytes(idx(values))
    return root


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_read_as_it_was_written(zipped, tmp_path):
    data = MNIST(root=str(write_mnist(tmp_path / "mnist", zipped=zipped)), augment=False).load(0)
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (30, 28, 28), dtype=np.uint8))
    assert torch.equal(data.train.images[:, 0], images)
    assert data.targets.tolist() == [i % 10 for i in range(30)]
    assert len(data.test) == 20
    inputs, _ = next(data.train.batches([torch.arange(30)], 0, CPU))
    torch.testing.assert_close(data.info.pixels(inputs)[:, 0], images / 255, atol=1e-6, rtol=1e-5)


def test_mnist_can_be_scaled_and_kept_in_part(tmp_path):
    root = str(write_mnist(tmp_path / "mnist"))
    data = MNIST(root=root, image_size=16, subset=2).load(0)
    assert data.train.images.shape == (20, 1, 16, 16)
    with pytest.raises(InputError, match=r"dataset\.part=test needs more than 2000 .*got 20"):
        MNIST(root=root, part="test").load(0)


def test_the_test_digits_make_a_data_set_of_their_own(tmp_path):
    data = MNIST(root=str(write_mnist(tmp_path / "mnist", test=2050)), part="test").load(0)
    assert (len(data.train), len(data.test)) == (50, 2000)


def damaged(root, name, content):
    (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "train-images-idx3-ubyte").unlink(), r"must hold train-images-idx3-ubyte or "),
        (
            lambda root: damaged(root, "train-images-idx3-ubyte", b"no idx file"),
            r"train-images-idx3-ubyte is no",
        ),
        (
            lambda root: damaged(root, "t10k-labels-idx1-ubyte", idx(np.zeros(20, np.uint8))[:-3]),
            r"t10k-labels-idx1-ubyte is cut short",
        ),
        (lambda root: write_mnist(root, t10k=np.zeros(7, np.uint8)), r"t10k has 20 "),
        (lambda root: write_mnist(root, t10k=np.full(20, 11, np.uint8)), r"labels must be 0 to 9, got 11"),
    ],
)
def test_damaged_files_are_named(spoil, message, tmp_path):
    root = write_mnist(tmp_path / "mnist")
    spoil(root)
    with pytest.raises(InputError, match=message):
        MNIST(root=str(root)).load(0)


def test_a_damaged_archive_is_named(tmp_path):
    root = write_mnist(tmp_path / "mnist", zipped=True)
    path = root / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz cannot be read"):
        MNIST(root=str(root)).load(0)


def write_photos(root):
    for number in range(20):
        folder = root / f"person{number // 10}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 16), number * 10).save(folder / f"{number:02}.png")
    return root


@pytest.mark.parametrize("channels", [1, 3])
def test_photos_are_all_images_below_a_folder(channels, tmp_path):
    settings = {"root": str(write_photos(tmp_path / "faces")), "image_size": 8, "channels": channels}
    data = Photos(**settings, workers=0, in_memory="true").load(0)
    assert (len(data.train), len(data.test), data.targets) == (18, 2, None)
    images, _ = next(data.test.batches([torch.arange(2)], 0, CPU))
    assert images.shape == (2, channels, 8, 8)
    assert (data.info.pixels(images)[:, 0, 0, 0] * 255).round().tolist() == [90, 190]
    files = Photos(**settings, workers=0, in_memory="false").load(0)
    batches = [next(each.train.batches([torch.arange(5)], 3, CPU))[0] for each in (data, files)]
    assert torch.equal(*batches)


def test_the_folders_of_photos_can_be_classes(tmp_path):
    root = str(write_photos(tmp_path / "faces"))
    data = Photos(root=root, image_size=8, people=True, workers=0, in_memory="true").load(0)
    assert data.info.classes == ("person0", "person1")
    assert data.targets.tolist() == [0] * 9 + [1] * 9


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must hold 10 images or more, got 0"):
        Photos(root=str(tmp_path)).load(0)
    with pytest.raises(InputError, match=r"is not a folder"):
        Photos(root=str(tmp_path / "no")).load(0)


@pytest.mark.skipif(not ARCHIVE.exists(), reason="the test digits of MNIST are not there")
def test_the_real_test_digits(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    data = MNIST(root=str(tmp_path / "mnist"), part="test").load(0)
    assert (len(data.train), len(data.test)) == (8000, 2000)
    assert data.targets.bincount().min() > 700
