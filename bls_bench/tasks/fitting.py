"""Which tensors of a model are not those of the file that its weights were read from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from torch import Tensor

from bls_bench.system.errors import InputError
from bls_bench.system.processes import process_rank

# Tensors that a line names.
NAMED = 4


def tell_random(own: Mapping[str, Tensor], lost: Mapping[str, str], what: str) -> None:
    """Print, once and in one line of the first process, which tensors are not loaded and begin at random.

    own: the state dict of the model. lost: of each tensor that is not loaded, why. what: key and file.
    Raises InputError where these are more than half of the weights, which no head is: tensors of two
    dimensions or more.
    """
    if not lost:
        return
    named = [f"{name} {why}" for name, why in sorted(lost.items())[:NAMED]]
    if len(lost) > NAMED:
        named.append(f"{len(lost) - NAMED} more")
    weights = _weights(own, own)
    fitting = weights - _weights(own, lost)
    if 2 * fitting < weights:
        raise InputError(
            f"{what} is of another model, {fitting} of {weights} weights fit: {', '.join(named)}"
        )
    _tell(
        f"{what}: {len(lost)} of {len(own)} tensors are not loaded, they begin at random: {', '.join(named)}"
    )


def _weights(own: Mapping[str, Tensor], names: Collection[str]) -> int:
    return sum(own[name].ndim > 1 for name in names)


def shapes(found: Collection[int], needed: Collection[int]) -> str:
    """Return why a tensor of another shape is not loaded."""
    return f"is {_sides(found)} in the file, {_sides(needed)} here"


def _sides(shape: Collection[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


@cache  # two towers of the same file have the same to tell
def _tell(line: str) -> None:
    if process_rank()[0] == 0:
        print(line)
