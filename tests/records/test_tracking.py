import sys
import types
import warnings
from pathlib import Path

import pytest

from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.records.loggers.wandb import WandbLogger, has_api_key
from bls_bench.records.schema import Metric
from bls_bench.records.tracking import HISTOGRAMS, Story, is_due
from bls_bench.tasks.classification.objective import Classifying
from bls_bench.tasks.objective import Loss
from tests.helpers import TINY, make_config, train


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the wandb package that writes down its calls."""
    module = types.ModuleType("wandb")
    module.calls, module.logged, module.summary, module.codes, module.defined = [], [], {}, [], {}
    module.Histogram = list

    class Run:
        def __init__(self):
            self.summary = module.summary

        def define_metric(self, name, summary=None, step_metric=None):
            module.defined[name] = summary

        def log(self, metrics, step):
            module.logged.append((step, metrics))

        def finish(self, exit_code):
            module.codes.append(exit_code)

    module.Settings = lambda **settings: types.SimpleNamespace(base_url="https://wandb.test:8080", **settings)

    def init(**settings):
        module.calls.append(settings)
        return Run()

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def story(folder, **choices):
    config = {"seed": 0, "pruner": {"_target_": "seta", "prune_ratio": 0.1}}
    return Story("key", config, choices, (Metric("FID", "lower"),), 3, folder)


def test_a_metric_that_is_better_when_lower(wandb, tmp_path):
    WandbLogger().start(story(tmp_path))
    assert wandb.defined["FID"] == "min,last"


@pytest.mark.parametrize("epochs", [1, 3, 19, 20, 200])
def test_histograms_are_taken_of_the_first_and_last_epoch_and_of_few_between(epochs):
    due = [epoch for epoch in range(epochs) if is_due(epoch, epochs)]
    assert due[0] == 0
    assert due[-1] == epochs - 1
    assert len(due) <= HISTOGRAMS + 1


def test_what_a_run_tells(wandb, tmp_path):
    result, lines = train(tmp_path, "logger=wandb")
    config = make_config(*TINY)
    (call,) = wandb.calls
    assert call["id"] == call["name"] == config.key
    assert call["mode"] == "offline"
    assert call["config"]["trainer"]["epochs"] == 3
    assert Path(call["dir"]) == tmp_path / config.key
    logged = [(step, told) for step, told in wandb.logged if "loss" in told]
    assert logged == list(enumerate(lines))
    assert wandb.defined["accuracy"] == "max,last"
    assert wandb.defined["loss"] == "min,last"
    spread = [told for _, told in wandb.logged if "samples/scores" in told]
    assert len(spread) == len([epoch for epoch in range(3) if is_due(epoch, 3)])
    assert len(spread[-1]["samples/scores"]) == 100
    assert {"task=classification", "dataset=digits", "pruner=none"} <= set(call["tags"])
    assert wandb.summary["accuracy_last"] == result["accuracy_last"]
    assert wandb.summary["pruned_percent"] == result["pruned_percent"]
    assert wandb.codes == [0]


def test_the_experiment_is_the_group(wandb, tmp_path):
    WandbLogger().start(story(tmp_path, experiment="digits_quick", pruner="bls_seta"))
    assert wandb.calls[0]["group"] == "digits_quick"
    assert wandb.calls[0]["tags"] == ["pruner=bls_seta", "experiment=digits_quick"]


def test_a_key_is_found_where_its_login_puts_it(tmp_path, monkeypatch):
    url = "https://wandb.test:8080"
    assert not has_api_key(url)
    (tmp_path / "netrc").write_text("machine wandb.test login user password abc")
    assert has_api_key(url)
    (tmp_path / "netrc").write_text("machine elsewhere login user password abc")
    assert not has_api_key(url)
    monkeypatch.setenv("WANDB_API_KEY", "abc")
    assert has_api_key(url)


def test_auto_is_online_with_a_key_alone(wandb, tmp_path, monkeypatch):
    for key, mode in ((None, "auto"), ("abc", "auto"), ("abc", "offline"), ("abc", "online")):
        if key:
            monkeypatch.setenv("WANDB_API_KEY", key)
        WandbLogger(mode=mode).start(story(tmp_path))
    assert [call["mode"] for call in wandb.calls] == ["offline", "online", "offline", "online"]


def test_online_without_a_key_is_kept_offline_and_never_prompts(wandb, tmp_path, capsys):
    WandbLogger(mode="online").start(story(tmp_path))
    assert "has no API key" in capsys.readouterr().err
    assert [call["mode"] for call in wandb.calls] == ["offline"]


def test_a_server_that_cannot_be_reached_is_done_without(wandb, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "abc")
    init = wandb.init

    def unreachable(**settings):
        if settings["mode"] == "online":
            assert settings["settings"].init_timeout <= 30
            raise RuntimeError("timed out\nwaiting for the server")
        return init(**settings)

    monkeypatch.setattr(wandb, "init", unreachable)
    WandbLogger().start(story(tmp_path))
    assert "kept offline: timed out waiting for the server\n" in capsys.readouterr().err
    assert [call["mode"] for call in wandb.calls] == ["offline"]


def test_a_run_that_fails_is_finished_with_its_exit_code(wandb, tmp_path, monkeypatch):
    def diverge(self, model, batch, *_):
        return Loss(model(batch[0]).sum(1) * float("nan"))

    monkeypatch.setattr(Classifying, "loss", diverge)
    with pytest.raises(NonFiniteLossError):
        train(tmp_path, "logger=wandb")
    assert wandb.codes == [1]


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
def test_its_failures_are_told_and_end_nothing(wandb, tmp_path, monkeypatch, capsys, broken):
    def fail(*args, **kwargs):
        raise RuntimeError("no space left")

    if broken == "init":
        monkeypatch.setattr(wandb, "init", fail)
    else:
        run = wandb.init()
        monkeypatch.setattr(type(run), broken, fail)
        monkeypatch.setattr(wandb, "init", lambda **_: run)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # as PYTHONWARNINGS=error::UserWarning does
        result, _ = train(tmp_path, "logger=wandb")
    assert result["status"] == "finished"
    assert "W&B failed, training goes on without it: no space left" in capsys.readouterr().err


def test_it_is_imported_only_when_used(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)  # any import of it now fails
    train(tmp_path / "a", "logger=wandb")
    told = capsys.readouterr().err
    assert "W&B failed" in told
    for number, overrides in enumerate((["logger=none"], ["logger=wandb", "logger.mode=disabled"])):
        train(tmp_path / str(number), *overrides)
        assert "W&B" not in capsys.readouterr().err
