"""What one epoch observed: which samples, in which batches, with which losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Visits:
    """All batches of one epoch, those of process 0 first, then those of process 1, and so on.

    indices: (M,) int64, the visited samples, batch after batch.
    batch_sizes: (n,) int64, summing to M.
    batch_losses: (n,) float32, the mean loss of each batch.
    losses: (M,) float32, the losses of the samples; None where only batch losses were recorded.
    batches_per_process: how many of the n batches each process made.
    signals: (M,) float32, what the scorer asked of the task for each sample; None where it asks nothing. Of
    a scorer that is `wide`, (M, C).
    silent: (K,) int64, the samples that were trained on and gave no loss; None where there are none.
    """

    indices: Tensor
    batch_sizes: Tensor
    batch_losses: Tensor
    losses: Tensor | None
    batches_per_process: list[int]
    signals: Tensor | None = None
    silent: Tensor | None = None

    @property
    def trained(self) -> Tensor:
        """(M + K,) int64, all samples that were trained on, with a loss or without."""
        return self.indices if self.silent is None else torch.cat([self.indices, self.silent])

    def per_sample(self, batch_values: Tensor) -> Tensor:
        """Repeat one value a batch, (n,), for every sample of the batch, (M,)."""
        return repeated(batch_values, self.batch_sizes)

    def batch_means(self, values: Tensor) -> Tensor:
        """Average one value a sample, (M,), over each batch, (n,) float32."""
        return segment_means(values, self.batch_sizes)


# So many batches are joined into one tensor: small tensors cost more memory than what they hold.
PACK = 256
# So many samples are averaged at a time.
CHUNK = 1 << 20


@dataclass
class VisitLog:
    """Collects the batches of the running epoch where they are: no synchronisation.

    given: (K,) int64, the samples that this process is to visit. As long as it visits them in this order,
    which training does, their indices are kept as parts of `given` and take no memory of their own.
    kind: dimensions and device of the losses, None before the first; the device is None for losses that a
    checkpoint brought back, which follow the next one to the device that trains now.
    """

    given: Tensor
    kind: tuple[int, torch.device | None] | None = None
    # Indices, losses and, if the scorer asks for them, signals: of single batches, and of many joined.
    _recent: list[tuple[Tensor, ...]] = field(default_factory=list)
    _packs: list[tuple[Tensor, ...]] = field(default_factory=list)
    # The lengths of the batches that are joined.
    _sizes: list[int] = field(default_factory=list)
    _packed: int = 0
    _in_order: bool = True
    _silent: list[Tensor] = field(default_factory=list)

    @property
    def batches(self) -> int:
        """How many batches there are so far."""
        return len(self._sizes) + len(self._recent)

    def append(self, indices: Tensor, loss: Tensor, signal: Tensor | None = None) -> None:
        """Take a batch; raises ValueError for losses of another kind or device than those before."""
        if (loss.ndim, loss.device) != self.kind:
            self._begin(loss)
        if loss.requires_grad:
            loss = loss.detach()
        self._recent.append((indices, loss) if signal is None else (indices, loss, signal.detach()))
        if len(self._recent) >= PACK:
            self._pack()

    def append_silent(self, indices: Tensor) -> None:
        """Take (k,) int64 samples that were trained on and gave no loss."""
        self._silent.append(indices)

    def _begin(self, loss: Tensor) -> None:
        """Note the kind of the first losses; those that a checkpoint brought back follow them."""
        ndim, device = self.kind or (loss.ndim, None)
        if device is not None and device != loss.device:
            raise ValueError(f"expected the loss on {device}, as before, and got it on {loss.device}")
        if ndim != loss.ndim:
            raise ValueError("an epoch takes per-sample losses or batch losses, not some of each")
        self._recent = [(own, *(value.to(loss.device) for value in values)) for own, *values in self._recent]
        self.kind = ndim, loss.device

    def _pack(self) -> None:
        if not self._recent:
            return
        self._sizes += [indices.numel() for indices, *_ in self._recent]
        columns = zip(*self._recent, strict=True)
        indices, *values = (
            torch.cat(column) if column[0].ndim else torch.stack(column) for column in columns
        )
        given = self.given[self._packed : self._packed + len(indices)]
        self._in_order = self._in_order and torch.equal(given, indices)
        self._packed += len(indices)
        self._packs.append((given if self._in_order else indices, *values))
        self._recent = []

    @property
    def indices(self) -> Tensor:
        """(m,) int64, the samples of all batches so far."""
        self._pack()
        if self._in_order:
            return self.given[: self._packed]
        return torch.cat([indices for indices, *_ in self._packs])

    @property
    def silent(self) -> Tensor | None:
        """(k,) int64, the samples so far that gave no loss; None where there are none."""
        return torch.cat(self._silent) if self._silent else None

    def visits(self) -> Visits:
        """Put the epoch together, on the CPU: the one moment at which the device is waited for.

        Batches are all per-sample or all scalar: `append` refuses others.
        """
        indices, sizes = self.indices, torch.tensor(self._sizes, dtype=torch.int64)
        if self.kind is None:
            return Visits(indices, sizes, torch.zeros(0), None, [0], silent=self.silent)
        if len(self._packs) > 1:
            _, *columns = zip(*self._packs, strict=True)
            self._packs = [(indices, *map(torch.cat, columns))]
        _, losses, *signals = (values.cpu() for values in self._packs[0])
        losses = losses.float()
        signal = signals[0].float() if signals else None
        if self.kind[0] == 0:
            return Visits(indices, sizes, losses, None, [len(sizes)], signal, self.silent)
        means = segment_means(losses, sizes)
        return Visits(indices, sizes, means, losses, [len(sizes)], signal, self.silent)

    def load(self, visits: Visits, rank: int, world_size: int) -> None:
        """Take back the batches that process `rank` had made of an interrupted epoch.

        Raises ValueError if another number of processes had made them.
        """
        saved = len(visits.batches_per_process)
        if saved != world_size:
            raise ValueError(f"the saved epoch was open on {saved} processes, this run has {world_size}")
        if visits.silent is not None:
            own_silent = visits.silent[torch.isin(visits.silent, self.given)]
            self._silent = [own_silent] if len(own_silent) else []
        sizes = visits.batch_sizes.tolist()
        if not sizes:
            return
        first = sum(visits.batches_per_process[:rank])
        own = slice(first, first + visits.batches_per_process[rank])
        columns = [visits.indices.split(sizes)]
        columns += [visits.batch_losses.unbind() if visits.losses is None else visits.losses.split(sizes)]
        columns += [] if visits.signals is None else [visits.signals.split(sizes)]
        self._recent = list(zip(*(column[own] for column in columns), strict=True))
        self.kind = (columns[1][0].ndim, None) if self._recent else None


def segment_means(values: Tensor, sizes: Tensor) -> Tensor:
    """Means of consecutive segments of `values` (M,) with lengths `sizes` (n,), (n,) float32.

    Summed in float64, so that equal values have exactly their own value as mean.
    """
    if alike(sizes):
        # Some rows of a matrix at a time: the sum makes a copy in float64.
        size = int(sizes[0])
        rows, last = values[: (len(sizes) - 1) * size].view(-1, size), values[(len(sizes) - 1) * size :]
        parts = [*rows.split(max(1, CHUNK // size)), last.view(1, -1)]
        return torch.cat([part.mean(1, dtype=torch.float64).float() for part in parts])
    return torch.segment_reduce(values.double(), "mean", lengths=sizes).float()


def repeated(values: Tensor, sizes: Tensor) -> Tensor:
    """Repeat `values` (n,) for segments of lengths `sizes` (n,), (M,)."""
    if not alike(sizes):
        return values.repeat_interleave(sizes)
    # repeat_interleave would make an index of 8 bytes a sample first.
    size, last = int(sizes[0]), int(sizes[-1])
    whole = (len(sizes) - 1) * size
    result = values.new_empty(whole + last)
    result[:whole].view(-1, size).copy_(values[:-1, None])
    result[whole:] = values[-1]
    return result


def alike(sizes: Tensor) -> bool:
    """Whether all segments have one length, the last perhaps apart; a single one does not count."""
    return len(sizes) > 1 and bool((sizes[:-1] == sizes[0]).all())
