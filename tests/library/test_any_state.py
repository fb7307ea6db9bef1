"""Whatever load_state_dict gets: training goes on from it, or it is refused and nothing is changed."""

import copy
import itertools

import pytest
import torch

from bls_bench import BLS, InfoBatch, RandomPruning, RePB, SeTa

from .helpers import Planted, loader_of, train

pytestmark = pytest.mark.pruning

N = 40
ANYTHING = (
    *(
        None,
        True,
        -1,
        0,
        3,
        10**30,
        1.5,
        float("nan"),
        "a",
        b"a",
        [],
        [None],
        [-1],
        (1, 2),
        {},
        {"a": 1},
        set(),
    ),
    *(torch.tensor(1.0), torch.zeros(2), torch.zeros(N), torch.zeros(N, dtype=torch.int64)),
    *(torch.full((N,), N), torch.arange(N), torch.zeros(N, N), torch.zeros(0), object()),
)
MAKERS = [InfoBatch, SeTa, RandomPruning, lambda *args: BLS(RePB(*args)).proxy()]


def places(value, path=()):
    """Yield the way to every part of a state."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def put(state, path, value):
    if not path:
        return value
    changed = copy.deepcopy(state)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one.nan_to_num(-7), other.nan_to_num(-7))
    if isinstance(one, dict | list):
        keys = one if isinstance(one, dict) else range(len(one))
        return len(one) == len(other) and all(same(one[key], other[key]) for key in keys)
    return one == other


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("steps", [0, 4])
def test_any_part_of_a_state_replaced_by_anything(make, steps):
    handler = make(Planted(N), 4)
    train(handler, loader_of(handler), 1)
    for _, losses in itertools.islice(loader_of(handler), 1 if steps else 0):
        handler.update(losses if handler.state.scorer.per_sample else losses.mean())
    saved = handler.state_dict()
    taken, lines = 0, []
    for path, value in itertools.product(places(saved), ANYTHING):
        resumed = make(Planted(N), 4)
        before = resumed.state_dict()
        try:
            resumed.load_state_dict(put(saved, path, value))
        except ValueError as error:
            lines.append(str(error))
            assert same(resumed.state_dict(), before)
            continue
        taken += 1
        try:
            while resumed.epoch < 4:
                train(resumed, loader_of(resumed), 1)
        except ValueError as error:  # a row of right values in the wrong place, which says where it leads
            lines.append(str(error))
    assert taken > 0
    assert lines
    assert "\n" not in "".join(lines)


def test_an_index_error_of_the_data_sets_own_code_is_not_called_its_length():
    class Wrong(Planted):
        def __getitem__(self, index):
            return [1, 2][3]

    handler = InfoBatch(Wrong(N), 2)
    with pytest.raises(
        IndexError, match=r"reading sample \d+ of a data set of length 40: list index"
    ) as told:
        train(handler, loader_of(handler), 1)
    assert str(told.value.__cause__) == "list index out of range"


def test_a_data_set_that_lies_about_its_length_is_told():
    class Short(Planted):
        def __getitem__(self, index):
            if index >= 30:
                raise IndexError(index)
            return super().__getitem__(index)

    class Shrinking(Planted):
        length = N

        def __len__(self):
            return self.length

    handler = InfoBatch(Short(N), 2)
    with pytest.raises(IndexError, match="reading sample 3[0-9] of a data set of length 40: 3"):
        train(handler, loader_of(handler), 1)
    handler = InfoBatch(Shrinking(N), 2)
    handler.dataset.length = 39
    with pytest.raises(ValueError, match="the data set had 40 samples and now has 39"):
        train(handler, loader_of(handler), 1)
    for length in (-1, 2.5, "many"):
        Shrinking.length = length
        with pytest.raises((TypeError, ValueError)) as told:
            InfoBatch(Shrinking(N), 2)
        assert "\n" not in str(told.value)
