"""How much memory there is, and what is kept in it."""

import pytest

from bls_bench.system import memory
from bls_bench.system.errors import InputError
from bls_bench.system.memory import keep_in_memory
from tests.helpers import CPU


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
