import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bls_bench.pruning.selection import BLOCK, Batch, Selection

pytestmark = pytest.mark.pruning


@given(n=st.integers(0, 200), batch_size=st.integers(1, 70), weighted=st.booleans(), drop_last=st.booleans())
def test_batches_cover_the_selection_in_order(n, batch_size, weighted, drop_last):
    indices = torch.randperm(1000, generator=torch.Generator().manual_seed(n))[:n]
    weights = torch.rand(n, generator=torch.Generator().manual_seed(n)) + 0.5 if weighted else None
    batches = list(Selection(indices, weights).batches(batch_size, drop_last))
    sizes = [len(batch.indices) for batch in batches]
    expected = n - n % batch_size if drop_last else n
    assert sum(sizes) == expected
    assert all(size == batch_size for size in sizes[:-1])
    assert all(size > 0 for size in sizes)
    assert [int(i) for batch in batches for i in batch.indices] == indices[:expected].tolist()
    for start, batch in zip(range(0, n, batch_size), batches, strict=False):
        if weighted:
            assert torch.equal(batch.weights, weights[start : start + batch_size])
            torch.testing.assert_close(batch.mean_weight, batch.weights.mean())
        else:
            assert batch.weights is None
            assert batch.mean_weight is None


@given(n=st.integers(0, 300), world_size=st.integers(1, 7))
def test_shards_are_equally_long_and_share_no_sample(n, world_size):
    indices = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    selection = Selection(indices, indices.float() + 1)
    shards = [selection.shard(rank, world_size) for rank in range(world_size)]
    assert {len(shard) for shard in shards} == {n // world_size}
    together = torch.cat([shard.indices for shard in shards])
    assert len(together.unique()) == len(together) == n // world_size * world_size
    for shard in shards:
        assert torch.equal(shard.weights, shard.indices.float() + 1)


def test_more_batches_than_are_sliced_at_once():
    indices = torch.randperm(2 * BLOCK * 3 + 4, generator=torch.Generator().manual_seed(0))
    batches = list(Selection(indices, indices / 7).batches(3))
    assert len(batches) == 2 * BLOCK + 2
    assert torch.equal(torch.cat([batch.indices for batch in batches]), indices)
    for batch in batches:
        assert torch.equal(batch.weights, batch.indices / 7)
        torch.testing.assert_close(batch.mean_weight, batch.weights.mean())


def test_weights_follow_their_samples():
    weights = torch.arange(100) / 7
    chosen = torch.zeros(100, dtype=torch.bool).index_fill_(0, torch.tensor([0, 3, 50, 99]), True)
    selection = Selection.of(chosen, torch.Generator().manual_seed(1), weights)
    assert sorted(selection.indices.tolist()) == [0, 3, 50, 99]
    assert torch.equal(selection.weights, weights[selection.indices])


def test_weighted_loss_rules():
    losses, weights = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0])
    batch = Batch(torch.arange(3), weights, weights.mean())
    assert batch.weighted(losses) == (1 + 4 + 12) / 3
    assert batch.weighted(losses.mean()) == pytest.approx(2 * 7 / 3)
    assert Batch(torch.arange(3)).weighted(losses) == 2
    assert torch.equal(losses, torch.tensor([1.0, 2.0, 3.0]))


def test_weighting_keeps_the_backward_pass_whole():
    # exp saves its own result for backward, so weighting in place would break it.
    x = torch.zeros(3, requires_grad=True)
    losses = x.exp()
    weights = torch.tensor([1.0, 2.0, 4.0])
    Batch(torch.arange(3), weights, weights.mean()).weighted(losses).backward()
    torch.testing.assert_close(x.grad, weights / 3)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_bad_batch_size(batch_size):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        list(Selection(torch.arange(3)).batches(batch_size))


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2)])
def test_bad_shard(rank, world_size):
    with pytest.raises(ValueError, match="rank must lie in"):
        Selection(torch.arange(3)).shard(rank, world_size)
