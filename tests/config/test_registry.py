"""Every name has its option, every option its class, and every method its card and its row in the laws."""

import dataclasses
import re
from functools import cache

import pytest
import torch

from bls_bench.config.compose import CONF_DIR, composed
from bls_bench.config.fit import WORDS
from bls_bench.config.registry import BASES, GROUPS, names, resolve
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.signals import SIGNALS
from bls_bench.system.settings import Part
from tests.helpers import make_config
from tests.pruning.helpers import PRUNERS, RATED, SCORERS
from tests.static.helpers import STATIC

from .options import OPTIONS, fitting

CARDS = CONF_DIR.parent / "docs" / "methods"
NAMES = [(group, name) for group in GROUPS for name in sorted(names(group))]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_of_every_group_composes_and_resolves(group, option):
    overrides, config = fitting(group, option)
    part = getattr(config, group, None)
    if group == "experiment":
        return
    assert isinstance(part, BASES[group])
    # All settings of a part stand in its YAML, where they are read about.
    written = set(composed(overrides)[group])
    assert written == {"_target_", *(field.name for field in dataclasses.fields(part))}


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "model"])
def test_every_model_is_built(name):
    _, config = fitting("model", name)
    assert sum(p.numel() for p in config.model.build(info_of(config.dataset)).parameters()) > 0


@cache
def info_of(dataset):
    return dataset.load(0).info


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "optimizer"])
def test_every_optimizer_is_built(name):
    optimizer = make_config(f"optimizer={name}").optimizer
    assert optimizer.build(torch.nn.Linear(2, 2)).param_groups[0]["lr"] == optimizer.lr


@pytest.mark.parametrize(("group", "name"), NAMES)
def test_every_name_of_the_registry_is_a_class_with_a_version_and_an_option(group, name):
    cls = resolve(group, name, ())
    assert issubclass(cls, BASES[group])
    assert issubclass(cls, Part)
    assert dataclasses.is_dataclass(cls)
    assert cls.version >= 1
    assert name in targets(group)


def targets(group):
    """Return what the options of a group stand for, without composing each."""
    texts = [path.read_text() for path in (CONF_DIR / group).glob("*.yaml")]
    return set(re.findall(r"^\s*_target_: (\S+)$", "\n".join(texts), re.MULTILINE))


def test_every_option_that_is_promised_is_there():
    promised = {
        "dataset": "digits cifar10 cifar100 imagefolder imagenet",
        "model": "resnet18 resnet50 resnet20 efficientnet_b0 mobilenetv3_small_050 vit_tiny swin_tiny timm",
        "pruner": "none random infobatch infobatch_quantile seta repb bls_infobatch bls_seta bls_repb "
        "no_ema_infobatch no_ema_seta epsilon_greedy ucb selective_backprop importance "
        "importance_error_norm repb_gradient_norm repb_importance proxy_topk static_random static_el2n "
        "static_grand static_forgetting static_least_confidence static_margin static_entropy static_herding "
        "static_kcenter static_contextual_diversity static_deepfool static_craig static_glister "
        "static_influence static_dp static_ccs static_tdds static_metriq",
        "scorer": "per_sample bls no_ema random bls_centered residual gradient_norm error_norm entropy "
        "margin kalman kalman_classes stale rarity random_per_sample time_corrected",
        "optimizer": "sgd adamw lars lamb",
        "scheduler": "onecycle cosine constant",
        "logger": "wandb none",
        "task": "classification vae detection",
        "experiment": "cifar100_resnet18 cifar100_resnet50 digits_quick",
    }
    assert {(group, name) for group, names in promised.items() for name in names.split()} <= set(OPTIONS)


def made_by(rows):
    """Return the classes that the rows of a table of the laws are made of."""
    return {type(row.values[0]()) for row in rows}


@pytest.mark.parametrize("name", sorted(names("pruner")))
def test_every_pruner_has_its_row_in_the_laws(name):
    """Without one it would pass all tests untested."""
    cls = resolve("pruner", name, ())
    rows = [("STATIC of tests/static/helpers.py", STATIC)]
    if not cls.chooses_once:
        rows = [("PRUNERS of tests/pruning/helpers.py", PRUNERS)]
        rows += [("RATED of tests/pruning/helpers.py", RATED)] * hasattr(cls, "target")
    for where, table in rows:
        assert cls in made_by(table), f"{name} has no row in {where}"


@pytest.mark.parametrize("name", sorted(names("scorer")))
def test_every_scorer_has_its_row_in_the_laws(name):
    """All that only differ in their signal are one law, whose signals have tests of their own."""
    cls, tested = resolve("scorer", name, ()), made_by(SCORERS)
    shared = {scorer.__mro__[1] for scorer in tested if scorer.signal}
    if cls not in tested and cls.signal is not None and cls.__mro__[1] in shared - {Scorer}:
        assert "update" not in vars(cls)
        assert cls.signal in SIGNALS
        return
    assert cls in tested, f"{name} has no row in SCORERS of tests/pruning/helpers.py"


@pytest.mark.parametrize("name", [name for group, name in NAMES if group in ("pruner", "scorer")])
def test_every_method_has_a_card(name):
    assert (CARDS / f"{name}.md").exists(), f"docs/methods/{name}.md is missing"


@pytest.mark.parametrize(("group", "name"), [(g, n) for g, n in NAMES if g not in ("optimizer", "logger")])
def test_what_is_needed_is_explained(group, name):
    """The line that refuses a misfit has words for every need that a class declares."""
    needs = getattr(resolve(group, name, ()), "needs", frozenset())
    if isinstance(needs, frozenset):  # a scorer's are those of an instance
        assert needs <= WORDS.keys()
