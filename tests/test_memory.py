"""Where images are kept, and who decodes them."""

import io

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as vision

from bls_bench.data import ImageFolder, memory
from bls_bench.data.base import CPU
from bls_bench.data.files import FolderSplit, decode
from bls_bench.data.memory import keep_in_memory
from bls_bench.data.split import MemorySplit
from bls_bench.data.transfer import to_device
from bls_bench.errors import InputError

from .test_data import random_images, read, write_tree


@pytest.mark.parametrize(("free", "kept"), [(2**20, True), (2**20 - 1, False)])
def test_auto_keeps_what_takes_half_of_the_free_memory_and_says_so(free, kept, monkeypatch, capsys):
    monkeypatch.setattr(memory, "host_free", lambda: free)
    assert keep_in_memory("auto", 2**19, CPU) is kept
    said = capsys.readouterr().out
    assert said.startswith(f"dataset.in_memory=auto: {str(kept).lower()}, the images take 0 MiB")
    assert said.count("\n") == 1


def test_true_needs_room(monkeypatch):
    monkeypatch.setattr(memory, "host_free", lambda: 100)
    assert keep_in_memory("true", 100, CPU)
    with pytest.raises(InputError, match="dataset.in_memory=true does not fit, allowed are false and auto"):
        keep_in_memory("true", 101, CPU)
    assert not keep_in_memory("false", 0, CPU)


def test_processes_of_a_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "host_free", lambda: 100)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.free_bytes(CPU) == 25


def test_a_container_has_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    whole = memory.host_free()
    (tmp_path / "memory.stat").write_text("anon 30\nfile 50\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.host_free() > 100
    (tmp_path / "memory.max").write_text("100\n")
    assert memory.host_free() == 70
    assert whole > 2**20


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
        assert ImageFolder(root=root, in_memory="false").load(0).train.workers == workers


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_has_the_pixels_that_pillow_reads(mode, tmp_path):
    image = Image.fromarray(random_images(1, 40)[0].permute(1, 2, 0).numpy())
    image.convert(mode).save(tmp_path / "one.jpg", quality=80)
    with Image.open(tmp_path / "one.jpg") as image:
        expected = vision.pil_to_tensor(image.convert("RGB"))
    assert torch.equal(decode(str(tmp_path / "one.jpg"), lambda pixels: pixels), expected)


def test_a_jpeg_that_torchvision_cannot_read_goes_to_pillow(tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("unsupported")

    random_image = Image.fromarray(random_images(1, 40)[0].permute(1, 2, 0).numpy())
    random_image.save(tmp_path / "one.jpg")
    expected = decode(str(tmp_path / "one.jpg"), lambda pixels: pixels)
    monkeypatch.setattr("bls_bench.data.files.decode_jpeg", refuse)
    assert torch.equal(decode(str(tmp_path / "one.jpg"), lambda pixels: pixels), expected)


def test_a_jpeg_cut_short_is_named(tmp_path):
    content = io.BytesIO()
    Image.fromarray(random_images(1, 80)[0].permute(1, 2, 0).numpy()).save(content, "JPEG")
    (tmp_path / "one.jpg").write_bytes(content.getvalue()[:-600])
    with pytest.raises(InputError, match=r"one\.jpg cannot be decoded as an image: image file is truncated"):
        decode(str(tmp_path / "one.jpg"), lambda pixels: pixels)


def test_batches_reach_the_device_in_order():
    batches = list(random_images(3).split(1))
    assert all(torch.equal(a, b) for a, b in zip(to_device(batches, CPU), batches, strict=True))
    assert [batch.device.type for batch in to_device(batches, torch.device("meta"))] == ["meta"] * 3
