"""The experiments of paper size: composed, built, and two steps on a few images in the real format."""

import math

import pytest
from PIL import Image

from bls_bench.engine import session

from .detection.helpers import make_config, metrics
from .detection.test_formats import coco

SMALL = (
    "scorer=bls",
    "pruner=infobatch",
    "dataset.image_size=96",
    "dataset.workers=0",
    "model.weights=null",
    "trainer.epochs=1",
    "trainer.batch_size=2",
    "trainer.save_model=false",
    "logger=none",
)


def trained(tmp_path, *overrides):
    config = make_config(*overrides, *SMALL, f"dataset.root={tmp_path / 'data'}", f"records={tmp_path}")
    assert session.run(config)["status"] == "finished"
    (line,) = metrics(tmp_path / config.key)
    assert math.isfinite(line["loss"])
    return line


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["coco_fcos", "coco_ssdlite", "coco_maskrcnn"])
def test_coco(experiment, tmp_path):
    def more(content):
        content["images"].append(content["images"][0] | {"id": 13})

    coco(tmp_path / "data", more)
    line = trained(tmp_path, f"experiment={experiment}")
    assert line["trained"] == 4
    assert ("mask_mAP50" in line) == (experiment == "coco_maskrcnn")


@pytest.mark.slow
def test_ade20k(tmp_path):
    for split in ("training", "validation"):
        for folder in ("images", "annotations"):
            (tmp_path / "data" / folder / split).mkdir(parents=True)
        for at in range(4):
            picture = Image.new("RGB", (80, 60), (at, 90, 200))
            picture.save(tmp_path / "data" / "images" / split / f"ADE_{at}.jpg")
            classes = Image.new("L", (80, 60), 150)
            classes.paste(0, (0, 0, 9, 9))
            classes.save(tmp_path / "data" / "annotations" / split / f"ADE_{at}.png")
    assert trained(tmp_path, "experiment=ade20k_upernet")["trained"] == 4
