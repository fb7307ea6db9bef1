"""Where images are kept, and who decodes them."""

import pytest
import torch

from bls_bench.data import ImageFolder
from bls_bench.data.files import FolderSplit
from bls_bench.data.split import MemorySplit
from bls_bench.data.transfer import to_device
from bls_bench.system import memory
from bls_bench.system.errors import InputError
from bls_bench.system.memory import keep_in_memory

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


def test_batches_reach_the_device_in_order():
    batches = list(random_images(3).split(1))
    assert all(torch.equal(a, b) for a, b in zip(to_device(batches, CPU), batches, strict=True))
    assert [batch.device.type for batch in to_device(batches, torch.device("meta"))] == ["meta"] * 3
