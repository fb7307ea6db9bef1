"""No loss ever reaches another sample's score: each sample's loss is planted, and every score is checked."""

import itertools
import sys

import pytest
import torch
from torch.utils.data import BatchSampler, Dataset, Subset, TensorDataset

from bls_bench import DataLoader, InfoBatch, RandomPruning, RePB, SeTa

from .helpers import HANDLERS, Planted, bls, expect, loader_of, planted, train

pytestmark = pytest.mark.pruning

N = 203  # no multiple of the batch size
WORKERS = [
    pytest.param({}, id="none"),
    pytest.param({"num_workers": 2}, id="two"),
    pytest.param({"num_workers": 2, "prefetch_factor": 5, "persistent_workers": True}, id="persistent"),
    pytest.param({"num_workers": 2, "in_order": False}, id="any_order"),
]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("drop_last", [False, True])
def test_any_workers(workers, drop_last):
    handler = RandomPruning(Planted(N), 3, 0.3)
    handler.state.scorer = InfoBatch(Planted(N), 3).state.scorer  # per-sample scores, a fresh draw an epoch
    trained = train(handler, loader_of(handler, drop_last=drop_last, **workers), 3)
    kept = int(0.7 * N + 1e-9)
    for batches in trained:
        sizes = [len(batch) for batch in batches]
        assert sorted(sizes, reverse=True) == [16] * (kept // 16) + ([] if drop_last else [kept % 16])
        assert len(torch.cat(batches).unique()) == sum(sizes)
    expect(handler.scores, planted(N), itertools.chain.from_iterable(trained))
    assert handler.epoch == 3


@pytest.mark.slow
def test_spawned_workers():
    handler = InfoBatch(Planted(N), 3)
    spawned = {"num_workers": 2, "multiprocessing_context": "spawn", "persistent_workers": True}
    train(handler, loader_of(handler, pin_memory=torch.cuda.is_available(), **spawned), 2)
    assert torch.equal(handler.scores, planted(N))


@pytest.mark.parametrize("cls", HANDLERS)
@pytest.mark.parametrize("loader", [DataLoader, torch.utils.data.DataLoader])
def test_every_pruner_through_a_whole_run(cls, loader):
    """The loop sees just the selection of the core, in its order, and the scores are those of the core."""
    handler, twin = cls(Planted(N), 6), cls(Planted(N), 6).state
    per_sample = twin.scorer.per_sample
    for epoch in range(6):
        [batches] = train(handler, loader_of(handler, loader))
        selection = twin.begin_epoch()
        assert torch.equal(torch.cat(batches), selection.indices)
        for batch in selection.batches(16):
            own = planted(N)[batch.indices]
            twin.record(batch.indices, own if per_sample else own.mean())
        twin.end_epoch()
        assert torch.equal(handler.scores.nan_to_num(-1), twin.scores.nan_to_num(-1))
        assert handler.pruned_percent == twin.pruned_percent
        assert handler.epoch == epoch + 1


@pytest.mark.parametrize("cls", HANDLERS)
def test_bls_scores_are_the_formula(cls):
    handler = bls(cls(Planted(N), 5), alpha=0.7)
    expected = None
    for _ in range(5):
        [batches] = train(handler, loader_of(handler))
        for indices in batches:
            loss = planted(N)[indices].mean()
            expected = torch.full((N,), float(loss)) if expected is None else expected
            expected[indices] = 0.7 * expected[indices] + 0.3 * loss
        torch.testing.assert_close(handler.scores, expected)


def test_break_ends_the_epoch_at_the_next_one():
    for workers in ({}, {"num_workers": 2, "persistent_workers": True}):
        handler = InfoBatch(Planted(N), 5)
        loader = loader_of(handler, **workers)
        trained = []
        for number, (indices, losses) in enumerate(loader):
            handler.update(losses)
            trained.append(indices)
            if number == 2:
                break
        assert handler.scores.isnan().all()
        assert handler.epoch == 0
        trained += train(handler, loader)[0]
        expect(handler.scores, planted(N), trained)
        assert handler.epoch == 2


def test_end_epoch_after_a_break_scores_at_once():
    handler = InfoBatch(Planted(N), 5)
    indices, losses = next(iter(loader_of(handler)))
    handler.update(losses)
    handler.end_epoch()
    handler.end_epoch()  # nothing is open any more: nothing happens
    expect(handler.scores, planted(N), [indices])
    assert handler.epoch == 1


@pytest.mark.parametrize("loader", [DataLoader, torch.utils.data.DataLoader])
@pytest.mark.parametrize("skipped", [{0}, {1, 2, 7}, {12}, set(range(13))])
def test_a_skipped_batch_does_not_shift_the_next(loader, skipped):
    handler = InfoBatch(Planted(N), 5)
    trained = []
    for number, (indices, losses) in enumerate(loader_of(handler, loader)):
        if number in skipped:
            handler.skip()
            handler.skip()  # there is nothing left to skip: nothing happens
            with pytest.raises(RuntimeError, match="updated or skipped already"):
                handler.update(losses)
        else:
            handler.update(losses)
            trained.append(indices)
    expect(handler.scores, planted(N), trained)
    assert handler.epoch == 1


@pytest.mark.parametrize("loader", [DataLoader, torch.utils.data.DataLoader])
def test_a_batch_read_and_left_out_without_a_word_is_refused(loader):
    handler = InfoBatch(Planted(N), 5)
    trained = []
    for number, (indices, losses) in enumerate(loader_of(handler, loader)):
        if number == 4:
            continue
        if number == 5:
            with pytest.raises(RuntimeError, match="16 samples were read before this batch"):
                handler.update(losses)
            with pytest.raises(RuntimeError, match="16 samples were read before this batch"):
                handler.weighted(losses)
            handler.skip()  # both of them
        else:
            handler.update(losses)
            trained.append(indices)
    expect(handler.scores, planted(N), trained)


def test_bls_with_skipped_updates():
    handler = bls(InfoBatch(Planted(N), 5), alpha=0, init="zero")
    expected = torch.zeros(N)
    for number, (indices, losses) in enumerate(loader_of(handler, num_workers=2)):
        if number % 3:
            handler.update(losses.mean())
            expected[indices] = losses.mean()
        else:
            handler.skip()
    assert torch.equal(handler.scores, expected)


def test_validation_between_batches():
    """Over other data or over the handler itself, between batches or between a batch and its update."""
    for loader in (DataLoader, torch.utils.data.DataLoader):
        handler = InfoBatch(Planted(N), 5)
        other = loader(Planted(50), batch_size=16, generator=torch.Generator())
        same = torch.utils.data.DataLoader(handler, batch_size=16, generator=torch.Generator())
        for number, (_, losses) in enumerate(loader_of(handler, loader)):
            assert sum(len(x) for x, _ in other) == 50
            handler.update(losses)
            if number == 3:
                assert sum(len(x) for x, _ in same) == N
        expect(handler.scores, planted(N), [torch.arange(N)])


def test_another_look_at_the_handler_never_passes_for_the_batch_in_hand():
    """A loader of ours knows its batch whatever else reads; of torch's own that is not known any more."""
    handler = InfoBatch(Planted(N), 5)
    same = torch.utils.data.DataLoader(handler, batch_size=16, generator=torch.Generator())
    indices, losses = next(iter(loader_of(handler)))
    next(iter(same))
    handler.update(losses)
    handler.end_epoch()
    expect(handler.scores, planted(N), [indices])
    _, losses = next(iter(loader_of(handler, torch.utils.data.DataLoader)))
    next(iter(same))
    with pytest.raises(RuntimeError, match=r"evaluate on handler\.dataset"):
        handler.update(losses)


def test_a_second_iterator_ends_the_first():
    handler = InfoBatch(Planted(N), 5)
    loader = loader_of(handler)
    first = iter(loader)
    before, losses = next(first)
    handler.update(losses)
    second = iter(loader)
    indices, losses = next(second)
    assert handler.epoch == 1
    expect(handler.scores, planted(N), [before])
    with pytest.raises(RuntimeError, match="this iterator's epoch is over"):
        next(first)
    handler.update(losses)
    handler.end_epoch()
    expect(handler.scores, planted(N), [before, indices])


def test_of_torchs_own_loader_a_stale_iterator_is_not_known():
    handler = InfoBatch(Planted(N), 5)
    loader = loader_of(handler, torch.utils.data.DataLoader)
    first, second = iter(loader), iter(loader)
    next(first), next(second)
    _, losses = next(first)
    with pytest.raises(RuntimeError, match="not known which samples"):
        handler.update(losses)


@pytest.mark.parametrize("cls", [DataLoader, torch.utils.data.DataLoader])
def test_reading_ahead_is_found_out(cls):
    """A loop one batch behind its loader is refused at its first update, before any score is wrong."""
    handler = bls(InfoBatch(Planted(N), 5))
    batches = iter(loader_of(handler, cls))
    _, losses = next(batches)
    next(batches)
    with pytest.raises(RuntimeError, match="16 samples were read before this batch"):
        handler.update(losses.mean())
    assert handler.epoch == handler.progress == handler.pruned_percent == 0


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_loop_that_reads_ahead_can_keep_the_indices(drop_last):
    handler = InfoBatch(Planted(N), 5)
    loader = loader_of(handler, num_workers=2, drop_last=drop_last)
    batches = ((handler.batch_indices, losses) for _, losses in loader)
    ahead = [next(batches), next(batches)]
    while ahead:
        indices, losses = ahead.pop(0)
        handler.update(losses, indices=indices)
        ahead += [batch for batch in [next(batches, None)] if batch]
    assert handler.epoch == 1
    whole = N - N % 16 if drop_last else N
    expect(handler.scores, planted(N), [InfoBatch(Planted(N), 5).state.begin_epoch().indices[:whole]])


def test_torchs_own_loader_with_workers_is_refused_without_indices():
    handler = InfoBatch(Planted(N), 5)
    loader = loader_of(handler, torch.utils.data.DataLoader, num_workers=2)
    for indices, losses in loader:
        with pytest.raises(RuntimeError, match=r"bls_bench\.DataLoader"):
            handler.update(losses)
        handler.update(losses, indices=indices)
    expect(handler.scores, planted(N), [torch.arange(N)])


@pytest.mark.parametrize("kind", [list, tuple, torch.Tensor.numpy, torch.Tensor.int])
def test_indices_may_be_any_integers(kind):
    handler = InfoBatch(Planted(N), 5)
    for indices, losses in loader_of(handler):
        handler.update(losses, indices=kind(indices))
    expect(handler.scores, planted(N), [torch.arange(N)])


def test_one_update_a_batch():
    handler = InfoBatch(Planted(N), 5)
    for _, losses in loader_of(handler):
        total = handler.update(losses)
        with pytest.raises(RuntimeError, match="updated or skipped already"):
            handler.update(losses + 1)
        assert handler.weighted(losses) == total  # the last batch's, too
    expect(handler.scores, planted(N), [torch.arange(N)])


def test_gradient_accumulation():
    handler = InfoBatch(Planted(N), 5)
    for _ in range(2):
        for _, losses in loader_of(handler, num_workers=2):
            loss = handler.update(losses.requires_grad_())
            loss /= 4  # in place, as some loops have it
            loss.backward()
        assert torch.equal(handler.scores, planted(N))


def test_a_loss_changed_in_place_after_its_update():
    handler = InfoBatch(Planted(N), 5)
    for _, losses in loader_of(handler):
        handler.update(losses)
        losses.zero_()
    assert torch.equal(handler.scores, planted(N))


def step_with(model, scaler=None, autocast=False):
    """Train a model whose loss per sample is planted; returns the handler."""
    handler = InfoBatch(Planted(N), 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    for _ in range(2):
        for _, losses in loader_of(handler, num_workers=2):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                out = model(losses[:, None]).float().squeeze(1)
            loss = handler.update(losses + (out - out.detach()))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return handler


def small_model():
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1), model.bias.fill_(0)
    return model


def linear():
    with torch.random.fork_rng():
        return small_model()


def test_amp_with_a_gradient_scaler():
    handler = step_with(linear(), torch.amp.GradScaler("cpu", init_scale=2.0**120), autocast=True)
    assert torch.equal(handler.scores, planted(N))


@pytest.mark.slow
def test_a_compiled_model():
    handler = step_with(torch.compile(linear(), backend="eager"))
    assert torch.equal(handler.scores, planted(N))


class Variable(Dataset):
    """Items of different lengths, in a dict: no default collate function takes them."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        return {"id": index, "text": list(range(index % 7))}


def pad(items):
    longest = max(len(item["text"]) for item in items)
    text = torch.tensor([item["text"] + [0] * (longest - len(item["text"])) for item in items])
    return {"id": [item["id"] for item in items], "text": text}


@pytest.mark.parametrize("workers", [0, 2])
def test_dicts_of_variable_length_with_a_collate_function(workers):
    handler = InfoBatch(Variable(), 3)
    seen = []
    for batch in loader_of(handler, collate_fn=pad, num_workers=workers):
        assert set(batch) == {"id", "text"}
        handler.update(planted(N)[batch["id"]])
        seen += batch["id"]
    assert sorted(seen) == list(range(N))
    expect(handler.scores, planted(N), [torch.arange(N)])


class Batched(Planted):
    """A data set with batched access of its own."""

    def __getitems__(self, indices):
        return [(index, self.losses[index]) for index in reversed(indices)][::-1]

    def __getitem__(self, index):
        raise AssertionError("a batch is fetched at once")


@pytest.mark.parametrize("cls", [DataLoader, torch.utils.data.DataLoader])
def test_batched_access_is_used(cls):
    handler = InfoBatch(Batched(N), 3)
    train(handler, loader_of(handler, cls))
    assert torch.equal(handler.scores, planted(N))


@pytest.mark.parametrize("make", [lambda n: TensorDataset(torch.arange(n)), lambda n: list(range(n))])
def test_items_come_out_as_they_are(make):
    """The batches are those that torch's loader makes of the same samples."""
    dataset = make(N)
    handler = InfoBatch(dataset, 3)
    order = InfoBatch(dataset, 3).state.begin_epoch().indices.tolist()
    assert len(handler) == N
    assert handler[7] == dataset[7]
    plain = torch.utils.data.DataLoader(Subset(dataset, order), batch_size=16, generator=torch.Generator())
    for ours, theirs in zip(loader_of(handler), plain, strict=True):
        assert type(ours) is type(theirs)
        assert torch.equal(torch.as_tensor(ours[0]), torch.as_tensor(theirs[0]))


class Sorted:
    """A batch sampler of one's own that reads far ahead: the samples of 8 batches, sorted."""

    def __init__(self, source):
        self.source = source

    def __iter__(self):
        samples = iter(self.source)
        while pool := sorted(itertools.islice(samples, 128)):
            for start in range(0, len(pool), 16):
                yield pool[start : start + 16]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_sampler_of_ones_own(workers):
    handler = InfoBatch(Planted(N), 3)
    loader = DataLoader(
        handler, batch_sampler=Sorted(handler.sampler), num_workers=workers, generator=torch.Generator()
    )
    train(handler, loader, 2)
    assert torch.equal(handler.scores, planted(N))
    assert handler.epoch == 2
    theirs = torch.utils.data.DataLoader(
        handler, batch_sampler=Sorted(handler.sampler), generator=torch.Generator()
    )
    with pytest.raises(RuntimeError, match=r"bls_bench\.DataLoader"):
        train(handler, theirs)


@pytest.mark.parametrize("single", [True, False])
def test_without_automatic_batching(single):
    handler = InfoBatch(Planted(N), 3)
    sampler = handler.sampler if single else BatchSampler(handler.sampler, 16, False)
    loader = DataLoader(handler, sampler=sampler, batch_size=None, generator=torch.Generator())
    for _, losses in loader:
        handler.update(losses.view(-1))
    assert torch.equal(handler.scores, planted(N))


class Wrapped(Dataset):
    """A data set around the handler that keeps its indices."""

    def __init__(self, handler):
        self.handler = handler

    def __len__(self):
        return len(self.handler)

    def __getitem__(self, index):
        return self.handler[index]


def test_a_wrapped_handler():
    handler = InfoBatch(Planted(N), 3)
    loader = DataLoader(
        Wrapped(handler), sampler=handler.sampler, batch_size=16, num_workers=2, generator=torch.Generator()
    )
    train(handler, loader, 2)
    assert torch.equal(handler.scores, planted(N))


@pytest.mark.parametrize("make", [InfoBatch, SeTa, RePB])
def test_the_loaders_length_is_that_of_the_epoch(make):
    handler = make(Planted(N), 6)
    for loader in (loader_of(handler), loader_of(handler, drop_last=True)):
        for _ in range(3):
            before = handler.pruned_percent
            length = len(loader)  # between epochs: of the next
            assert handler.pruned_percent == before
            count = 0
            for _, losses in loader:
                assert len(loader) == length
                handler.update(losses)
                count += 1
            assert count == length


def test_nothing_but_torch_is_patched_or_imported():
    """The library is for people who have torch only; torch's own loader stays what it was."""
    import subprocess

    code = (
        "import sys, torch.utils.data as d; "
        "before = [(k, id(v)) for c in vars(d.dataloader).values() if isinstance(c, type) "
        "for k, v in vars(c).items()]; from bls_bench import *; "
        "assert before == [(k, id(v)) for c in vars(d.dataloader).values() if isinstance(c, type) "
        "for k, v in vars(c).items()]; "
        "heavy = {'hydra', 'timm', 'lightning_fabric', 'wandb', 'torchvision', 'sklearn', 'pandas'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
