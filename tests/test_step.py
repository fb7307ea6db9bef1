"""Every switch of a training step does what the plain step does, or what its definition says."""

import numpy as np
import pytest
import torch
from timm.data import Mixup
from torch import nn
from torch.nn import functional as F

from bls_bench.engine import step as step_module
from bls_bench.optim import Optimizer
from bls_bench.pruning.signals import gradient_norm
from bls_bench.system.errors import InputError
from bls_bench.system.stopping import Interrupted
from bls_bench.tasks.classification.mixing import Mixing, rebuilt_losses
from bls_bench.tasks.classification.models import Model
from bls_bench.train import run

from .helpers import TINY, make_config, metrics, train, without_times
from .test_engine import StopAt, make_engine

# A batch short of the others ends every epoch: 100 = 3 * 32 + 4.
ODD = ("trainer.batch_size=6", "pruner=random", "pruner.prune_ratio=0.01")  # 99 = 16 * 6 + 3
MIXED = ("task.mixup=0.8", "task.cutmix=1.0", "trainer.ema=0.9")


class Perceptron(nn.Module):
    """Looks at every sample alone, in float64: sums in another order make no difference to speak of."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.GELU(), nn.Linear(16, 10)).double()

    def forward(self, inputs):
        return self.layers(inputs.double())


@pytest.fixture
def perceptron(monkeypatch):
    monkeypatch.setattr(Model, "build", lambda *_: Perceptron())


@pytest.mark.parametrize("scorer", ["per_sample", "bls"])
@pytest.mark.parametrize("more", [(), MIXED[:2]])
def test_a_batch_in_parts_makes_the_same_step(scorer, more, perceptron):
    plain, parts = (
        make_engine("pruner=infobatch", f"scorer={scorer}", f"trainer.accumulate={count}", *more)
        for count in (1, 4)
    )
    start = [p.detach().clone() for p in plain.model.parameters()]
    for _ in range(2):  # the second epoch has weights and a short last batch
        lines = [engine.epoch(None, StopAt(-1)) for engine in (plain, parts)]
        assert lines[0]["loss"] == pytest.approx(lines[1]["loss"], rel=1e-5)  # recorded in float32
    assert lines[0]["kept"] == lines[1]["kept"] < 100
    for old, one, other in zip(start, plain.model.parameters(), parts.model.parameters(), strict=True):
        # Losses and their weights are float32, to 6e-8 each; nothing else is rounded.
        assert (one - other).norm() < 1e-6 * (one - old).norm()
    torch.testing.assert_close(plain.state.scores, parts.state.scores, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (("trainer.accumulate=4",), [8] * 12 + [4]),
        # No part is left with a single sample, which BatchNorm cannot train on.
        (("trainer.accumulate=16", "pruner=random", "pruner.prune_ratio=0.01"), [2] * 48 + [3]),
    ],
)
def test_a_batch_in_parts_goes_through_the_model_in_parts(more, parts):
    engine = make_engine(*more)
    sizes = []
    engine.model.module.register_forward_pre_hook(lambda model, inputs: sizes.append(len(inputs[0])))
    engine._train(engine._batches(engine.state.begin_epoch()), 0, False, StopAt(-1))
    assert sizes == parts


def compile_with(monkeypatch, backend):
    monkeypatch.setattr(step_module, "BACKEND", backend)
    torch._dynamo.reset()


def test_the_signal_is_that_of_the_step_and_its_parts():
    engine = make_engine("scorer=gradient_norm", "trainer.accumulate=4")
    outputs, features = [], []
    engine.model.module.register_forward_hook(lambda *seen: outputs.append(seen[2].detach()))
    engine.model.module.head.register_forward_pre_hook(lambda *seen: features.append(seen[1][0].detach()))
    engine._train(engine._batches(engine.state.begin_epoch()), 0, False, StopAt(1))
    ((indices, _, signal),) = engine.state._log._recent
    expected = gradient_norm(torch.cat(outputs), engine.data.train.targets[indices], torch.cat(features))
    assert len(outputs) == 4
    assert torch.equal(signal, expected)


def test_a_compiled_model_gives_the_same_signals(monkeypatch, tmp_path):
    compile_with(monkeypatch, lambda graph, inputs: graph)
    run = ("pruner=repb", "scorer=gradient_norm")
    _, plain = train(tmp_path / "plain", *run)
    _, compiled = train(tmp_path / "compiled", *run, "trainer.compile=default")
    assert without_times(compiled) == without_times(plain)


def test_compiling_compiles_once_and_changes_no_number(perceptron, monkeypatch, tmp_path):
    graphs = []

    def backend(graph, inputs):
        graphs.append([tuple(tensor.shape) for tensor in inputs])
        return graph

    compile_with(monkeypatch, backend)
    _, plain = train(tmp_path / "plain")
    _, compiled = train(tmp_path / "compiled", "trainer.compile=default")
    assert without_times(compiled) == without_times(plain)
    # The probe and the model on whole batches; not the short batch, and not the test split.
    assert [len(shapes) > 1 for shapes in graphs] == [False, True]
    assert (32, 1, 8, 8) in graphs[1]
    assert compiled[0]["compile_seconds"] > 0
    assert compiled[1]["compile_seconds"] == plain[0]["compile_seconds"] == 0


def test_without_a_compiler_training_goes_on(perceptron, monkeypatch, tmp_path):
    def backend(graph, inputs):
        raise RuntimeError("no C++ compiler")

    compile_with(monkeypatch, backend)
    _, plain = train(tmp_path / "plain")
    with pytest.warns(UserWarning, match="trainer.compile=default: no compiler here"):
        _, lines = train(tmp_path / "none", "trainer.compile=default")
    assert without_times(lines) == without_times(plain)


def test_the_average_of_the_weights_is_evaluated_and_kept(tmp_path):
    engine = make_engine("trainer.ema=0.9")
    expected = {name: value.clone() for name, value in engine.weights().items()}
    for batch in engine._batches(engine.state.begin_epoch()):
        inputs, targets = next(engine.data.train.batches([batch.indices], 0, torch.device("cpu")))
        engine._step(batch, inputs, targets)
        for name, value in engine.model.state_dict().items():
            old = expected[name]
            expected[name] = 0.9 * old + 0.1 * value if value.is_floating_point() else value.clone()
    for name, value in engine.weights().items():
        torch.testing.assert_close(value, expected[name])
    assert any(
        not torch.equal(value, engine.weights()[name]) for name, value in engine.model.state_dict().items()
    )

    result, _ = train(tmp_path, "trainer.ema=0.9")
    other, _ = train(tmp_path)
    assert result["loss_last"] == other["loss_last"]
    config = make_config(*TINY, "trainer.ema=0.9", f"records={tmp_path}")
    model = config.model.build(1, 8, 10)
    model.load_state_dict(torch.load(tmp_path / config.key / "model.pt"))
    test = config.dataset.load(0).test
    inputs, targets = next(test.batches([torch.arange(len(test))], 0, torch.device("cpu")))
    accuracy = (model.eval()(inputs).argmax(1) == targets).double().mean() * 100
    assert float(accuracy) == pytest.approx(result["accuracy_last"])


@pytest.mark.parametrize(("pruner", "steps"), [("infobatch", 3), ("bls_seta", 6)])
def test_mixing_and_averaging_resume_exactly(pruner, steps, tmp_path, monkeypatch):
    overrides = (*MIXED, f"pruner={pruner}", "trainer.accumulate=2")
    _, whole = train(tmp_path / "whole", *overrides)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("bls_bench.train.StopSignal", lambda: StopAt(steps))
        train(tmp_path / "parts", *overrides)
    np.random.seed(99)
    config = make_config(*TINY, *overrides, f"records={tmp_path / 'parts'}")
    run(config)
    folders = [tmp_path / name / config.key for name in ("whole", "parts")]
    assert without_times(metrics(folders[1])) == without_times(whole)
    weights = [torch.load(folder / "model.pt") for folder in folders]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def batch(count=8, classes=10):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    return images, torch.randint(classes, (count,), generator=generator)


class TestMixing:
    def test_numbers_depend_on_seed_and_place_alone(self):
        mixing = Mixing(0.8, 1.0, 10, seed=1)
        before = np.random.get_state()[1].copy()
        first = mixing(*batch(), 3, 5, 0)
        assert np.array_equal(before, np.random.get_state()[1])
        np.random.seed(5)
        again = Mixing(0.8, 1.0, 10, seed=1)(*batch(), 3, 5, 0)
        assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
        for seed, place in ((2, (3, 5, 0)), (1, (4, 5, 0)), (1, (3, 6, 0)), (1, (3, 5, 1))):
            assert not torch.equal(Mixing(0.8, 1.0, 10, seed)(*batch(), *place)[1], first[1])

    def test_pairs_lie_mirrored_in_the_batch(self):
        images, labels = batch()
        mixed, targets = Mixing(1.0, 0.0, 10, seed=0)(images.clone(), labels, 0, 0, 0)
        share = (mixed - images.flip(0))[0, 0, 0, 0] / (images - images.flip(0))[0, 0, 0, 0]
        torch.testing.assert_close(mixed, share * images + (1 - share) * images.flip(0))
        one_hot = F.one_hot(labels, 10).float()
        torch.testing.assert_close(targets, share * one_hot + (1 - share) * one_hot.flip(0))

    def test_smoothing_of_mixed_targets_is_timms(self):
        images, labels = batch()
        logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(1))
        state = np.random.get_state()
        try:
            np.random.seed(0)
            smooth = Mixup(1.0, 0.0, label_smoothing=0.1, num_classes=10)(images.clone(), labels)[1]
            np.random.seed(0)
            hard = Mixup(1.0, 0.0, label_smoothing=0.0, num_classes=10)(images.clone(), labels)[1]
        finally:
            np.random.set_state(state)
        torch.testing.assert_close(
            F.cross_entropy(logits, hard, label_smoothing=0.1), F.cross_entropy(logits, smooth)
        )

    def test_losses_are_rebuilt_from_both_mixtures(self):
        _, labels = batch()
        logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(1))
        p = logits.softmax(1)
        expected = [-(p[i, y] + p[7 - i, y]).log() for i, y in enumerate(labels.tolist())]
        torch.testing.assert_close(rebuilt_losses(logits, labels), torch.stack(expected))

    def test_perfect_mixtures_have_losses_of_zero(self):
        images, labels = torch.zeros(4, 1, 8, 8), torch.arange(4)
        _, targets = Mixing(1.0, 0.0, 10, seed=0)(images, labels, 0, 0, 0)
        assert rebuilt_losses(targets.log(), labels).abs().max() < 1e-5

    def test_per_sample_scorers_get_rebuilt_losses_and_bls_the_batch_loss(self, perceptron):
        for scorer in ("per_sample", "bls"):
            engine = make_engine(*MIXED[:2], f"scorer={scorer}")
            given = engine._batches(engine.state.begin_epoch())[0]
            inputs, labels = next(engine.data.train.batches([given.indices], 0, torch.device("cpu")))
            mixed, targets = engine._one_step.mixing(inputs.clone(), labels, 0, 0, 0)
            logits = engine.model(mixed).detach()
            engine._step(given, inputs, labels)
            expected = rebuilt_losses(logits, labels)
            if scorer == "bls":
                expected = F.cross_entropy(logits.float(), targets, reduction="none")
            torch.testing.assert_close(engine.state._log._recent[0][1], expected)

    def test_an_odd_last_batch_is_trained_on_as_it_is(self):
        engine = make_engine("task.mixup=1", *ODD)
        last = engine._batches(engine.state.begin_epoch())[-1]
        assert len(last.indices) == 3
        inputs, labels = next(engine.data.train.batches([last.indices], 0, torch.device("cpu")))
        expected = F.cross_entropy(engine.model(inputs), labels, reduction="none").detach()
        engine._step(last, inputs, labels)
        torch.testing.assert_close(engine.state._log._recent[0][1], expected)

    def test_an_odd_batch_size_is_refused(self):
        with pytest.raises(InputError, match="trainer.batch_size must be even on every process .* got 33"):
            make_engine("task.mixup=1", "trainer.batch_size=33")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (5, "trainer.accumulate=5 must divide the batch of a process, 32"),
        (32, "at least 2 samples, and every part of trainer.accumulate too, .* has BatchNorm"),
    ],
)
def test_parts_must_divide_the_batch_and_suit_the_model(parts, message):
    with pytest.raises(InputError, match=message):
        make_engine(f"trainer.accumulate={parts}")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("more", [(), (*MIXED, "trainer.accumulate=2", "trainer.grad_clip=1")])
def test_no_step_waits_for_the_gpu(more):
    engine = make_engine("trainer.device=cuda", "pruner=infobatch", *more)
    batches = engine._batches(engine.state.begin_epoch())
    fetched = engine.data.train.batches([batch.indices for batch in batches], 0, engine.fabric.device)
    engine._step(batches[0], *next(fetched))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch, (inputs, targets) in zip(batches[1:], fetched, strict=True):
            engine._step(batch, inputs, targets)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_fused_optimizers_take_the_steps_of_plain_ones(name):
    models = [nn.Conv2d(3, 5, 3).double().to(memory_format=torch.channels_last) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizer = Optimizer(name=name, lr=0.1, weight_decay=0.01)
    fused, plain = (
        optimizer.build(model, fused=kind) for model, kind in zip(models, (True, False), strict=True)
    )
    assert fused.param_groups[0]["fused"]
    assert not plain.param_groups[0]["fused"]
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(8, 3, 6, 6, dtype=torch.float64, generator=generator)
        for model, optimizer in zip(models, (fused, plain), strict=True):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(models[0].weight, models[1].weight, rtol=1e-12, atol=1e-14)


def test_channels_last_is_the_same_model(monkeypatch):
    monkeypatch.setattr(step_module, "memory_format", lambda size: torch.channels_last)  # as at 32 pixels
    engine = make_engine("model=resnet18")
    weights = engine.model.module.layer1[0].conv1.weight
    assert weights.is_contiguous(memory_format=torch.channels_last)
    plain = engine.config.model.build(1, 8, 10)
    plain.load_state_dict(engine.model.state_dict())
    inputs = torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = engine.model.module.double()(inputs.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, plain.double()(inputs), rtol=1e-10, atol=1e-10)


def test_rounded_products_are_for_gpus_and_left_to_no_other_run(monkeypatch, tmp_path):
    _, plain = train(tmp_path)
    _, rounded = train(tmp_path, "trainer.precision=tf32", "trainer.device=cpu")
    assert without_times(rounded) == without_times(plain)
    from bls_bench.engine.devices import make_fabric

    def fabric(precision):
        return make_fabric(make_config(f"trainer.precision={precision}", "trainer.device=cpu").trainer)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for precision, product, convolution in (("tf32", "high", True), ("32", "highest", False)):
        fabric(precision)
        assert torch.get_float32_matmul_precision() == product
        assert torch.backends.cudnn.allow_tf32 is convolution
