"""Every model trains on every image size, and is built as its papers say."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bls_bench.config.compose import CONF_DIR, composed
from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.fitted import small_patch
from bls_bench.tasks.classification.models import Classifier

# The nodes of this task's family of models; `timm` needs a name.
NODES = sorted(
    path.stem for path in (CONF_DIR / "model").glob("*.yaml") if "_target_: classifier" in path.read_text()
)
NAMES = [node for node in NODES if node != "timm"]


def images(channels, size, classes):
    return Images(channels, size, tuple(map(str, range(classes))))


def build(node, *sizes):
    """Return the model that a config node makes for images of (channels, size, classes)."""
    return Classifier(name=composed([f"model={node}"]).model.name).build(images(*sizes))


def first_convolution(network: nn.Module) -> nn.Conv2d:
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def test_the_group_is_complete():
    assert {"resnet18", "resnet50", "resnet20", "efficientnet_b0", "mobilenetv3_small_050"} < set(NAMES)
    assert {"vit_tiny", "swin_tiny"} < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (3, 64)])
def test_trains_on_small_images(name, channels, size):
    network = build(name, channels, size, 7)
    assert network.training
    logits = network(torch.randn(2, channels, size, size))
    assert logits.shape == (2, 7)
    logits.logsumexp(1).sum().backward()
    for parameter, value in network.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all(), parameter


def test_resnet9_has_the_size_that_it_says():
    network = build("resnet9", 3, 32, 10).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 6_573_130
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(1, 3, 32, 32))
    assert counter.get_total_flops() / 2 == pytest.approx(0.38e9, rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_takes_large_images(name):
    network = build(name, 3, 224, 5).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 224, 224)).shape == (1, 5)


@pytest.mark.parametrize("name", ["convnext_atto", "mixer_s16_224", "deit_tiny_patch16_224", "resnet10t"])
def test_any_timm_name(name):
    network = Classifier(name=name).build(images(3, 32, 4))
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet10t"])
def test_small_stem_up_to_64_pixels_and_not_beyond(name):
    for size, shrinks_by in [(32, 8), (64, 8), (65, 32), (96, 32)]:
        network = Classifier(name=name).build(images(3, size, 10)).eval()
        with torch.no_grad():
            height = network.forward_features(torch.zeros(1, 3, size, size)).shape[-1]
        assert height == -(-size // shrinks_by), size
    stem = first_convolution(Classifier(name=name).build(images(3, 64, 10)))
    assert (stem.kernel_size, stem.stride, stem.padding, stem.bias) == ((3, 3), (1, 1), (1, 1), None)


def test_small_patches_tile_the_image_and_leave_four_by_four_or_more():
    for size in range(4, 65):
        patch = small_patch(size)
        assert size % patch == 0
        assert size // patch >= 4


@pytest.mark.parametrize("name", ["vit_tiny", "swin_tiny"])
@pytest.mark.parametrize("size", [8, 28, 32, 64])
def test_transformers_cut_small_images_into_small_patches(name, size):
    network = build(name, 3, size, 10)
    side = size // small_patch(size)
    assert network.patch_embed.grid_size == (side, side)
    assert network.patch_embed.proj.kernel_size == (small_patch(size),) * 2


def test_transformers_keep_their_own_patch_on_large_images():
    assert build("vit_tiny", 3, 224, 10).patch_embed.grid_size == (14, 14)
    assert build("vit_tiny", 3, 96, 10).patch_embed.grid_size == (6, 6)


def test_resnet20_is_the_papers():
    network = build("resnet20", 3, 32, 10)
    assert sum(value.numel() for value in network.parameters()) == 269_722
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 19
    assert {convolution.kernel_size for convolution in convolutions} == {(3, 3)}
    assert network.blocks(torch.randn(1, 16, 32, 32)).shape == (1, 64, 8, 8)


def test_resnet20_shortcut_skips_pixels_and_adds_zero_channels():
    block = build("resnet20", 3, 32, 10).blocks[3].eval()
    nn.init.zeros_(block.conv2.weight)  # Leaves the shortcut alone.
    x = torch.rand(2, 16, 8, 8)
    out = block(x)
    assert out.shape == (2, 32, 4, 4)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "vit_tiny"])
def test_weights_follow_torchs_seed(name):
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([value.flatten() for value in build(name, 3, 32, 10).parameters()])

    with torch.random.fork_rng(devices=[]):
        assert torch.equal(weights(1), weights(1))
        assert not torch.equal(weights(1), weights(2))


def test_unknown_name_lists_close_ones():
    with pytest.raises(InputError, match=r"model\.name=resnet_18 .*resnet18") as caught:
        Classifier(name="resnet_18").build(images(3, 32, 10))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"timm\.list_models"):
        Classifier(name="?").build(images(3, 32, 10))


def test_a_name_never_reaches_for_the_network():
    with pytest.raises(InputError, match="is not resnet20, resnet9 or a timm model"):
        Classifier(name="hf-hub:someone/something").build(images(3, 32, 10))


def test_a_model_that_does_not_fit_the_images_is_refused():
    with pytest.raises(InputError, match=r"model\.name=inception_v3 .*3x32x32") as caught:
        Classifier(name="inception_v3").build(images(3, 32, 10))
    assert "\n" not in str(caught.value)


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match=r"^name must be"):
        Classifier(name="")
