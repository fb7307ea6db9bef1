"""One run from its config to its result: begun, gone on with, or found finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from bls_bench.config.run import Config
from bls_bench.engine import checkpoint, looking
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.outcome import announce, report
from bls_bench.engine.scoring import prepare
from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.records.archive import Archive
from bls_bench.records.run import Record
from bls_bench.records.tracking import Tracker
from bls_bench.system.errors import InputError, folded
from bls_bench.system.stopping import Interrupted, StopSignal


def run(config: Config, experiment: str | None = None) -> dict[str, Any]:
    """Train one run, or go on with it, and return its result; a finished one is returned as it is.

    Raises InputError for what the user can mend, NonFiniteLossError, and Interrupted after a signal.
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
                report("already finished", finished, config, record)
            return finished
        result = _train(config, fabric, record, experiment)
        if record and config.root.archive is not None:
            record.move(config.root.archive)
        return result
    finally:
        if record:
            record.close()


def _finished(record: Record, config: Config) -> dict[str, Any] | None:
    """Return the result of a run that is over; None where there is something to train, or to record."""
    folder = config.root.archive
    if config.trainer.look and not record.look.exists():
        return None
    if folder is None:
        lacks = config.trainer.save_losses and not record.losses.exists()
        return None if lacks else record.result()
    result = record.result()
    if result and result["status"] == "finished":  # killed before it moved, or made without an archive
        record.move(folder)
    archive = Archive(folder)
    lacks = config.trainer.save_losses and not archive.losses(config.key).exists()
    return None if lacks else archive.result(config.key)


def _train(config: Config, fabric: Fabric, record: Record | None, experiment: str | None) -> dict[str, Any]:
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
        tracker = config.logger.start(config.key, config.resolved, experiment, record.path)
    exit_code, result = 1, {}
    try:
        with StopSignal() as stop:
            result = engine.fit(record, tracker, stop)
            # All processes make this call.
            weights = engine.learner.weights() if config.trainer.save_model else None
            if record:
                if weights is not None:
                    checkpoint.save(record.model, weights)
                engine.learner.show(data, record.path)
                if engine.trace is not None:
                    about = looking.about(config, result, engine.history)
                    engine.trace.history().write(record.look, about)
                    print(f"page: {looking.draw(record.look, config, data)}")
                tracker.show(record.pictures())
                record.finish(result)
                checkpoint.remove(record.checkpoint)
                report("finished", result, config, record)
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
