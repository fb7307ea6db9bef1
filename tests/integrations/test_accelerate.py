"""Accelerate: a loader that prepare leaves alone, accumulation over short epochs, and its own checkpoints."""

import pytest
import torch
from torch.utils.data import TensorDataset

import bls_bench
from bls_bench import InfoBatch, RandomPruning
from tests.library.helpers import Planted, expect, planted

accelerate = pytest.importorskip("accelerate")
integration = pytest.importorskip("bls_bench.integrations.accelerate")
N, EPOCHS, BATCH = 150, 4, 16


@pytest.fixture
def accelerator():
    return accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)


def loader_of(handler, **kwargs):
    return integration.DataLoader(
        handler, sampler=handler.sampler, batch_size=BATCH, generator=torch.Generator(), **kwargs
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_prepare_leaves_every_score_on_its_sample(accelerator, workers):
    """With whole epochs, and with ones that are left early."""
    handler = InfoBatch(Planted(203), EPOCHS)
    loader = accelerator.prepare(loader_of(handler, num_workers=workers))
    seen = []
    for stop in (3, None, 5):
        for number, (indices, losses) in enumerate(loader):
            if number == stop:
                break
            handler.update(losses)
            seen.append(indices)
    handler.end_epoch()
    assert handler.epoch == 3
    expect(handler.scores, planted(203), seen)


def run(folder, resume=False, stop=None):
    """Train with accumulation, saving before step `stop`; returns the model and what was trained on."""
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    torch.manual_seed(0)
    inputs = torch.randn(N, 8, generator=torch.Generator().manual_seed(0))
    handler = InfoBatch(TensorDataset(inputs, (inputs.sum(1) > 0).long()), EPOCHS)
    model = torch.nn.Linear(8, 2)
    model, optimizer, loader = accelerator.prepare(
        model, torch.optim.AdamW(model.parameters(), lr=0.01), loader_of(handler)
    )
    accelerator.register_for_checkpointing(handler)
    if resume:
        accelerator.load_state(folder)
    seen, steps = [], 0
    while handler.epoch < EPOCHS:
        for x, y in loader:
            if stop is not None and len(seen) == stop:
                accelerator.save_state(folder)
                return None
            seen.append(handler.batch_indices.tolist())
            with accelerator.accumulate(model):
                losses = torch.nn.functional.cross_entropy(model(x), y, reduction="none")
                accelerator.backward(handler.update(losses))
                steps += accelerator.sync_gradients
                optimizer.step()
                optimizer.zero_grad()
        assert model.weight.grad is None or not model.weight.grad.any()
    return model, handler, seen, steps


def test_a_resume_in_mid_epoch_equals_the_uninterrupted_run(tmp_path):
    model, handler, seen, steps = run(tmp_path)
    lengths = [-(-selected // BATCH) for selected in handler.state._selected]
    assert len(seen) == sum(lengths)
    assert steps == sum(-(-length // 3) for length in lengths)
    stop = lengths[0] + 3
    run(tmp_path, stop=stop)
    again, resumed, rest, _ = run(tmp_path, resume=True)
    assert rest == seen[stop:]
    assert torch.equal(again.weight, model.weight)
    assert torch.equal(resumed.scores.nan_to_num(-1), handler.scores.nan_to_num(-1))
    assert resumed.pruned_percent == handler.pruned_percent


def test_a_loader_of_ours_that_prepare_wraps_is_refused_at_the_first_update(accelerator):
    handler = InfoBatch(Planted(203), 5)
    loader = accelerator.prepare(
        bls_bench.DataLoader(handler, sampler=handler.sampler, batch_size=BATCH, generator=torch.Generator())
    )
    _, losses = next(iter(loader))
    with pytest.raises(RuntimeError, match="were read before this batch .* see bls_bench.integrations"):
        handler.update(losses)
    assert handler.progress == 0


def test_a_loader_without_a_handler_is_refused():
    with pytest.raises(ValueError, match="to evaluate, prepare torch's DataLoader"):
        integration.DataLoader(Planted(20), batch_size=4)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_the_last_batch_is_known_after_a_break_too(accelerator, left):
    """The epoch that was left was longer than the next one, or shorter."""
    handler = RandomPruning(Planted(N), 6, seed=left)
    loader = accelerator.prepare(loader_of(handler))
    for epoch in range(5):
        handler.state.pruner.prune_ratio = (0.2, 0.7, 0.4, 0.1, 0.6)[epoch]
        last = []
        for number, (_, losses) in enumerate(loader):
            if epoch == left and number == 1:
                break
            last.append(loader.end_of_dataloader)
            handler.update(losses)
        if epoch != left:
            assert last == [False] * (len(last) - 1) + [True]
