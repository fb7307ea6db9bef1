"""Laws of `task=diffusion`."""

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import nn

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

diffusers = pytest.importorskip("diffusers")

TINY = (
    "task=diffusion",
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
GUIDANCE = ("none", "classifier_free", "classifier")

pytestmark = pytest.mark.usefixtures("few_steps")


def batch_of(engine, count=20):
    return next(engine.data.train.batches([torch.arange(count)], 0, CPU))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_loss_is_that_of_the_training_example(schedule):
    """diffusers' own unconditional training: add_noise, the model, mse_loss on the noise."""
    engine = make_engine(*TINY, f"task.schedule={schedule}")
    network, objective = engine.learner.model.module, engine.learner.objective
    images, targets = batch_of(engine)
    loss = objective.loss(network, (images, targets), PLACE, frozenset({"time"}))

    name = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[schedule]
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=1000, beta_schedule=name)
    clean = (images * 0.376 + 0.305) * 2 - 1
    noise = torch.randn(clean.shape, generator=PLACE.stream("noise"))
    times = torch.randint(1000, (20,), generator=PLACE.stream("times"))
    noisy = scheduler.add_noise(clean, noise, times)
    output = network.unet(noisy, times, class_labels=torch.full((20,), 10)).sample
    torch.testing.assert_close(loss.value.mean(), F.mse_loss(output, noise), rtol=1e-4, atol=1e-5)
    singly = [F.mse_loss(one, other) for one, other in zip(output, noise, strict=True)]
    torch.testing.assert_close(loss.value, torch.stack(singly), rtol=1e-4, atol=1e-5)
    assert loss.signals["time"].tolist() == times.tolist()
    expected = spearmanr(loss.value.detach(), times).statistic
    assert float(loss.parts["time_spearman"]) == pytest.approx(expected, abs=0.01)


def test_noise_is_added_as_in_the_paper():
    noising = make_engine(*TINY).learner.objective.noising
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    kept = torch.cumprod(1 - betas, 0)
    clean, noise = torch.rand(3, 1, 8, 8), torch.randn(3, 1, 8, 8)
    times = torch.tensor([0, 500, 999])
    share = kept[times][:, None, None, None].float()
    expected = share.sqrt() * clean + (1 - share).sqrt() * noise
    torch.testing.assert_close(noising.add(clean, noise, times), expected)
    torch.testing.assert_close(noising.share(times), share.flatten())


def test_the_batch_loss_is_the_mean_of_the_samples():
    single, batch = (make_engine(*TINY, f"task.per_sample={flag}", "scorer=bls") for flag in (True, False))
    losses = [
        engine.learner.objective.loss(engine.learner.model, batch_of(engine), PLACE, frozenset()).value
        for engine in (single, batch)
    ]
    assert losses[0].shape == (20,)
    torch.testing.assert_close(losses[0].mean(), losses[1])


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_sampling_with_the_true_noise_gives_the_image(sampler):
    """A model that knows the one image there is finds its way back to it."""
    engine = make_engine(*TINY, f"task.sampler={sampler}", "task.steps=50")
    objective = engine.learner.objective
    image = batch_of(engine, 1)[0]
    clean = objective.space.encode(image)

    class Oracle(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, noisy, times, labels):
            share = objective.noising.share(times)[:, None, None, None]
            return (noisy - share.sqrt() * clean) / (1 - share).sqrt()

    with torch.no_grad():
        found = objective.sample(Oracle(), 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, objective.info.pixels(image).expand(4, -1, -1, -1), atol=0.02, rtol=0)


class Recorder(nn.Module):
    """Answers with a noise that depends on the label alone, and keeps the labels."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, noisy, times, labels):
        self.seen.append(labels)
        return labels[:, None, None, None].float().expand_as(noisy)


def test_classes_are_hidden_for_the_share_asked_for():
    objective = make_engine(*TINY, "task.guidance=classifier_free", "task.drop=0.3").learner.objective
    targets = torch.arange(1000) % 10
    labels = objective.guidance.labels(targets, PLACE)
    hidden = labels == 10
    assert 0.2 < float(hidden.float().mean()) < 0.4
    assert torch.equal(labels[~hidden], targets[~hidden])
    unguided = make_engine(*TINY).learner.objective.guidance.labels(targets, PLACE)
    assert unguided.unique().tolist() == [10]


def test_classifier_free_guidance_goes_beyond_the_class():
    objective = make_engine(*TINY, "task.guidance=classifier_free", "task.guidance_scale=3").learner.objective
    samples, times = torch.zeros(2, 1, 8, 8), torch.tensor([5, 5])
    found = objective.guidance.noise(Recorder(), samples, times, torch.tensor([4, 7]))
    assert found[:, 0, 0, 0].tolist() == [10 + 3 * (4 - 10), 10 + 3 * (7 - 10)]


def test_the_classifier_leads_towards_the_class():
    objective = make_engine(*TINY, "task.guidance=classifier", "task.guidance_scale=2").learner.objective
    guide = objective.guidance
    samples, times, targets = torch.randn(3, 1, 8, 8), torch.tensor([100, 500, 900]), torch.tensor([1, 2, 3])
    share = objective.noising.share(times)
    with torch.no_grad():
        towards = guide.noise(Recorder(), samples, times, targets) - 10
    seen = samples.clone().requires_grad_()
    logs = guide._classifier(seen, share).log_softmax(1)
    (gradient,) = torch.autograd.grad(logs[range(3), targets].sum(), seen)
    expected = -2 * (1 - share).sqrt()[:, None, None, None] * gradient
    torch.testing.assert_close(towards, expected)


@pytest.mark.parametrize("guidance", GUIDANCE)
def test_an_evaluation_depends_on_the_weights_alone(guidance):
    values = []
    for seed in (0, 1):
        engine = make_engine(*TINY, f"seed={seed}", f"task.guidance={guidance}", "task.sampler=ddpm")
        torch.manual_seed(5)
        for part in engine.learner.model.parameters():
            nn.init.normal_(part, std=0.1)
        before = torch.get_rng_state()
        network, objective = engine.learner.model.module, engine.learner.objective
        values.append(measured(network, objective, engine.data.test, engine.fabric))
        assert torch.equal(before, torch.get_rng_state())
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("pruner", "scorer"),
    [
        ("infobatch", "per_sample"),
        ("seta", "time_corrected"),
        ("repb", "time_corrected"),
        ("infobatch", "bls"),
        ("seta", "bls"),
        ("repb", "bls"),
        ("random", "bls"),
    ],
)
def test_every_pair_trains(pruner, scorer, tmp_path):
    flag = scorer != "bls"
    overrides = (f"pruner={pruner}", f"scorer={scorer}", f"task.per_sample={flag}")
    result, lines, folder = train(tmp_path, *TINY, *overrides)
    assert result["status"] == "finished"
    assert {"loss_time_spearman", "fid_own"} <= lines[-1].keys()
    assert (folder / "samples.png").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ("pruner=bls_infobatch", "task.guidance=classifier_free", "model.dropout=0.1"),
        ("pruner=seta", "scorer=time_corrected"),
    ],
)
def test_stop_and_resume_equals_uninterrupted(overrides, tmp_path, monkeypatch):
    assert_resumes(tmp_path, monkeypatch, 6, *TINY, "trainer.ema=0.9", *overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.guidance=clip"], r"task\.guidance must be one of none, classifier_free, classifier"),
        (["task.steps=2000"], r"task\.steps must be between 1 and times=1000"),
        (["task.drop=1"], r"task\.drop must be in \[0, 1\)"),
        (["model.widths=[30]"], r"model\.widths must be multiples of 8"),
        (["model=resnet20"], r"task=diffusion needs a model that finds noise.*use model=unet2d"),
        (["task.per_sample=false", "scorer=time_corrected", "pruner=seta"], r"scorer=.*use scorer=bls"),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config("task=diffusion", *overrides)


def test_a_side_that_cannot_be_halved_often_enough_is_refused():
    with pytest.raises(InputError, match=r"model\.widths has 5 levels.*multiple of 16, got 8"):
        make_engine(*TINY, "model.widths=[8,8,8,8,8]")


def of_one_process(rank, folder):
    return measured_untrained(*TINY, "task.samples=300", "task.steps=2")


def test_two_processes_measure_what_one_does(tmp_path):
    assert_measured_alike(of_one_process, tmp_path)
