"""What a handler keeps as a score: a copy for the user, of float32 losses, on the CPU."""

import pytest
import torch

from bls_bench import InfoBatch

from .helpers import Planted, bls, loader_of, train

pytestmark = pytest.mark.pruning

N = 203


def test_scores_that_were_taken_do_not_change():
    handler = InfoBatch(Planted(N), 5)
    train(handler, loader_of(handler))
    taken = handler.scores
    kept = taken.clone()
    for _, losses in loader_of(handler):
        handler.update(losses * 2)
    assert torch.equal(taken, kept)
    assert not torch.equal(handler.scores, kept)
    handler.scores.fill_(7)
    assert not (handler.scores == 7).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_the_mean_of_losses_is_kept_in_float32(dtype, masked):
    """What is returned is what the mean loss would give."""
    handler, expected = bls(InfoBatch(Planted(N), 5), alpha=0), torch.zeros(N)
    for indices, losses in loader_of(handler):
        losses = losses.to(dtype)
        mask = losses > 0 if masked else None
        returned, own = handler.update(losses, mask=mask), handler.weighted(losses.mean())
        assert (returned.dtype, returned) == (own.dtype, own)
        expected[indices] = losses.mean(dtype=None if dtype == torch.float64 else torch.float32).float()
    assert torch.equal(handler.scores, expected)


def moved(value, device):
    if isinstance(value, dict):
        return {key: moved(part, device) for key, part in value.items()}
    if isinstance(value, list):
        return [moved(part, device) for part in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value


def half_trained():
    """A handler in the middle of its second epoch, and another of the same run."""
    handler, other = (bls(InfoBatch(Planted(N), 5, look=True)) for _ in range(2))
    train(handler, loader_of(handler))
    for _, (_, losses) in zip(range(3), loader_of(handler), strict=False):
        handler.update(losses)
    return handler, other


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_state_loaded_to_another_device_goes_on_on_the_cpu():
    handler, resumed = half_trained()
    resumed.load_state_dict(moved(handler.state_dict(), "cuda"))
    for one in (handler, resumed):
        one.end_epoch()
        train(one, loader_of(one))
    assert resumed.scores.device.type == "cpu"
    assert torch.equal(resumed.scores, handler.scores)
    assert torch.equal(resumed.trace.history().kept, handler.trace.history().kept)


@pytest.mark.parametrize("part", ["scores", "counts", "selection", "visits"])
def test_a_state_without_values_is_refused_by_name(part):
    handler, other = half_trained()
    state = handler.state_dict()
    with pytest.raises(ValueError, match=f"damaged: {part}"):
        other.load_state_dict({**state, part: moved(state[part], "meta")})
    assert other.epoch == 0
