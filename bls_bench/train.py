"""The train command: config -> parts -> fit -> record. `--help` lists the groups and their options.

Nothing heavy is imported before the config has been checked, so that help and refusals come at once.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bls_bench.arguments import CHOSEN, checked
from bls_bench.config.compose import CONF_DIR
from bls_bench.config.run import Config, load
from bls_bench.refusals import EXPECTED, code_of, tell
from bls_bench.system.output import Unbroken
from bls_bench.system.stopping import Interrupted


class ToldError(Exception):
    """A run of a sweep failed, and that has been told. Hydra goes on, and raises the first at its end."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main() -> None:
    """Run the command and exit: 0 done, 1 a run failed, 2 bad input, 128 + n stopped by signal n."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors to us instead of printing them over many lines
    sys.stdout = Unbroken(sys.stdout)
    try:
        sys.argv[1:] = checked(sys.argv[1:])
        _command()
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(
            "stopped at once; the same command goes on from its last checkpoint, or begins", file=sys.stderr
        )
        sys.exit(130)
    except ToldError as error:
        sys.exit(error.code)
    except tuple(EXPECTED) as error:
        sys.exit(tell(error))


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def _command(cfg: DictConfig) -> None:
    hydra_config = HydraConfig.get()
    overrides = list(hydra_config.overrides.task)
    try:
        config = load(cfg, typed={override.lstrip("+~").partition("=")[0] for override in overrides})
        # Imported here: it takes seconds.
        from bls_bench.engine.session import run

        alone = hydra_config.mode != RunMode.MULTIRUN
        choices = {group: hydra_config.runtime.choices.get(group) for group in CHOSEN}
        run(config, choices, following(overrides, config) if alone else "")
    except tuple(EXPECTED) as error:
        if hydra_config.mode != RunMode.MULTIRUN:
            sys.exit(tell(error))
        tell(error, of=" ".join(overrides))
        raise ToldError(code_of(error)) from error


def following(overrides: Sequence[str], config: Config) -> str:
    """Return the command of the run to compare with: on full data, or for one on full data a pruned one."""
    kept = [word for word in overrides if re.split(r"[.=]", word.lstrip("+~"))[0] not in ("pruner", "scorer")]
    other = "bls_seta" if config.resolved["pruner"]["_target_"] == "none" else "none"
    return shlex.join(["python", "-m", "bls_bench.train", f"pruner={other}", *kept])


if __name__ == "__main__":
    main()
