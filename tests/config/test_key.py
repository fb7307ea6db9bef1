"""A run's key stands for everything that bears on its numbers, and for nothing else."""

import dataclasses
import inspect

import pytest

from bls_bench.config import registry
from bls_bench.config.compose import CONF_DIR
from bls_bench.config.key import key_of
from bls_bench.config.schema import Trainer
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.system.settings import Part, added, folder, unkeyed, versioned
from tests.helpers import make_config

# What records are filed under. A change here orphans them: it has to be meant.
PINNED = {
    ("logger=none",): "abf677871970",
    (
        "pruner=infobatch",
        "pruner.target=0.3",
        "pruner.match=epochs",
        "experiment=scale_digits",
    ): "a1442313c265",
    ("pruner=static_el2n", "model=resnet20", "seed=7"): "d6ed5bc5c3a6",
    ("dataset=cifar10", "dataset.root=/somewhere/cifar", "scorer=bls", "pruner=repb"): "67e8d342cc69",
}


def test_a_version_of_runs_whose_samples_may_have_no_loss_counts_there_alone(monkeypatch):
    labelled = ("task=semisupervised", "pruner=repb", "task.prune=labelled", "trainer.batch_size=16")
    unlabelled = ("task=semisupervised", "pruner=repb")
    before = [make_config(*overrides).key for overrides in (labelled, unlabelled)]
    monkeypatch.setattr(RePBPruner, "silent_version", RePBPruner.silent_version + 1)
    after = [make_config(*overrides).key for overrides in (labelled, unlabelled)]
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("overrides", PINNED, ids=" ".join)
def test_keys_are_what_they_were(overrides):
    assert make_config(*overrides).key == PINNED[overrides]


@pytest.mark.parametrize(
    "override",
    [
        "records=x",
        "archive=x",
        "plugins=[tests.plugin]",
        "logger=none",
        "trainer.device=cpu",
        "trainer.save_model=false",
        "trainer.save_losses=true",
        "trainer.look=true",
        "trainer.checkpoint_seconds=1",
    ],
)
def test_paths_logging_and_devices_do_not_count(override):
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
        "trainer.strategy=fsdp",
        "trainer.grad_clip=1",
        "trainer.eval_every=2",
        "task.mixup=0.8",
        "dataset.subset=20",
        "model=resnet20",
        "scheduler=constant",
        "pruner.target=0.3",
    ],
)
def test_all_that_bears_on_the_numbers_does(override):
    assert make_config(override).key != make_config().key


def test_a_preset_is_the_same_run_as_its_parts():
    assert make_config("pruner=bls_seta").key == make_config("pruner=seta", "scorer=bls").key
    assert make_config("pruner=no_ema_seta").key == make_config("pruner=seta", "scorer=no_ema").key
    assert make_config("scorer=no_ema").key == make_config("scorer=bls", "scorer.alpha=0").key


def test_what_a_yaml_writes_and_what_a_default_fills_in_are_one_run():
    written = make_config("pruner=infobatch")
    left_out = make_config("pruner=infobatch", "~pruner.delta", "~pruner.anneal")
    assert written.resolved == left_out.resolved
    assert written.key == left_out.key


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [(InfoBatchPruner, "delta", 0.5), (SeTaPruner, "num_groups", 7), (Trainer, "eval_every", 2)],
)
def test_a_changed_default_changes_the_key(cls, field, value, monkeypatch):
    """A record of the old default must not pass for one of the new."""

    def key():
        group = "trainer" if cls is Trainer else "pruner"
        name = {InfoBatchPruner: "infobatch", SeTaPruner: "seta"}.get(cls, "none")
        return make_config(f"pruner={name}", f"~{group}.{field}").key

    before = key()
    assert before == make_config(f"pruner={'none' if cls is Trainer else registry_name(cls)}").key
    init = inspect.signature(cls.__init__).parameters
    names = [name for name, parameter in init.items() if parameter.default is not parameter.empty]
    changed = cls.__init__.__kwdefaults__ | {field: value}
    assert field in names
    monkeypatch.setattr(cls.__init__, "__kwdefaults__", changed)
    monkeypatch.setattr(cls.__dataclass_fields__[field], "default", value)
    monkeypatch.setattr(cls, field, value)
    assert key() != before


def registry_name(cls):
    return next(name for name in registry.names("pruner") if registry.resolve("pruner", name, ()) is cls)


@pytest.mark.parametrize("group", [group for group in registry.GROUPS if group != "logger"])
def test_a_raised_version_changes_the_key(group, monkeypatch):
    before = make_config().key
    monkeypatch.setattr(type(getattr(make_config(), group)), "version", 99)
    assert make_config().key != before


def test_the_trainers_version_counts_and_the_loggers_does_not(monkeypatch):
    before = make_config().key
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "version", 99)
        assert make_config().key != before
    monkeypatch.setattr(type(make_config().logger), "version", 99)
    assert make_config().key == before


def test_a_moved_module_keeps_the_key(monkeypatch):
    """The key has the name that people type, not the path of the class."""
    before = make_config("pruner=infobatch").key

    @dataclasses.dataclass(kw_only=True)
    class Elsewhere(InfoBatchPruner):
        """The same settings and the same version, in another module."""

    monkeypatch.setattr("bls_bench.config.run.resolve", swapped(Elsewhere))
    config = make_config("pruner=infobatch")
    assert type(config.pruner) is Elsewhere
    assert config.key == before


def swapped(cls):
    def resolve(group, target, plugins):
        return cls if group == "pruner" else registry.resolve(group, target, plugins)

    return resolve


def test_the_names_in_a_key_are_those_that_people_type():
    for group in registry.GROUPS:
        for path in (CONF_DIR / group).glob("*.yaml"):
            for line in path.read_text().splitlines():
                if line.startswith("_target_:"):
                    assert line.split()[1] in registry.names(group), path


def key(part, target="name"):
    return key_of(0, {"group": part}, {"group": target})


class TestFields:
    """What a field declares of itself."""

    @staticmethod
    def part(*, name="Settings", version=1, **fields):
        def kind(value):
            default = value.default if isinstance(value, dataclasses.Field) else value
            return object if default is dataclasses.MISSING else type(default)

        made = dataclasses.make_dataclass(
            name, [(field, kind(value), value) for field, value in fields.items()], bases=(Part,), frozen=True
        )
        made.version = version
        return made

    def test_unkeyed_ones_do_not_count(self):
        kind = self.part(a=1, b=unkeyed(2))
        assert key(kind(b=3)) == key(kind()) == key(self.part(a=1)())
        assert key(kind(a=2)) != key(kind())

    def test_of_a_folder_the_last_name_counts(self, tmp_path, monkeypatch):
        kind = self.part(root=folder("data"))
        assert key(kind(root="/a/flowers")) == key(kind(root="b/flowers")) == key(kind(root="/c/flowers/"))
        assert key(kind(root="/a/flowers")) != key(kind(root="/a/birds"))
        (tmp_path / "flowers").mkdir()
        monkeypatch.chdir(tmp_path / "flowers")
        assert key(kind(root=".")) == key(kind(root="/a/flowers"))

    def test_a_newer_field_at_its_neutral_value_is_left_out(self):
        older, newer = self.part(a=1), self.part(a=1, fresh=added(False, neutral=False))
        assert key(newer()) == key(older())
        assert key(newer(fresh=True)) != key(older())

    def test_a_newer_field_whose_default_is_not_neutral_counts(self):
        """Old records were made at the neutral value, which is then no longer the default."""
        older, newer = self.part(a=1), self.part(a=1, fresh=added(True, neutral=False))
        assert key(newer()) != key(older())
        assert key(newer(fresh=False)) == key(older())

    def test_the_name_of_the_class_does_not_count_but_the_typed_one_does(self):
        assert key(self.part(a=1)()) == key(self.part(a=1, name="Renamed")())
        assert key(self.part(a=1)(), "other") != key(self.part(a=1)())

    def test_the_version_counts(self):
        assert key(self.part(a=1, version=2)()) != key(self.part(a=1)())

    def test_a_value_may_have_a_version_of_its_own(self):
        older, newer = self.part(a="x"), self.part(a=versioned("x", {"y": 2}))
        assert key(newer()) == key(older())
        assert key(newer(a="z")) == key(older(a="z"))
        assert key(newer(a="y")) != key(older(a="y"))
        assert key(newer(a="y")) != key(self.part(a=versioned("x", {"y": 3}))(a="y"))

    def test_the_names_of_fields_count_and_their_order_does_not(self):
        assert key(self.part(a=1, b=1)()) == key(self.part(b=1, a=1)())
        assert key(self.part(a=1)()) != key(self.part(b=1)())


def test_of_a_data_sets_root_the_folder_name_counts():
    def key(root, *more):
        return make_config("dataset=imagefolder", f"dataset.root={root}", *more).key

    assert key("/a/flowers") == key("b/flowers", "dataset.workers=0", "dataset.in_memory=false")
    assert key("/a/flowers") != key("/a/birds")


def test_augmentation_counts():
    keys = [
        make_config("dataset=cifar10", f"dataset.{more}").key
        for more in ("crop=auto", "crop=zero", "crop=resized", "cutout=8")
    ]
    assert len(set(keys)) == 4


def test_numbers_are_compared_as_numbers():
    assert make_config("optimizer.lr=1").key == make_config("optimizer.lr=1.0").key
