"""Laws of runs of detection, of its loss and of its metric."""

import pickle
from itertools import combinations

import pytest
import torch
from PIL import Image
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from bls_bench.data.base import Images
from bls_bench.data.transfer import moved
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.system.errors import InputError
from bls_bench.system.streams import drawing_from, stream
from bls_bench.tasks.detection.models import SMALL, Detector
from bls_bench.tasks.detection.networks import MEAN, STD
from bls_bench.tasks.detection.objective import Detecting, MeanPrecision
from bls_bench.tasks.detection.scenes import Scenes
from bls_bench.tasks.objective import Place

from ...two_processes import in_two_processes
from .helpers import TINY, StopAt, make_config, stopped, train, without_times

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def batch():
    split = Scenes(images=6, image_size=32, masks=True).load(seed=0).train
    return next(split.batches([torch.arange(6)], 0, CPU))


class TestRuns:
    @pytest.mark.parametrize("pruner", ["infobatch", "seta", "repb", "random", "none"])
    def test_every_pruner_of_batch_losses(self, pruner, tmp_path):
        result, lines = train(tmp_path, f"pruner={pruner}")
        assert result["status"] == "finished"
        parts = ("loss_classification", "loss_bbox_regression", "loss_bbox_ctrness")
        for line in lines:
            assert line["loss"] == pytest.approx(sum(line[part] for part in parts), rel=1e-5)
            assert 0 <= line["mAP50-95"] <= line["mAP50"] <= 100

    @pytest.mark.parametrize(
        "overrides", [("model=fcos", "pruner=seta"), ("model=fasterrcnn", "trainer.epochs=2")]
    )
    def test_stop_and_resume_equals_uninterrupted(self, overrides, tmp_path, monkeypatch):
        """Faster R-CNN chooses proposals at random: its numbers come from the place of the batch."""
        whole, whole_lines = train(tmp_path / "whole", *overrides)
        stopped(tmp_path / "parts", 5, monkeypatch, *overrides)
        torch.manual_seed(99)
        result, lines = train(tmp_path / "parts", *overrides)
        assert without_times(result) == without_times(whole)
        assert without_times(lines) == without_times(whole_lines)

    def test_per_sample_losses_are_refused_with_the_way_out(self):
        with pytest.raises(InputError, match=r"task=detection does not give: use scorer=bls"):
            make_config(*TINY, "scorer=per_sample", "pruner=infobatch")

    @pytest.mark.parametrize("pruner", ["none", "random"])
    def test_a_pruner_without_scores_takes_the_loss_that_there_is(self, pruner):
        run = make_config("task=detection", f"pruner={pruner}")
        assert run.key == make_config("task=detection", f"pruner={pruner}", "scorer=bls").key
        assert make_config(f"pruner={pruner}").resolved["scorer"] == {"_target_": "per_sample"}
        with pytest.raises(InputError, match=r"scorer=per_sample needs .* use scorer=bls"):
            make_config("task=detection", f"pruner={pruner}", "scorer=per_sample")

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["dataset=digits"], "needs boxes around objects, which dataset=digits"),
            (["model=resnet20"], "model=classifier needs a class for every sample, which dataset=scenes"),
            (["model=fcos", "model.name=yolo"], "model.name=yolo is no detector: allowed are fcos, "),
            (["model.weights=a.pt"], "model.weights must be null for fcos, got a.pt"),
        ],
    )
    def test_what_does_not_fit(self, overrides, message):
        tiny = [one for one in TINY if "dataset." not in one]
        with pytest.raises(InputError, match=message):
            config = make_config(*tiny, *overrides)
            config.model.build(Images(3, 32, ("a",)))


class TestMasks:
    TASK = ("task=instance_segmentation", *TINY[1:])

    def test_masks_and_boxes_are_measured_and_drawn(self, tmp_path):
        result, lines = train(tmp_path, "pruner=bls_infobatch", "trainer.epochs=1", tiny=self.TASK)
        assert result["metrics"][0]["name"] == "mask_mAP50-95"
        assert {"mask_mAP50", "mAP50", "loss_mask"} <= lines[0].keys()
        (picture,) = tmp_path.glob("*/detections.png")
        with Image.open(picture) as drawn:
            assert drawn.height > 2 * 192

    def test_stop_and_resume_equals_uninterrupted(self, tmp_path, monkeypatch):
        """Stopped in the middle of the second epoch, after the pruner's first selection."""
        overrides = ("pruner=bls_seta", "trainer.epochs=2")
        whole, whole_lines = train(tmp_path / "whole", *overrides, tiny=self.TASK)
        stopped(tmp_path / "parts", 4, monkeypatch, *overrides, tiny=self.TASK)
        torch.manual_seed(99)
        result, lines = train(tmp_path / "parts", *overrides, tiny=self.TASK)
        assert without_times(result) == without_times(whole)
        assert without_times(lines) == without_times(whole_lines)

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("dataset.masks=false", "needs a mask of each object, .*: use dataset.masks=true"),
            ("model=fcos", "needs a model that gives masks, .*: use model=maskrcnn"),
        ],
    )
    def test_what_does_not_fit(self, override, message):
        with pytest.raises(InputError, match=message):
            make_config(*self.TASK, override)

    def test_precision_of_masks_by_hand(self):
        """The box is right and half of the mask: an overlap of 0.5, enough for the first of ten only."""
        whole, half = torch.zeros(1, 20, 20, dtype=torch.bool), torch.zeros(1, 1, 20, 20)
        whole[:, :10, :10], half[:, :, :5, :10] = True, 0.9
        found = detections([(square(0, 0), 1, 0.9)]) | {"masks": half}
        target = objects([(square(0, 0), 1)]) | {"masks": whole}
        measure = MeanPrecision({"segm": "mask_", "bbox": ""})
        measure.update(lambda images: [found], (None, [target]))
        assert measure.compute() == pytest.approx(
            {"mask_mAP50-95": 10, "mask_mAP50": 100, "mAP50-95": 100, "mAP50": 100}
        )


class TestModels:
    @pytest.mark.parametrize("name", [*SMALL, "ssdlite320_mobilenet_v3_large"])
    def test_every_detector_learns_and_detects(self, name, batch):
        torch.manual_seed(0)
        model = Detector(name=name).build(Images(3, 32, tuple("0123456789")))
        loss = Detecting(Images(3, 32)).loss(model, batch, Place(0, 0, 0), frozenset())
        assert loss.value.ndim == 0
        assert loss.value.item() == pytest.approx(sum(float(part) for part in loss.parts.values()), rel=1e-5)
        loss.value.backward()
        unused = [key for key, value in model.named_parameters() if value.grad is None]
        assert not unused  # DDP waits for every parameter
        found = model.eval()(batch[0])
        assert [set(one) >= {"boxes", "labels", "scores"} for one in found] == [True] * 6

    def test_a_batch_at_once_is_what_torchvision_makes_one_by_one(self, batch):
        torch.manual_seed(0)
        model = Detector(name="fcos").build(Images(3, 32, tuple("0123456789")))
        ours = model(*batch)
        model.transform = GeneralizedRCNNTransform(32, 32, MEAN, STD)
        theirs = model(list(batch[0]), batch[1])
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)

    def test_levels_fit_the_size(self):
        for size, levels in ((32, 2), (64, 3), (128, 4), (320, 4)):
            model = Detector(name="fcos").build(Images(3, size, ("a",)))
            assert len(model.backbone(torch.zeros(1, 3, size, size))) == levels

    @pytest.mark.parametrize("name", SMALL)
    def test_a_batch_without_objects_is_background(self, name, batch):
        model = Detector(name=name).build(Images(3, 32, tuple("0123456789")))
        empty = [{key: value[:0] for key, value in target.items()} for target in batch[1]]
        loss = Detecting(Images(3, 32)).loss(model, (batch[0], empty), Place(0, 0, 0), frozenset())
        loss.value.backward()
        assert torch.isfinite(loss.value)
        assert all(value.grad is not None for value in model.parameters())


class TestRandomness:
    def test_random_proposals_come_from_the_place_alone(self, batch):
        torch.manual_seed(0)
        model = Detector(name="fasterrcnn").build(Images(3, 32, tuple("0123456789")))
        objective, before = Detecting(Images(3, 32)), torch.get_rng_state()
        first = objective.loss(model, batch, Place(0, 1, 2), frozenset()).value
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(5)
        assert torch.equal(objective.loss(model, batch, Place(0, 1, 2), frozenset()).value, first)
        assert not torch.equal(objective.loss(model, batch, Place(0, 1, 3), frozenset()).value, first)

    def test_the_generator_decides_what_is_drawn(self):
        with drawing_from(stream(0, "a"), CPU):
            first = torch.rand(3)
        with drawing_from(stream(0, "a"), CPU):
            assert torch.equal(torch.rand(3), first)


def square(left, top, side=10.0):
    return [left, top, left + side, top + side]


def precision(found, targets, kinds=None):
    """found: for each image (box, label, score)s; targets: (box, label)s."""
    measure = MeanPrecision(kinds or {"bbox": ""})
    measure.update(
        lambda images: [detections(one) for one in found], (None, [objects(one) for one in targets])
    )
    return measure


def detections(one):
    return objects([entry[:2] for entry in one]) | {"scores": torch.tensor([entry[2] for entry in one])}


def objects(one):
    boxes = torch.tensor([entry[0] for entry in one]).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor([entry[1] for entry in one], dtype=torch.int64)}


class TestMeanPrecision:
    def test_all_found(self):
        boxes = [(square(0, 0), 1), (square(20, 20), 2)]
        values = precision([[(*box, 0.9) for box in boxes]], [boxes]).compute()
        assert values == pytest.approx({"mAP50-95": 100, "mAP50": 100})

    def test_a_box_that_is_shifted_counts_up_to_its_overlap(self):
        """Shifted by 2 of 10 pixels: 80 of 120 in common, enough for 0.5, 0.55, 0.6 and 0.65."""
        values = precision([[(square(2, 0), 1, 0.9)]], [[(square(0, 0), 1)]]).compute()
        assert values == pytest.approx({"mAP50-95": 40, "mAP50": 100})

    def test_one_of_two_found(self):
        """Precision 1 up to recall 0.5: 51 of COCO's 101 points."""
        values = precision([[(square(0, 0), 1, 0.9)]], [[(square(0, 0), 1), (square(20, 20), 1)]]).compute()
        assert values["mAP50"] == pytest.approx(100 * 51 / 101)

    def test_a_false_alarm_above_the_hit_halves_the_precision(self):
        found = [[(square(40, 40), 1, 0.9), (square(0, 0), 1, 0.5)]]
        assert precision(found, [[(square(0, 0), 1)]]).compute()["mAP50"] == pytest.approx(50)

    def test_the_wrong_class_is_no_hit(self):
        assert precision([[(square(0, 0), 2, 0.9)]], [[(square(0, 0), 1)]]).compute()["mAP50"] == 0

    def test_a_crowd_is_neither_hit_nor_miss(self):
        measure = MeanPrecision({"bbox": ""})
        crowd = objects([(square(0, 0), 1), (square(20, 20, 40), 1)]) | {"iscrowd": torch.tensor([0, 1])}
        found = detections([(square(0, 0), 1, 0.5), (square(30, 30), 1, 0.9)])
        measure.update(lambda images: [found], (None, [crowd]))
        assert measure.compute()["mAP50"] == pytest.approx(100)

    def test_processes_together_are_one(self):
        """Equal scores in different images too: their order decides, and it is the data set's again."""
        generator = torch.Generator().manual_seed(0)
        found, targets = [], []
        for _ in range(7):
            places = (torch.rand(4, 2, generator=generator) * 20).tolist()
            targets.append([(square(*place), 1) for place in places])
            found.append([(square(x + 1, y), 1, 0.5) for x, y in places[:3]] + [(square(30, 30), 1, 0.5)])
        whole = precision(found, targets).compute()
        parts = [precision(found[rank::3], targets[rank::3]).state() for rank in range(3)]
        merged = precision(found[1::3], targets[1::3])
        merged.merge(pickle.loads(pickle.dumps(parts)))
        assert merged.compute() == whole

    def test_against_a_slow_plain_version(self):
        """Average precision of one class at one overlap, by its definition."""
        generator = torch.Generator().manual_seed(1)
        found, targets = [], []
        for _ in range(12):
            places = (torch.rand(3, 2, generator=generator) * 60).tolist()
            places = [one for one in places if all(far(one, other) for other in places if other is not one)]
            targets.append([(square(*place), 1) for place in places])
            shifts = torch.randn(len(places), 2, generator=generator) * 2.5
            scores = torch.rand(len(places) + 1, generator=generator).tolist()
            boxes = [square(x + a, y + b) for (x, y), (a, b) in zip(places, shifts.tolist(), strict=True)]
            found.append(
                [(box, 1, score) for box, score in zip([*boxes, square(70, 70)], scores, strict=True)]
            )
        assert precision(found, targets).compute()["mAP50"] == pytest.approx(plain_precision(found, targets))


def far(one, other):
    return abs(one[0] - other[0]) + abs(one[1] - other[1]) > 25


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / (2 * 100 - common)


def plain_precision(found, targets):
    ranked = sorted(((score, at, box) for at, one in enumerate(found) for box, _, score in one), reverse=True)
    hits, free = [], [list(one) for one in targets]
    for _, at, box in ranked:
        hit = next((target for target in free[at] if overlap(box, target[0]) >= 0.5), None)
        if hit is not None:
            free[at].remove(hit)
        hits.append(hit is not None)
    total, curve = sum(map(len, targets)), []
    for count in range(1, len(hits) + 1):
        curve.append((sum(hits[:count]) / total, sum(hits[:count]) / count))
    points = [
        max((high for recall, high in curve if recall >= at / 100 - 1e-9), default=0.0) for at in range(101)
    ]
    return 100 * sum(points) / 101


def one_of_two(tiny):
    """Train an epoch, and measure the same model."""
    torch.set_num_threads(1)
    config = make_config(*tiny, "pruner=infobatch", "trainer.epochs=1", "trainer.device=cpu")
    engine = Engine(config, config.dataset.load(0), make_fabric(config.trainer))
    before = engine.measured()
    line = engine.epoch(None, StopAt(-1))
    return before, without_times(line), moved(engine.learner.model.module.state_dict(), CPU)


def with_boxes(rank, folder):
    return one_of_two(TINY)


def with_masks(rank, folder):
    return one_of_two(TestMasks.TASK)


@pytest.mark.slow
@pytest.mark.parametrize(("work", "tiny"), [(with_boxes, TINY), (with_masks, TestMasks.TASK)])
def test_two_processes(work, tiny, tmp_path):
    """They measure what one does, and hold the same weights after training."""
    both = in_two_processes(work, tmp_path)
    config = make_config(*tiny, "pruner=infobatch", "trainer.device=cpu")
    alone = Engine(config, config.dataset.load(0), make_fabric(config.trainer)).measured()
    for before, line, _ in both:
        assert before == pytest.approx(alone, abs=1e-3)
        assert line == both[0][1]
    for (_, _, one), (_, _, other) in combinations(both, 2):
        assert all(torch.equal(one[name], other[name]) for name in one)
