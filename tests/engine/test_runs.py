"""Laws of whole runs, in this process, on a few digits."""

import dataclasses
import math
import os
import pickle
import signal

import pytest
import torch
from omegaconf import OmegaConf

from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.session import run
from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.system.errors import InputError
from bls_bench.system.stopping import Interrupted
from bls_bench.tasks.classification.models import Classifier
from bls_bench.tasks.classification.objective import Classifying
from tests.helpers import (
    BATCH_LOSS_TASK,
    CPU,
    TINY,
    StopAt,
    make_config,
    make_engine,
    same_weights,
    stop_at,
    train,
    without_times,
)

from .helpers import fetched, learn

PRUNERS = ("none", "random", "infobatch", "infobatch_quantile", "seta", "repb")
SCORERS = ("per_sample", "bls", "no_ema", "random", "bls_centered", "residual")


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("scorer", SCORERS)
def test_every_pair_trains(pruner, scorer, tmp_path):
    result, lines = train(tmp_path, f"pruner={pruner}", f"scorer={scorer}")
    assert result["status"] == "finished"
    assert len(lines) == result["epochs"] == 3
    used = sum(line["kept"] for line in lines)
    assert result["pruned_percent"] == pytest.approx(100 * (1 - used / 300))
    # A single sample left over sits the epoch out.
    left_over = [line["kept"] - line["trained"] for line in lines]
    assert left_over == [int(line["kept"] % 32 == 1) for line in lines]
    assert result["samples_trained"] == used - sum(left_over)
    assert result["accuracy_last"] == lines[-1]["accuracy"]
    assert result["accuracy_best"] == max(line["accuracy"] for line in lines)
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert lines[0]["score_loss_spearman"] is None  # nothing was scored before the first epoch


@pytest.mark.parametrize("scorer", ["bls", "residual"])
def test_a_task_with_batch_losses_only(scorer, tmp_path):
    result, lines = train(tmp_path, *BATCH_LOSS_TASK, "pruner=infobatch", f"scorer={scorer}")
    assert result["status"] == "finished"
    assert all(line["score_loss_spearman"] is None for line in lines)


@pytest.mark.parametrize(
    "overrides",
    [
        ("pruner=bls_seta",),
        pytest.param(("pruner=repb", "model=vit_tiny"), marks=pytest.mark.slow),
        ("optimizer=lamb",),
    ],
)
def test_the_same_seed_gives_bit_equal_runs_and_another_does_not(overrides, tmp_path):
    first, again = (train(tmp_path / name, *overrides)[1] for name in "ab")
    other = train(tmp_path / "c", *overrides, "seed=1")[1]
    assert without_times(first) == without_times(again)
    assert without_times(first) != without_times(other)


@pytest.mark.parametrize("steps", [3, 4, 5, 9])
@pytest.mark.parametrize("pruner", ["bls_infobatch", "repb", "seta"])
def test_stop_and_resume_equals_uninterrupted(pruner, steps, tmp_path):
    whole, whole_lines = train(tmp_path / "whole", f"pruner={pruner}")
    stopped = stop_at(steps, tmp_path / "parts", f"pruner={pruner}")
    assert "the same command goes on" in str(stopped)
    assert stopped.exit_code == 128 + 15
    (folder,) = (tmp_path / "parts").iterdir()
    assert not (folder / "result.json").exists()
    torch.manual_seed(99)  # what another run in the same process leaves behind
    result, lines = train(tmp_path / "parts", f"pruner={pruner}")
    assert without_times(result) == without_times(whole)
    assert without_times(lines) == without_times(whole_lines)
    assert not (folder / "checkpoint.pt").exists()
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_dropout_noise_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """Models that draw from the global generator while training resume exactly too."""
    overrides = ("model=timm", "model.name=resnet10t", "dataset.subset=20")
    build = Classifier.build

    def with_dropout(self, info):
        model = build(self, info)
        model.fc = torch.nn.Sequential(torch.nn.Dropout(0.5), model.fc)
        return model

    monkeypatch.setattr(Classifier, "build", with_dropout)
    _, whole = train(tmp_path / "whole", *overrides)
    stop_at(9, tmp_path / "parts", *overrides)
    torch.manual_seed(99)
    assert without_times(train(tmp_path / "parts", *overrides)[1]) == without_times(whole)


def test_a_crash_between_checkpoints_resumes_from_the_last_one(tmp_path, monkeypatch):
    _, whole = train(tmp_path / "whole", "pruner=bls_seta")
    overrides = ("pruner=bls_seta", "trainer.checkpoint_seconds=0")
    measured, calls = Engine.measured, []

    def crash(self):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("power cut")
        return measured(self)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(Engine, "measured", crash)
        train(tmp_path / "parts", *overrides)
    assert without_times(train(tmp_path / "parts", *overrides)[1]) == without_times(whole)


def test_another_pruner_leaves_weights_and_augmentation_untouched():
    engines = [make_engine(f"pruner={pruner}") for pruner in ("none", "random", "bls_seta")]
    weights = [engine.learner.model.state_dict() for engine in engines]
    indices = [torch.arange(40)]
    for other, engine in zip(weights[1:], engines[1:], strict=True):
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])
        engine.state.begin_epoch()
        for epoch in range(2):
            batches = [next(e.data.train.batches(indices, epoch, CPU)) for e in (engines[0], engine)]
            assert torch.equal(batches[0][0], batches[1][0])


def test_a_step_descends_the_weighted_mean():
    """Under a per-sample scorer the gradient is that of mean(w_i l_i), under any other that of L mean(w)."""
    for pruner, weigh in (("infobatch", "samples"), ("bls_infobatch", "batch")):
        engine = make_engine(f"pruner={pruner}", "optimizer.weight_decay=0", "optimizer.momentum=0")
        for _ in range(2):
            engine.epoch(None, StopAt(-1))
        batch = engine._batches(engine.state.begin_epoch())[0]
        assert batch.weights.unique().tolist() == [1.0, 2.0]
        (inputs, targets), model = fetched(engine, batch), engine.learner.model
        model.train()
        losses = torch.nn.functional.cross_entropy(model(inputs), targets, reduction="none")
        loss = (losses * batch.weights).mean() if weigh == "samples" else losses.mean() * batch.weights.mean()
        parameters = list(model.parameters())
        expected = [
            p - 0.01 * g for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True)
        ]
        for group in engine.learner.optimizer.param_groups:
            group["lr"] = 0.01
        learn(engine, batch)
        for found, wanted in zip(parameters, expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_rate_follows_progress_however_long_the_epochs(monkeypatch):
    engine = make_engine("pruner=random", "pruner.prune_ratio=0.6", "trainer.epochs=2")
    seen = []
    monkeypatch.setattr(engine, "_set_rate", seen.append)
    for _ in range(2):
        engine.epoch(None, StopAt(-1))
    assert seen == [0.0, 0.25, 0.5, 0.75]  # 40 samples, two steps an epoch


def test_gradient_clipping_bounds_the_step():
    engine = make_engine("trainer.grad_clip=0.001", "optimizer.weight_decay=0", "optimizer.momentum=0")
    batch = engine._batches(engine.state.begin_epoch())[0]
    for group in engine.learner.optimizer.param_groups:
        group["lr"] = 1.0
    parameters = list(engine.learner.model.parameters())
    before = [p.detach().clone() for p in parameters]
    learn(engine, batch)
    moved = sum((p - old).square().sum() for p, old in zip(parameters, before, strict=True)).sqrt()
    assert float(moved.detach()) == pytest.approx(0.001, rel=1e-2)


def test_bf16_runs_the_model_in_bf16():
    engine = make_engine("trainer.precision=bf16-mixed")
    kinds = []
    engine.learner.model.module.stem.register_forward_hook(lambda *call: kinds.append(call[2].dtype))
    engine.epoch(None, StopAt(-1))
    assert set(kinds) == {torch.bfloat16}  # in training and in evaluation
    assert all(p.dtype == torch.float32 for p in engine.learner.model.parameters())


def test_a_single_sample_left_over_sits_out():
    engine = make_engine("trainer.batch_size=33")  # 100 = 3 * 33 + 1
    selection = engine.state.begin_epoch()
    assert [len(batch.indices) for batch in engine._batches(selection)] == [33, 33, 33]


def test_evaluation_is_the_accuracy_of_the_whole_split():
    engine = make_engine()
    model, test = engine.learner.model.eval(), engine.data.test
    inputs, targets = next(test.batches([torch.arange(len(test))], 0, CPU))
    with torch.no_grad():
        expected = (model(inputs).argmax(1) == targets).double().mean() * 100
    assert engine.measured()["accuracy"] == pytest.approx(float(expected))


def test_a_non_finite_loss_stops_the_run_and_the_record_says_so(tmp_path, monkeypatch):
    config = make_config(*TINY, f"records={tmp_path}")
    plain, calls = Classifying.loss, []

    def diverge(self, *given):
        calls.append(1)
        loss = plain(self, *given)
        return loss._replace(value=loss.value * (float("nan") if len(calls) == 6 else 1))

    with monkeypatch.context() as patch, pytest.raises(NonFiniteLossError, match="in epoch 1, batch 1"):
        patch.setattr(Classifying, "loss", diverge)
        run(config)
    record = tmp_path / config.key / "result.json"
    assert '"failed"' in record.read_text()
    assert "epoch 1, batch 1" in record.read_text()
    assert (
        run(make_config(*TINY, f"records={tmp_path}"))["status"] == "finished"
    )  # failed runs are tried again


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["pruner=random", "pruner.prune_ratio=0.9999"],
            "pruner: RandomPruner leaves none of the 100 samples",
        ),
        (
            ["pruner=random", "pruner.prune_ratio=0.99"],
            "pruner: it leaves only 1 samples, too few for a step",
        ),
        (["trainer.batch_size=1"], "trainer.batch_size must give every process at least 2 samples"),
    ],
)
def test_too_little_to_train_on(overrides, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(tmp_path, *overrides)


def test_single_samples_train_a_model_without_batch_norm(tmp_path):
    overrides = ("model=vit_tiny", "trainer.batch_size=1", "dataset.subset=1", "trainer.epochs=2")
    _, lines = train(tmp_path, *overrides)
    assert [line["trained"] for line in lines] == [10, 10]


def test_a_result_that_cannot_be_written_is_a_failed_run(tmp_path, monkeypatch):
    config = make_config(*TINY, f"records={tmp_path}")

    def full(content, file):
        file.write(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0")

    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match=r"model.pt cannot be written: .*unexpected"),
    ):
        patch.setattr(torch, "save", full)
        run(config)
    folder = tmp_path / config.key
    assert '"failed"' in (folder / "result.json").read_text()
    assert not list(folder.glob("*.tmp"))
    assert not (folder / "model.pt").exists()


def test_a_signal_after_the_last_epoch_leaves_a_finished_run(tmp_path, monkeypatch):
    config = make_config(*TINY, f"records={tmp_path}")
    fit = Engine.fit

    def signalled(self, *given):
        result = fit(self, *given)
        os.kill(os.getpid(), signal.SIGTERM)
        return result

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="after the run was finished"):
        patch.setattr(Engine, "fit", signalled)
        run(config)
    assert '"finished"' in (tmp_path / config.key / "result.json").read_text()


def test_errors_survive_the_way_from_another_process():
    for error in (NonFiniteLossError(3, 4, float("inf")), Interrupted(15, "stopped")):
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_config_is_written_whole(tmp_path):
    train(tmp_path, "pruner=bls_infobatch")
    config = make_config(*TINY, "pruner=bls_infobatch", f"records={tmp_path}")
    saved = OmegaConf.to_container(OmegaConf.load(tmp_path / config.key / "config.yaml"))
    assert saved == config.resolved
    groups = {field.name for field in dataclasses.fields(config)} - {"resolved", "root"}
    assert set(saved) == groups | {field.name for field in dataclasses.fields(config.root)}


def test_evaluating_now_and_then_changes_nothing_but_what_is_known(tmp_path):
    every, all_lines = train(tmp_path / "every", "pruner=infobatch", "trainer.epochs=5")
    rare, lines = train(tmp_path / "rare", "pruner=infobatch", "trainer.epochs=5", "trainer.eval_every=2")
    known = [line["accuracy"] for line in lines]
    assert known == [None if epoch in (0, 2) else all_lines[epoch]["accuracy"] for epoch in range(5)]
    assert [line["loss"] for line in lines] == [line["loss"] for line in all_lines]
    assert rare["accuracy_last"] == every["accuracy_last"]
    assert rare["accuracy_best"] == max(value for value in known if value is not None)
    assert known[rare["best_epoch"]] == rare["accuracy_best"]


def test_a_margin_needs_two_classes():
    config = make_config(*TINY, "scorer=margin")
    data = config.dataset.load(config.seed)
    data = dataclasses.replace(data, info=dataclasses.replace(data.info, classes=("one",)))
    with pytest.raises(InputError, match="scorer=margin needs a data set of at least 2 classes, got 1"):
        Engine(config, data, make_fabric(config.trainer))
