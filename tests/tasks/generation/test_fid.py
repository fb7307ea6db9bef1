"""The Fréchet distance and the features it is on."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from bls_bench.data.base import Data, Images
from bls_bench.data.split import MemorySplit, Pixels
from bls_bench.system.errors import InputError
from bls_bench.tasks.generation import features, fixed
from bls_bench.tasks.generation.features import Inception, own_features
from bls_bench.tasks.generation.fid import CHUNK, Fid, FidMeasure
from bls_bench.tasks.generation.frechet import Moments, frechet_distance
from bls_bench.tasks.generation.pictures import write_grid, write_rows

from .helpers import CPU, few_steps  # noqa: F401


def plain_distance(one, other):
    """As in Heusel et al. 2017, by scipy."""
    one, other = one.double().numpy(), other.double().numpy()
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1]).real
    apart = ((one.mean(0) - other.mean(0)) ** 2).sum()
    return apart + np.trace(covariances[0] + covariances[1] - 2 * root)


@pytest.mark.parametrize("size", [3, 40])
def test_the_distance_is_that_of_scipy(size):
    generator = torch.Generator().manual_seed(size)
    one = torch.randn(200, size, generator=generator) @ torch.randn(size, size, generator=generator)
    other = torch.randn(150, size, generator=generator) + 1
    found = frechet_distance(Moments.of(one), Moments.of(other))
    assert found == pytest.approx(plain_distance(one, other), rel=1e-8)
    assert frechet_distance(Moments.of(one), Moments.of(one)) == pytest.approx(0, abs=1e-6)


def test_features_without_variance_have_a_distance():
    """A dead unit makes the covariance singular; the distance is the one without it."""
    one, other = torch.randn(50, 4), torch.randn(60, 4)
    one[:, 3] = other[:, 3] = 0.5
    expected = frechet_distance(Moments.of(one[:, :3]), Moments.of(other[:, :3]))
    assert frechet_distance(Moments.of(one), Moments.of(other)) == pytest.approx(expected)


def test_moments_of_parts_add_up():
    values = torch.randn(30, 5)
    whole, parts = Moments.of(values), Moments.of(values[:11]).plus(Moments.of(values[11:]))
    torch.testing.assert_close(parts.covariance(), torch.from_numpy(np.cov(values.double().T)))
    torch.testing.assert_close(whole.mean(), parts.mean())


def tiny_data(classes=("a", "b"), count=40):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    targets = torch.arange(count) % 2
    split = MemorySplit(images, targets, Pixels((0.3,), (0.4,)), 0)
    return Data(split, split, Images(1, 8, classes, (0.3,), (0.4,)), targets if classes else None)


def test_own_features_depend_on_the_data_alone(few_steps, monkeypatch):  # noqa: F811
    pixels = torch.rand(7, 1, 8, 8)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = own_features(tiny_data())(pixels)
    assert torch.equal(before, torch.get_rng_state())
    monkeypatch.setattr(fixed, "_trained", {})
    torch.manual_seed(2)
    assert torch.equal(own_features(tiny_data())(pixels), first)
    assert first.shape == (7, 64)
    assert not torch.equal(own_features(tiny_data(count=30))(pixels), first)


def test_own_features_know_the_classes():
    """Trained in full they tell the digits apart, which is what makes a distance on them mean something."""
    from bls_bench.tasks.classification.digits import Digits

    data = Digits(augment=False).load(0)
    network = own_features(data)._network
    inputs, targets = next(data.test.batches([torch.arange(360)], 0, CPU))
    found = network.logits(data.info.pixels(inputs)).argmax(1)
    assert float((found == targets).float().mean()) > 0.93


def test_pixels_come_back_from_normalised_images():
    data = tiny_data()
    inputs, _ = next(data.train.batches([torch.arange(40)], 0, CPU))
    torch.testing.assert_close(data.info.pixels(inputs), data.train.images / 255)


def test_data_without_classes_need_inception():
    with pytest.raises(InputError, match=r"^task\.inception must name .* no classes"):
        Fid(tiny_data(classes=()), None, 10)


def test_inception_is_read_from_a_file(tmp_path):
    with pytest.raises(InputError, match=r"task\.inception=/no/file is not a file"):
        Inception("/no/file")
    wrong = tmp_path / "wrong.pth"
    torch.save(nn.Linear(2, 2).state_dict(), wrong)
    with pytest.raises(InputError, match=r"wrong\.pth does not hold the weights of .* InceptionV3"):
        Inception(str(wrong))


def test_inception_gives_2048_features(tmp_path, monkeypatch):
    """With random weights: grey images become colours, of any size."""
    kind = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with monkeypatch.context() as patch:
        patch.setattr(kind, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(nn.Module, "load_state_dict", lambda *_: None)
        network = kind.FeatureExtractorInceptionV3("inception", ["2048"])
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    before = torch.get_rng_state()
    inception = features.Features(Inception(str(tmp_path / "inception.pth")))
    assert torch.equal(before, torch.get_rng_state())
    grey = torch.rand(2, 1, 8, 8)
    found = inception(grey)
    assert found.shape == (2, 2048)
    assert torch.equal(found, inception(grey.expand(-1, 3, -1, -1)))


class Uniform(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


def uniform(model, count, generator):
    return torch.rand(count, 1, 8, 8, generator=generator) * model.weight.detach()


def test_processes_generate_what_one_would(few_steps, monkeypatch):  # noqa: F811
    fid = Fid(tiny_data(), None, 2 * CHUNK + 10)
    alone = FidMeasure(fid, uniform)
    alone.generate(Uniform())
    for processes in (2, 4):
        states = []
        for rank in range(processes):
            monkeypatch.setattr(
                "bls_bench.tasks.generation.fid.process_rank", lambda place=(rank, processes): place
            )
            part = FidMeasure(fid, uniform)
            part.generate(Uniform())
            states.append(part.state())
        part.merge(states)
        assert sum(state.size for state in states if state) == 2 * CHUNK + 10
        assert part.compute()["fid_own"] == pytest.approx(alone.compute()["fid_own"], abs=1e-9)


def test_a_grid_shows_every_image_at_its_place(tmp_path):
    from PIL import Image

    pixels = torch.zeros(6, 1, 8, 8)
    pixels[4] = 1
    write_grid(pixels, tmp_path / "grid.png", columns=3)
    picture = np.asarray(Image.open(tmp_path / "grid.png"))
    assert picture.shape == (2 * 66, 3 * 66, 3)
    assert picture[66 + 33, 66 + 33].tolist() == [255, 255, 255]  # row 1, column 1
    assert picture[33, 33].tolist() == [0, 0, 0]


def test_a_row_that_is_short_keeps_its_place(tmp_path):
    from PIL import Image

    write_rows(torch.zeros(4, 1, 8, 8), torch.ones(4, 1, 8, 8), tmp_path / "rows.png", columns=3)
    picture = np.asarray(Image.open(tmp_path / "rows.png"))
    assert picture.shape == (4 * 66, 3 * 66, 3)
    assert [int(picture[33 + 66 * row, 33, 0]) for row in range(4)] == [0, 255, 0, 255]
