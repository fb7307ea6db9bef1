"""Scoring runs and the runs after them, on a few digits."""

import dataclasses
import math

import pytest
import torch

from bls_bench.config.compose import CONF_DIR
from bls_bench.engine import scoring
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.noted import Change, change
from bls_bench.engine.scoring import observe, prepare
from bls_bench.engine.session import run
from bls_bench.pruning.visits import Visits
from bls_bench.system import memory
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.models import Classifier
from tests.helpers import (
    BATCH_LOSS_TASK,
    CPU,
    TINY,
    make_config,
    metrics,
    stop_at,
    train,
    without_times,
)

# 60 digits, two steps an epoch.
SMALL = ("dataset.subset=6", "trainer.epochs=2")
DYNAMIC = "epsilon_greedy ucb selective_backprop importance importance_error_norm repb_gradient_norm"
SIGNALS = [f"infobatch scorer={name}" for name in ("error_norm", "entropy", "margin")]
METHODS = [*DYNAMIC.split(), "repb_importance", *SIGNALS, "proxy_topk"]
METHODS += [path.stem for path in sorted((CONF_DIR / "pruner").glob("static_*.yaml"))]


def small(*overrides):
    return make_config("model=resnet20", "trainer.batch_size=32", "logger=none", *SMALL, *overrides)


def observed(*overrides):
    config = small(*overrides)
    data, fabric = config.dataset.load(config.seed), make_fabric(config.trainer)
    return observe(config, data, fabric), config, data, fabric


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(method, tmp_path):
    static = method.startswith("static") or method == "proxy_topk"
    extra = ["pruner.balanced=true"] if static else []
    scored = 0 if not static or method == "static_random" else 3 if method == "static_tdds" else 2
    extra += [f"pruner.scoring_epochs={scored}"] * bool(scored)
    extra += ["pruner.window=3"] * (method == "static_tdds")
    result, lines = train(tmp_path, *SMALL, *f"pruner={method}".split(), *extra)
    assert result["status"] == "finished"
    if not static:
        assert lines[0]["kept"] == 60
        assert lines[1]["kept"] < 60
        assert "scoring_seconds" not in result
        return
    assert [line["kept"] for line in lines] == [30, 30]
    assert result["pruned_percent"] == pytest.approx(50)
    # So many epochs of training and a last look.
    assert result["scoring_samples"] == (60 * (scored + 1) if scored else 0)
    assert result["scoring_seconds"] > 0
    assert result["pruned_percent_with_scoring"] == pytest.approx(50 - 100 * result["scoring_samples"] / 120)


def test_a_scoring_run_changes_nothing_but_the_choice(tmp_path):
    """With nothing left out, scores or none, it is the same run; and a second one is equal to the first."""
    runs = [("static_random", "a"), ("static_forgetting", "b"), ("static_el2n", "c"), ("static_el2n", "d")]
    (_, first), *others = [
        train(tmp_path / folder, *SMALL, f"pruner={pruner}", "pruner.target=0") for pruner, folder in runs
    ]
    for _, lines in others:
        assert without_times(lines) == without_times(first)


def test_what_is_observed_is_what_the_trained_model_says(monkeypatch):
    models, build = [], Classifier.build
    monkeypatch.setattr(Classifier, "build", lambda *given: models.append(build(*given)) or models[-1])
    seen, _, data, _ = observed("pruner=static_grand", "pruner.scoring_epochs=3", "task.mixup=0.2")
    assert seen.logits.shape == (60, 10)
    assert seen.features.shape == (60, 64)
    assert seen.history.shape == (3, 60)
    assert torch.equal(seen.targets, data.targets)
    again = observed("pruner=static_grand", "pruner.scoring_epochs=3", "task.mixup=0.2")[0]
    assert torch.equal(seen.logits, again.logits)
    assert torch.equal(seen.features, again.features)
    other = observed("pruner=static_grand", "pruner.scoring_epochs=3", "seed=1")[0]
    assert not torch.equal(seen.logits, other.logits)
    model = models[0]
    (inputs, _), *_ = data.train.plain().batches([torch.arange(60)], 0, CPU)
    with torch.no_grad():
        torch.testing.assert_close(model(inputs), seen.logits)
        torch.testing.assert_close(model.head(seen.features), seen.logits)


def test_the_history_tells_who_was_right_in_each_epoch():
    """On the samples as they are learned by heart, all are right in the end."""
    seen, *_ = observed("pruner=static_forgetting", "pruner.scoring_epochs=30", "scheduler=constant")
    right = seen.history.float().mean(1)
    assert right[-5:].mean() > right[:5].mean() + 0.3


def test_the_lead_is_above_zero_where_the_prediction_is_right():
    """Two runs that differ in nothing but what they note."""
    leads, rights = (
        observed(f"pruner={name}", "pruner.scoring_epochs=3")[0]
        for name in ("static_ccs", "static_forgetting")
    )
    assert torch.equal(leads.logits, rights.logits)
    assert torch.equal(leads.history > 0, rights.history == 1)
    assert set(rights.history.unique().tolist()) == {0, 1}
    assert leads.history.abs().max() <= 1


def test_how_far_predictions_move_is_noted_from_the_second_epoch_on():
    seen, *_ = observed("pruner=static_tdds", "pruner.scoring_epochs=4", "pruner.window=3")
    assert seen.history.shape == (4, 60)
    assert (seen.history[0] == 0).all()
    assert (seen.history[1:] > 0).all()


def test_a_change_is_against_the_epoch_before():
    """Batches in any order, and a sample that sat out an epoch is compared with what it last was."""
    draw, scorer = torch.Generator().manual_seed(0), Change()
    scores, last = torch.full((5,), torch.nan), {}
    for order in ([3, 1, 4, 0, 2], [0, 2, 1, 3], [4, 3, 2, 1, 0]):
        rows = torch.rand(len(order), 3, generator=draw).softmax(1)
        visits = Visits(torch.tensor(order), torch.tensor([len(order)]), torch.ones(1), None, [1], rows)
        scorer.update(scores, torch.zeros(5, dtype=torch.int32), visits, draw)
        for i, row in zip(order, rows.tolist(), strict=True):
            if i in last:
                moved = sum(p * abs(math.log(p) - math.log(q)) for p, q in zip(row, last[i], strict=True))
                assert float(scores[i]) == pytest.approx(moved, rel=1e-4)
            else:
                assert scores[i].isnan()
            last[i] = row
        assert 4 in order or scores[4].isnan()
    still = torch.tensor([[1.0, 0.0]])
    assert float(change(still, still)) == 0
    assert change(still, still.flip(1)).isfinite().all()


def test_a_proxy_is_what_scores(monkeypatch):
    built = []
    build = Classifier.build
    monkeypatch.setattr(Classifier, "build", lambda self, info: built.append(self.name) or build(self, info))
    overrides = (
        "pruner=proxy_topk",
        "pruner.scoring_epochs=1",
        "pruner.proxy=resnet10t",
        "pruner.balanced=true",
    )
    _, config, data, fabric = observed(*overrides)
    assert built == ["resnet10t"]
    prepare(config, data, fabric)
    assert config.pruner.chosen


def test_stop_and_resume_keep_the_choice_and_do_not_score_again(tmp_path, monkeypatch):
    overrides = ("pruner=static_craig", "pruner.scoring_epochs=1", "scorer=gradient_norm")
    whole, lines = train(tmp_path / "whole", *overrides)
    config = make_config(*TINY, f"records={tmp_path / 'parts'}", *overrides)
    stop_at(3, tmp_path / "parts", *overrides)
    again = dataclasses.replace(config, pruner=type(config.pruner)(scoring_epochs=1))
    monkeypatch.setattr(scoring, "observe", None)
    assert without_times(run(again)) == without_times(whole)
    assert without_times(metrics(tmp_path / "parts" / config.key)) == without_times(lines)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("pruner=static_el2n", "pruner.target=0.97"),
            r"pruner: EL2N leaves class \d without a single sample",
        ),
        (("pruner=proxy_topk", "pruner.proxy=resnet21x"), "model.name=resnet21x is not"),
    ],
)
def test_refused_by_the_scoring_run(overrides, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(tmp_path, *SMALL, *overrides, "pruner.scoring_epochs=1")


def test_a_single_class_is_refused_before_anything_is_trained(monkeypatch):
    config = small("pruner=static_margin")
    data = config.dataset.load(config.seed)
    data = dataclasses.replace(data, info=dataclasses.replace(data.info, classes=("one",)))
    monkeypatch.setattr(scoring, "observe", None)
    with pytest.raises(
        InputError, match="pruner=static_margin needs a data set of at least 2 classes, got 1: use"
    ):
        prepare(config, data, make_fabric(config.trainer))


def test_the_observations_of_all_processes_have_to_fit(monkeypatch):
    """64 features and 10 outputs of 60 samples fit exactly, for one process."""
    _, *parts = observed("pruner=static_kcenter", "pruner.scoring_epochs=1")
    monkeypatch.setattr(memory, "host_free", lambda: 4 * 60 * (64 + 10))
    observe(*parts)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="pruner: the features and outputs of 60 samples need"):
        observe(*parts)


@pytest.mark.parametrize(
    ("pruner", "what"),
    [
        (("pruner=static_kcenter", "pruner.scoring_epochs=1"), "the features and outputs of 60 samples"),
        (("pruner=static_tdds",), "what two epochs predict of 60 samples"),
    ],
)
def test_observations_that_do_not_fit_say_so(pruner, what, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "host_free", lambda: 2**10)
    with pytest.raises(InputError, match=rf"pruner: {what} need 0.0 GiB, and"):
        train(tmp_path, *SMALL, *pruner)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            (*BATCH_LOSS_TASK, "scorer=bls", "pruner=static_el2n"),
            "pruner=static_el2n needs the outputs of a classifier to choose samples by, which "
            "task=tests.plugin.Brightness or trainer does not give: use pruner=static_random",
        ),
        (
            ("scorer=margin", "task.cutmix=1", "pruner=repb"),
            "scorer=margin needs margin of each sample, which task=classification does not give: "
            "use scorer=per_sample",
        ),
        (("pruner=static_el2n", "pruner.target=1"), r"pruner.target must be in \[0, 1\)"),
        (("pruner=static_forgetting", "pruner.scoring_epochs=1"), "pruner.scoring_epochs must be at least 2"),
        (
            ("pruner=static_tdds", "pruner.scoring_epochs=4"),
            "pruner.window=5 must be at most scoring_epochs=4",
        ),
        (("pruner=static_ccs", "pruner.target=0"), "pruner.beta=0.1 must be at most target=0"),
        (("pruner=static_random", "+pruner.scoring_epochs=1"), "pruner.scoring_epochs: unknown key"),
    ],
)
def test_refused_when_the_config_is_read(overrides, message):
    with pytest.raises(InputError, match=message):
        small(*overrides)
