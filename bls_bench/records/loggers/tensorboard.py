"""TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bls_bench.records.tracking import Guarded, Logger, Story, Tracker, numbers

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class TensorBoardLogger(Logger):
    """TensorBoard. The files are in `tensorboard/` of the record's folder: `tensorboard --logdir outputs`."""

    requires = ("tensorboard",)
    extra = "tensorboard"

    def start(self, story: Story) -> Tracker:
        return Guarded("TensorBoard", lambda: TensorBoardRun(story))


class TensorBoardRun(Tracker):
    """Event files; a resumed run adds one, and TensorBoard shows them as one run."""

    def __init__(self, story: Story) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._story, self._writer = story, SummaryWriter(str(story.folder / "tensorboard"))
        self._writer.add_text("config", "\n".join(f"    {k}: {v}" for k, v in story.settings.items()))
        self._writer.add_text("tags", ", ".join(story.tags))

    def log(self, metrics: Mapping[str, Any]) -> None:
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, metrics["epoch"])
        self._writer.flush()

    def spread(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        for name, array in values.items():
            self._writer.add_histogram(f"samples/{name}", array, epoch)

    def show(self, pictures: Sequence[Path]) -> None:
        import numpy as np
        from PIL import Image

        for path in pictures:
            image = np.asarray(Image.open(path).convert("RGB"))
            self._writer.add_image(f"pictures/{path.stem}", image, dataformats="HWC")

    def finish(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        if exit_code == 0:
            # The table of runs, in TensorBoard's HParams; it takes numbers, words and truth values only.
            kinds = (bool, int, float, str)
            settings = {k: v if isinstance(v, kinds) else str(v) for k, v in self._story.settings.items()}
            self._writer.add_hparams(settings, numbers(summary), run_name=".")
        self._writer.close()
