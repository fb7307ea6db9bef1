"""Every switch of a training step does what the plain step does, or what its definition says."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from bls_bench.engine import compiling
from bls_bench.engine.devices import make_fabric
from bls_bench.optim import Optimizer
from bls_bench.pruning.signals import gradient_norm
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification import models
from bls_bench.tasks.classification.models import Classifier
from tests.helpers import (
    TINY,
    StopAt,
    make_config,
    make_engine,
    same_weights,
    stop_at,
    train,
    without_times,
)

from .helpers import DIGITS, Perceptron, last_record, learn, parts_of, right_percent

MIXED = ("task.mixup=0.8", "task.cutmix=1.0", "trainer.ema=0.9")


@pytest.fixture
def perceptron(monkeypatch):
    monkeypatch.setattr(Classifier, "build", lambda *_: Perceptron())


@pytest.mark.parametrize("scorer", ["per_sample", "bls"])
def test_a_batch_in_parts_makes_the_same_step(scorer, perceptron):
    plain, parts = (
        make_engine("pruner=infobatch", f"scorer={scorer}", f"trainer.accumulate={count}") for count in (1, 4)
    )
    start = [p.detach().clone() for p in plain.learner.model.parameters()]
    for _ in range(2):  # the second epoch has weights and a short last batch
        lines = [engine.epoch(None, StopAt(-1)) for engine in (plain, parts)]
        assert lines[0]["loss"] == pytest.approx(lines[1]["loss"], rel=1e-5)  # recorded in float32
    assert lines[0]["kept"] == lines[1]["kept"] < 100
    ends = (engine.learner.model.parameters() for engine in (plain, parts))
    for old, one, other in zip(start, *ends, strict=True):
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
    engine.learner.model.module.register_forward_pre_hook(lambda model, inputs: sizes.append(len(inputs[0])))
    engine._train(engine._batches(engine.state.begin_epoch()), 0, False, StopAt(-1))
    assert sizes == parts


def compile_with(monkeypatch, backend):
    monkeypatch.setattr(compiling, "BACKEND", backend)
    torch._dynamo.reset()


def test_the_signal_is_that_of_the_step_and_its_parts():
    engine = make_engine("scorer=gradient_norm", "trainer.accumulate=4")
    outputs, features = [], []
    engine.learner.model.module.register_forward_hook(lambda *seen: outputs.append(seen[2].detach()))
    engine.learner.model.module.head.register_forward_pre_hook(
        lambda *seen: features.append(seen[1][0].detach())
    )
    engine._train(engine._batches(engine.state.begin_epoch()), 0, False, StopAt(1))
    indices, _, signal = last_record(engine)
    expected = gradient_norm(torch.cat(outputs), engine.data.targets[indices], torch.cat(features))
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
    learner = engine.learner
    expected = {name: value.clone() for name, value in learner.weights().items()}
    for batch in engine._batches(engine.state.begin_epoch()):
        learn(engine, batch)
        for name, value in learner.model.state_dict().items():
            old = expected[name]
            expected[name] = 0.9 * old + 0.1 * value if value.is_floating_point() else value.clone()
    for name, value in learner.weights().items():
        torch.testing.assert_close(value, expected[name])
    plain = learner.model.state_dict()
    assert any(not torch.equal(value, plain[name]) for name, value in learner.weights().items())

    result, _ = train(tmp_path, "trainer.ema=0.9")
    other, _ = train(tmp_path)
    assert result["loss_last"] == other["loss_last"]
    config = make_config(*TINY, "trainer.ema=0.9", f"records={tmp_path}")
    model = config.model.build(DIGITS)
    model.load_state_dict(torch.load(tmp_path / config.key / "model.pt"))
    assert right_percent(model, config.dataset.load(0).test) == pytest.approx(result["accuracy_last"])


@pytest.mark.parametrize(("pruner", "steps"), [("infobatch", 3), ("bls_seta", 6)])
def test_mixing_and_averaging_resume_exactly(pruner, steps, tmp_path):
    overrides = (*MIXED, f"pruner={pruner}", "trainer.accumulate=2")
    _, whole = train(tmp_path / "whole", *overrides)
    stop_at(steps, tmp_path / "parts", *overrides)
    np.random.seed(99)
    assert without_times(train(tmp_path / "parts", *overrides)[1]) == without_times(whole)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


class Asked:
    """Stands before a split and notes which samples each batch was asked for with."""

    def __init__(self, split):
        self.split, self.batches_of = split, []

    def __len__(self):
        return len(self.split)

    def batches(self, index_batches, epoch, device):
        self.batches_of += [batch.tolist() for batch in index_batches]
        return self.split.batches(index_batches, epoch, device)


def test_the_split_is_asked_for_the_parts_themselves():
    """No batch is cut after it was made: the engine does not know what it is."""
    engine = make_engine("trainer.accumulate=4")
    asked = Asked(engine.data.train)
    engine.data = dataclasses.replace(engine.data, train=asked)
    batches = engine._batches(engine.state.begin_epoch())
    engine._train(batches, 0, False, StopAt(-1))
    assert [len(part) for part in asked.batches_of] == [8] * 12 + [4]
    assert [index for part in asked.batches_of for index in part] == torch.cat(
        [batch.indices for batch in batches]
    ).tolist()


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
    given = parts_of(engine, *batches)
    engine._learn(batches[0], given)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches[1:]:
            engine._learn(batch, given)
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
    monkeypatch.setattr(models, "memory_format", lambda size: torch.channels_last)  # as at 32 pixels
    engine = make_engine("model=resnet18")
    weights = engine.learner.model.module.layer1[0].conv1.weight
    assert weights.is_contiguous(memory_format=torch.channels_last)
    plain = engine.config.model.build(DIGITS).to(memory_format=torch.contiguous_format)
    assert plain.layer1[0].conv1.weight.is_contiguous()
    plain.load_state_dict(engine.learner.model.state_dict())
    inputs = torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = engine.learner.model.module.double()(inputs.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, plain.double()(inputs), rtol=1e-10, atol=1e-10)


def test_rounded_products_are_for_gpus_and_left_to_no_other_run(monkeypatch, tmp_path):
    _, plain = train(tmp_path)
    _, rounded = train(tmp_path, "trainer.precision=tf32", "trainer.device=cpu")
    assert without_times(rounded) == without_times(plain)

    def fabric(precision):
        return make_fabric(make_config(f"trainer.precision={precision}", "trainer.device=cpu").trainer)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for precision, product, convolution in (("tf32", "high", True), ("32", "highest", False)):
        fabric(precision)
        assert torch.get_float32_matmul_precision() == product
        assert torch.backends.cudnn.allow_tf32 is convolution
