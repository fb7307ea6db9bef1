"""Vision Mamba: its scan against a loop, its size, and that it learns."""

import pytest
import torch

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.models import Vim
from bls_bench.tasks.classification.scan import _scan, recurrence, selective_scan

from ...data.helpers import write_tree
from ..running import assert_same, train, train_in_two_goes

DIGITS = ("model=vim_micro", "dataset.subset=8", "trainer.epochs=2", "trainer.batch_size=16", "model.depth=2")


def images(channels, size, classes):
    return Images(channels, size, tuple(map(str, range(classes))))


def slow_scan(inputs, steps, rates, into, out_of):
    """Go through the sequence token by token, each channel and state on its own."""
    state = torch.zeros(len(inputs), *rates.shape, dtype=inputs.dtype)
    found = []
    for at in range(inputs.shape[1]):
        step = steps[:, at, :, None]
        state = torch.exp(step * rates) * state + step * into[:, at, None] * inputs[:, at, :, None]
        found.append((state * out_of[:, at, None]).sum(2))
    return torch.stack(found, 1)


def case(length):
    generator = torch.Generator().manual_seed(length)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    steps = torch.nn.functional.softplus(normal(2, length, 3))
    tensors = normal(2, length, 3), steps, -normal(3, 4).exp(), normal(2, length, 4), normal(2, length, 4)
    return [tensor.requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("length", [1, 2, 5, 16, 17, 50])
def test_a_scan_is_the_recurrence_token_by_token(length):
    tensors, others = case(length), case(length)
    found, expected = _scan(*tensors), slow_scan(*others)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(0), dtype=found.dtype)
    for one in (found, expected):
        (one * weights).sum().backward()
    for tensor, other in zip(tensors, others, strict=True):
        torch.testing.assert_close(tensor.grad, other.grad)


def test_in_single_precision_and_with_states_computed_again():
    others = case(65)
    tensors = [tensor.detach().float().requires_grad_() for tensor in others]
    found, expected = selective_scan(*tensors), slow_scan(*others)
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)
    for one in (found, expected):
        one.sum().backward()
    for tensor, other in zip(tensors, others, strict=True):
        torch.testing.assert_close(tensor.grad, other.grad.float(), rtol=1e-4, atol=1e-4)


def test_decays_that_vanish_overflow_nowhere():
    decay, added = torch.full((1, 300, 1, 1), 1e-30), torch.ones(1, 300, 1, 1)
    assert torch.equal(recurrence(decay, added), added)


def test_the_tiny_one_has_the_size_of_its_paper():
    """7M parameters (Zhu et al. 2024, Table 1)."""
    model = load(composed(["model=vim_tiny"])).model
    with torch.device("meta"):
        network = model.build(images(3, 224, 1000))
    assert 6.9e6 < sum(weights.numel() for weights in network.parameters()) < 7.3e6


@pytest.mark.parametrize(("channels", "size", "tokens"), [(1, 8, 17), (3, 32, 65), (3, 64, 65)])
def test_trains_on_small_images(channels, size, tokens):
    network = Vim(width=16, depth=3, states=4).build(images(channels, size, 7))
    assert network.places.shape[1] == tokens
    logits = network(torch.randn(2, channels, size, size))
    assert logits.shape == (2, 7)
    logits.logsumexp(1).sum().backward()
    for name, value in network.named_parameters():
        assert value.grad.isfinite().all(), name
        assert (value.grad != 0).any(), name


def test_the_class_sees_what_comes_before_and_after_it():
    network = Vim(width=16, depth=1, states=4).build(images(1, 8, 3))
    image = torch.randn(1, 1, 8, 8, requires_grad=True)
    network(image)[0, 0].backward()
    patches = torch.nn.functional.avg_pool2d(image.grad.abs(), 2).flatten()
    assert (patches > 0).all()


@pytest.mark.parametrize("pruner", ["bls_infobatch", "infobatch"])
def test_digits_are_pruned_and_resumed(pruner, tmp_path):
    overrides = (*DIGITS, f"pruner={pruner}")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(6, tmp_path / "parts", *overrides), whole)


def test_a_few_images_are_learnt_by_heart():
    network = Vim(width=32, depth=2, states=4).build(images(1, 8, 8))
    inputs, targets = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs), targets).backward()
        optimizer.step()
    assert torch.equal(network(inputs).argmax(1), targets)


def test_eurosat_as_folders(tmp_path):
    root = write_tree(tmp_path / "data")
    eurosat = ("dataset=eurosat", f"dataset.root={root}", "dataset.workers=0", "dataset.image_size=32")
    small = ("model=vim_micro", "model.depth=1", "trainer.epochs=1", "trainer.batch_size=4", "pruner=none")
    result, _, _ = train(tmp_path, *eurosat, *small)
    assert result["status"] == "finished"


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(InputError, match=r"model.patch=3 does not tile images of 8x8 pixels"):
        Vim(patch=3).build(images(1, 8, 2))
    for name, value in (("width", 0), ("depth", 0), ("states", -1), ("patch", 0)):
        with pytest.raises(InputError, match=rf"model.{name} must be .*at least 1, got {value}"):
            load(composed(["model=vim_tiny", f"model.{name}={value}"]))
