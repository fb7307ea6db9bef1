"""Runs of stereo: its loss, its metrics, every pruner, resuming, and what does not fit."""

import pytest
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Place
from bls_bench.tasks.stereo.objective import DepthErrors, Matching
from bls_bench.tasks.stereo.task import Stereo
from bls_bench.tasks.stereo.views import ViewBatch, Views

from ...two_processes import in_two_processes
from ..running import StopAt, assert_same, make_config, make_engine, train, train_in_two_goes
from .helpers import TINY, aerial, frames

INFO = Views(4, 4, 2)


class Fixed(torch.nn.Module):
    """A network that finds these depths."""

    def __init__(self, depths):
        super().__init__()
        self.depths = depths

    def forward(self, batch):
        return self.depths


def scenes(depths):
    """Return a batch of which only the depths are known."""
    return ViewBatch(None, None, None, None, depths)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    found, depths = (1 + torch.rand(3, 4, 4, generator=generator) for _ in range(2))
    depths[0, :2], depths[2] = 0, 0  # of the last scene no depth is known
    return found, depths


class TestLoss:
    def value(self, case, per_sample):
        found, depths = case
        objective = Matching(Stereo(per_sample=per_sample), INFO)
        return objective.loss(Fixed(found), scenes(depths), Place(0, 0, 0), frozenset()).value

    def test_against_a_loop_over_pixels(self, case):
        every = []
        for found, depths, value in zip(*case, self.value(case, True), strict=True):
            errors = [abs(f - d) for f, d in zip(found.flatten(), depths.flatten(), strict=True) if d > 0]
            every += errors
            torch.testing.assert_close(value, torch.stack(errors).mean() if errors else torch.tensor(0.0))
        torch.testing.assert_close(self.value(case, False), torch.stack(every).mean())

    def test_unknown_depths_have_no_gradient(self, case):
        found = case[0].requires_grad_()
        self.value((found, case[1]), True).sum().backward()
        assert torch.equal(found.grad != 0, case[1] > 0)


class TestDepthErrors:
    def test_by_hand(self):
        measure = DepthErrors(0.5)
        depths = torch.tensor([[[1.0, 2.0, 0.0, 4.0]]])
        measure.update(Fixed(torch.tensor([[[1.25, 3.0, 9.0, 4.0]]])), scenes(depths))
        # Off by 0.25, 1 and 0; of the third it is not known.
        values = measure.compute()
        assert values["within"] == pytest.approx(200 / 3)
        assert values["mean_error"] == pytest.approx(1.25 / 3)

    def test_processes_together_are_one(self, case):
        found, depths = case
        whole, merged, parts = DepthErrors(0.3), DepthErrors(0.3), []
        whole.update(Fixed(found), scenes(depths))
        for rank in range(2):
            part = DepthErrors(0.3)
            part.update(Fixed(found[rank::2]), scenes(depths[rank::2]))
            parts.append(part.state())
        merged.merge(parts)
        assert merged.compute() == pytest.approx(whole.compute())


@pytest.mark.parametrize("pruner", ["bls_infobatch", "bls_seta", "bls_repb", "infobatch", "random", "none"])
def test_every_pruner(pruner, tmp_path):
    result, lines, _ = train(tmp_path, *TINY, f"pruner={pruner}", "trainer.epochs=2")
    assert result["status"] == "finished"
    assert [one["name"] for one in result["metrics"]] == ["within", "mean_error"]
    assert all(0 <= line["within"] <= 100 for line in lines)
    assert all(0 < line["mean_error"] < 6.5 for line in lines)
    assert (result["samples_trained"] == 32) == (pruner == "none") or pruner.startswith("bls")


@pytest.mark.parametrize("overrides", [("pruner=infobatch",), ("task.per_sample=false", "pruner=bls_seta")])
def test_stop_and_resume_equals_uninterrupted(overrides, tmp_path):
    whole = train(tmp_path / "whole", *TINY, *overrides)
    assert_same(train_in_two_goes(5, tmp_path / "parts", *TINY, *overrides), whole)
    (drawn,) = (tmp_path / "whole").rglob("depths.png")
    assert drawn.stat().st_size > 1000


def two_epochs(rank=0, folder=None):
    # AdamW turns rounding into steps. An even number of scenes in every batch.
    plain = ("pruner=random", "pruner.prune_ratio=0.5", "optimizer=sgd", "trainer.grad_clip=null")
    engine = make_engine(*TINY, *plain)
    lines = [engine.epoch(None, StopAt(-1)) for _ in range(2)]
    return [line["mean_error"] for line in lines], engine.learner.weights()


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tmp_path):
    errors, weights = two_epochs()
    for other, others in in_two_processes(two_epochs, tmp_path):
        assert other == pytest.approx(errors, rel=1e-3)
        for name, value in weights.items():
            torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-4)


def test_a_few_scenes_are_learnt_by_heart():
    engine = make_engine(*TINY, "model.planes=16")
    network, objective = engine.learner.model.module, engine.learner.objective
    (batch,) = engine.data.train.plain().batches([torch.arange(4)], 0, torch.device("cpu"))
    known = batch.depths[batch.depths > 0]
    constant = (known - known.median()).abs().mean()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective.loss(network, batch, Place(0, 0, 0), frozenset()).value.mean()
        loss.backward()
        optimizer.step()
    # Far better than the best constant: what is left is at the edges of things, a quarter of the size.
    assert loss < 0.4 * constant


def test_experiments_run_on_files_of_their_format(tmp_path):
    room = frames(tmp_path / "room")
    small = ("dataset.workers=0", "trainer.epochs=1", "pruner=none", "model.planes=8", "model.width=8")
    sizes = ("dataset.height=32", "dataset.width=48")
    scene7 = ("experiment=scene7", f"dataset.root={room}", "dataset.gap=1")
    result, _, _ = train(tmp_path, *scene7, *small, *sizes)
    assert result["samples_trained"] == 12
    whu = ("experiment=whu_mvs", f"dataset.root={aerial(tmp_path / 'whu', names=('000',))}")
    result, (line,), _ = train(tmp_path, *whu, *small, *sizes)
    assert result["samples_trained"] == 10
    assert 0 < line["mean_error"] < 40


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dataset=digits"],
            r"needs several views of a scene, which dataset=digits does not give: use dataset=",
        ),
        (["model=resnet18"], r"model=classifier needs .*, which dataset=rendered_planes does not give"),
        (["task.per_sample=false", "pruner=infobatch"], r"needs the loss of each sample.* use scorer=bls"),
        (["task.bound=0"], r"task.bound must be a number of metres above 0, got 0"),
        (["model.planes=1"], r"model.planes must be at least 2, got 1"),
        (["model.volume=12"], r"model.volume must be a multiple of 8, got 12"),
        (["dataset.views=1"], r"dataset.views must be at least 2, got 1"),
        (["dataset=scene7", "dataset.root=x", "dataset.near=5"], r"dataset.near and far must be ascending"),
        (["dataset=scene7", "dataset.root=x", "dataset.gap=0"], r"dataset.gap must be at least 1, got 0"),
        (
            ["dataset=scene7", "dataset.root=x", "dataset.pose=.png"],
            r"dataset.picture, depth and pose must be",
        ),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config("task=stereo", *overrides)


def test_a_size_that_is_no_whole_number_of_features_is_refused():
    with pytest.raises(
        InputError, match=r"dataset.width must be a multiple of 4 for model=plane_sweep, got 46"
    ):
        make_engine(*TINY, "dataset.width=46")
