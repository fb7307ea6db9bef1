"""Masked autoencoders: the loss and the probe beside slow plain versions, and whole runs."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge

from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.masked_autoencoder.models import ViTMAE
from bls_bench.tasks.masked_autoencoder.probe import RIDGE, Sums
from bls_bench.tasks.objective import Place

from ...two_processes import in_two_processes
from ..running import assert_same, make_config, make_engine, train, train_in_two_goes

TINY = (
    "task=masked_autoencoder",
    "dataset.subset=10",
    "model.layers=1",
    "model.width=16",
    "model.decoder_width=16",
    "trainer.epochs=3",
    "trainer.batch_size=32",
)


@pytest.mark.parametrize("normalised", [True, False])
def test_the_loss_is_that_of_the_slow_plain_version(normalised):
    engine = make_engine(*TINY, f"task.normalised={normalised}")
    model, objective = engine.learner.model.module, engine.learner.objective
    (batch,) = engine.data.train.batches([torch.arange(5)], 0, torch.device("cpu"))
    place = Place(0, 1, 2)
    losses = objective.loss(model, batch, place, frozenset()).value
    noise = torch.rand(5, 16, generator=place.stream("mask"))
    found = model(batch[0], noise)
    for i in range(5):
        hidden = noise[i].argsort()[8:]
        assert sorted(hidden.tolist()) == found.hidden[i].nonzero()[:, 0].tolist()
        errors = []
        for at in hidden.tolist():
            row, column = divmod(at, 4)
            patch = batch[0][i, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten()
            if normalised:
                patch = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            errors.append((found.patches[i, at] - patch).square().mean())
        torch.testing.assert_close(losses[i], torch.stack(errors).mean())


def test_what_is_hidden_bears_on_nothing_that_is_found():
    torch.manual_seed(0)
    model = ViTMAE(layers=2).build(Images(1, 8, tuple("ab"))).eval()
    images, noise = torch.randn(1, 1, 8, 8), torch.arange(16.0)[None]
    other = images.clone()
    other[:, :, 2:] += 1  # all but the first row of patches, the only one that is seen
    assert torch.equal(model(images, noise).patches, model(other, noise).patches)
    other[:, :, :2] += 1
    assert not torch.allclose(model(images, noise).patches, model(other, noise).patches)
    # And each place gets something of its own.
    assert len(model(images, noise).patches[0].unique(dim=0)) == 16


def test_features_are_of_the_whole_image_and_masks_come_back_after():
    model = ViTMAE().build(Images(1, 8, tuple("ab"))).eval()
    images, noise = torch.randn(3, 1, 8, 8), torch.rand(3, 16)
    before = model(images, noise).hidden
    features = model(images)
    assert features.shape == (3, 64)
    for corner in ((0, 0), (7, 7), (0, 7)):
        other = images.clone()
        other[:, :, corner[0], corner[1]] += 1
        assert not torch.allclose(model(other), features)
    assert torch.equal(model(images, noise).hidden, before)
    assert before.sum(1).tolist() == [12, 12, 12]


def test_the_probe_is_ridge_regression_and_its_sums_add_up():
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(4, (200,), generator=generator)
    features = torch.randn(200, 6, generator=generator) * torch.arange(1, 7) + classes[:, None]
    parts = [Sums.of(features[rows], classes[rows], 4) for rows in torch.arange(200).split(67)]
    whole = parts[0].plus(parts[1]).plus(parts[2])
    new = torch.randn(50, 6, generator=generator) * 3
    mean, spread = features.mean(0), features.std(0, correction=0)
    ridge = Ridge(alpha=RIDGE * 200).fit(((features - mean) / spread).numpy(), np.eye(4)[classes])
    expected = torch.from_numpy(ridge.predict(((new - mean) / spread).numpy()))
    torch.testing.assert_close(whole.scores(new), expected, atol=1e-5, rtol=1e-4, check_dtype=False)


PAIRS = [("none", "per_sample"), ("repb", "per_sample"), ("infobatch", "bls"), ("seta", "bls")]


@pytest.mark.parametrize(("pruner", "scorer"), PAIRS)
def test_every_kind_of_pruning_trains(pruner, scorer, tmp_path):
    result, _, _ = train(tmp_path, *TINY, f"pruner={pruner}", f"scorer={scorer}")
    assert 0 <= result["probe_accuracy_last"] <= 100
    assert result["reconstruction_last"] > 0


def test_the_batch_loss_alone_takes_bls_only(tmp_path):
    mean = (*TINY, "task.per_sample=false")
    with pytest.raises(InputError, match="scorer=per_sample needs the loss of each sample"):
        make_config(*mean, "pruner=infobatch")
    assert train(tmp_path, *mean, "pruner=bls_infobatch")[0]["status"] == "finished"


def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path):
    overrides = (*TINY, "pruner=bls_seta")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(5, tmp_path / "parts", *overrides), whole)


def measures(rank=0, folder=None):
    return make_engine(*TINY).measured()


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path):
    alone = measures()
    for both in in_two_processes(measures, tmp_path):
        assert both == pytest.approx(alone, rel=1e-6)


def test_it_learns_and_draws_what_it_found(tmp_path):
    more = ("dataset.subset=null", "trainer.epochs=6", "optimizer.lr=0.005", "model.width=32")
    result, lines, _ = train(tmp_path, *TINY, *more, "pruner=none", "trainer.eval_every=1")
    assert result["reconstruction_last"] < 0.9 * lines[0]["reconstruction"]
    (path,) = tmp_path.glob("*/reconstructions.png")
    with Image.open(path) as picture:
        assert picture.width > picture.height > 3 * 192


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.hidden=1", r"model.hidden must be in \(0, 1\), got 1.0"),
        ("model.width=18", "model.width must be a multiple of 4 and of heads=4, got 18"),
        ("dataset=chirps", "model=vit_mae needs images, which dataset=chirps does not give"),
        ("model=resnet20", "needs a model that finds hidden patches.*use model=vit_mae"),
    ],
)
def test_wrong_values_are_named(override, message):
    words = ["task=masked_autoencoder", override]
    with pytest.raises(InputError, match=message):
        make_config(*words)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch": 3}, "model.patch must divide the side of the images, 8, got 3"),
        ({"patch": 8}, "model.hidden=0.75 of 1 patches leaves none or all to be seen"),
    ],
)
def test_patches_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        ViTMAE(**fields).build(Images(1, 8, tuple("ab")))


def test_the_experiment_of_paper_size(tmp_path):
    whole = ("experiment=imagenet_mae", f"dataset.root={tmp_path / 'data'}")
    with torch.device("meta"):
        model = make_config(*whole).model.build(Images(3, 224, tuple("ab")))
    assert 105e6 < sum(weights.numel() for weights in model.parameters()) < 120e6
    for split in ("train", "val"):
        for kind in ("a", "b"):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for at in range(2):
                Image.new("RGB", (60, 60), (40 * at, 90, 200)).save(folder / f"{at}.jpg")
    small = ("model.layers=1", "model.width=48", "model.decoder_layers=1", "model.decoder_width=32")
    small += ("dataset.image_size=96", "dataset.workers=0", "trainer.epochs=1", "trainer.batch_size=2")
    result, _, _ = train(tmp_path, *whole, *small, "pruner=none")
    assert result["samples_trained"] == 4
