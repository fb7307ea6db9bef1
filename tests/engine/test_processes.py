"""Two processes make the steps that one would make."""

from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from bls_bench.data.split import MemorySplit, Pixels
from bls_bench.engine import evaluation
from bls_bench.engine import loop as engine_module
from bls_bench.engine.sharding import shard
from bls_bench.records.tracking import Tracker
from bls_bench.system.stopping import StopSignal
from bls_bench.tasks.classification.models import Classifier
from tests.helpers import StopAt, make_engine
from tests.two_processes import in_two_processes

from .helpers import Perceptron

pytestmark = pytest.mark.slow

SHARED = ("trainer.accumulate=2", "trainer.grad_clip=1", "trainer.device=cpu", "seed=1")
SWITCHES = (*SHARED, "trainer.ema=0.9")
PIXELS = Pixels((0.0,), (1.0,))
FSDP = (*SHARED, "trainer.strategy=fsdp")


class File:
    """Stands in for a record, of which only the checkpoint is wanted."""

    def __init__(self, path):
        self.checkpoint = path

    def restore(self):
        """Nothing has deleted it."""


def make_weighted(*overrides):
    return make_engine("pruner=infobatch", "trainer.epochs=2", *overrides)


def weighted_run(*overrides):
    """Two epochs, of which the second is pruned and has weights."""
    engine = make_weighted(*overrides)
    lines = [engine.epoch(None, StopAt(-1)) for _ in range(2)]
    return lines, engine.learner.model.state_dict(), engine.learner.weights(), engine.state.scores


def sharded_run(path):
    """The same with a part of the model in each process, saved and taken back between the epochs."""
    engine, lines = make_weighted(*FSDP), []
    for _ in range(2):
        engine.history.append(engine.epoch(None, StopAt(-1)))
        lines.append(engine.history[-1])
        rank = torch.distributed.get_rank()
        engine.save(File(path) if rank == 0 else None)
        engine = make_weighted(*FSDP)
        engine.load(path)
    # One process has 26 of these samples, the other 25: one batch less.
    odd = MemorySplit(engine.data.train.images[:51], engine.data.train.targets[:51], PIXELS, 0)
    learner = engine.learner
    learner.objective.measured_at_once = 25
    found = evaluation.measured(learner.evaluated, learner.objective, odd, engine.fabric)
    lines[-1]["odd"] = found["accuracy"]
    own = sum(part.to_local().numel() for part in learner.model.parameters())
    return lines, own, learner.weights(), engine.state.scores


class Nested(nn.Module):
    """Convolutions in a list of lists, which lie channels last."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.branches = nn.ModuleList([nn.ModuleList([nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)])])
        self.head = nn.Linear(8, 10)

    def forward(self, inputs):
        features = self.stem(inputs)
        return self.head(sum(branch(features) for branch in self.branches[0]).mean((2, 3)))


def gradients(sharded):
    torch.manual_seed(0)
    model = Nested().to(memory_format=torch.channels_last)
    if sharded:
        shard(model, init_device_mesh("cpu", (2,), mesh_dim_names=("data_parallel",)))
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    return {
        name: part.grad.full_tensor() if sharded else part.grad for name, part in model.named_parameters()
    }


def fit_by_unlike_clocks(rank):
    """On process 0 a checkpoint is always due, on the other never."""
    ticks = count(step=100 if rank == 0 else 0)
    engine_module.time = SimpleNamespace(monotonic=lambda: next(ticks))
    engine = make_weighted("trainer.device=cpu", "trainer.checkpoint_seconds=60")
    saves = []
    engine.save = saves.append
    engine.fit(None, Tracker(), StopSignal())
    return len(saves)


def work(rank, folder):
    Classifier.build = lambda *_: Perceptron()
    ends = [weighted_run(*SWITCHES), sharded_run(folder / "checkpoint.pt")]
    return [*ends, gradients(sharded=True), fit_by_unlike_clocks(rank)]


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What both processes have in the end."""
    return in_two_processes(work, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def two(processes):
    return [ends[0] for ends in processes]


@pytest.fixture(scope="module")
def sharded(processes):
    return [ends[1] for ends in processes]


def test_both_end_with_the_same(two):
    (lines, *states), (other_lines, *other_states) = two
    for line, other in zip(lines, other_lines, strict=True):
        for name in ("loss", "accuracy", "kept", "trained", "pruned_percent", "score_loss_spearman"):
            assert line[name] == other[name]
    for state, other in zip(states[:2], other_states[:2], strict=True):
        assert all(torch.equal(state[name], other[name]) for name in state)
    assert torch.equal(states[2], other_states[2])


def test_they_make_the_steps_of_one_process(two, monkeypatch):
    monkeypatch.setattr(Classifier, "build", lambda *_: Perceptron())
    start = make_engine("seed=1").learner.model.state_dict()
    lines, weights, average, scores = weighted_run(*SWITCHES[1:])
    two_lines, two_weights, two_average, two_scores = two[0]
    assert lines[1]["kept"] % 2 == 0  # an odd one would sit out of two processes
    for line, other in zip(lines, two_lines, strict=True):
        assert line["kept"] == other["kept"] == other["trained"]
        assert line["accuracy"] == other["accuracy"]
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert lines[1]["kept"] < 100
    for name, old in start.items():
        # Losses and their weights are float32, to 6e-8 each.
        for one, other in ((weights[name], two_weights[name]), (average[name], two_average[name])):
            assert (one - other).norm() < 1e-6 * (one - old).norm()
    torch.testing.assert_close(scores, two_scores, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_shards_make_the_steps_of_one_process(sharded, monkeypatch):
    monkeypatch.setattr(Classifier, "build", lambda *_: Perceptron())
    start = make_engine("seed=1").learner.model.state_dict()
    lines, weights, _, scores = weighted_run(*SHARED)
    (shard_lines, own, shard_weights, shard_scores), (_, other_own, nothing, other_scores) = sharded
    for line, other in zip(lines, shard_lines, strict=True):
        assert line["kept"] == other["kept"]
        assert line["accuracy"] == other["accuracy"]
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-5)
    for name, old in start.items():
        assert (weights[name] - shard_weights[name]).norm() < 1e-6 * (weights[name] - old).norm()
    torch.testing.assert_close(scores, shard_scores, rtol=1e-5, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(scores, other_scores, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert own + other_own == sum(part.numel() for part in weights.values())
    assert 0 < own < 0.6 * (own + other_own)
    assert nothing == {}
    model, data = Perceptron(), make_weighted().data.train
    model.load_state_dict(shard_weights)
    guesses = model(PIXELS.normalise(data.images[:51])).argmax(1)
    assert shard_lines[-1]["odd"] == pytest.approx((guesses == data.targets[:51]).double().mean() * 100)


def test_shards_of_convolutions_have_the_gradients_of_the_whole(processes):
    whole = gradients(sharded=False)
    for ends in processes:
        assert ends[2].keys() == whole.keys()
        for name, part in ends[2].items():
            torch.testing.assert_close(part, whole[name])


def test_one_clock_decides_when_all_save(processes):
    assert [ends[3] for ends in processes] == [1, 1]
