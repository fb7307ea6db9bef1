"""Checkpoints: whole, of this run, and read without running code."""

import pytest
import torch

from bls_bench.engine import checkpoint
from bls_bench.engine.session import run
from bls_bench.system.errors import InputError
from tests.helpers import TINY, StopAt, make_config, make_engine


def test_checkpoints_load_without_running_code(tmp_path):
    engine = make_engine("pruner=repb")
    engine.history.append(engine.epoch(None, StopAt(-1)))
    engine.state.begin_epoch()

    class Folder:
        checkpoint = tmp_path / "checkpoint.pt"

        @staticmethod
        def restore():
            """Nothing has deleted it."""

    engine.save(Folder)
    other = make_engine("pruner=repb")
    other.load(Folder.checkpoint)
    assert torch.equal(other.state.scores, engine.state.scores)
    assert torch.equal(other.state.selection.indices, engine.state.selection.indices)


def test_a_checkpoint_of_another_number_of_processes(tmp_path):
    engine = make_engine()

    class Folder:
        checkpoint = tmp_path / "checkpoint.pt"

        @staticmethod
        def restore():
            """Nothing has deleted it."""

    engine.save(Folder)
    content = checkpoint.read(Folder.checkpoint)
    doubled = {name: content[name] * 2 for name in ("generators", "parts")}
    checkpoint.save(Folder.checkpoint, content | doubled)
    with pytest.raises(InputError, match="was made by 2 processes: go on with as many"):
        make_engine().load(Folder.checkpoint)
    training = content["training"]
    model = {name: value[..., :1] for name, value in training["model"].items() if value.ndim}
    checkpoint.save(Folder.checkpoint, content | {"training": training | {"model": model}})
    with pytest.raises(InputError, match="made with other data or another model"):
        make_engine().load(Folder.checkpoint)


class TestBadCheckpoints:
    @pytest.fixture
    def folder(self, tmp_path):
        config = make_config(*TINY, f"records={tmp_path}")
        folder = tmp_path / config.key
        folder.mkdir()
        return folder

    def content(self, folder, **changes):
        """Return what is looked at before anything is taken back, all in order but for `changes`."""
        rest = dict.fromkeys(checkpoint.CONTENT) | {"step": 0, "history": [], "seconds": {}}
        rest |= {"generators": [None], "parts": [None]}
        return rest | {"key": folder.name, "pruning": {"num_samples": 100, "epoch": 0}} | changes

    def test_what_is_in_order_is_taken(self, folder):
        checkpoint.save(folder / "checkpoint.pt", self.content(folder))
        assert checkpoint.load(folder / "checkpoint.pt", folder.name, 100) == self.content(folder)

    @pytest.mark.parametrize("keep", [0, 10, 500])
    def test_cut_short(self, folder, tmp_path, keep):
        checkpoint.save(folder / "checkpoint.pt", self.content(folder, weights=torch.zeros(1000)))
        whole = (folder / "checkpoint.pt").read_bytes()
        (folder / "checkpoint.pt").write_bytes(whole[:keep])
        with pytest.raises(InputError, match=r"checkpoint.pt is no whole checkpoint: delete it"):
            run(make_config(*TINY, f"records={tmp_path}"))
        assert (folder / "checkpoint.pt").read_bytes() == whole[:keep]
        assert not (folder / "result.json").exists()

    @pytest.mark.parametrize("missing", sorted(checkpoint.CONTENT))
    def test_with_something_missing(self, folder, tmp_path, missing):
        content = self.content(folder)
        del content[missing]
        checkpoint.save(folder / "checkpoint.pt", content)
        with pytest.raises(InputError, match="no whole checkpoint"):
            run(make_config(*TINY, f"records={tmp_path}"))

    def test_of_another_config(self, folder, tmp_path):
        checkpoint.save(folder / "checkpoint.pt", self.content(folder, key="0123"))
        with pytest.raises(InputError, match=f"belongs to run 0123, not to {folder.name}"):
            run(make_config(*TINY, f"records={tmp_path}"))

    def test_of_another_data_set_length(self, folder, tmp_path):
        checkpoint.save(
            folder / "checkpoint.pt", self.content(folder, pruning={"num_samples": 99, "epoch": 0})
        )
        with pytest.raises(InputError, match="made with 99 training samples, the data set has 100 now"):
            run(make_config(*TINY, f"records={tmp_path}"))

    def test_code_in_a_checkpoint_is_not_run(self, folder, tmp_path, capsys):
        class Evil:
            def __reduce__(self):
                return (print, ("evil was run",))

        # Sealed as a whole one is, so that what it holds is what refuses it.
        checkpoint.save(folder / "checkpoint.pt", self.content(folder, evil=Evil()))
        with pytest.raises(InputError, match="no whole checkpoint"):
            run(make_config(*TINY, f"records={tmp_path}"))
        assert "evil" not in capsys.readouterr().out

    @pytest.mark.parametrize("kind", [OSError, RuntimeError])
    def test_the_previous_one_stays_until_the_new_one_is_whole(self, kind, folder, monkeypatch):
        path = folder / "checkpoint.pt"
        checkpoint.save(path, self.content(folder))
        before = path.read_bytes()

        def cut(content, file):
            file.write(b"half")
            raise kind("disk full")

        monkeypatch.setattr(torch, "save", cut)
        with pytest.raises(InputError, match=r"checkpoint.pt cannot be written: disk full"):
            checkpoint.save(path, self.content(folder))
        assert path.read_bytes() == before
        assert [file.name for file in folder.iterdir()] == ["checkpoint.pt"]
