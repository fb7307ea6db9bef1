"""The train command as a user types it, in a process of its own."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import distributions
from pathlib import Path

import pytest

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.train import following, main
from bls_bench.version import __version__

from .helpers import TINY, command, exit_code, finish, metrics, torchrun, without_times

ROOT = Path(__file__).parents[1]
TINY_RESNET18 = ("dataset.subset=10", "trainer.epochs=2", "logger=none")


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run the command inside this process, in an empty folder; gives exit code, output and errors."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["bls_bench.train", *arguments])
        capsys.readouterr()
        return exit_code(main), *capsys.readouterr()

    return run


def wait_for(process, path, lines=1):
    """Wait until a run has written `lines` lines of metrics."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = list(path.glob("*/metrics.jsonl"))
        if found and len(found[0].read_text().splitlines()) >= lines:
            return
        time.sleep(0.01)
    raise AssertionError(f"no metrics came: {process.communicate()}")


@pytest.mark.slow
def test_the_demo_end_to_end(tmp_path):
    """The very command that `make demo` runs, in an empty folder, with the defaults but fewer epochs."""
    recipe = re.search(r"^demo:.*\n\t(.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    words = recipe.split()
    assert words[1:3] == ["-m", "bls_bench.train"]
    code, out, err = finish(command(*words[3:], "trainer.epochs=6", cwd=tmp_path), timeout=500)
    assert code == 0, err
    lines = out.strip().splitlines()
    assert sum(line.startswith("epoch") for line in lines) == 6
    accuracy, pruned = re.search(r"finished: accuracy ([\d.]+)% .* pruned ([\d.]+)%", out).groups()
    assert float(accuracy) > 90
    assert 10 < float(pruned) < 50
    record = Path(re.search(r"^  record +(\S+)$", out, re.MULTILINE)[1])
    assert lines[-1].split(maxsplit=1)[1].startswith("python -m bls_bench.train pruner=none ")
    assert record.parent == tmp_path / "outputs"
    assert json.loads((record / "result.json").read_text())["status"] == "finished"
    assert len(metrics(record)) == 6


def test_help_lists_every_group_and_its_options(here, tmp_path):
    code, out, _ = here("--help")
    assert code == 0
    for group in (
        "dataset",
        "model",
        "pruner",
        "scorer",
        "task",
        "optimizer",
        "scheduler",
        "logger",
        "experiment",
    ):
        options = sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
        assert f"{group}: {', '.join(options)}" in out
    assert not list(tmp_path.iterdir())


def test_help_begins_with_examples_and_fits_a_screen(here):
    _, out, _ = here("--help")
    wrapped = [part for line in out.splitlines() for part in textwrap.wrap(line, 100) or [""]]
    assert len(wrapped) <= 45
    examples = [line.partition("  #")[0].split() for line in out.splitlines() if line.startswith("  python")]
    assert len(examples) >= 4
    for _, _, module, *words in examples:
        assert module == "bls_bench.train"
        assert "-m" in words or load(composed(words))
    assert out.index("python -m bls_bench.train pruner") < out.index("dataset: ")


def test_cfg_job_shows_the_composed_config(here, tmp_path):
    code, out, _ = here("pruner=bls_seta", "scorer.alpha=0.9", "--cfg", "job")
    assert code == 0
    assert "_target_: seta" in out
    assert "alpha: 0.9" in out
    assert not list(tmp_path.iterdir())


def test_the_end_of_a_run_says_what_was_saved_and_what_to_try_next(here, tmp_path):
    run = (*TINY[1:], "pruner=random", "records=my runs")
    code, out, err = here(*run)
    assert code == 0, err
    lines = out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("finished: accuracy"))
    rows = dict(line.split(maxsplit=1) for line in lines[start + 1 :])
    (result,) = tmp_path.glob("my runs/*/result.json")
    found = json.loads(result.read_text())
    full, trained = 100 * 3, found["samples_trained"]
    assert trained < full
    assert rows["samples"] == f"{trained} trained on, {full - trained} of {full} saved"
    assert rows["record"] == str(result.parent)
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines[start + 1 :]}) == 1  # aligned
    # The next command runs as it is shown, on full data, with all else as it was.
    words = shlex.split(rows["next"])
    assert words[:4] == ["python", "-m", "bls_bench.train", "pruner=none"]
    code, out, _ = here(*words[3:])
    assert code == 0
    assert "pruned 0.0%" in out
    assert "pruner=bls_seta" in out.splitlines()[-1]
    assert here(*run)[1].startswith("already finished: accuracy")


def test_the_next_command_leaves_the_settings_of_the_pruner_out():
    typed = ["pruner=bls_seta", "scorer.alpha=0.9", "+pruner.target=0.5", "seed=3", "dataset.root=a b"]
    config = load(composed(["pruner=bls_seta"]))
    assert following(typed, config) == "python -m bls_bench.train pruner=none seed=3 'dataset.root=a b'"


@pytest.mark.slow
def test_a_sweep_records_every_run_and_started_again_does_only_what_is_missing(tmp_path):
    sweep = ("-m", *TINY, "pruner=bls_infobatch", "scorer.alpha=0.5,0.9", "seed=0,1")
    code, out, err = finish(command(*sweep, cwd=tmp_path))
    assert code == 0, err
    assert out.count("finished:") == 4
    records = sorted(path.parent for path in tmp_path.glob("outputs/*/result.json"))
    assert len(records) == 4
    (records[1] / "result.json").unlink()
    (records[1] / "metrics.jsonl").unlink()
    code, out, err = finish(command(*sweep, cwd=tmp_path))
    assert code == 0, err
    assert out.count("already finished:") == 3
    assert out.count("epoch   1/3") == 1
    assert (records[1] / "result.json").exists()


@pytest.mark.slow
def test_failing_runs_are_told_and_do_not_end_the_sweep(tmp_path):
    code, out, err = finish(command("-m", *TINY, "trainer.batch_size=1000,32,2000,50", cwd=tmp_path))
    assert code == 2
    assert out.count("finished:") == 2
    for size in (1000, 2000):
        assert (
            err.count(f"error: trainer.batch_size must be at most the 100 training samples, got {size}") == 1
        )
        assert re.search(rf"\(run: .*trainer.batch_size={size}\b.*\)", err)
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_sweep_over_the_defaults(here, tmp_path):
    """The command of the help page, on less data."""
    page = here("--help")[1]
    sweep = re.search(r"python -m bls_bench.train (-m scorer.alpha=\S+ seed=\S+)", page)[1].split()
    code, out, err = here(*sweep, "dataset.subset=10", "trainer.epochs=1", "model=resnet20", "logger=none")
    assert code == 0, err
    assert out.count("finished:") == 9
    assert len(list(tmp_path.glob("outputs/*/result.json"))) == 9


@pytest.mark.slow
def test_signals_in_mid_epoch_and_the_same_command_again(tmp_path):
    run = ("pruner=bls_seta", "model=resnet20", "dataset.subset=50", "trainer.epochs=8", "logger=none")
    finish(command(*run, "records=whole", cwd=tmp_path))
    for lines, number, code in ((2, signal.SIGTERM, 143), (4, signal.SIGINT, 130)):
        process = command(*run, "records=parts", cwd=tmp_path)
        wait_for(process, tmp_path / "parts", lines)
        process.send_signal(number)
        stopped, _, err = finish(process)
        assert stopped == code
        assert "stopped in epoch" in err
        assert "Traceback" not in err
        (folder,) = (tmp_path / "parts").iterdir()
        assert (folder / "checkpoint.pt").exists()
        assert not (folder / "result.json").exists()
    again, out, err = finish(command(*run, "records=parts", cwd=tmp_path))
    assert again == 0, err
    assert "going on from epoch" in out
    whole = tmp_path / "whole" / folder.name
    assert without_times(metrics(folder)) == without_times(metrics(whole))
    results = [json.loads((path / "result.json").read_text()) for path in (folder, whole)]
    assert without_times(results[0]) == without_times(results[1])


@pytest.mark.slow
def test_a_signal_ends_the_sweep_and_it_goes_on(tmp_path):
    sweep = ("-m", "model=resnet20", "dataset.subset=50", "trainer.epochs=4", "logger=none", "seed=0,1")
    process = command(*sweep, cwd=tmp_path)
    wait_for(process, tmp_path / "outputs")
    process.send_signal(signal.SIGTERM)
    code, out, _ = finish(process)
    assert code == 143
    assert "finished:" not in out
    code, out, err = finish(command(*sweep, cwd=tmp_path))
    assert code == 0, err
    assert out.count("going on from epoch") == 1
    assert out.count("finished:") == 2


# A task in a file of the user's own.
MYTASK = """
from dataclasses import dataclass

from bls_bench.tasks.base import Metric, Task
from bls_bench.tasks.objective import Loss, MeanMeasure, Objective


@dataclass(frozen=True, kw_only=True)
class Reconstruct(Task):
    metrics = (Metric("mse", "lower"),)

    def build(self, data, seed):
        return Reconstructing()


def errors(model, batch):
    images, _ = batch
    return (model(images).mean(1) - images.mean((1, 2, 3))).square()


class Reconstructing(Objective):
    def loss(self, model, batch, place, wanted):
        return Loss(errors(model, batch).mean())

    def measure(self):
        return Mse("mse")


class Mse(MeanMeasure):
    def values(self, model, batch):
        return errors(model, batch)
"""
MINE = ("task._target_=mytask.Reconstruct", "plugins=[mytask]", "optimizer=sgd", "optimizer.lr=0.001")


@pytest.mark.slow
def test_a_task_of_the_users_own_file(tmp_path):
    (tmp_path / "mytask.py").write_text(MYTASK)
    code, out, err = finish(command(*TINY, *MINE, "scorer=bls", cwd=tmp_path))
    assert code == 0, err
    assert "%" not in re.search(r"finished: mse (.*), pruned", out)[1]
    (result,) = tmp_path.glob("outputs/*/result.json")
    found = json.loads(result.read_text())
    lines = metrics(result.parent)
    assert found["mse_best"] == min(line["mse"] for line in lines)


@pytest.mark.parametrize("recipe", ["cifar100_resnet18", "cifar10_resnet50", "imagenet"])
def test_a_task_of_ones_own_in_a_recipe_that_sets_another_tasks_values(recipe, here, tmp_path, monkeypatch):
    (tmp_path / "mytask.py").write_text(MYTASK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mytask", raising=False)
    tiny = (*TINY[1:], "trainer.epochs=1", "dataset=digits", "scorer=bls", "pruner=none")
    code, out, err = here(f"experiment={recipe}", *tiny, *MINE)
    assert code == 0, err
    assert "finished: mse" in out


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("task.noise=0.5", "a setting of task._target_ is added with a +, as +task.noise=VALUE"),
        ("task.noice=0.5", "unknown key, allowed are noise"),
    ],
)
def test_a_setting_of_a_class_of_ones_own_without_its_plus(typed, message, here):
    code, _, err = here("task._target_=tests.plugin.Brightness", "plugins=[tests.plugin]", typed)
    assert code == 2
    assert err == f"error: {typed.partition('=')[0]}: {message}\n"


def test_a_module_that_is_not_named_as_a_plugin_is_not_imported(here, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("open('imported', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = here("pruner._target_=evil.X")
    assert code == 2
    assert err.count("\n") == 1
    assert "plugins=[evil]" in err
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scorer=bls", "scorer.alpha=2"], "scorer.alpha must be in [0, 1], got 2.0"),
        (["pruner=nothing"], "Available options in 'pruner': bls_infobatch bls_repb"),
        (["pruner=seta", "pruner.speed=1"], "pruner.speed: unknown key, allowed are prune_ratio, target"),
        (["+pruner.speed=1"], "pruner.speed: unknown key"),
        (["trainer.epoch=1"], "trainer.epoch: unknown key, allowed are epochs, steps, batch_size"),
        (["trainer.batch_size=5000"], "trainer.batch_size must be at most"),
        (["dataset=imagefolder"], "dataset.root must be given"),
        (["dataset=imagefolder", "dataset.root=missing"], "missing"),
        (["records=file"], "cannot write there"),
        (["trainer.epoch=1", "trainer.batchsize=2"], "trainer.epoch: unknown key, allowed are epochs"),
        (["scorer=per_sample", "scorer.alpha=0.5"], "scorer.alpha: unknown key, this scorer has no settings"),
        (
            ["+prunner=seta"],
            "prunner: unknown key, allowed are seed, records, archive, plugins, trainer, dataset",
        ),
        (["pruner=null"], "pruner=null: must be one of bls_infobatch, bls_repb"),
        (["trainer=fast"], "trainer must be a group of settings, got 'fast'"),
        (["~trainer"], "trainer must be a group of settings"),
        (["seed=-1"], "seed must be in [0, 2^63), got -1"),
        (["trainer.epochs="], "trainer.epochs"),
        (["pruner"], "pruner"),
        (["+task={_target_: bls_bench.optim.Constant}"], "task"),
        (
            ["task._target_=bls_bench.optim.Constant", "plugins=[bls_bench]"],
            "must be a dataclass that is a Task",
        ),
        (["pruner._target_=evil.X"], "pruner._target_=evil.X is no part of this project"),
    ],
)
def test_bad_input_is_one_line_exit_code_two_and_nothing_written(arguments, message, here, tmp_path):
    (tmp_path / "file").write_text("kept")
    code, out, err = here("logger=none", *arguments)
    assert code == 2
    assert re.fullmatch(r"error: .*\n", err), err
    assert message in err
    assert out == ""
    assert {path.name for path in tmp_path.rglob("*")} <= {"file", "outputs"}
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"_target_: [1,\n", "line 2"),
        (b"_target_: seta\n\tx: 1\n", "line 2"),
        (b"_target_: seta\n# caf\xe9\n", "line 2"),
        (b"_target_: seta\nx: !!python/name:os.system\n", "line 2"),
        (b"_target_: seta\nx: !mine 1\n", "line 2"),
        (b"_target_: seta\n_target_: seta\n", "line 2"),
        (b"_target_: se\0ta\n", "position 1"),
        (b"- seta\n", "pruner must be a group of settings, got ['seta']"),
        (b"", "pruner._target_ must be one of"),
    ],
)
def test_a_config_file_of_ones_own_that_is_no_config_is_named(content, line, here, tmp_path):
    folder = tmp_path / "mine" / "pruner"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_bytes(content)
    code, out, err = here("--config-dir", "mine", "pruner=own", "logger=none")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: .*\n", err), err
    assert line in err
    assert "own.yaml" in err or line.startswith("pruner")


def test_an_image_that_cannot_be_decoded_is_named(here, tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            (tmp_path / "images" / split / name / "broken.png").write_bytes(b"not an image")
    code, _, err = here("dataset=imagefolder", "dataset.root=images", "trainer.batch_size=2", "logger=none")
    assert code == 2
    assert re.fullmatch(r"error: .*broken\.png.*\n", err), err


def test_other_data_of_the_same_name_is_pointed_out(here, tmp_path):
    from PIL import Image

    for place in ("one", "two"):
        for split in ("train", "test"):
            for name in ("a", "b"):
                folder = tmp_path / place / "images" / split / name
                folder.mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(folder / "1.png")
    run = (
        "dataset=imagefolder",
        "dataset.image_size=8",
        "dataset.workers=0",
        "trainer.batch_size=2",
        "logger=none",
    )
    run = (*run, "pruner=none", "model=resnet20", "trainer.epochs=1")
    assert here(*run, "dataset.root=one/images")[0] == 0
    code, out, _ = here(*run, "dataset.root=two/images")
    assert code == 0
    assert "already finished" in out
    assert "note: it was made with dataset.root=one/images" in out


def test_the_error_and_its_exit_code_reach_the_shell(tmp_path):
    code, out, err = finish(command("scorer=bls", "scorer.alpha=2", cwd=tmp_path))
    assert (code, out, err) == (2, "", "error: scorer.alpha must be in [0, 1], got 2.0\n")


@pytest.mark.slow
def test_two_processes_choose_the_same_samples(tmp_path):
    run = (*TINY, "pruner=static_el2n", "pruner.balanced=true", "pruner.scoring_epochs=1")
    code, _, err = finish(torchrun(*run, "scorer=gradient_norm", "trainer.device=cpu", cwd=tmp_path))
    assert code == 0, err
    (folder,) = (tmp_path / "outputs").iterdir()
    # Had they chosen differently, a sample would be trained on twice, which is refused.
    assert [(line["kept"], line["trained"]) for line in metrics(folder)] == [(50, 50)] * 3
    assert json.loads((folder / "result.json").read_text())["scoring_samples"] == 200


@pytest.mark.slow
def test_two_processes_make_one_record_stop_together_and_resume_exactly(tmp_path):
    # Epochs of seven steps: shorter than the steps between two agreements on a signal.
    run = ("pruner=infobatch", "model=resnet20", "dataset.subset=22", "trainer.epochs=24")
    run = (*run, "trainer.batch_size=32", "logger=none", "trainer.device=cpu")
    code, out, err = finish(torchrun(*run, "records=whole", cwd=tmp_path))
    assert code == 0, err
    assert out.count("finished:") == 1
    (whole,) = (tmp_path / "whole").iterdir()
    assert json.loads((whole / "environment.jsonl").read_text())["processes"] == 2
    assert metrics(whole)[0]["kept"] == 220
    assert metrics(whole)[1]["kept"] < 220
    code, out, _ = finish(torchrun(*run, "records=whole", cwd=tmp_path))
    assert code == 0
    assert out.count("already finished:") == 1
    process = torchrun(*run, "records=parts", cwd=tmp_path)
    wait_for(process, tmp_path / "parts")
    process.send_signal(signal.SIGTERM)
    finish(process)
    (folder,) = (tmp_path / "parts").iterdir()
    assert (folder / "checkpoint.pt").exists()
    assert not (folder / "result.json").exists()
    code, out, err = finish(torchrun(*run, "records=parts", cwd=tmp_path))
    assert code == 0, err
    assert "going on from epoch" in out
    assert folder.name == whole.name
    assert without_times(metrics(folder)) == without_times(metrics(whole))


@pytest.mark.slow
def test_the_wheel_works_without_the_source_tree(tmp_path):
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "dist"),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path / "site"),
    ]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    cwd = tmp_path / "elsewhere"
    cwd.mkdir()
    path = os.pathsep.join([str(tmp_path / "site"), os.environ["PYTHONPATH"]])
    where = [sys.executable, "-c", "import bls_bench.config.compose as c; print(c.__file__, c.CONF_DIR)"]
    shown = subprocess.run(
        where, cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert all(word.startswith(str(tmp_path / "site")) for word in shown.stdout.split())
    train = (
        "train",
        "pruner=bls_seta",
        "model=resnet18",
        *TINY_RESNET18,
        "trainer.look=true",
        "records=runs",
    )
    for words, told in ((train, "finished:"), (("look", "records=runs"), "page: "), (("--help",), "Usage:")):
        done = subprocess.run(
            [sys.executable, str(tmp_path / "site" / "bin" / "bls_bench"), *words],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert told in done.stdout
    (found,) = distributions(name="bls_bench", path=[str(tmp_path / "site")])
    assert {"all", "dev", "docs", "tensorboard", "mlflow"} <= set(found.metadata.get_all("Provides-Extra"))
    assert found.metadata["License-Expression"] == "MIT"
    assert any(line.startswith("Topic ::") for line in found.metadata.get_all("Classifier"))
    assert found.version == __version__
