"""One run from its config to its result: begun, gone on with, or found finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lightning_fabric import Fabric
from omegaconf import OmegaConf

from bls_bench.config.run import Config, load
from bls_bench.engine import checkpoint, looking
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.outcome import announce, report
from bls_bench.engine.scoring import prepare
from bls_bench.engine.shortage import explained
from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.records.archive import Archive
from bls_bench.records.run import Record
from bls_bench.records.tracking import Story, Tracker
from bls_bench.system.errors import InputError, folded
from bls_bench.system.stopping import Interrupted, StopSignal

NONE: Mapping[str, str | None] = MappingProxyType({})


def run(config: Config, choices: Mapping[str, str | None] = NONE, following: str = "") -> dict[str, Any]:
    """Train one run, or go on with it, and return its result; a finished one is returned as it is.

    choices: the options chosen for the groups, as typed, for the logger. following: the command to try
    next, for the terminal.

    Raises InputError for what the user can mend, NonFiniteLossError, ResourceError where memory or a process
    is gone, and Interrupted after a signal.
    """
    fabric = make_fabric(config.trainer)
    record = None
    finished = None
    error = None
    if fabric.is_global_zero:
        try:
            record = Record(config.root.records, config.key, config.resolved)
            finished = _finished(record, config)
        except InputError as failure:
            error = str(failure)
    finished, error = fabric.broadcast((finished, error))
    try:
        if error:
            raise InputError(error)
        if finished and finished["status"] == "finished":
            if record:
                if config.root.archive is None:
                    _mend_config(record, config)
                report("already finished", finished, config, record, fabric.device.type, following)
            return finished
        result = _train(config, fabric, record, choices, following)
        if record and config.root.archive is not None:
            record.move(config.root.archive)
        return result
    except (RuntimeError, MemoryError) as failure:
        told = explained(failure, config.trainer)
        if told is None:
            raise
        raise told from failure
    finally:
        if record:
            record.close()


def _finished(record: Record, config: Config) -> dict[str, Any] | None:
    """Return the result of a run that is over; None where there is something to train, or to record."""
    folder, result = config.root.archive, record.result()
    over = result is not None and result["status"] == "finished"
    if over:  # killed before it removed them
        checkpoint.remove(record.checkpoint)
    if config.trainer.look and not record.look.exists():
        return None
    if folder is None:
        lacks = config.trainer.save_losses and not record.losses.exists()
        return None if lacks else result
    if over:  # killed before it moved, or made without an archive
        record.move(folder)
    archive = Archive(folder)
    lacks = config.trainer.save_losses and not archive.losses(config.key).exists()
    return None if lacks else archive.result(config.key)


def _mend_config(record: Record, config: Config) -> None:
    """Write the values of a finished run again, and say so, where those that lie there are not its own."""
    try:
        if load(OmegaConf.create(record.recorded())).key == config.key:
            return
    except InputError:
        pass
    record.write_config()
    path = record.path / "config.yaml"
    print(f"note: {path} was not that of the run: it is written again, from this command")


def _train(
    config: Config,
    fabric: Fabric,
    record: Record | None,
    choices: Mapping[str, str | None],
    following: str,
) -> dict[str, Any]:
    data = config.load_data(fabric.device)
    path = _checkpoint(record, fabric)
    if path is None:
        prepare(config, data, fabric)
    engine = Engine(config, data, fabric)
    announce(config, engine.state, fabric)
    if path is not None:
        engine.load(path)
        fabric.print(f"going on from epoch {engine.state.epoch + 1}, step {engine.done}")
    tracker = Tracker()
    if record:
        record.start(str(fabric.device), fabric.world_size, engine.history)
        tracker = config.logger.start(
            Story(
                config.key,
                config.resolved,
                dict(choices),
                config.task.metrics,
                config.trainer.epochs or engine.state.num_epochs,
                record.path,
            )
        )
    exit_code, result = 1, {}
    try:
        with StopSignal() as stop:
            result = engine.fit(record, tracker, stop)
            # All processes make this call.
            weights = engine.learner.weights() if config.trainer.save_model else None
            if record:
                if weights is not None:
                    checkpoint.save(record.model, weights)
                    checkpoint.previous(record.model).unlink(missing_ok=True)  # of a run killed just here
                engine.learner.show(data, record.path)
                if engine.trace is not None:
                    about = looking.about(config, result, engine.history)
                    engine.trace.history().write(record.look, about)
                    print(f"page: {looking.draw(record.look, config, data)}")
                tracker.show(record.pictures())
                record.finish(result)
                checkpoint.remove(record.checkpoint)
                report("finished", result, config, record, fabric.device.type, following)
        exit_code = 0
        if stop.number:
            raise Interrupted(stop.number, "stopped after the run was finished")
    except Interrupted as stopped:
        exit_code = stopped.exit_code
        raise
    except NonFiniteLossError as error:
        if record:
            record.finish({"status": "failed", "error": folded(error)})
            checkpoint.remove(record.checkpoint)  # it may hold the weights that have diverged
        raise
    except Exception as error:
        if record:
            record.finish({"status": "failed", "error": folded(error)})
        raise
    finally:
        tracker.finish(exit_code, result)
    return result


def _checkpoint(record: Record | None, fabric: Fabric) -> Path | None:
    """Return the checkpoint to go on from, the same on every process; None to begin.

    Raises InputError on all of them where there are checkpoints and none is whole.
    """
    path, error = None, None
    if record:
        try:
            path = checkpoint.newest(record.checkpoint)
        except InputError as failure:
            error = str(failure)
    path, error = fabric.broadcast((path, error))
    if error:
        raise InputError(error)
    return path
