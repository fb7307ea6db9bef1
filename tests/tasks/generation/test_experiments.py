"""The papers' experiments, built, and trained two steps on a few images in the sets' own formats."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bls_bench.system.errors import InputError
from bls_bench.tasks.generation import fid

from ..latent_diffusion.test_latent_diffusion import saved
from .helpers import make_config, train
from .test_data import write_mnist

pytest.importorskip("diffusers")

# What makes a run of them short.
SHORT = ("pruner=bls_infobatch", "trainer.epochs=2", "trainer.batch_size=4", "logger=none")
SMALL = ("task.samples=4", "task.steps=2", "trainer.save_model=false")


class Means(nn.Module):
    """Stands in for Inception, whose weights are not here."""

    def __init__(self, path):
        super().__init__()

    def forward(self, pixels):
        return pixels.flatten(2).mean(2)


@pytest.fixture(autouse=True)
def no_inception(monkeypatch):
    monkeypatch.setattr(fid, "Inception", Means)


def write_cifar10(root, count):
    """Write torchvision's unpacked files; their checksums are not asked for here."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        data = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        content = {"data": data, "labels": [i % 10 for i in range(count)]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    return root


def test_a_vae_on_mnist(tmp_path):
    root = write_mnist(tmp_path / "mnist", train=8, test=10)
    overrides = (*SHORT, f"dataset.root={root}", "task.samples=4")
    result, lines, _ = train(tmp_path / "records", "experiment=mnist_vae", *overrides)
    assert lines[0]["kept"] == 8
    assert result["metrics"][0] == {"name": "fid", "better": "lower", "unit": "", "margin": None}


@pytest.mark.parametrize("guidance", ["none", "classifier_free"])
def test_ddpm_on_cifar10(guidance, tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.CIFAR10._check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    root = write_cifar10(tmp_path / "cifar", count=2)
    small = ("model.widths=[8,8,8,8]", "model.layers=1")
    overrides = (*SHORT, *SMALL, f"dataset.root={root}", f"task.guidance={guidance}", *small)
    result, _, _ = train(tmp_path / "records", "experiment=cifar10_ddpm", *overrides)
    assert result["status"] == "finished"
    assert result["fid_last"] > 0


def test_the_network_of_ddpm_is_that_of_the_paper():
    """35.7 million parameters in Ho et al. 2020; ours has an embedding for no class besides."""
    config = make_config("experiment=cifar10_ddpm")
    with torch.device("meta"):
        model = config.model.build(_info(3, 32, ("a",)))
    assert sum(part.numel() for part in model.parameters()) == pytest.approx(35.7e6, rel=0.01)


def test_the_network_of_latent_diffusion_is_that_of_the_paper():
    """274 million parameters in Rombach et al. 2022, Table 12."""
    config = make_config("experiment=ffhq_ldm")
    with torch.device("meta"):
        model = config.model.build(_info(3, 256, ()))
    assert sum(part.numel() for part in model.parameters()) == pytest.approx(274e6, rel=0.02)


def _info(channels, size, classes):
    from bls_bench.data.base import Images

    return Images(channels, size, classes)


def test_latent_diffusion_on_ffhq(tmp_path):
    for number in range(14):
        folder = tmp_path / "ffhq" / f"{number // 7:05}"
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(number)
        picture = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{number:05}.png")
    saved("VQModel", tmp_path / "vq", channels=3)
    overrides = (
        *SHORT,
        *SMALL,
        f"dataset.root={tmp_path / 'ffhq'}",
        "dataset.image_size=32",
        "dataset.workers=0",
        f"task.autoencoder={tmp_path / 'vq'}",
        "task.factor=2",
        "model.widths=[8,8,8,8]",
    )
    result, lines, folder = train(tmp_path / "records", "experiment=ffhq_ldm", *overrides)
    assert lines[0]["kept"] == 12
    assert result["fid_last"] >= 0
    assert (folder / "samples.png").exists()


@pytest.mark.parametrize("name", ["mnist_vae", "cifar10_ddpm", "ffhq_ldm"])
def test_data_that_are_not_there_are_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bls_bench.tasks.classification.cifar._fetch", _unreachable)
    config = make_config(f"experiment={name}")
    with pytest.raises(InputError, match=r"dataset\.root="):
        config.dataset.load(0)


def _unreachable(*_):
    raise OSError("no network")
