"""What one epoch observed: which samples, in which batches, with which losses."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Visits:
    """All batches of one epoch, those of process 0 first, then those of process 1, and so on.

    indices: (M,) int64, the visited samples, batch after batch.
    batch_sizes: (n,) int64, summing to M.
    batch_losses: (n,) float32, the mean loss of each batch.
    losses: (M,) float32, the losses of the samples; None where only batch losses were recorded.
    batches_per_process: how many of the n batches each process made.
    signals: (M,) float32, what the scorer asked of the task for each sample; None where it asks nothing.
    """

    indices: Tensor
    batch_sizes: Tensor
    batch_losses: Tensor
    losses: Tensor | None
    batches_per_process: list[int]
    signals: Tensor | None = None

    def per_sample(self, batch_values: Tensor) -> Tensor:
        """Repeat one value a batch, (n,), for every sample of the batch, (M,)."""
        return batch_values.repeat_interleave(self.batch_sizes)

    def batch_means(self, values: Tensor) -> Tensor:
        """Average one value a sample, (M,), over each batch, (n,) float32."""
        return segment_means(values, self.batch_sizes)


# So many batches are joined into one tensor: small tensors cost more memory than what they hold.
PACK = 256


@dataclass
class VisitLog:
    """Collects the batches of the running epoch where they are: no synchronisation.

    indices, losses, signals: the batches, every PACK of them joined to one; sizes: the length of each
    batch. There are no signals unless the scorer asks for them.
    kind: dimensions and device of the losses, None before the first; the device is None for losses that a
    checkpoint brought back, which follow the next one to the device that trains now.
    """

    indices: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    signals: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    kind: tuple[int, torch.device | None] | None = None

    def append(self, indices: Tensor, loss: Tensor, signal: Tensor | None = None) -> None:
        if self.kind is None or self.kind[1] is None:
            self.losses = [own.to(loss.device) for own in self.losses]
            self.signals = [own.to(loss.device) for own in self.signals]
            self.kind = loss.ndim, loss.device
        self.indices.append(indices)
        self.losses.append(loss.detach())
        if signal is not None:
            self.signals.append(signal.detach())
        self.sizes.append(len(indices))
        if len(self.sizes) % PACK == 0:
            self._pack(PACK)

    def _pack(self, count: int) -> None:
        self.indices[-count:] = [torch.cat(self.indices[-count:])]
        self.losses[-count:] = [torch.cat([loss.view(-1) for loss in self.losses[-count:]])]
        if self.signals:
            self.signals[-count:] = [torch.cat(self.signals[-count:])]

    def visits(self) -> Visits:
        """Put the epoch together, on the CPU: the one moment at which the device is waited for.

        Batches are taken as all per-sample or all scalar; `PruningState.record` sees to that.
        """
        if self.kind is None:
            empty = torch.zeros(0)
            return Visits(empty.long(), empty.long(), empty, None, [0])
        self._pack(len(self.indices))
        indices, losses, sizes = self.indices[0].cpu(), self.losses[0].float().cpu(), torch.tensor(self.sizes)
        if self.kind[0] == 0:
            return Visits(indices, sizes, losses, None, [len(sizes)])
        signals = self.signals[0].float().cpu() if self.signals else None
        return Visits(indices, sizes, segment_means(losses, sizes), losses, [len(sizes)], signals)

    def load(self, visits: Visits, rank: int, world_size: int) -> None:
        """Take back the batches that process `rank` had made of an interrupted epoch.

        Raises ValueError if another number of processes had made them.
        """
        saved = len(visits.batches_per_process)
        if saved != world_size:
            raise ValueError(f"the saved epoch was open on {saved} processes, this run has {world_size}")
        sizes = visits.batch_sizes.tolist()
        first = sum(visits.batches_per_process[:rank])
        own = slice(first, first + visits.batches_per_process[rank])
        losses = visits.batch_losses.unbind() if visits.losses is None else visits.losses.split(sizes)
        self.indices = list(visits.indices.split(sizes)[own]) if sizes else []
        self.losses, self.sizes = list(losses[own]), sizes[own]
        self.signals = [] if visits.signals is None else list(visits.signals.split(sizes)[own])
        self.kind = (self.losses[0].ndim, None) if self.losses else None


def segment_means(values: Tensor, sizes: Tensor) -> Tensor:
    """Means of consecutive segments of `values` (M,) with lengths `sizes` (n,), (n,) float32.

    Summed in float64, so that equal values have exactly their own value as mean.
    """
    if len(sizes) > 1 and bool((sizes[:-1] == sizes[0]).all()):
        # Batches of one size are rows of a matrix, which takes no copy in float64.
        size = int(sizes[0])
        rows = values[: (len(sizes) - 1) * size].view(-1, size)
        last = values[len(rows) * size :].mean(dtype=torch.float64)
        return torch.cat([rows.mean(1, dtype=torch.float64), last.view(1)]).float()
    return torch.segment_reduce(values.double(), "mean", lengths=sizes).float()
