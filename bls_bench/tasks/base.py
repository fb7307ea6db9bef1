"""What a task is and what a model is: settings, what they need and what they give.

The words of `needs` and `gives` are free; those in use are explained in `bls_bench.config.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from bls_bench.records.schema import Metric
from bls_bench.system.settings import Part

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.objective import Objective

__all__ = ["Metric", "Model", "Task"]


class Task(Part):
    """Settings of a task: a dataclass that builds the objective of a run."""

    @property
    def needs(self) -> frozenset[str]:
        """What data set and model have to give for it as it is set."""
        return frozenset()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it is judged by as it is set; the first is the headline."""
        raise NotImplementedError

    @property
    def gives(self) -> frozenset[str]:
        """What scorers and pruners can have of it as it is set; every task gives the loss of a batch."""
        return frozenset()

    @property
    def partial(self) -> bool:
        """Whether samples that are trained on may have no loss (`Loss.counted`)."""
        return False

    @property
    def batch_multiple(self) -> int:
        """What the samples that go through the model at once must be a multiple of."""
        return 1

    def plain(self) -> Task:
        """Return the same task on the samples as they are, for a scoring run."""
        return self

    def arranged(self, data: Data, seed: int, batch_size: int) -> Data:
        """Return the data as this task trains on them: what is pruned, and what stands beside it.

        batch_size: samples a step of what is pruned, over all processes. Raises InputError for data that
        cannot be arranged so.
        """
        return data

    def build(self, data: Data, seed: int) -> Objective:
        """Return the objective for these arranged data; what is random about it comes from the run's `seed`.

        Raises InputError for data that it cannot be trained on.
        """
        raise NotImplementedError

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        """Yield how each of the training samples (n,) of these arranged data is shown, as they are asked for.

        By default by its class alone; helpers for more are in `bls_bench.tasks.showing`.
        """
        from bls_bench.tasks.showing import classes

        return classes(data, indices)


class Model(Part):
    """Settings of a family of models. needs: what the data set has to give."""

    needs: ClassVar[frozenset[str]] = frozenset()

    @property
    def gives(self) -> frozenset[str]:
        """What the task can ask of it as it is set."""
        return frozenset()

    def build(self, info: Any) -> nn.Module:
        """Return a model with weights from torch's global generator, for data of this `info`.

        Raises InputError for a model that does not exist or does not fit the data.
        """
        raise NotImplementedError
