"""The features of images by which a Fréchet distance compares them."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data, Images, Split
from bls_bench.system.errors import InputError, folded
from bls_bench.system.streams import stream

CPU = torch.device("cpu")
STEPS, BATCH = 400, 64
_trained: dict[str, nn.Module] = {}


class Features:
    """Turns images (b, C, H, W) of pixels in [0, 1] into features (b, d) float32, on their device."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, enabled=False):
            return self._network.to(pixels.device)(pixels.float())


class Inception(nn.Module):
    """The InceptionV3 of published FIDs, as torch-fidelity computes it: 2,048 features."""

    def __init__(self, path: str) -> None:
        """Read its weights; raises InputError for a missing package or a file that does not hold them."""
        super().__init__()
        if importlib.util.find_spec("torch_fidelity") is None:
            raise InputError(
                "task.inception needs torch-fidelity, which is not installed: "
                "pip install 'bls_bench[generation]'"
            )
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        weights = Path(path).expanduser()
        if not weights.is_file():
            raise InputError(f"task.inception={path} is not a file: it must hold the weights of InceptionV3")
        try:
            # That class itself would run any code that the file holds.
            torch.load(weights, map_location="cpu", weights_only=True)
            with torch.random.fork_rng(devices=[]):
                self.network = FeatureExtractorInceptionV3("inception", ["2048"], str(weights))
        except Exception as error:  # whatever pickle, zip or torch find wrong in it
            raise InputError(
                f"task.inception={path} does not hold the weights of torch-fidelity's InceptionV3 "
                f"(pt_inception-2015-12-05-6726825d.pth): {folded(error)}"
            ) from None

    def forward(self, pixels: Tensor) -> Tensor:
        colours = pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels
        return self.network((colours * 255).round().to(torch.uint8))[0]


class SmallClassifier(nn.Module):
    """Three convolutions and their 64 mean activations, which are the features."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(64, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(pixels * 2 - 1)


def own_features(data: Data) -> Features:
    """Return the features of a small classifier, trained here on the same training images.

    Its numbers depend on the images and their classes alone: not on the run's seed, nor its device. Each
    data set's is trained once in a process, in seconds. Raises InputError for data without classes.
    """
    info: Images = data.info
    if data.targets is None or not info.classes:
        raise InputError(
            "task.inception must name the file with InceptionV3's weights: these data have no classes to "
            "learn other features from"
        )
    pixels = torch.cat(list(pixel_batches(data.train, info, CPU)))
    name = hashlib.sha256(pixels.numpy().tobytes() + data.targets.numpy().tobytes()).hexdigest()
    if name not in _trained:
        _trained[name] = _train(pixels, data.targets, info)
    return Features(_trained[name])


def pixel_batches(split: Split, info: Images, device: torch.device) -> Iterator[Tensor]:
    """Yield the pixels (b, C, H, W) in [0, 1] of a whole split of images, without its augmentation."""
    for batch in split.plain().batches(list(torch.arange(len(split)).split(256)), 0, device):
        yield info.pixels(batch[0])


def _train(pixels: Tensor, targets: Tensor, info: Images) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(stream(0, "features").get_state())
        network = SmallClassifier(info.channels, info.num_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    generator = stream(0, "features", "batches")
    with torch.enable_grad():
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / STEPS)
            chosen = torch.randint(len(targets), (BATCH,), generator=generator)
            loss = F.cross_entropy(network.head(network(pixels[chosen])), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network
