"""What update returns, what a handler tells, how it is saved, and what it refuses."""

import copy
import pickle
import warnings

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from bls_bench import BLS, InfoBatch, RandomPruning, RePB, SeTa
from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.seta import SeTaPruner

from .helpers import HANDLERS, Planted, bls, expect, loader_of, planted, train

pytestmark = pytest.mark.pruning

N = 203


def weighted_handler(wrap=lambda handler: handler):
    """A handler in an epoch whose weights differ, and its loader."""
    handler = wrap(InfoBatch(Planted(N), 10))
    loader = loader_of(handler)
    train(handler, loader)
    return handler, loader


class TestUpdate:
    def test_per_sample_losses_are_weighted_one_by_one(self):
        handler, loader = weighted_handler()
        kinds = set()
        for indices, losses in loader:
            weights = handler.weights[indices]
            kinds |= set(weights.tolist())
            x = torch.zeros(len(losses), requires_grad=True)
            loss = losses * x.exp()  # autograd keeps the result of exp
            total = handler.update(loss)
            assert total.ndim == 0
            torch.testing.assert_close(total, (losses * weights).mean())
            total.backward()
            torch.testing.assert_close(x.grad, losses * weights / len(losses))
            assert torch.equal(loss.detach(), losses)
        assert kinds == {1.0, 2.0}

    @pytest.mark.parametrize("vector", [False, True])
    def test_a_mean_loss_is_weighted_by_the_mean(self, vector):
        handler, loader = weighted_handler(bls)
        for indices, losses in loader:
            weights = handler.weights[indices]
            x = torch.ones((), requires_grad=True)
            loss = losses * x if vector else losses.mean() * x
            total = handler.update(loss)
            torch.testing.assert_close(total, losses.mean() * weights.mean())
            total.backward()
            torch.testing.assert_close(x.grad, losses.mean() * weights.mean())
        assert handler.epoch == 2

    def test_a_vector_is_averaged_under_bls(self):
        means, vectors = (bls(InfoBatch(Planted(N), 5)) for _ in range(2))
        for (_, a), (_, b) in zip(loader_of(means), loader_of(vectors), strict=True):
            assert means.update(a.mean()) == vectors.update(b)
        assert torch.equal(means.scores, vectors.scores)

    @pytest.mark.parametrize("name", ["sampler", "update", "epoch", "state_dict"])
    def test_bls_without_its_proxy_names_it(self, name):
        forgotten = BLS(InfoBatch(Planted(N), 5))
        with pytest.raises(AttributeError, match=rf"has no {name} before its proxy: take BLS\(...\).proxy"):
            getattr(forgotten, name)
        assert not hasattr(forgotten, name)
        assert pickle.loads(pickle.dumps(forgotten)).proxy().epoch == 0

    def test_random_pruning_takes_either(self):
        means, vectors = (RandomPruning(Planted(N), 5) for _ in range(2))
        for (_, a), (_, b) in zip(loader_of(means), loader_of(vectors), strict=True):
            assert means.update(a.mean()) == vectors.update(b)
        assert means.epoch == vectors.epoch == 1

    def test_random_pruning_scores_what_it_trained_on(self):
        """The score is the last batch loss, NaN for a sample that was in no batch yet."""
        handler, expected = RandomPruning(Planted(N), 5), torch.full((N,), torch.nan)
        for _ in range(3):
            for indices, losses in loader_of(handler):
                handler.update(losses.mean())
                expected[indices] = losses.mean()
            assert torch.equal(handler.scores.isnan(), expected.isnan())
            assert torch.equal(handler.scores.nan_to_num(), expected.nan_to_num())
        assert expected.isnan().any()

    def test_weighted_keeps_nothing(self):
        handler, loader = weighted_handler()
        before = handler.scores.clone()
        for _, losses in loader:
            assert handler.weighted(losses * 3) == handler.weighted(losses * 3)
            handler.skip()
        assert torch.equal(handler.scores, before)


class TestWhatAHandlerTells:
    def test_weights_are_zero_for_pruned_samples(self):
        handler, loader = weighted_handler()
        assert torch.equal(handler.weights, torch.ones(N))
        batches = iter(loader)
        handler.update(next(batches)[1])
        selection = handler.state.selection
        expected = torch.zeros(N)
        expected[selection.indices] = selection.weights
        assert torch.equal(handler.weights, expected)
        assert (expected == 0).any()
        for _ in batches:
            pass
        assert torch.equal(handler.weights, expected)  # the last epoch's, until the next begins

    def test_weights_before_any_epoch(self):
        assert torch.equal(InfoBatch(Planted(N), 5).weights, torch.ones(N))

    @pytest.mark.parametrize("cls", HANDLERS)
    def test_progress_goes_from_0_to_1_in_even_steps(self, cls):
        handler = cls(Planted(N), 8)
        assert handler.progress == 0
        for epoch in range(8):
            loader = loader_of(handler)
            length = len(loader)
            for step, (_, losses) in enumerate(loader):
                assert handler.progress == pytest.approx((epoch + step / length) / 8, abs=1 / 8 / length)
                before = handler.progress
                handler.update(losses)
                assert handler.progress > before
        assert handler.progress == 1

    def test_epochs_past_the_last_are_whole_and_warn(self):
        handler = RandomPruning(Planted(N), 2)
        train(handler, loader_of(handler), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(loader_of(handler)) == -(-N // 16)
        with pytest.warns(UserWarning, match="past num_epochs=2"):
            [batches] = train(handler, loader_of(handler))
        assert len(torch.cat(batches)) == N
        assert handler.progress == 1

    def test_the_papers_words(self):
        data = Planted(N)
        assert InfoBatch(data, 9).state.pruner == InfoBatchPruner()
        assert InfoBatch(data, 9, 0.3, 0.7, "quantile").state.pruner == InfoBatchPruner(
            prune_ratio=0.3, delta=0.7, variant="quantile"
        )
        assert InfoBatch(data, 9, exact_count=True).state.pruner == InfoBatchPruner(exact_count=True)
        assert SeTa(data, 9).state.pruner == SeTaPruner()
        assert SeTa(data, 9, 0.3, 7, 0.5, 0.7).state.pruner == SeTaPruner(
            prune_ratio=0.3, num_groups=7, window_scale=0.5, delta=0.7
        )
        assert RePB(data, 9).state.pruner == RePBPruner()
        assert RePB(data, 9, 0.3, 4).state.pruner == RePBPruner(prune_ratio=0.3, window=4)
        assert {cls(data, 9, seed=3).state.seed for cls in HANDLERS} == {3}
        assert bls(SeTa(data, 9)).state.scorer.alpha == 0.7
        assert bls(SeTa(data, 9), alpha=0.2, init="zero").state.scorer.init == "zero"

    def test_bls_leaves_the_handler_that_it_wraps_alone(self):
        handler = RePB(Planted(N), 5)
        wrapped = bls(handler)
        assert type(wrapped) is RePB
        assert wrapped.dataset is handler.dataset
        train(wrapped, loader_of(wrapped), 2)
        assert handler.epoch == 0
        assert handler.scores.isnan().all()
        train(handler, loader_of(handler))
        assert torch.equal(handler.scores, planted(N))


@pytest.mark.parametrize("cls", HANDLERS)
@pytest.mark.parametrize("wrap", [lambda handler: handler, bls])
@pytest.mark.parametrize("how", ["state_dict", "pickle", "deepcopy"])
def test_saved_in_mid_epoch_and_resumed(cls, wrap, how, tmp_path):
    """The batches after a resume are those that were left, and the run ends as if never interrupted."""
    whole = wrap(cls(Planted(N), 6))
    expected = train(whole, loader_of(whole), 6)
    handler = wrap(cls(Planted(N), 6))
    seen = train(handler, loader_of(handler), 2)
    seen.append([])
    for number, (indices, losses) in enumerate(loader_of(handler, num_workers=2)):
        if number == 5:
            break
        handler.update(losses if handler.state.scorer.per_sample else losses.mean())
        seen[2].append(indices)
    if how == "state_dict":
        torch.save(handler.state_dict(), tmp_path / "state.pt")
        resumed = wrap(cls(Planted(N), 6))
        resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    else:
        resumed = pickle.loads(pickle.dumps(handler)) if how == "pickle" else copy.deepcopy(handler)
    assert resumed.progress == handler.progress
    assert torch.equal(resumed.weights, handler.weights)
    assert len(loader_of(resumed)) == len(expected[2]) - 5
    seen[2] += train(resumed, loader_of(resumed))[0]
    seen += train(resumed, loader_of(resumed), 3)
    for ours, theirs in zip(seen, expected, strict=True):
        assert [batch.tolist() for batch in ours] == [batch.tolist() for batch in theirs]
    assert torch.equal(resumed.scores.nan_to_num(-1), whole.scores.nan_to_num(-1))
    assert resumed.pruned_percent == whole.pruned_percent
    assert handler.epoch == 2  # the one it was copied from is where it was


class Lengthless(Dataset):
    def __getitem__(self, index):
        return index


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))

    def __len__(self):
        return 3


class TestBadInput:
    @pytest.mark.parametrize(
        ("dataset", "error", "message"),
        [
            (Lengthless(), TypeError, "data set with a length: Lengthless has none"),
            (Stream(), TypeError, "map-style data set, with items by index: Stream has none"),
            ((i for i in range(3)), TypeError, "map-style data set, with items by index: generator has none"),
            ([], ValueError, "at least 1 sample, got 0"),
        ],
    )
    @pytest.mark.parametrize("cls", HANDLERS)
    def test_data_sets(self, cls, dataset, error, message):
        with pytest.raises(error, match=message):
            cls(dataset, 3)

    @pytest.mark.parametrize("epochs", [0, -1])
    def test_no_epochs(self, epochs):
        with pytest.raises(ValueError, match=f"num_epochs must be at least 1, got {epochs}"):
            InfoBatch(Planted(N), epochs)

    def test_a_data_set_that_changes_its_length(self):
        data = list(range(10))
        handler = InfoBatch(data, 3)
        data.append(10)
        with pytest.raises(ValueError, match="had 10 samples and now has 11"):
            list(loader_of(handler))
        assert handler.epoch == 0
        assert handler.pruned_percent == 0
        data.pop()
        assert len(list(loader_of(handler))) == 1

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: InfoBatch(Planted(N + 1), 5), "num_samples 204, this run has 203"),
            (lambda: SeTa(Planted(N), 5), "pruner SeTaPruner, this run has InfoBatchPruner"),
            (lambda: bls(InfoBatch(Planted(N), 5)), "scorer BatchLossScore, this run has PerSampleLoss"),
        ],
    )
    def test_a_foreign_state(self, make, message):
        handler = InfoBatch(Planted(N), 5)
        train(handler, loader_of(handler))
        before = handler.scores.clone()
        with pytest.raises(ValueError, match=message):
            handler.load_state_dict(make().state_dict())
        assert torch.equal(handler.scores, before)
        assert handler.epoch == 1

    def test_a_state_that_is_none(self):
        handler = InfoBatch(Planted(N), 5)
        with pytest.raises(ValueError, match="no pruning state: it lacks"):
            handler.load_state_dict({"weight": torch.ones(1, 1)})

    @pytest.mark.parametrize(
        ("loss", "error", "message"),
        [
            (torch.tensor(1.0), TypeError, r"BLS\(InfoBatch\(\.\.\.\)\)\.proxy\(\)"),
            (torch.ones(3), ValueError, "expected 16 losses, one a sample, got shape"),
            (torch.ones(16, 1), ValueError, "expected 16 losses, one a sample, got shape"),
            (torch.ones(16, dtype=torch.int64), TypeError, "floating-point tensor, got torch.int64"),
            (1.0, TypeError, "floating-point tensor, got float"),
            (torch.ones(16, device="meta"), ValueError, "loss on cpu, as before, and got it on meta"),
        ],
    )
    def test_losses(self, loss, error, message):
        """Each is refused at once, and the right loss is then taken as if nothing had been."""
        handler = InfoBatch(Planted(N), 5)
        for number, (_, losses) in enumerate(loader_of(handler)):
            if number == 1:
                with pytest.raises(error, match=message):
                    handler.update(loss)
            handler.update(losses)
        expect(handler.scores, planted(N), [torch.arange(N)])

    @pytest.mark.parametrize("loss", [torch.ones(3), torch.ones(16, 1)])
    def test_losses_under_bls(self, loss):
        handler = bls(InfoBatch(Planted(N), 5))
        next(iter(loader_of(handler)))
        with pytest.raises(ValueError, match="expected 16 losses"):
            handler.update(loss)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    @pytest.mark.parametrize("wrap", [lambda handler: handler, bls])
    def test_a_loss_that_is_not_finite(self, value, wrap):
        handler = wrap(InfoBatch(Planted(N), 5))
        loader = loader_of(handler)
        train(handler, loader)
        before, percent = handler.scores.clone(), handler.pruned_percent
        saved = handler.state_dict()
        with pytest.raises(NonFiniteLossError, match="in epoch 1, batch 2"):
            for number, (_, losses) in enumerate(loader):
                losses[3] = value if number == 2 else losses[3]
                handler.update(losses)
        assert torch.equal(handler.scores, before)
        assert handler.epoch == 1
        handler.load_state_dict(saved)
        assert handler.pruned_percent == percent
        train(handler, loader)
        assert handler.epoch == 2

    @pytest.mark.parametrize(
        ("indices", "error", "message"),
        [
            ([0, N], ValueError, rf"\[0, {N}\), got {N}"),
            ([-1, 0], ValueError, "got -1"),
            ([4, 4], ValueError, "name one twice"),
            ([0.0, 1.0], TypeError, r"\(b,\) integers"),
            ([True, False], TypeError, r"\(b,\) integers"),
            ([[0, 1]], TypeError, r"\(b,\) integers"),
        ],
    )
    def test_indices(self, indices, error, message):
        handler = InfoBatch(Planted(N), 5)
        next(iter(loader_of(handler)))
        with pytest.raises(error, match=message):
            handler.update(torch.ones(2), indices=indices)
        handler.end_epoch()
        assert handler.scores.isnan().all()

    def test_samples_that_no_loss_is_awaited_of(self):
        handler, loader = weighted_handler()
        indices, losses = next(iter(loader))
        handler.update(losses)
        pruned = (handler.weights == 0).nonzero()[0]
        for sample in (int(pruned), int(indices[0])):
            with pytest.raises(ValueError, match=f"no loss is awaited for sample {sample}:"):
                handler.update(torch.ones(1), indices=[sample])

    def test_update_without_an_epoch(self):
        handler = InfoBatch(Planted(N), 5)
        loader = torch.utils.data.DataLoader(handler, batch_size=16, generator=torch.Generator())
        next(iter(loader))  # without sampler=handler.sampler
        for loss in (handler.update, handler.weighted):
            with pytest.raises(RuntimeError, match=r"handler\.sampler|not known"):
                loss(torch.ones(16))
        with pytest.raises(RuntimeError, match=r"sampler=handler\.sampler"):
            handler.update(torch.ones(1), indices=[0])

    def test_bls_around_anything_else(self):
        with pytest.raises(TypeError, match="BLS wraps a pruner such as InfoBatch"):
            BLS(Planted(N))
        handler = InfoBatch(Planted(N), 5)
        handler.update(next(iter(loader_of(handler)))[1])
        with pytest.raises(ValueError, match="before its first epoch"):
            BLS(handler)
        for wrong in ({"alpha": 1.1}, {"alpha": float("nan")}, {"init": "one"}):
            with pytest.raises(ValueError, match="must be"):
                BLS(InfoBatch(Planted(N), 5), **wrong)

    @pytest.mark.parametrize("cls", HANDLERS)
    def test_rates(self, cls):
        with pytest.raises(ValueError, match=r"prune_ratio must be in \[0, 1\)"):
            cls(Planted(N), 5, prune_ratio=1.0)
