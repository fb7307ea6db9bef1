"""Laws of `task=vae`."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from bls_bench.engine.evaluation import measured
from bls_bench.system.errors import InputError
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

TINY = (
    "task=vae",
    "pruner=none",
    "model.width=16",
    "model.latent=4",
    "dataset.subset=10",
    "task.samples=60",
    "trainer.epochs=3",
    "trainer.batch_size=32",
    "trainer.eval_every=1",
    "logger=none",
)
PLACE = Place(0, 1, 2)

pytestmark = pytest.mark.usefixtures("few_steps")


def batch_of(engine, count=20):
    return next(engine.data.train.batches([torch.arange(count)], 0, CPU))


@pytest.mark.parametrize("model", ["vae_mlp", "vae_conv"])
def test_the_loss_is_the_bound_of_one_drawn_code(model):
    engine = make_engine(*TINY, f"model={model}")
    network, objective = engine.learner.model.module, engine.learner.objective
    batch = batch_of(engine)
    loss = objective.loss(network, batch, PLACE, frozenset())
    noise = torch.randn(20, 4, generator=PLACE.stream("noise"))
    expected = []
    for image, drawn in zip(batch[0], noise, strict=True):
        mean, log_variance = (values[0] for values in network.encode(image[None]))
        codes = Normal(mean, (log_variance / 2).exp())
        logits = network.decoder((mean + codes.scale * drawn)[None])[0]
        pixels = image * 0.376 + 0.305
        recon = -Bernoulli(logits=logits, validate_args=False).log_prob(pixels).sum()
        expected.append(recon + kl_divergence(codes, Normal(0.0, 1.0)).sum())
    torch.testing.assert_close(loss.value, torch.stack(expected), rtol=1e-4, atol=1e-4)
    total = loss.parts["recon"] + loss.parts["kl"]
    torch.testing.assert_close(total, loss.value.detach().mean())


def test_the_batch_loss_is_the_mean_of_the_samples():
    single, batch = (make_engine(*TINY, f"task.per_sample={flag}", "scorer=bls") for flag in (True, False))
    losses = [
        engine.learner.objective.loss(engine.learner.model, batch_of(engine), PLACE, frozenset()).value
        for engine in (single, batch)
    ]
    assert losses[0].shape == (20,)
    assert losses[1].ndim == 0
    torch.testing.assert_close(losses[0].mean(), losses[1])


def test_the_measured_bound_is_exact_where_the_code_says_nothing():
    """With a decoder that ignores the code, and a known code, the bound has a closed form."""
    engine = make_engine(*TINY)
    network, objective = engine.learner.model.module, engine.learner.objective
    with torch.no_grad():
        for part in network.parameters():
            part.zero_()
        network.encoder[-1].bias[:4] = 0.5  # the means; all log variances are 0
        network.decoder[2].bias.fill_(-1.0)
    values = measured(network, objective, engine.data.test, engine.fabric)
    test = engine.data.test.images / 255
    probability = torch.sigmoid(torch.tensor(-1.0))
    likelihood = (test * probability.log() + (1 - test) * (1 - probability).log()).flatten(1).sum(1).mean()
    assert values["elbo"] == pytest.approx(float(likelihood) - 4 * 0.5**2 / 2, rel=1e-5)


def test_an_evaluation_depends_on_the_weights_alone():
    values = []
    for seed, size in ((0, 512), (1, 50)):
        engine = make_engine(*TINY, f"seed={seed}")
        torch.manual_seed(5)
        for part in engine.learner.model.parameters():
            nn.init.normal_(part, std=0.1)
        before = torch.get_rng_state()
        objective, network = engine.learner.objective, engine.learner.model.module
        objective.measured_at_once = size
        values.append(measured(network, objective, engine.data.test, engine.fabric))
        assert torch.equal(before, torch.get_rng_state())
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize("pruner", ["random", "infobatch", "seta", "repb"])
@pytest.mark.parametrize("scorer", ["per_sample", "bls"])
def test_every_pair_trains(pruner, scorer, tmp_path):
    flag = scorer == "per_sample"
    overrides = (f"pruner={pruner}", f"scorer={scorer}", f"task.per_sample={flag}")
    result, lines, folder = train(tmp_path, *TINY, *overrides)
    assert result["status"] == "finished"
    assert {"loss_recon", "loss_kl", "fid_own", "elbo"} <= lines[-1].keys()
    assert {path.name for path in folder.glob("*.png")} == {"samples.png", "reconstructions.png"}
    assert (lines[-1]["score_loss_spearman"] is None) == (not flag)


@pytest.mark.parametrize("pruner", ["bls_infobatch", "seta"])
def test_stop_and_resume_equals_uninterrupted(pruner, tmp_path, monkeypatch):
    assert_resumes(tmp_path, monkeypatch, 6, *TINY, f"pruner={pruner}", "trainer.ema=0.9")


def test_a_batch_loss_asks_for_another_scorer():
    with pytest.raises(InputError, match=r"scorer=per_sample needs the loss of each sample.*use scorer=bls"):
        make_config(*TINY, "task.per_sample=false", "scorer=per_sample")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.samples=1"], r"task\.samples must be at least 2, got 1"),
        (["model.latent=0"], r"model\.latent must be at least 1"),
        (["model=resnet20"], r"task=vae needs a model that encodes and decodes.*use model=vae_mlp"),
        (["scorer=margin", "pruner=seta"], r"scorer=margin needs"),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config("task=vae", *overrides)


def test_a_side_that_cannot_be_halved_twice_is_refused():
    config = make_config("task=vae", "model=vae_conv")
    info = config.dataset.load(0).info
    with pytest.raises(InputError, match=r"multiple of 4, got 10: use model=vae_mlp"):
        config.model.build(type(info)(1, 10))


def of_one_process(rank, folder):
    return measured_untrained(*TINY, "task.samples=600")


def test_two_processes_measure_what_one_does(tmp_path):
    assert_measured_alike(of_one_process, tmp_path)


def test_training_brings_the_images_nearer(tmp_path):
    overrides = ("trainer.epochs=6", "dataset.subset=100", "task.samples=250", "optimizer.lr=0.005")
    _, lines, _ = train(tmp_path, *TINY, *overrides)
    assert lines[-1]["elbo"] > lines[0]["elbo"] + 1
    assert lines[-1]["fid_own"] < lines[0]["fid_own"]
