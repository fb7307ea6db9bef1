"""The train command: config -> parts -> fit -> record. `--help` lists the groups and their options."""

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning_fabric import Fabric
from omegaconf import DictConfig

from bls_bench.config import CONF_DIR, Config, load
from bls_bench.engine import checkpoint
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.scoring import prepare
from bls_bench.engine.terminal import announce, report
from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.records.run import Record
from bls_bench.records.tracking import Tracker
from bls_bench.refusals import EXPECTED, code_of, one_line, tell
from bls_bench.system.errors import InputError
from bls_bench.system.stopping import Interrupted, StopSignal


def main() -> None:
    """Run the command and exit: 0 done, 1 a run failed, 2 bad input, 128 + n stopped by signal n."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors to us instead of printing them over many lines
    try:
        _command()
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped before a checkpoint was written; the same command starts again", file=sys.stderr)
        sys.exit(130)
    except tuple(EXPECTED) as error:
        sys.exit(code_of(error) if getattr(error, "told", False) else tell(error))
    except ValueError as error:
        if "Config group override" not in str(error):  # Hydra's own, of pruner=null and the like
            raise
        sys.exit(tell(InputError(str(error))))


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def _command(cfg: DictConfig) -> None:
    hydra_config = HydraConfig.get()
    try:
        run(load(cfg), experiment=hydra_config.runtime.choices.get("experiment"))
    except tuple(EXPECTED) as error:
        if hydra_config.mode != RunMode.MULTIRUN:
            sys.exit(tell(error))
        tell(error, of=" ".join(hydra_config.overrides.task))
        error.told = True
        raise  # Hydra goes on with the sweep, and raises the first failure at its end


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
            record = Record(config.records, config.key, config.resolved)
            if record.losses.exists() or not config.trainer.save_losses:  # else there is more to record
                finished = record.result()
        except InputError as failure:
            error = str(failure)
    finished, error = fabric.broadcast((finished, error))
    if error:
        raise InputError(error)
    try:
        if finished and finished["status"] == "finished":
            if record:
                report("already finished", finished, config, record)
            return finished
        return _train(config, fabric, record, experiment)
    finally:
        if record:
            record.close()


def _train(config: Config, fabric: Fabric, record: Record | None, experiment: str | None) -> dict[str, Any]:
    data = config.dataset.load(config.seed, fabric.device)
    path = Path(fabric.broadcast(str(record.checkpoint if record else "")))
    resumed = path.exists()
    if not resumed:
        prepare(config, data, fabric)
    engine = Engine(config, data, fabric)
    announce(config, engine.state.num_epochs, fabric)
    if resumed:
        engine.load(path)
        fabric.print(f"going on from epoch {engine.state.epoch + 1}, step {engine.step}")
    tracker = Tracker()
    if record:
        record.start(str(fabric.device), fabric.world_size, engine.history)
        tracker = config.logger.start(config.key, config.resolved, experiment, record.path)
    exit_code, result = 1, {}
    try:
        with StopSignal() as stop:
            result = engine.fit(record, tracker, stop)
            weights = engine.weights() if config.trainer.save_model else None  # all processes make this call
            if record:
                if weights is not None:
                    checkpoint.save(record.model, weights)
                record.finish(result)
                record.checkpoint.unlink(missing_ok=True)
                report("finished", result, config, record)
        exit_code = 0
        if stop.number:
            raise Interrupted(stop.number, "stopped after the run was finished")
    except Interrupted as stopped:
        exit_code = stopped.exit_code
        raise
    except Exception as error:
        if record:
            record.finish({"status": "failed", "error": one_line(error)})
            if isinstance(error, NonFiniteLossError):
                record.checkpoint.unlink(missing_ok=True)  # it may hold the weights that have diverged
        raise
    finally:
        tracker.finish(exit_code, result)
    return result


if __name__ == "__main__":
    main()
