"""Which samples a loss is of: those of the batch in hand, or those that the loop names. Never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bls_bench.pruning.library.refusals import AHEAD, NO_EPOCH, NOT_KNOWN, OVER, STRAY, UPDATED, given
from bls_bench.pruning.library.running import Hand, Running
from bls_bench.pruning.state import PruningState

if TYPE_CHECKING:
    from torch import Tensor


def in_hand(running: Running | None, state: PruningState) -> tuple[Running, Hand]:
    """Return the epoch and the batch in hand, which has to be the only one read that awaits its loss.

    Raises RuntimeError where it is not, or where it is not known.
    """
    running, hand = held(running)
    pending = running.read - running.settled
    if pending < hand.size:
        raise RuntimeError(UPDATED)
    if is_over(running, state):
        raise RuntimeError(OVER)
    if running.named:
        running.check(hand.indices)
    return running, hand


def held(running: Running | None) -> tuple[Running, Hand]:
    """Return the epoch and the batch in hand, updated or not; raises RuntimeError as `in_hand` does."""
    if running is None:
        raise RuntimeError(NO_EPOCH)
    hand = running.hand
    if hand is None:
        raise RuntimeError(STRAY if running.stray else NOT_KNOWN)
    behind = running.read - running.settled - hand.size
    if behind > 0:
        raise RuntimeError(AHEAD.format(count=behind))
    return running, hand


def named(
    running: Running | None, state: PruningState, indices: Tensor | Sequence[int]
) -> tuple[Running, Hand]:
    """Return the epoch and the batch of the samples that the loop names, which all have to await a loss."""
    if running is None or is_over(running, state):
        raise RuntimeError(NO_EPOCH)
    samples = given(indices, state.num_samples)
    running.name(state.recorded)
    running.check(samples)
    return running, running.hand_of(samples)


def is_over(running: Running, state: PruningState) -> bool:
    """Whether the epoch has begun and ended, however much of it was trained on."""
    return running.touched and state.selection is None
