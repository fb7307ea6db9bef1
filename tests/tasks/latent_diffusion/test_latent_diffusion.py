"""Laws of `task=latent_diffusion`."""

import pytest
import torch
import torch.nn.functional as F

from bls_bench.system.errors import InputError
from bls_bench.tasks.generation import fixed
from bls_bench.tasks.objective import Place

from ..generation.helpers import (
    CPU,
    assert_measured_alike,
    assert_resumes,
    few_steps,  # noqa: F401
    make_config,
    make_engine,
    measured_untrained,
    train,
)

diffusers = pytest.importorskip("diffusers")
safetensors = pytest.importorskip("safetensors.torch")

TINY = (
    "task=latent_diffusion",
    "pruner=none",
    "model.widths=[8,8]",
    "model.attention=[]",
    "dataset.subset=10",
    "task.samples=30",
    "task.steps=3",
    "trainer.epochs=3",
    "trainer.batch_size=32",
    "trainer.eval_every=3",
    "logger=none",
)
PLACE = Place(0, 1, 2)

pytestmark = pytest.mark.usefixtures("few_steps")


def saved(kind, folder, channels=1):
    """Save a tiny autoencoder of diffusers, of random weights, whose codes are (3, 4, 4) of 8x8 images."""
    torch.manual_seed(0)
    options = {
        "in_channels": channels,
        "out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "block_out_channels": (8, 8),
        "norm_num_groups": 4,
        "latent_channels": 3,
    }
    network = getattr(diffusers, kind)(**options)
    network.save_pretrained(folder)
    return network.eval()


def test_the_loss_is_that_of_the_codes():
    engine = make_engine(*TINY)
    network, objective = engine.learner.model.module, engine.learner.objective
    images, targets = next(engine.data.train.batches([torch.arange(20)], 0, CPU))
    loss = objective.loss(network, (images, targets), PLACE, frozenset())
    space = objective.space
    with torch.no_grad():
        codes = space.autoencoder.encoder((images * 0.376 + 0.305) * 2 - 1) / space.scale
    assert codes.shape == (20, 4, 4, 4)
    noise = torch.randn(codes.shape, generator=PLACE.stream("noise"))
    times = torch.randint(1000, (20,), generator=PLACE.stream("times"))
    noisy = diffusers.DDPMScheduler().add_noise(codes, noise, times)
    output = network.unet(noisy, times, class_labels=torch.full((20,), 10)).sample
    torch.testing.assert_close(loss.value.mean(), F.mse_loss(output, noise), rtol=1e-4, atol=1e-5)


def test_the_small_autoencoder_is_trained_well_and_frozen(monkeypatch):
    monkeypatch.setattr(fixed, "STEPS", 400)
    engine = make_engine(*TINY, "dataset.subset=null")
    space = engine.learner.objective.space
    assert not any(part.requires_grad for part in space.parameters())
    images, _ = next(engine.data.test.batches([torch.arange(360)], 0, CPU))
    pixels = engine.data.info.pixels(images)
    error = (space.decode(space.encode(images)) - pixels).square().mean()
    assert float(error) < 0.07 * float(pixels.var())
    assert 0.7 < float(space.encode(images).std()) < 1.4


@pytest.mark.parametrize("kind", ["AutoencoderKL", "VQModel"])
def test_an_autoencoder_is_read_from_a_folder(kind, tmp_path):
    network = saved(kind, tmp_path / "saved")
    sizes = ("task.channels=3", "task.factor=2")
    engine = make_engine(*TINY, f"task.autoencoder={tmp_path / 'saved'}", *sizes)
    images, _ = next(engine.data.train.batches([torch.arange(5)], 0, CPU))
    space = engine.learner.objective.space
    with torch.no_grad():
        found = network.encode((images * 0.376 + 0.305) * 2 - 1)
        codes = found.latent_dist.mode() if kind == "AutoencoderKL" else found.latents
        torch.testing.assert_close(space.encode(images) * space.scale, codes, rtol=1e-3, atol=1e-4)
        decoded = (network.decode(codes).sample + 1) / 2
    torch.testing.assert_close(space.decode(codes / space.scale), decoded.clamp(0, 1), rtol=1e-3, atol=1e-4)


def test_an_autoencoder_that_does_not_fit_is_refused(tmp_path):
    saved("AutoencoderKL", tmp_path / "grey")
    saved("AutoencoderKL", tmp_path / "colour", channels=3)
    saved("AutoencoderKL", tmp_path / "part")
    file = tmp_path / "part" / "diffusion_pytorch_model.safetensors"
    weights = safetensors.load_file(file)
    del weights["quant_conv.bias"]
    safetensors.save_file(weights, file)
    for folder, message in (
        ("grey", r"codes of other sizes: use task\.channels=3 task\.factor=2"),
        ("colour", r"takes images of 3 channels, the data have 1"),
        ("none", r"task\.autoencoder=.*none must be a folder with"),
        ("part", r"task\.autoencoder=.*part must be .*: its weights lack quant_conv.bias"),
    ):
        with pytest.raises(InputError, match=message):
            make_engine(*TINY, f"task.autoencoder={tmp_path / folder}")


@pytest.mark.parametrize(
    "overrides", [("pruner=bls_infobatch", "task.per_sample=false"), ("pruner=repb", "scorer=time_corrected")]
)
def test_stop_and_resume_equals_uninterrupted(overrides, tmp_path, monkeypatch):
    assert_resumes(tmp_path, monkeypatch, 6, *TINY, "trainer.ema=0.9", *overrides)


@pytest.mark.parametrize("guidance", ["classifier_free", "classifier"])
def test_guidance_works_in_codes_too(guidance, tmp_path):
    result, lines, folder = train(tmp_path, *TINY, f"task.guidance={guidance}", "pruner=bls_seta")
    assert result["status"] == "finished"
    assert lines[-1]["fid_own"] > 0
    assert {path.name for path in folder.glob("*.png")} == {"samples.png", "reconstructions.png"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.factor=3"], r"task\.factor must be a power of 2"),
        (["task.channels=0"], r"task\.channels must be at least 1"),
        (["model=unet2d"], r"needs a model that finds noise in codes.*use model=unet_latent"),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config("task=latent_diffusion", *overrides)


def test_a_factor_that_does_not_divide_the_side_is_refused():
    with pytest.raises(InputError, match=r"task\.factor=16 must divide the side of the images, 8"):
        make_engine(*TINY, "task.factor=16")


def of_one_process(rank, folder):
    return measured_untrained(*TINY, "task.samples=300", "task.steps=2")


def test_two_processes_measure_what_one_does(tmp_path):
    assert_measured_alike(of_one_process, tmp_path)
