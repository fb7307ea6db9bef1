"""The composed config, by Hydra, from the files of conf/."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

# In the source tree conf/ lies beside the package, in an installed wheel inside it.
PACKAGE = Path(__file__).parents[1]
CONF_DIR = next(path for path in (PACKAGE / "conf", PACKAGE.parent / "conf") if path.is_dir())


def composed(overrides: Sequence[str]) -> DictConfig:
    """Return the config that a command line of these overrides makes, before anything is checked."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("config", list(overrides))
