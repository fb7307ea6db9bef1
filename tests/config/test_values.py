"""Values are checked before anything is built, and what is wrong is named in one line."""

import pytest
import torch

from bls_bench.engine.batching import share_batch
from bls_bench.optim import Optimizer
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.random import RandomScore
from bls_bench.system.errors import InputError
from tests.helpers import BATCH_LOSS_TASK, make_config


def test_presets_are_pruner_and_scorer():
    config = make_config("pruner=bls_seta")
    assert isinstance(config.pruner, SeTaPruner)
    assert isinstance(config.scorer, BatchLossScore)
    assert config.key == make_config("pruner=seta", "scorer=bls").key
    assert isinstance(make_config("pruner=bls_infobatch", "scorer=random").scorer, RandomScore)
    assert make_config("pruner=no_ema_infobatch").scorer.alpha == 0
    assert make_config("pruner=infobatch_quantile").pruner == InfoBatchPruner(variant="quantile")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pruner=bls_infobatch", "scorer.alpha=1.2"], r"scorer.alpha must be in \[0, 1\], got 1.2"),
        (["pruner=infobatch", "pruner.prune_ratio=1"], r"pruner.prune_ratio must be in \[0, 1\), got 1"),
        (["pruner=infobatch", "pruner.prune_ratio=-0.1"], r"pruner.prune_ratio must be in \[0, 1\)"),
        (["pruner=seta", "pruner.delta=1.5"], r"pruner.delta must be in \[0, 1\]"),
        (["pruner=seta", "pruner.num_groups=2.5"], "pruner.num_groups=2.5: Value '2.5'"),
        (
            ["+pruner.speed=3", "pruner=seta"],
            "pruner.speed: unknown key, allowed are prune_ratio, target",
        ),
        (["+speed=3"], "speed: unknown key, allowed are seed, records"),
        (["trainer.epochs=0"], "trainer.epochs must be at least 1"),
        (["trainer.batch_size=0"], "trainer.batch_size must be at least 1"),
        (["trainer.precision=16"], "trainer.precision must be one of 32, tf32, bf16-mixed"),
        (["trainer.accumulate=0"], "trainer.accumulate must be at least 1"),
        (["trainer.compile=fast"], "trainer.compile must be one of none, default, max-autotune"),
        (["trainer.eval_every=0"], r"trainer.eval_every must be at least 1 and below 2\^31, got 0"),
        (["trainer.strategy=zero"], "trainer.strategy must be one of ddp, fsdp, got 'zero'"),
        (["trainer.strategy=fsdp", "trainer.ema=0.9"], "trainer.ema must be null with strategy=fsdp"),
        (
            ["trainer.strategy=fsdp", "pruner=static_el2n"],
            "pruner=static_el2n needs to look into the whole model, which task=classification or trainer "
            "does not give: use trainer.strategy=ddp",
        ),
        (["trainer.ema=1"], r"trainer.ema must be in \(0, 1\) or null"),
        (["task.mixup=-1"], "task.mixup must be a number of at least 0"),
        (["trainer.device=tpu"], "trainer.device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        (["trainer.grad_clip=0"], "trainer.grad_clip must be above 0"),
        (["trainer.checkpoint_seconds=-1"], "trainer.checkpoint_seconds must be at least 0"),
        (["pruner=none", "seed=one"], "seed=one: Value 'one'"),
        (["optimizer.lr=0"], "optimizer.lr must be a number above 0"),
        (["optimizer.weight_decay=-1"], "optimizer.weight_decay must be at least 0"),
        (["optimizer.weight_decay=nan"], "optimizer.weight_decay must be at least 0"),
        (
            ["pruner._target_=bls_bench.optim.OneCycle"],
            "pruner._target_=bls_bench.optim.OneCycle is no part of",
        ),
        (
            ["pruner._target_=bls_bench.optim.OneCycle", "plugins=[bls_bench]"],
            "pruner._target_=bls_bench.optim.OneCycle must be a dataclass that is a Pruner",
        ),
        (["pruner._target_=os.path.join", "plugins=[os]"], "must be a dataclass that is a Pruner"),
        (["pruner._target_=os.nothing", "plugins=[os]"], "pruner._target_=os.nothing: module 'os' has no"),
        (["pruner._target_=sata"], "pruner._target_=sata is unknown, allowed are epsilon_greedy, importance"),
        (["pruner._target_=null"], "pruner._target_ must be one of epsilon_greedy, .* got None"),
        (["optimizer.momentum=1"], r"optimizer.momentum must be in \[0, 1\)"),
        (["optimizer.name="], "optimizer.name must be one of timm's"),
        (["scheduler.pct_start=1"], r"scheduler.pct_start must be in \(0, 1\)"),
        (["scheduler.div_factor=0"], "scheduler.div_factor must be at least 1"),
        (["scheduler=cosine", "scheduler.warmup=1"], r"scheduler.warmup must be in \[0, 1\)"),
        (["scheduler=cosine", "scheduler.final=2"], r"scheduler.final must be in \[0, 1\]"),
        (["task.label_smoothing=1"], r"task.label_smoothing must be in \[0, 1\)"),
        (["logger.mode=loud"], "logger.mode must be one of auto, online, offline, disabled"),
        (["model=timm"], "model.name must be given, as model.name=VALUE"),
        (["dataset=imagefolder"], "dataset.root must be given"),
        (["dataset.subset=0"], "dataset.subset must be"),
        (["dataset.imbalance=0.5"], "dataset.imbalance must be at least 1"),
        (["dataset.label_noise=1"], "dataset.label_noise must be in"),
        (["dataset.duplicates=0"], "dataset.duplicates must be at least 1"),
        (["dataset.hard_cluster=-0.1"], "dataset.hard_cluster must be in"),
        (["~pruner"], "pruner must be a group of settings, got None"),
        (["seed=99999999999999999999"], "seed must be in"),
        (
            ["pruner._target_=nowhere.Pruner", "plugins=[nowhere]"],
            "pruner._target_=nowhere.Pruner: No module",
        ),
        (["records=${nowhere}"], "records"),
        (
            [*BATCH_LOSS_TASK, "pruner=seta"],
            "scorer=per_sample needs the loss of each sample, which task=tests.plugin.Brightness "
            "does not give: use scorer=bls",
        ),
        (
            [*BATCH_LOSS_TASK, "pruner=repb_gradient_norm"],
            "scorer=gradient_norm needs the loss of each sample, .* use scorer=bls",
        ),
        (
            ["scorer=kalman_classes", "task.mixup=0.5"],
            "scorer=kalman_classes needs the class of each sample, which task=classification does not give: "
            "use scorer=bls",
        ),
    ],
)
def test_bad_values_are_refused_in_one_line(overrides, message):
    with pytest.raises(InputError, match=message) as caught:
        make_config(*overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adahessian", "optimizer.name must be an optimizer without second derivatives, got 'adahessian'"),
        ("sdg", "optimizer.name must be one of timm's optimizers .* got 'sdg'"),
    ],
)
def test_an_optimizer_that_timm_does_not_have_is_refused_when_it_is_built(name, message):
    """Which there are, only timm knows, and it is not asked before the config was read."""
    with pytest.raises(InputError, match=message):
        Optimizer(name=name, lr=0.1).build(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("scorer", ["bls", "no_ema", "random", "bls_centered", "residual", "kalman", "stale"])
def test_a_batch_loss_task_takes_every_scorer_of_batch_losses(scorer):
    config = make_config(*BATCH_LOSS_TASK, f"scorer={scorer}")
    assert config.task.gives == config.scorer.needs == frozenset()


class TestTyped:
    """What a preset brought for another class is left out; what was typed is not."""

    @pytest.mark.parametrize("recipe", ["cifar100_resnet18", "digits_quick"])
    def test_a_recipes_settings_of_another_task_are_left_out(self, recipe):
        config = make_config(*BATCH_LOSS_TASK, f"experiment={recipe}", "dataset=digits", "scorer=bls")
        assert config.resolved["task"] == {"_target_": "tests.plugin.Brightness", "noise": 0.1}

    def test_a_typed_setting_that_the_task_lacks_is_refused(self):
        with pytest.raises(InputError, match="task.mixup: unknown key, allowed are noise"):
            make_config(*BATCH_LOSS_TASK, "task.mixup=1", "scorer=bls")

    def test_settings_of_a_plugin_are_set_as_any(self):
        assert make_config(*BATCH_LOSS_TASK, "+task.noise=0.5", "scorer=bls").task.noise == 0.5


def test_a_plugin_is_not_imported_unless_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError,
        match=r"pruner._target_=evil.X is no part of this project: to import .* as plugins=\[evil\]",
    ):
        make_config("pruner._target_=evil.X")


def test_with_another_seed_all_else_is_the_same():
    config = make_config("pruner=bls_seta", "seed=3")
    other = config.with_seed(4)
    assert (config.seed, other.seed, other.resolved["seed"]) == (3, 4, 4)
    assert other.key == make_config("pruner=bls_seta", "seed=4").key != config.key
    assert other.resolved == make_config("pruner=bls_seta", "seed=4").resolved


class TestSizes:
    def test_batch_larger_than_the_data(self):
        with pytest.raises(
            InputError, match="trainer.batch_size must be at most the 63 training samples, got 64"
        ):
            share_batch(make_config(), 63, 1)

    def test_batch_that_processes_cannot_share(self):
        with pytest.raises(InputError, match="trainer.batch_size=64 cannot be shared by 3 processes"):
            share_batch(make_config(), 1000, 3)
        assert share_batch(make_config(), 1000, 2) == 32

    def test_window_larger_than_the_epoch(self):
        config = make_config("pruner=repb", "pruner.window=5")
        assert share_batch(config, 257, 1) == 64
        with pytest.raises(
            InputError, match="pruner.window must be at most the 4 batches of an epoch, got 5"
        ):
            share_batch(config, 256, 1)
