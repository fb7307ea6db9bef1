"""Faults that were silent once: each with the value that is right, or the line that refuses it."""

import itertools
import multiprocessing

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, WeightedRandomSampler, get_worker_info

from bls_bench import BLS, DataLoader, InfoBatch, RandomPruning, RePB
from bls_bench.pruning.library.running import batch_count

from .helpers import HANDLERS, Planted, bls, expect, loader_of, planted, train

pytestmark = pytest.mark.pruning

N = 203


class Prefetched:
    """A loader that reads a batch ahead, as timm's PrefetchLoader and Accelerate's prepare do."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        held = None
        for batch in self.loader:
            if held is not None:
                yield held
            held = batch
        yield held


@pytest.mark.parametrize("cls", [DataLoader, torch.utils.data.DataLoader])
@pytest.mark.parametrize("make", [lambda data: InfoBatch(data, 5), lambda data: bls(RePB(data, 5))])
def test_a_prefetcher_is_refused_at_the_first_update(cls, make):
    handler = make(Planted(N))
    for _, losses in Prefetched(loader_of(handler, cls)):
        with pytest.raises(RuntimeError, match="were read before this batch and neither updated nor skipped"):
            handler.update(losses)
        break
    assert handler.state.selection is None
    assert handler.scores.isnan().all()


def test_a_prefetcher_that_carries_the_indices_is_right():
    handler = InfoBatch(Planted(N), 5)
    loader = loader_of(handler, num_workers=2)
    ahead = Prefetched((handler.batch_indices, losses) for _, losses in loader)
    for number, (indices, losses) in enumerate(ahead):
        assert torch.equal(losses, planted(N)[indices])
        handler.update(losses, indices=indices)
        if number == 8:
            break
    handler.end_epoch()
    order = InfoBatch(Planted(N), 5).state.begin_epoch().indices
    expect(handler.scores, planted(N), [order[: 9 * 16]])


@pytest.mark.parametrize("cls", [DataLoader, torch.utils.data.DataLoader])
@pytest.mark.parametrize("make", HANDLERS)
def test_a_peek_is_no_epoch(cls, make):
    """A sample shown, a summary, a whole pass for statistics: the run is as without them."""
    whole, handler = make(Planted(N), 6), make(Planted(N), 6)
    loader = loader_of(handler, cls)
    next(iter(loader))
    seen = []
    for epoch in range(6):
        next(iter(loader))
        next(iter(loader))
        assert sum(len(indices) for indices, _ in loader) == len(handler.sampler)
        assert handler.epoch == epoch
        assert handler.progress == epoch / 6
        seen += train(handler, loader)
    expected = train(whole, loader_of(whole), 6)
    assert [[b.tolist() for b in e] for e in seen] == [[b.tolist() for b in e] for e in expected]
    assert handler.epoch == 6
    assert handler.pruned_percent == whole.pruned_percent
    assert torch.equal(handler.scores.nan_to_num(-1), whole.scores.nan_to_num(-1))


def test_a_peek_after_a_resume():
    handler = InfoBatch(Planted(N), 5)
    for number, (_, losses) in enumerate(loader_of(handler)):
        handler.update(losses)
        if number == 4:
            break
    resumed = InfoBatch(Planted(N), 5)
    resumed.load_state_dict(handler.state_dict())
    next(iter(loader_of(resumed)))
    [batches] = train(resumed, loader_of(resumed))
    assert torch.equal(torch.cat(batches), InfoBatch(Planted(N), 5).state.begin_epoch().indices[80:])
    assert resumed.epoch == 1
    assert torch.equal(resumed.scores, planted(N))


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 33, 63, 64, 65, 66, 129])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 32, 64])
def test_no_batch_of_one(samples, batch_size):
    handler = InfoBatch(Planted(samples), 2)
    loader = loader_of(handler, batch_size=batch_size)
    length = len(loader)
    [batches] = train(handler, loader)
    assert len(batches) == length == batch_count(samples, batch_size, False)
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == samples
    assert min(sizes) > 1 or samples == 1 or batch_size == 1
    assert max(sizes) <= max(batch_size, 3 if batch_size == 2 else 0)
    assert torch.equal(torch.cat(batches), InfoBatch(Planted(samples), 2).state.begin_epoch().indices)
    assert torch.equal(handler.scores, planted(samples))
    assert handler.epoch == 1


def test_batch_norm_trains_whatever_the_length_of_an_epoch():
    handler = RandomPruning(Planted(99), 98)
    handler.state.pruner.select = lambda epoch: epoch.everything().take(slice(2 + epoch.index))
    norm = torch.nn.BatchNorm1d(1)
    for epoch in range(98):
        length = 0
        for _, losses in loader_of(handler, batch_size=8):
            handler.update(norm(losses[:, None]).squeeze(1))
            length += 1
        assert length == -(-(2 + epoch) // 8)
    assert handler.epoch == 98


def test_a_run_with_short_batches_resumes_where_it_was():
    for stop in (1, 2, 3):
        handler = InfoBatch(Planted(65), 2)
        seen = []
        for number, (indices, losses) in enumerate(loader_of(handler, batch_size=32)):
            if number == stop:
                break
            handler.update(losses)
            seen.append(indices.tolist())
        assert [len(b) for b in seen] == [32, 31, 2][:stop]
        resumed = InfoBatch(Planted(65), 2)
        resumed.load_state_dict(handler.state_dict())
        left = train(resumed, loader_of(resumed, batch_size=32))[0] if stop < 3 else []
        assert [len(b) for b in left] == [32, 31, 2][stop:]
        together = [index for batch in [*seen, *map(torch.Tensor.tolist, left)] for index in batch]
        assert together == InfoBatch(Planted(65), 2).state.begin_epoch().indices.tolist()


class Noisy(Dataset):
    """Draws with a generator of its own, which workers have to seed."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def seed_worker(self, worker):
        self.generator = np.random.default_rng(worker)

    def __len__(self):
        return 64

    def __getitem__(self, index):
        assert get_worker_info().dataset is self
        return self.generator.random()


def seed_own_data_set(worker):
    get_worker_info().dataset.seed_worker(worker)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_worker_sees_the_users_data_set(start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{start} is not there")
    handler = InfoBatch(Noisy(), 2)
    loader = loader_of(
        handler, num_workers=2, worker_init_fn=seed_own_data_set, multiprocessing_context=start, batch_size=8
    )
    assert len(torch.cat(list(loader)).unique()) == 64


class TestLoader:
    def test_a_handler_without_its_sampler(self):
        handler = InfoBatch(Planted(N), 5)
        for wrong in ({}, {"shuffle": True}, {"sampler": WeightedRandomSampler([1.0] * N, N)}):
            with pytest.raises(
                ValueError, match=r"give sampler=handler\.sampler, to evaluate load handler\.dataset"
            ):
                DataLoader(handler, batch_size=16, **wrong)

    def test_a_bls_without_its_proxy(self):
        with pytest.raises(TypeError, match=r"give the loader BLS\(\.\.\.\)\.proxy\(\)"):
            DataLoader(BLS(InfoBatch(Planted(N), 5)), batch_size=16)

    def test_a_batch_sampler_that_draws_elsewhere(self):
        handler = InfoBatch(Planted(N), 5)
        loader = DataLoader(handler, batch_sampler=[[0, 1], [2, 3]], generator=torch.Generator())
        with pytest.raises(ValueError, match=r"build it on that, as in BatchSampler\(handler\.sampler"):
            next(iter(loader))

    def test_batches_drawn_once_for_all_epochs(self):
        handler = InfoBatch(Planted(N), 5)
        loader = DataLoader(handler, batch_sampler=[list(handler.sampler)], generator=torch.Generator())
        with pytest.raises(ValueError, match="does not draw from"):
            next(iter(loader))


def drop_none(items):
    return torch.utils.data.default_collate([item for item in items if item is not None])


class Holes(Planted):
    def __getitem__(self, index):
        return None if index % 5 == 0 else super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", [InfoBatch, lambda *args: bls(InfoBatch(*args), alpha=0)])
def test_a_sample_that_collate_drops_has_no_score(workers, make):
    handler = make(Holes(N), 3)
    seen = train(handler, loader_of(handler, collate_fn=drop_none, num_workers=workers))[0]
    assert handler.epoch == 1
    assert torch.equal(handler.state.counts == 0, torch.arange(N) % 5 == 0)
    for indices in seen:
        own = planted(N)[indices]
        expected = own if handler.state.scorer.per_sample else own.mean().expand(len(own))
        torch.testing.assert_close(handler.scores[indices], expected)


def test_a_loader_that_fast_forwards_the_sampler_of_a_resumed_run():
    """As torchdata's StatefulDataLoader does when it is restored together with the handler."""
    handler = InfoBatch(Planted(N), 5)
    for _, losses in itertools.islice(loader_of(handler), 5):
        handler.update(losses)
    resumed = InfoBatch(Planted(N), 5)
    resumed.load_state_dict(handler.state_dict())
    forwarded = itertools.islice(iter(resumed.sampler), 80, None)
    loader = torch.utils.data.DataLoader(
        resumed, sampler=forwarded, batch_size=16, generator=torch.Generator()
    )
    _, losses = next(iter(loader))
    with pytest.raises(RuntimeError, match="80 samples were read before this batch"):
        resumed.update(losses)


class TestMaskedLosses:
    @pytest.mark.parametrize("make", [InfoBatch, lambda *args: bls(InfoBatch(*args), alpha=0)])
    def test_what_is_masked_has_no_score_and_no_gradient(self, make):
        handler = make(Planted(N), 3)
        sure = planted(N) > 0.3
        for indices, losses in loader_of(handler):
            mask = sure[indices]
            x = torch.ones(len(losses), requires_grad=True)
            total = handler.update(losses * x, mask=mask)
            torch.testing.assert_close(total, (losses * mask).mean())
            total.backward()
            torch.testing.assert_close(x.grad, losses * mask / len(losses))
        assert handler.epoch == 1
        assert torch.equal(handler.state.counts, torch.ones(N, dtype=torch.int32))
        assert torch.equal(~handler.scores.isnan(), sure) or not handler.state.scorer.per_sample
        if handler.state.scorer.per_sample:
            expect(handler.scores, planted(N), [sure.nonzero().squeeze(1)])

    def test_a_sample_that_never_counted_has_no_score_under_bls_either(self):
        handler = bls(InfoBatch(Planted(N), 3))
        sure = planted(N) > 0.3
        for indices, losses in loader_of(handler):
            handler.update(losses, mask=sure[indices])
        assert torch.equal(handler.scores.isnan(), ~sure)
        assert set((~sure).nonzero().flatten().tolist()) <= set(handler.sampler)
        resumed = bls(InfoBatch(Planted(N), 3))
        resumed.load_state_dict(handler.state_dict())
        assert torch.equal(resumed.scores.isnan(), ~sure)
        assert list(resumed.sampler) == list(handler.sampler)

    @pytest.mark.parametrize("behind", [1, 4])
    def test_a_resume_goes_on_after_masked_samples_too(self, behind):
        def batches(handler, stop=None):
            seen = []
            for indices, losses in loader_of(handler):
                if len(seen) == stop:
                    break
                seen.append(indices.tolist())
                handler.update(losses, mask=losses > 0.3)
            return seen

        whole, stopped, resumed = (InfoBatch(Planted(N), 3) for _ in range(3))
        first = batches(stopped, behind)
        resumed.load_state_dict(stopped.state_dict())
        assert resumed.progress == stopped.progress
        assert first + batches(resumed) == batches(whole)
        assert torch.equal(resumed.scores.nan_to_num(-1), whole.scores.nan_to_num(-1))

    def test_a_mask_that_leaves_nothing(self):
        handler = InfoBatch(Planted(N), 3)
        for _, losses in loader_of(handler):
            assert handler.update(losses, mask=torch.zeros(len(losses), dtype=torch.bool)) == 0
        assert handler.epoch == 1
        assert handler.scores.isnan().all()

    def test_by_the_indices_of_what_counts(self):
        handler = InfoBatch(Planted(N), 3)
        sure = planted(N) > 0.3
        for indices, losses in loader_of(handler):
            handler.update(losses[sure[indices]], indices=indices[sure[indices]])
            handler.skip()
        assert handler.epoch == 1
        expect(handler.scores, planted(N), [sure.nonzero().squeeze(1)])

    def test_the_last_epoch_ends_without_a_skip_too(self):
        handler = InfoBatch(Planted(N), 3)
        for indices, losses in loader_of(handler):
            handler.update(losses[1:], indices=indices[1:])
        assert handler.epoch == 1

    @pytest.mark.parametrize("mask", [torch.ones(3, dtype=torch.bool), torch.ones(16), [True] * 16])
    def test_a_wrong_mask(self, mask):
        handler = InfoBatch(Planted(N), 3)
        _, losses = next(iter(loader_of(handler)))
        with pytest.raises(TypeError, match=r"mask must be a bool tensor of shape \(16,\)"):
            handler.update(losses, mask=mask)


class TestArguments:
    @pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), True, "5", None])
    def test_epochs_that_are_no_number(self, value):
        with pytest.raises(TypeError, match="num_epochs"):
            InfoBatch(Planted(N), value)

    @pytest.mark.parametrize("value", [-1, 2**70])
    def test_seeds_out_of_range(self, value):
        with pytest.raises(ValueError, match=r"seed must be in \[0, 2\^63\), got"):
            InfoBatch(Planted(N), 5, seed=value)

    @pytest.mark.parametrize("value", [1.5, None, "a", True])
    def test_seeds_that_are_no_number(self, value):
        with pytest.raises(TypeError, match="seed must be a whole number, got"):
            InfoBatch(Planted(N), 5, seed=value)

    def test_numpys_integers_are_whole_numbers(self):
        handler = InfoBatch(Planted(N), np.int64(5), seed=np.int32(3))
        assert (handler.state.num_epochs, handler.state.seed) == (5, 3)

    @pytest.mark.parametrize("epoch", [99, -1, 1])
    def test_a_state_whose_epoch_does_not_fit(self, epoch):
        handler = InfoBatch(Planted(N), 5)
        with pytest.raises(ValueError, match=f"damaged: epoch {epoch} does not fit the 0 epochs"):
            handler.load_state_dict({**handler.state_dict(), "epoch": epoch})

    def test_a_state_past_the_run(self):
        long = InfoBatch(Planted(N), 5)
        train(long, loader_of(long), 4)
        with pytest.raises(ValueError, match="has 4 epochs behind it, and this run num_epochs=3"):
            InfoBatch(Planted(N), 3).load_state_dict(long.state_dict())

    @pytest.mark.parametrize("state", [None, [], 3])
    def test_no_state(self, state):
        with pytest.raises(ValueError, match="no pruning state, which is a dict: got"):
            InfoBatch(Planted(N), 3).load_state_dict(state)


def test_two_pruned_loaders_in_one_loop():
    """zip reads a batch of the longer in vain, which is no loss of any score: its next epoch begins anew."""
    a, b = InfoBatch(Planted(N), 3), bls(RePB(Planted(99), 3), alpha=0)
    for loaders in ((a, b), (b, a)):
        for (i, x), (j, y) in zip(*map(loader_of, loaders), strict=False):
            loaders[0].update(x)
            loaders[1].update(y)
            assert min(len(i), len(j)) > 1
    a.end_epoch()
    assert a.epoch == 2
    assert b.epoch == 2
    known = ~a.scores.isnan()
    assert torch.equal(a.scores[known], planted(N)[known])
    assert known.sum() >= 7 * 16
