"""Batches of texts and sounds timed, beside a Dataset and a collate function that make the same ones.

Both sides have their samples in memory, tokens made and sounds decoded, and both wait for no other process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.data.columns import Columns
from bls_bench.tasks.audio.data import FULL, Sounds
from bls_bench.tasks.audio.logmel import LogMel, LogMelNet
from bls_bench.tasks.text.data import Texts


class Samples(Dataset):
    """Samples that are read one at a time, as a Dataset of one's own does it."""

    def __init__(self, count: int, read: Callable[[int], Any]) -> None:
        self.count, self.read = count, read

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.read(index)


class Batches:
    """Both sides of a data set of texts or sounds: overrides as of the train command, `task=` the first."""

    def __init__(self, *overrides: str) -> None:
        config = load(composed(["pruner=none", "logger=none", *overrides]))
        self.data, self.size, self.epoch = config.dataset.load(config.seed), config.trainer.batch_size, 0
        columns, info = self.data.train, self.data.info
        assert isinstance(columns, Columns)
        self.bands: LogMel | None = None
        if isinstance(info, Texts):
            self.read, self.collate = texts(columns, info.pad)
        else:
            self.bands = cast(LogMelNet, config.model.build(info)).spectrogram
            self.read, self.collate = sounds(columns, info, self.bands)

    def ours(self) -> Iterator[Any]:
        """Yield the batches of an epoch as the engine gets them; of sounds with their log-mel bands."""
        self.epoch += 1
        order = torch.randperm(len(self.data.train)).split(self.size)
        for batch in self.data.train.batches(order, self.epoch, torch.device("cpu")):
            yield batch if self.bands is None else (self.bands(batch[0]), batch[1])

    def plain(self) -> Iterable[Any]:
        """Return those of a DataLoader: each sample read, and the samples of a batch joined."""
        samples = Samples(len(self.data.train), self.read)
        return DataLoader(samples, self.size, shuffle=True, collate_fn=self.collate)

    def ratio(self) -> float:
        """Return how many times as fast ours are made, in CPU time of this process."""
        return _seconds(self.plain()) / _seconds(self.ours())


def texts(columns: Columns, pad: int) -> tuple[Callable[[int], Any], Callable[[list[Any]], Any]]:
    """Return what reads a text, (tokens (t,) int64, class), and what pads a batch of them."""
    rows = [row.long() for row in columns.columns["tokens"].rows()]
    labels = columns.columns["labels"].tolist()

    def collate(samples: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
        input_ids = pad_sequence([row for row, _ in samples], batch_first=True, padding_value=pad)
        real = pad_sequence([torch.ones_like(row) for row, _ in samples], batch_first=True)
        return {
            "input_ids": input_ids,
            "attention_mask": real,
            "labels": torch.tensor([label for _, label in samples]),
        }

    return lambda index: (rows[index], labels[index]), collate


def sounds(
    columns: Columns, info: Sounds, bands: LogMel
) -> tuple[Callable[[int], Any], Callable[[list[Any]], Any]]:
    """Return what reads a sound, (its log-mel bands from a random start, class), and what stacks a batch."""
    waves, labels = columns.columns["waves"], columns.columns["labels"].tolist()

    def read(index: int) -> tuple[Tensor, int]:
        wave = waves[index]
        if columns.draw is not None:
            wave = wave.roll(-int(torch.randint(info.length, ())))
        return bands(wave[None].float() / FULL)[0], labels[index]

    def collate(samples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        return torch.stack([one for one, _ in samples]), torch.tensor([label for _, label in samples])

    return read, collate


def _seconds(batches: Iterable[Any]) -> float:
    begun = time.process_time()
    for _ in batches:
        pass
    return time.process_time() - begun
