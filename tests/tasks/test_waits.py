"""A step asks nothing of the device that it would have to wait for: it runs on one that holds no values."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from bls_bench.engine.batching import fed
from bls_bench.tasks.objective import Place

from .running import make_engine

# Knows shapes and types alone: what reads a number of it, or makes a shape of its numbers, raises.
META = torch.device("meta")

# Few samples each; the steps are the same. Detectors wait: they choose boxes, whose number is then a shape.
STEPS = {
    "classification": ("task=classification", "task.mixup=0.8"),
    "audio": ("task=audio", "dataset.size=20"),
    "ctc": ("task=text_recognition", "dataset.words=100"),
    "position_attention": ("task=text_recognition", "model=position_attention", "dataset.words=100"),
    "segmentation": ("task=segmentation", "dataset.images=40"),
    "stereo": ("task=stereo", "dataset.scenes=20"),
    "retrieval": ("task=retrieval", "dataset.images=80"),
    "vae": ("task=vae", "task.samples=20"),
    "diffusion": ("task=diffusion",),
    "masked_autoencoder": ("task=masked_autoencoder",),
    "fixmatch": ("task=semisupervised",),
    "flexmatch": ("task=semisupervised", "task.algorithm=flexmatch"),
    "dash": ("task=semisupervised", "task.algorithm=dash"),
}
# Of these the steps wait: transformers looks whether a text is padded, and captions are cut to the longest
# of a batch.
BATCHES = {
    "text": ("task=text", "dataset.size=100"),
    "language": ("task=language", "dataset.size=300"),
    "captioning": ("task=captioning", "dataset.images=40"),
}


def first_batch(engine):
    """Return what the model gets for the first step, on a device without values."""
    indices = engine._batches(engine.state.begin_epoch())[0].indices
    fabric = SimpleNamespace(device=META, global_rank=0, world_size=1)
    return next(fed(engine.data, [[indices]], 0, 0, fabric))


@pytest.mark.parametrize("name", STEPS)
def test_no_step_waits(name, monkeypatch):
    # It knows no such device, and nothing is computed whose type could matter.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(F, "ctc_loss", without_values)
    engine = make_engine(*STEPS[name])
    model, objective = engine.learner.model.module.to(META), engine.learner.objective.to(META)
    loss = objective.loss(model, first_batch(engine), Place(0, 1, 0), engine.learner.wanted)
    assert loss.value.device == META


def without_values(chances, letters, frames, lengths, reduction):
    """CTC, which torch has not for such a device; it copies lengths to the host unless they are there."""
    assert frames.device == lengths.device == torch.device("cpu")
    assert lengths.sum() == len(letters)
    return chances.sum((0, 2))


@pytest.mark.parametrize("name", BATCHES)
def test_no_batch_waits(name):
    batch = first_batch(make_engine(*BATCHES[name]))
    assert {value.device for value in (batch.values() if isinstance(batch, dict) else batch)} == {META}
