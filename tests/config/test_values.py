import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from bls_bench.config import CONF_DIR, GROUPS
from bls_bench.engine.loop import share_batch
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.random import RandomScore
from bls_bench.system.errors import InputError

from tests.helpers import make_config

OPTIONS = [
    (group, path.stem)
    for group in (*GROUPS, "experiment")
    for path in sorted((CONF_DIR / group).glob("*.yaml"))
]
# What an option cannot do without.
NEEDS = {
    ("dataset", "imagefolder"): ["dataset.root=some/folder"],
    ("dataset", "imagenet"): ["dataset.root=some/folder"],
    ("model", "timm"): ["model.name=resnet10t"],
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchLossTask:
    """A task that has no per-sample losses, as detection or a VAE."""

    per_sample: ClassVar[bool] = False
    metric: ClassVar[str] = "accuracy"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def loss(self, model, inputs, targets):
        return torch.nn.functional.cross_entropy(model(inputs), targets)

    def evaluate(self, model, inputs, targets):
        return (model(inputs).argmax(1) == targets).float() * 100


BATCH_LOSS_TASK = f"task._target_={BatchLossTask.__module__}.{BatchLossTask.__name__}"


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_of_every_group_composes_and_builds(group, option):
    config = make_config(f"{group}={option}", *NEEDS.get((group, option), []))
    part = getattr(config, group, None)
    if group == "model":
        assert sum(p.numel() for p in part.build(1, 8, 10).parameters()) > 0
    if group == "optimizer":
        assert part.build(torch.nn.Linear(2, 2)).param_groups[0]["lr"] == part.lr
    # What the YAML leaves out and the schema fills in must be one run: every field is written down.
    if part is not None and group != "dataset":
        fields = {field.name for field in dataclasses.fields(part)}
        written = set(make_config_keys(group, option))
        assert fields <= written


def make_config_keys(group, option):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return list(compose("config", [f"{group}={option}", *NEEDS.get((group, option), [])])[group])


def test_every_option_that_is_promised_is_there():
    promised = {
        "dataset": "digits cifar10 cifar100 imagefolder imagenet",
        "model": "resnet18 resnet50 resnet20 efficientnet_b0 mobilenetv3_small_050 vit_tiny swin_tiny timm",
        "pruner": "none random infobatch infobatch_quantile seta repb bls_infobatch bls_seta bls_repb "
        "noema_infobatch noema_seta epsilon_greedy ucb selective_backprop importance "
        "importance_gradient_norm repb_gradient_norm repb_importance proxy_topk static_random static_el2n "
        "static_grand static_forgetting static_least_confidence static_margin static_entropy static_herding "
        "static_kcenter static_contextual_diversity static_deepfool static_craig static_glister "
        "static_influence static_dp",
        "scorer": "per_sample bls no_ema random bls_centered residual gradient_norm error_norm entropy "
        "margin",
        "optimizer": "sgd adamw lars lamb",
        "scheduler": "onecycle cosine constant",
        "logger": "wandb none",
        "task": "classification",
        "experiment": "cifar100_resnet18 cifar100_resnet50 digits_quick",
    }
    assert {(group, name) for group, names in promised.items() for name in names.split()} <= set(OPTIONS)


def test_every_pruner_and_scorer_has_a_card():
    for group in ("pruner", "scorer"):
        for path in (CONF_DIR / group).glob("*.yaml"):
            if "_global_" not in path.read_text():
                card = path.stem.removesuffix("_quantile")
                assert (Path(__file__).parents[1] / "docs" / "methods" / f"{card}.md").exists(), path.stem


def test_presets_are_pruner_and_scorer():
    config = make_config("pruner=bls_seta")
    assert isinstance(config.pruner, SeTaPruner)
    assert isinstance(config.scorer, BatchLossScore)
    assert config.key == make_config("pruner=seta", "scorer=bls").key
    assert isinstance(make_config("pruner=bls_infobatch", "scorer=random").scorer, RandomScore)
    assert make_config("pruner=noema_infobatch").scorer.alpha == 0
    assert make_config("pruner=infobatch_quantile").pruner == InfoBatchPruner(variant="quantile")


class TestKey:
    @pytest.mark.parametrize(
        "override",
        [
            "records=x",
            "logger=none",
            "trainer.device=cpu",
            "trainer.save_model=false",
            "trainer.checkpoint_seconds=1",
        ],
    )
    def test_paths_logging_and_devices_do_not_count(self, override):
        assert make_config(override).key == make_config().key

    @pytest.mark.parametrize(
        "override",
        [
            "seed=1",
            "trainer.epochs=3",
            "trainer.precision=bf16-mixed",
            "pruner=seta",
            "optimizer.lr=1",
            "scorer=per_sample",
            "trainer.accumulate=2",
            "trainer.compile=default",
            "trainer.ema=0.9",
            "task.mixup=0.8",
        ],
    )
    def test_all_that_bears_on_the_numbers_does(self, override):
        assert make_config(override).key != make_config().key

    def test_a_new_option_that_is_off_leaves_the_key_as_it_was(self):
        config = make_config()

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Newer(type(config.trainer)):
            new: bool = False

        def key(new):
            trainer = Newer(**dataclasses.asdict(config.trainer), new=new)
            resolved = config.resolved | {"trainer": dataclasses.asdict(trainer)}
            return dataclasses.replace(config, trainer=trainer, resolved=resolved).key

        assert key(False) == config.key
        assert key(True) != config.key

    def test_of_a_root_the_folder_name_counts(self):
        def key(root, *more):
            return make_config("dataset=imagefolder", f"dataset.root={root}", *more).key

        assert key("/a/flowers") == key("b/flowers", "dataset.workers=0", "dataset.in_memory=false")
        assert key("/a/flowers") != key("/a/birds")

    def test_augmentation_counts(self):
        keys = [
            make_config("dataset=cifar10", f"dataset.{more}").key
            for more in ("crop=auto", "crop=zero", "crop=resized", "cutout=8")
        ]
        assert len(set(keys)) == 4

    def test_numbers_are_compared_as_numbers(self):
        assert make_config("optimizer.lr=1").key == make_config("optimizer.lr=1.0").key


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
        (["trainer.eval_every=0"], "trainer.eval_every must be at least 1, got 0"),
        (["trainer.strategy=zero"], "trainer.strategy must be one of ddp, fsdp, got 'zero'"),
        (["trainer.strategy=fsdp", "trainer.ema=0.9"], "trainer.ema must be null with strategy=fsdp"),
        (["trainer.strategy=fsdp", "pruner=static_el2n"], "trainer.strategy must be ddp for a static pruner"),
        (["trainer.ema=1"], r"trainer.ema must be in \(0, 1\) or null"),
        (["task.mixup=-1"], "task.mixup must be at least 0"),
        (["trainer.device=tpu"], "trainer.device must be auto, cpu, cuda or mps"),
        (["trainer.grad_clip=0"], "trainer.grad_clip must be above 0"),
        (["trainer.checkpoint_seconds=-1"], "trainer.checkpoint_seconds must be at least 0"),
        (["pruner=none", "seed=one"], "seed=one: Value 'one'"),
        (["optimizer.lr=0"], "optimizer.lr must be above 0"),
        (["optimizer.weight_decay=-1"], "optimizer.weight_decay must be at least 0"),
        (["optimizer.weight_decay=nan"], "optimizer.weight_decay must be at least 0"),
        (["optimizer.name=adahessian"], "optimizer.name must be an optimizer without second derivatives"),
        (["pruner._target_=bls_bench.optim.OneCycle"], "pruner._target_=bls_bench.optim.OneCycle must be"),
        (["pruner._target_=os.path.join"], "must be a dataclass that is a Pruner"),
        (["optimizer.momentum=1"], r"optimizer.momentum must be in \[0, 1\)"),
        (["optimizer.name=sdg"], "optimizer.name must be one of timm's"),
        (["scheduler.pct_start=1"], r"scheduler.pct_start must be in \(0, 1\)"),
        (["scheduler.div_factor=0"], "scheduler.div_factor must be at least 1"),
        (["scheduler=cosine", "scheduler.warmup=1"], r"scheduler.warmup must be in \[0, 1\)"),
        (["scheduler=cosine", "scheduler.final=2"], r"scheduler.final must be in \[0, 1\]"),
        (["task.label_smoothing=1"], r"task.label_smoothing must be in \[0, 1\)"),
        (["logger.mode=loud"], "logger.mode must be one of auto, online, offline, disabled"),
        (["model=timm"], "model.name must be given, as model.name=VALUE"),
        (["dataset=imagefolder"], "dataset.root must be given"),
        (["dataset.subset=0"], "dataset.subset must be"),
        (["~pruner"], "pruner must be a group of settings, got None"),
        (["seed=99999999999999999999"], "seed must be in"),
        (["pruner._target_=bls_bench.nowhere.Pruner"], "pruner._target_=bls_bench.nowhere.Pruner"),
        (["records=${nowhere}"], "records"),
        (
            [BATCH_LOSS_TASK, "pruner=none"],
            "scorer: task batchlosstask gives only a batch loss: use scorer=bls",
        ),
    ],
)
def test_bad_values_are_refused_in_one_line(overrides, message):
    with pytest.raises(InputError, match=message) as caught:
        make_config(*overrides)
    assert "\n" not in str(caught.value)


def test_a_batch_loss_task_takes_every_other_scorer():
    for scorer in ("bls", "no_ema", "random", "bls_centered", "residual"):
        assert make_config(BATCH_LOSS_TASK, f"scorer={scorer}").task.per_sample is False


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
