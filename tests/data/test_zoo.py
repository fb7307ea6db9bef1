"""Folders and images as they are found in the wild: nothing is taken for what it is not, nothing hangs."""

import os
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from bls_bench.data.base import check_side
from bls_bench.data.decoding import decode
from bls_bench.data.trees import Tree, plain
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.folder import ImageFolder
from bls_bench.tasks.generation.photos import Photos

from .helpers import targets, write_tree

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")


def load(root, **settings):
    return ImageFolder(root=str(root), workers=0, **settings).load(0)


def test_hidden_files_and_folders_are_left_out_and_counted(tmp_path, capsys):
    before = load(write_tree(tmp_path))
    train = tmp_path / "train"
    shutil.copytree(train / "ant", train / ".ipynb_checkpoints")
    shutil.copytree(train / "ant", train / "bee" / ".ipynb_checkpoints")
    (train / "cow" / "._0.png").write_bytes(b"\0\5\26\7")
    capsys.readouterr()
    after = load(tmp_path)
    assert after.info == before.info
    assert torch.equal(after.train.images, before.train.images)
    assert f"{train}: left out are 3 hidden files and folders\n" in capsys.readouterr().out


def test_files_of_other_types_are_named_with_their_number(tmp_path, capsys):
    train = write_tree(tmp_path) / "train"
    for number in (0, 1):
        (train / "ant" / f"{number}.png").rename(train / "ant" / f"{number}.gif")
    (train / "bee" / "notes").write_text("")
    (train / "labels.txt").write_text("")
    data = load(tmp_path)
    assert data.targets.bincount().tolist() == [2, 4, 4]
    told = f"{train}: left out are 4 other files (2 .gif, 1 beside the folders, 1 without a suffix)\n"
    assert told in capsys.readouterr().out


@posix
def test_links_are_followed_once(tmp_path, capsys):
    before = load(write_tree(tmp_path / "tree"))
    train = tmp_path / "tree" / "train"
    (train / "ant" / "loop").symlink_to(train)
    (train / "ant" / "other").symlink_to(train / "bee")
    (train / "whole").symlink_to(train)
    capsys.readouterr()
    after = load(tmp_path / "tree")
    assert after.info == before.info
    assert torch.equal(after.train.images, before.train.images)
    assert f"{train}: left out are 3 links to folders that are read already\n" in capsys.readouterr().out
    elsewhere = tmp_path / "elsewhere"
    (train / "ant").rename(elsewhere)
    (elsewhere / "loop").unlink()
    (elsewhere / "other").unlink()
    (train / "ant").symlink_to(elsewhere)
    assert torch.equal(load(tmp_path / "tree").train.images, before.train.images)


@posix
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_regular_file_is_named_and_never_hangs(make, tmp_path):
    make(write_tree(tmp_path) / "train" / "ant" / "pipe.png")
    with pytest.raises(InputError, match=r"ant/pipe\.png is no regular file"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"ant/pipe\.png is no regular file"):
        Photos(root=str(tmp_path), workers=0).load(0)


@posix
def test_a_pipe_that_is_read_as_an_image_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png cannot be decoded .*no regular file"):
        decode(str(tmp_path / "pipe.png"), lambda image: image)


@posix
def test_a_link_to_itself_is_named(tmp_path):
    (write_tree(tmp_path) / "train" / "ant" / "self.png").symlink_to("self.png")
    with pytest.raises(InputError, match=r"self\.png"):
        load(tmp_path)


def test_names_are_compared_and_shown_in_one_form_of_unicode(tmp_path):
    assert plain(DECOMPOSED) == COMPOSED
    (write_tree(tmp_path) / "train" / "bee").rename(tmp_path / "train" / DECOMPOSED)
    (tmp_path / "test" / "bee").rename(tmp_path / "test" / COMPOSED)
    data = load(tmp_path)
    assert data.info.classes == ("ant", COMPOSED, "cow")
    assert targets(data.test).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    if len(list((tmp_path / "train").iterdir())) == 3:
        (tmp_path / "train" / COMPOSED).mkdir(exist_ok=True)
    with pytest.raises(InputError, match=rf"train holds two folders {COMPOSED}, in two forms of Unicode"):
        load(tmp_path)


def test_letter_case_is_told(tmp_path):
    (write_tree(tmp_path) / "train" / "bee").rename(tmp_path / "train" / "Bee")
    with pytest.raises(InputError, match="must hold the same classes, but letter case differs: Bee and bee$"):
        load(tmp_path)


def test_files_come_in_the_order_of_torchvision(tmp_path):
    from torchvision.datasets import ImageFolder as Reference

    root = write_tree(tmp_path) / "train"
    for name in ("b", "B", "a.b", "a"):
        shutil.copytree(root / "bee", root / "ant" / name)
    expected = Reference(str(root))
    found = Tree(root).classes()
    assert list(found) == expected.classes
    assert [path for paths in found.values() for path in paths] == [path for path, _ in expected.samples]


@pytest.mark.parametrize("size", [0, 100_000, 10**30])
def test_an_absurd_size_is_refused_before_anything_is_read(size):
    for make in (ImageFolder, Photos):
        with pytest.raises(ValueError, match=rf"^image_size must be in 1 ... 16384 .*, got {size}$"):
            make(root="nowhere", image_size=size)
    check_side(16384)


# Images of more than 8 bits

RAMP = np.linspace(0, 1, 256)


def saved(tmp_path, values, name="ramp.png", **tags):
    path = tmp_path / name
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[int(tag[1:])] = value
    Image.fromarray(np.tile(values, (2, 1))).save(path, **({"tiffinfo": info} if tags else {}))
    return path


def pixels(path):
    return decode(str(path), lambda image: torch.from_numpy(np.array(image)))


@pytest.mark.parametrize(
    ("name", "kind", "top", "tags"),
    [
        ("ramp.png", np.uint16, 2**16 - 1, {}),
        ("ramp.tif", np.uint16, 2**16 - 1, {}),
        ("ramp.tif", np.int32, 2**31 - 1, {}),
        ("ramp.tif", np.uint16, 2**12 - 1, {"t281": 2**12 - 1}),  # 12 bits in 16, as the file says
    ],
)
def test_whole_numbers_are_scaled_by_their_type(name, kind, top, tags, tmp_path):
    found = pixels(saved(tmp_path, np.rint(RAMP * top).astype(kind), name, **tags))
    assert found.shape == (2, 256, 3)
    assert torch.equal(found[0, :, 0], torch.arange(256, dtype=torch.uint8))
    assert found.double().mean() == 127.5


def test_what_cannot_be_scaled_is_refused(tmp_path):
    for values, message in (
        (RAMP.astype(np.float32), "holds floating-point numbers, whose range nothing tells"),
        (np.arange(-9, 247, dtype=np.int32), "has values below 0, the least is -9"),
        (np.arange(256, dtype=np.int32), "its values end at 255 of 2147483647 and would all turn black"),
    ):
        with pytest.raises(InputError, match=f"ramp.tif cannot be decoded as an image: .*{message}"):
            pixels(saved(tmp_path, values, "ramp.tif"))


def test_that_images_are_scaled_is_told_once(tmp_path, capsys):
    root = write_tree(tmp_path)
    for number in range(3):
        dark = np.tile(np.rint(RAMP[:32] * 4095).astype(np.uint16), (32, 1))
        Image.fromarray(dark).save(root / "train" / "bee" / f"{number}.png")
    load(root)
    out = capsys.readouterr().out
    assert out.count("has more than 8 bits: such images are scaled from 0 ... 65535 to 0 ... 255") == 1
    assert f"; its own end at {dark.max()}\n" in out


@pytest.mark.parametrize("exif", [False, True])
def test_orientation_tags_are_followed_by_choice(exif, tmp_path):
    root = write_tree(tmp_path)
    path = root / "train" / "ant" / "0.png"
    with Image.open(path) as image:
        upright, tag = np.array(image), image.getexif()
        tag[274] = 3  # upside down
        image.save(path, exif=tag)
    found = load(root, exif=exif).train.images[0].permute(1, 2, 0).numpy()
    assert np.array_equal(found, upright[::-1, ::-1] if exif else upright)
