"""Data sets give the right pixels, and what cannot be read is named."""

import hashlib
import pickle
import shutil
import tarfile
import threading
import time
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.transforms.v2 import functional as vision

from bls_bench.data.augment import CropFlip
from bls_bench.data.base import Images
from bls_bench.data.files import FolderSplit
from bls_bench.data.split import MemorySplit
from bls_bench.system import memory
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification import cifar
from bls_bench.tasks.classification.cifar import CIFAR
from bls_bench.tasks.classification.digits import Digits
from bls_bench.tasks.classification.folder import ImageFolder
from tests.data.helpers import AS_STORED, random_images, read, targets, write_tree

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "cifar10-jpeg.tar.xz"


@pytest.mark.parametrize(
    ("in_memory", "kind"), [("auto", MemorySplit), ("true", MemorySplit), ("false", FolderSplit)]
)
def test_a_folder_is_kept_where_it_is_told(in_memory, kind, tmp_path):
    data = ImageFolder(root=str(write_tree(tmp_path)), in_memory=in_memory, workers=0).load(0)
    assert type(data.train) is kind
    assert type(data.test) is kind


def test_a_folder_that_does_not_fit_is_read_as_needed(tmp_path, monkeypatch):
    root = str(write_tree(tmp_path))
    whole = ImageFolder(root=root, workers=0).load(0)
    monkeypatch.setattr(memory, "host_free", lambda: 100)
    data = ImageFolder(root=root, workers=0).load(0)
    assert type(data.train) is FolderSplit
    assert torch.equal(read(data.train, 3), read(whole.train, 3))
    with pytest.raises(InputError, match="does not fit"):
        ImageFolder(root=root, in_memory="true").load(0)


def test_one_worker_a_core(tmp_path, monkeypatch):
    root = str(write_tree(tmp_path))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(6)), raising=False)
    for processes, workers in ((1, 6), (4, 1), (9, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        assert ImageFolder(root=root, in_memory="false").load(0).train._items.workers == workers


# Pixels of each data set


def test_digits_are_all_there_once_and_split_by_class():
    data = Digits().load(seed=0)
    unchanged = [(part.images[:, 0].double() / 255 * 16).round() for part in (data.train, data.test)]
    together = torch.cat(unchanged).flatten(1).numpy()
    original = load_digits().data
    assert np.array_equal(together[np.lexsort(together.T)], original[np.lexsort(original.T)])
    assert data.info.classes == tuple(str(digit) for digit in range(10))
    shares = targets(data.test).bincount() / torch.from_numpy(load_digits().target).bincount()
    assert ((shares - 0.2).abs() < 0.01).all()


def test_digits_are_split_alike_under_every_seed():
    one, two = Digits().load(seed=1), Digits().load(seed=2)
    assert torch.equal(one.train.images, two.train.images)
    assert torch.equal(read(one.test), read(two.test, epoch=5))
    assert not torch.equal(read(one.train), read(two.train))


def test_digits_training_images_are_normalised():
    data = Digits().load(seed=0)
    plain = data.train.pixels.normalise(data.train.images)
    assert abs(plain.mean()) < 5e-3
    assert abs(plain.std() - 1) < 5e-3


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Write a tiny data set in CIFAR's own format, with the archive that holds it. Returns its images."""
    base, labels, names, count = {
        "cifar10": (CIFAR10, "labels", "label_names", 10),
        "cifar100": (CIFAR100, "fine_labels", "fine_label_names", 100),
    }[name]
    folder = root / base.base_folder
    folder.mkdir(parents=True)
    images = {}
    for file, part in [("tiny_train", "train"), ("tiny_test", "test")]:
        images[part] = random_images(2 * count, 32, seed=len(file))
        content = {"data": images[part].flatten(1).numpy(), labels: list(range(count)) * 2}
        (folder / file).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({names: [f"class {label}" for label in range(count)]}))
    archive = root / base.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, base.base_folder)

    class Tiny(base):
        train_list = [["tiny_train", digest(folder / "tiny_train")]]  # noqa: RUF012
        test_list = [["tiny_test", digest(folder / "tiny_test")]]  # noqa: RUF012
        meta = {"filename": "meta", "key": names, "md5": digest(folder / "meta")}  # noqa: RUF012
        tgz_md5 = digest(archive)

    monkeypatch.setattr(cifar.datasets, name.upper(), Tiny)
    return images


def forget_unpacked(root: Path) -> None:
    for file in (folder := root / CIFAR10.base_folder).iterdir():
        file.unlink()
    folder.rmdir()


@pytest.fixture
def offline(monkeypatch):
    """Downloads fail as they do without a network; gives the list of addresses that were tried."""
    tried = []

    def urlopen(request, *args, **kwargs):
        tried.append(request.full_url)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    return tried


@pytest.mark.parametrize(("name", "count"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_reads_its_files(name, count, tmp_path, monkeypatch, offline):
    images = write_cifar(tmp_path, name, monkeypatch)
    data = CIFAR(name=name, root=str(tmp_path)).load(0)
    classes = tuple(f"class {label}" for label in range(count))
    assert data.info == Images(3, 32, classes, *cifar.STATISTICS[name])
    mean, std = cifar.STATISTICS[name]
    expected = vision.normalize(images["test"].float() / 255, list(mean), list(std))
    assert torch.equal(read(data.test, epoch=9), expected)
    assert torch.equal(targets(data.test), torch.arange(2 * count) % count)
    assert torch.equal(data.train.images, images["train"])
    assert data.train.pixels.augment == CropFlip(padding=4, reflect=True, flip=True)
    assert not offline


def test_the_two_cifars_have_statistics_of_their_own():
    assert cifar.STATISTICS["cifar10"] != cifar.STATISTICS["cifar100"]


def test_cifar_unpacks_an_archive_without_the_network(tmp_path, monkeypatch, offline):
    images = write_cifar(tmp_path, "cifar10", monkeypatch)
    forget_unpacked(tmp_path)
    assert torch.equal(CIFAR(name="cifar10", root=str(tmp_path)).load(0).train.images, images["train"])
    assert not offline


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_without_files_or_network_names_the_ways_out(name, tmp_path, offline):
    with pytest.raises(InputError, match=r"dataset\.root=.*dataset=digits") as caught:
        CIFAR(name=name, root=str(tmp_path / "new")).load(0)
    assert "\n" not in str(caught.value)
    assert offline


def test_a_download_cut_short_leaves_nothing_behind(tmp_path, monkeypatch):
    def cut_short(*args, **kwargs):
        (tmp_path / CIFAR10.filename).write_bytes(b"half")
        raise urllib.error.URLError("connection lost")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", cut_short)
    with pytest.raises(InputError, match=r"connection lost.*dataset=digits"):
        CIFAR(name="cifar10", root=str(tmp_path)).load(0)
    assert not (tmp_path / CIFAR10.filename).exists()


@pytest.mark.parametrize("damaged", [CIFAR10.filename, f"{CIFAR10.base_folder}/tiny_test"])
def test_damaged_cifar_files_are_named_and_kept(damaged, tmp_path, monkeypatch, offline):
    write_cifar(tmp_path, "cifar10", monkeypatch)
    if damaged == CIFAR10.filename:
        forget_unpacked(tmp_path)
    path = tmp_path / damaged
    path.write_bytes(path.read_bytes()[:-9])
    left = path.read_bytes()
    with pytest.raises(InputError, match=f"{damaged.partition('/')[0]} is incomplete or damaged") as caught:
        CIFAR(name="cifar10", root=str(tmp_path)).load(0)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == left
    assert not offline


def test_cifar_waits_for_a_run_that_is_unpacking(tmp_path, monkeypatch, offline):
    write_cifar(tmp_path, "cifar10", monkeypatch)
    archive, folder = tmp_path / CIFAR10.filename, tmp_path / CIFAR10.base_folder
    packed = archive.read_bytes()
    archive.unlink()
    contents = {file.name: file.read_bytes() for file in folder.iterdir()}
    (folder / "tiny_test").unlink()
    loaded = []
    waiting = threading.Thread(
        target=lambda: loaded.append(CIFAR(name="cifar10", root=str(tmp_path)).load(0))
    )
    with FileLock(tmp_path / f".{CIFAR10.base_folder}.lock"):
        waiting.start()
        time.sleep(0.5)
        archive.write_bytes(packed)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    waiting.join(timeout=30)
    assert len(loaded) == 1


def test_a_folders_images_are_its_pixels_with_their_classes(tmp_path):
    data = ImageFolder(root=str(write_tree(tmp_path, evaluation="val"))).load(0)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert data.info == Images(3, 32, ("ant", "bee", "cow"), mean, std)
    files = sorted((tmp_path / "val").glob("*/*.png"))
    pixels = torch.stack([vision.pil_to_tensor(Image.open(file)) for file in files]).float() / 255
    expected = vision.normalize(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert torch.equal(read(data.test, epoch=2), expected)
    assert targets(data.test).tolist() == [data.info.classes.index(file.parent.name) for file in files]
    assert data.train.pixels.augment == CropFlip(padding=4, reflect=True, flip=True)


def test_large_images_are_cropped_as_on_imagenet(tmp_path):
    root = write_tree(tmp_path, per_class=1, size=(300, 260))
    data = ImageFolder(root=str(root), image_size=224, in_memory=False, workers=0).load(0)
    data.test.pixels = AS_STORED
    with Image.open(root / "test" / "ant" / "0.png") as image:
        plain = vision.pil_to_tensor(vision.center_crop(vision.resize(image, [256]), [224, 224]))
    assert torch.equal(read(data.test)[0], plain.float() / 255)
    assert read(data.train).shape == (3, 3, 224, 224)


def test_images_of_another_size_are_scaled_and_cut_square(tmp_path):
    root = write_tree(tmp_path, per_class=1, size=(40, 52))
    data = ImageFolder(root=str(root)).load(0)
    with Image.open(root / "test" / "ant" / "0.png") as image:
        expected = vision.pil_to_tensor(vision.center_crop(vision.resize(image, [32]), [32, 32]))
    assert torch.equal(data.test.images[0], expected)


def test_grey_and_transparent_images_become_rgb(tmp_path):
    write_tree(tmp_path)
    for mode, name in [("L", "ant"), ("RGBA", "bee"), ("P", "cow")]:
        Image.new(mode, (32, 32)).save(tmp_path / "train" / name / "0.png")
    assert read(ImageFolder(root=str(tmp_path)).load(0).train).shape == (12, 3, 32, 32)


# The part kept by `subset`


@pytest.fixture(params=["digits", "cifar", "folder"])
def load(request, tmp_path, monkeypatch):
    """Loads a data set with a given subset."""
    if request.param == "digits":
        return lambda subset: Digits(subset=subset).load(0)
    if request.param == "cifar":
        write_cifar(tmp_path, "cifar10", monkeypatch)
        return lambda subset: CIFAR(name="cifar10", root=str(tmp_path), subset=subset).load(0)
    write_tree(tmp_path)
    return lambda subset: ImageFolder(root=str(tmp_path), subset=subset).load(0)


def test_subset_keeps_the_first_images_of_every_class(load):
    whole, part = load(None), load(2)
    labels = targets(whole.train)
    assert targets(part.train).bincount().tolist() == [2] * whole.info.num_classes
    first = [i for i, label in enumerate(labels) if (labels[:i] == label).sum() < 2]
    assert torch.equal(part.train.images, whole.train.images[first])
    assert torch.equal(targets(part.train), labels[first])
    assert torch.equal(read(part.test), read(whole.test))


def test_subset_cannot_exceed_the_smallest_class(load):
    smallest = int(targets(load(None).train).bincount().min())
    assert len(load(smallest).train) == smallest * load(None).info.num_classes
    with pytest.raises(InputError, match=rf"dataset\.subset .*{smallest}.*got {smallest + 1}"):
        load(smallest + 1)


# What bad input gets


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: root.rename(root.with_name("away")), "is not a folder"),
        (lambda root: (root / "train").rename(root / "other"), "no folder train/"),
        (lambda root: (root / "test").rename(root / "other"), "neither a folder test/ nor val/"),
        (lambda root: (root / "train" / "bee").rename(root / "train" / "bat"), "same classes.*bat, bee"),
        (lambda root: [file.unlink() for file in root.glob("train/*/*")], "no valid file.*ant, bee, cow"),
        (lambda root: [file.unlink() for file in root.glob("test/ant/*")], "no valid file.*ant"),
        (
            lambda root: [shutil.rmtree(folder) for folder in root.glob("test/*")],
            "test must hold a folder of images",
        ),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(spoil, message, tmp_path):
    root = write_tree(tmp_path / "tree", per_class=1)
    spoil(root)
    with pytest.raises(InputError, match=f"(?i){message}") as caught:
        ImageFolder(root=str(root)).load(0)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["text", "cut", "empty"])
def test_an_image_that_cannot_be_decoded_is_named(in_memory, workers, damage, tmp_path):
    path = write_tree(tmp_path) / "train" / "bee" / "2.png"
    content = {"text": b"no image", "cut": path.read_bytes()[:900], "empty": b""}[damage]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"train/bee/2\.png cannot be decoded") as caught:
        read(ImageFolder(root=str(tmp_path), in_memory=in_memory, workers=workers).load(0).train)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Digits(subset=0), "subset"),
        (lambda: CIFAR(name="cifar10", subset=-1), "subset"),
        (lambda: CIFAR(name="cifar11"), "name"),
        (lambda: CIFAR(name="cifar10", root=""), "root"),
        (lambda: ImageFolder(root=""), "root"),
        (lambda: ImageFolder(root=None), "root"),
        (lambda: ImageFolder(root="x", image_size=0), "image_size"),
        (lambda: ImageFolder(root="x", workers=-1), "workers"),
        (lambda: ImageFolder(root="x", workers="many"), "workers"),
        (lambda: ImageFolder(root="x", in_memory="maybe"), "in_memory"),
        (lambda: ImageFolder(root="x", image_size=65, in_memory="true"), "in_memory"),
        (lambda: ImageFolder(root="x", image_size=65, crop="zero"), "crop"),
        (lambda: CIFAR(name="cifar10", crop="square"), "crop"),
        (lambda: CIFAR(name="cifar10", cutout=-1), "cutout"),
    ],
)
def test_bad_fields_are_named(make, field):
    with pytest.raises(ValueError, match=rf"^{field} must be .*got "):
        make()


@pytest.mark.slow
def test_real_images(tmp_path):
    """Sixty thousand JPEGs, decoded once: all there, in balance, normalised."""
    if not ARCHIVE.exists():
        pytest.skip(f"needs {ARCHIVE.name}")
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(tmp_path, filter="data")
    data = ImageFolder(root=str(tmp_path / "cifar10-jpeg")).load(0)
    assert (len(data.train), len(data.test), data.info.num_classes) == (50_000, 10_000, 10)
    assert targets(data.train).bincount().tolist() == [5000] * 10
    images = read(data.train, size=500)
    assert abs(images.mean()) < 0.3
    assert abs(images.std() - 1) < 0.3
