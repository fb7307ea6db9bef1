"""Laws of segmentation: its loss, its metric, its data and its runs."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.classification import MulticlassJaccardIndex

from bls_bench.data.base import Images
from bls_bench.data.jitter import Jitter
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Place
from bls_bench.tasks.segmentation.batches import IGNORED, PixelBatches
from bls_bench.tasks.segmentation.maps import PixelMaps
from bls_bench.tasks.segmentation.models import SegmentationModels, Segmenter
from bls_bench.tasks.segmentation.networks import checked
from bls_bench.tasks.segmentation.objective import MeanIntersection, Segmenting
from bls_bench.tasks.segmentation.scenes import ScenePixels
from bls_bench.tasks.segmentation.task import Segmentation

from ...two_processes import in_two_processes
from ..detection.helpers import StopAt, make_config, stopped, train, without_times

CPU = torch.device("cpu")
INFO = Images(3, 32, tuple("abc"))
TINY = (
    "task=segmentation",
    "dataset.images=24",
    "dataset.image_size=32",
    "trainer.epochs=3",
    "trainer.batch_size=8",
    "logger=none",
)


class TestRuns:
    @pytest.mark.parametrize("pruner", ["infobatch", "seta", "repb", "bls_infobatch", "random", "none"])
    def test_every_pruner(self, pruner, tmp_path):
        result, lines = train(tmp_path, f"pruner={pruner}", tiny=TINY)
        assert result["status"] == "finished"
        assert all(0 <= line["mIoU"] <= 100 for line in lines)

    @pytest.mark.parametrize(
        "overrides", [("pruner=infobatch",), ("pruner=bls_seta", "task.per_sample=false")]
    )
    def test_stop_and_resume_equals_uninterrupted(self, overrides, tmp_path, monkeypatch):
        whole, whole_lines = train(tmp_path / "whole", *overrides, tiny=TINY)
        stopped(tmp_path / "parts", 5, monkeypatch, *overrides, tiny=TINY)
        torch.manual_seed(99)
        result, lines = train(tmp_path / "parts", *overrides, tiny=TINY)
        assert without_times(result) == without_times(whole)
        assert without_times(lines) == without_times(whole_lines)

    def test_a_batch_loss_has_no_samples(self):
        with pytest.raises(InputError, match="task=segmentation does not give: use scorer=bls"):
            make_config(*TINY, "task.per_sample=false", "pruner=infobatch")


class Fixed(torch.nn.Module):
    """A network that returns these logits."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        return self.logits


class TestLoss:
    @pytest.fixture
    def case(self):
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(3, 3, 4, 4, generator=generator)
        classes = torch.randint(3, (3, 4, 4), generator=generator)
        classes[0, :2], classes[2] = IGNORED, IGNORED  # of the last picture no pixel has a class
        return logits, classes

    def value(self, case, per_sample):
        logits, classes = case
        objective = Segmenting(Segmentation(per_sample=per_sample), INFO)
        return objective.loss(Fixed(logits), (None, classes), Place(0, 0, 0), frozenset()).value

    def test_against_a_loop_over_pixels(self, case):
        logits, classes = case
        all_losses = []
        for sample in range(3):
            losses = [
                -logits[sample, :, y, x].log_softmax(0)[classes[sample, y, x]]
                for y in range(4)
                for x in range(4)
                if classes[sample, y, x] != IGNORED
            ]
            all_losses += losses
            expected = torch.stack(losses).mean() if losses else torch.tensor(0.0)
            torch.testing.assert_close(self.value(case, True)[sample], expected)
        torch.testing.assert_close(self.value(case, False), torch.stack(all_losses).mean())


class TestMeanIntersection:
    def case(self):
        generator = torch.Generator().manual_seed(0)
        logits, classes = torch.randn(8, 4, 6, 6, generator=generator), torch.randint(4, (8, 6, 6))
        classes[:, 0] = IGNORED
        return logits, classes

    def test_by_hand(self):
        measure = MeanIntersection(3)
        found = torch.tensor([[[0, 0, 1, 1]]])
        logits = torch.nn.functional.one_hot(found, 3).permute(0, 3, 1, 2).float()
        measure.update(Fixed(logits), (None, torch.tensor([[[0, 1, 1, IGNORED]]])))
        # Class 0: 1 of 2 pixels; class 1: 1 of 2; class 2 is nowhere.
        assert measure.compute() == {"mIoU": 50}

    def test_is_that_of_torchmetrics(self):
        logits, classes = self.case()
        measure = MeanIntersection(4)
        measure.update(Fixed(logits), (None, classes))
        theirs = MulticlassJaccardIndex(4, ignore_index=IGNORED)(logits, classes)
        assert measure.compute()["mIoU"] == pytest.approx(100 * float(theirs), rel=1e-5)

    def test_processes_together_are_one(self):
        logits, classes = self.case()
        whole, parts = MeanIntersection(4), [MeanIntersection(4), MeanIntersection(4)]
        whole.update(Fixed(logits), (None, classes))
        for rank, part in enumerate(parts):
            part.update(Fixed(logits[rank::2]), (None, classes[rank::2]))
        merged = MeanIntersection(4)
        merged.merge([part.state() for part in parts])
        assert merged.compute() == whole.compute()


class TestScenes:
    def test_digits_have_their_classes(self):
        data = ScenePixels(images=8, image_size=48).load(0)
        images, classes = next(data.train.plain().batches([torch.arange(8)], 0, CPU))
        assert images.shape == (8, 3, 48, 48)
        assert classes.shape == (8, 48, 48)
        assert set(classes.unique().tolist()) <= set(range(11))
        assert (classes > 0).float().mean() > 0.02
        # Digits are brighter than what lies around them.
        assert images.mean(1)[classes > 0].mean() > images.mean(1)[classes == 0].mean() + 0.2

    def test_what_comes_in_from_outside_has_no_class(self):
        classes = torch.full((1, 8, 8), 3, dtype=torch.uint8)
        classes[0, 4, 4] = IGNORED
        columns = {"images": torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "classes": classes}
        _, moved = PixelBatches(Jitter(0.5, (1, 1), False))(columns, torch.tensor([[1.0, 0.25, 0.0, 0.0]]))
        assert (moved[0, :, :2] == IGNORED).all()
        assert moved[0, 4, 6] == IGNORED
        assert (moved == 3).sum() == 8 * 6 - 1


def maps(root, values=(0, 1, 11), size=(24, 18), mode="L"):
    for folder in ("train", "test"):
        for at in range(2):
            (root / folder).mkdir(exist_ok=True)
            (root / f"{folder}annot").mkdir(exist_ok=True)
            Image.new("RGB", (24, 18), (9, 90, 200)).save(root / folder / f"{at}.jpg")
            pixels = np.tile(np.array(values, dtype=np.uint8), (size[1], size[0] // len(values)))
            Image.fromarray(pixels).convert(mode).save(root / f"{folder}annot" / f"{at}.png")
    return camvid(root)


def camvid(root, **options):
    names = {"train": "train", "train_maps": "trainannot", "test": "test", "test_maps": "testannot"}
    options = {"classes": 11, "void": 11, "image_size": 48, "workers": 0} | options
    return PixelMaps(name="camvid", root=str(root), **names, **options)


class TestMaps:
    @pytest.mark.parametrize("kept", ["true", "false"])
    def test_values_and_void(self, kept, tmp_path):
        maps(tmp_path)
        data = camvid(tmp_path, in_memory=kept).load(0)
        images, classes = next(data.test.batches([torch.arange(2)], 0, CPU))
        assert images.shape == (2, 3, 48, 48)
        assert set(classes.unique().tolist()) == {0, 1, IGNORED}
        assert (classes[0, :6] == IGNORED).all()  # beside the picture
        assert classes[0, 24, [0, 2, 4]].tolist() == [0, 1, IGNORED]

    def test_classes_may_begin_at_one(self, tmp_path):
        maps(tmp_path)
        data = camvid(tmp_path, classes=11, first=1, void=0).load(0)
        _, classes = next(data.test.batches([torch.arange(2)], 0, CPU))
        assert classes[0, 24, [0, 2, 4]].tolist() == [IGNORED, 0, 10]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"values": (0, 12)}, r"0.png has the value 12, allowed are 0 to 10 and 11 for none"),
            ({"size": (24, 10)}, r"0.png is a class map of 24x10 pixels, its image has 24x18"),
            ({"mode": "RGB"}, r"0.png must have one channel of 8 bits, it has the mode RGB"),
        ],
    )
    def test_bad_maps(self, options, message, tmp_path):
        with pytest.raises(InputError, match=message):
            maps(tmp_path, **options).load(0)

    def test_missing_files(self, tmp_path):
        dataset = maps(tmp_path)
        (tmp_path / "trainannot" / "1.png").unlink()
        with pytest.raises(InputError, match=r"1.jpg has no class map"):
            dataset.load(0)
        for path in (tmp_path / "train").iterdir():
            path.unlink()
        with pytest.raises(InputError, match="has no pictures to train on"):
            dataset.load(0)


class TestModels:
    @pytest.mark.parametrize(
        "model",
        [
            Segmenter(name="unet"),
            Segmenter(name="lraspp_mobilenet_v3_large"),
            SegmentationModels(name="upernet"),
        ],
        ids=lambda model: model.name,
    )
    def test_a_class_for_every_pixel(self, model):
        network = model.build(INFO)
        found = network(torch.rand(2, 3, 32, 32))
        assert found.shape == (2, 3, 32, 32)
        found.mean().backward()
        assert all(value.grad is not None for value in network.parameters())

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            (Segmenter(name="pixelnet"), "model.name=pixelnet is no segmentation model: allowed are unet, "),
            (SegmentationModels(name="pixelnet"), "model.name=pixelnet is no architecture of smp"),
            (SegmentationModels(name="unet", encoder="r"), "model.encoder=r cannot be built"),
        ],
    )
    def test_unknown_names(self, model, message):
        with pytest.raises(InputError, match=message):
            model.build(INFO)

    def test_a_size_that_does_not_suit(self):
        with pytest.raises(InputError, match="model cannot take images of 32x32 pixels: it gives .*30, 30"):
            checked(torch.nn.Conv2d(3, 3, 3), INFO, "model")
        with pytest.raises(InputError, match="model cannot take images of 32x32 pixels: Given groups=1"):
            checked(torch.nn.Conv2d(1, 3, 3), INFO, "model")

    def test_weights_from_a_file(self, tmp_path):
        network = Segmenter(name="lraspp_mobilenet_v3_large").build(INFO)
        path = tmp_path / "weights.pt"
        torch.save(network.network.state_dict(), path)
        more = Images(3, 32, tuple("abcd"))
        other = Segmenter(name="lraspp_mobilenet_v3_large", weights=str(path)).build(more)
        loaded, saved = other.network.state_dict(), network.network.state_dict()
        other_shape = {name for name in saved if loaded[name].shape != saved[name].shape}
        assert all(name.startswith("classifier.") for name in other_shape)
        assert len(other_shape) == 4  # weights and biases of two layers, which hang on the classes
        assert all(torch.equal(loaded[name], saved[name]) for name in saved.keys() - other_shape)
        with pytest.raises(InputError, match=r"weights.pt is of another model: "):
            Segmenter(name="deeplabv3_resnet50", weights=str(path)).build(INFO)
        path.write_bytes(b"none")
        with pytest.raises(InputError, match=r"weights.pt cannot be read as a state dict"):
            Segmenter(name="deeplabv3_resnet50", weights=str(path)).build(INFO)


# 16 of 24 pictures an epoch: whole batches, so that every process has as many.
EVEN = ("pruner=random", "pruner.prune_ratio=0.333", "trainer.epochs=2", "trainer.device=cpu")


def two_process_run(rank, folder):
    torch.set_num_threads(1)
    config = make_config(*TINY, *EVEN)
    engine = Engine(config, config.dataset.load(0), make_fabric(config.trainer))
    return [without_times(engine.epoch(None, StopAt(-1))) for _ in range(2)]


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    both = in_two_processes(two_process_run, tmp_path)
    config = make_config(*TINY, *EVEN)
    engine = Engine(config, config.dataset.load(0), make_fabric(config.trainer))
    alone = [without_times(engine.epoch(None, StopAt(-1))) for _ in range(2)]
    for lines in both:
        for line, expected in zip(lines, alone, strict=True):
            assert line["kept"] == expected["kept"]
            assert line["loss"] == pytest.approx(expected["loss"], rel=1e-3)
            assert line["mIoU"] == pytest.approx(expected["mIoU"], abs=0.5)
