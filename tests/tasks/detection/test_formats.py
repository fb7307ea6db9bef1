"""The formats of COCO, VOC and Penn-Fudan, and what is refused before training."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from bls_bench.system.errors import InputError
from bls_bench.tasks.detection.coco import COCO
from bls_bench.tasks.detection.pennfudan import PennFudan
from bls_bench.tasks.detection.voc import VOC

CPU = torch.device("cpu")
WIDTH, HEIGHT = 60, 40
# A frame of run lengths, column by column: 10 columns of nothing, then one column of the object.
RUNS = {"size": [HEIGHT, WIDTH], "counts": [10 * HEIGHT, HEIGHT, WIDTH * HEIGHT - 11 * HEIGHT]}


def picture(path, colour=(200, 30, 60), size=(WIDTH, HEIGHT), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, colour)
    image.putpixel((0, 0), (0, 0, 0))
    image.convert(mode).save(path)


def annotation(number, image, box, **more):
    left, top, width, height = box
    ring = [left, top, left + width, top, left + width, top + height, left, top + height]
    entry = {"id": number, "image_id": image, "category_id": 7, "bbox": box, "iscrowd": 0}
    return entry | {"segmentation": [ring], "area": width * height} | more


def coco(root, change=lambda content: None):
    """Three pictures: one of two objects, one of an object and a crowd, one of none; one to test on."""
    content = {
        "images": [
            {"id": 10 + at, "file_name": f"{at}.jpg", "width": WIDTH, "height": HEIGHT} for at in range(3)
        ],
        "annotations": [
            annotation(1, 10, [6, 4, 12, 8]),
            annotation(2, 10, [30, 20, 30, 20], category_id=3),
            annotation(3, 11, [0, 0, 20, 20]),
            annotation(4, 11, [10, 0, 1, 40], iscrowd=1, segmentation=RUNS),
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "ant"}],
    }
    change(content)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    test = content | {"images": content["images"][:2]}
    for name, one in (("train2017", content), ("val2017", test)):
        (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(one))
        for at in range(3):
            picture(root / name / f"{at}.jpg")
    return COCO(root=str(root), image_size=60, masks=True, workers=0)


class TestCOCO:
    def test_boxes_masks_and_crowds(self, tmp_path):
        data = coco(tmp_path).load(0)
        assert data.info.classes == ("ant", "cat")  # in the order of their ids
        images, targets = next(data.train.plain().batches([torch.arange(3)], 0, CPU))
        assert images.shape == (3, 3, 60, 60)
        assert images[0, :, 5].max() == 0  # ten rows of nothing above and below
        assert images[0, 0, 30, 30] == pytest.approx(200 / 255, abs=0.03)
        assert targets[0]["boxes"].tolist() == [[6, 14, 18, 22], [30, 30, 60, 50]]
        assert targets[0]["labels"].tolist() == [2, 1]
        assert targets[1]["labels"].tolist() == [2]  # the crowd is left out of training
        assert len(targets[2]["boxes"]) == len(targets[2]["masks"]) == 0
        expected = torch.zeros(60, 60, dtype=torch.bool)
        expected[14:22, 6:18] = True
        assert torch.equal(targets[0]["masks"][0], expected)
        _, targets = next(data.test.batches([torch.arange(2)], 0, CPU))
        assert targets[1]["iscrowd"].tolist() == [0, 1]
        expected = torch.zeros(60, 60, dtype=torch.bool)
        expected[10:50, 10] = True
        assert torch.equal(targets[1]["masks"][1], expected)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_files_and_memory_give_the_same_batches(self, workers, tmp_path):
        coco(tmp_path)
        splits = [
            COCO(root=str(tmp_path), image_size=48, masks=True, workers=workers, in_memory=kept).load(0).train
            for kept in ("true", "false")
        ]
        indices = [torch.tensor([2, 0]), torch.tensor([1])]
        for (images, targets), (others, found) in zip(
            *(split.batches(indices, 3, CPU) for split in splits), strict=True
        ):
            assert torch.equal(images, others)
            for target, other in zip(targets, found, strict=True):
                assert target.keys() == other.keys()
                assert all(torch.equal(target[name], other[name]) for name in target)

    def test_boxes_that_are_none_may_be_dropped(self, tmp_path, capsys):
        dataset = coco(tmp_path, lambda content: content["annotations"][0].update(bbox=[6, 4, 0, 8]))
        data = COCO(root=dataset.root, invalid="drop", workers=0).load(0)
        _, targets = next(data.train.plain().batches([torch.arange(1)], 0, CPU))
        assert targets[0]["labels"].tolist() == [1]
        assert "dataset.invalid=drop: 2 boxes are left out" in capsys.readouterr().out  # one in each split

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda c: c["annotations"][0].update(image_id=99), "annotation 1 is of image 99, which is not"),
            (lambda c: c["annotations"][0].update(category_id=5), "annotation 1 has category 5, allowed are"),
            (lambda c: c["annotations"][1].update(bbox=[6, 4, 0, 8]), "annotation 2: the box .* has no area"),
            (
                lambda c: c["annotations"][1].update(bbox=[50, 4, 20, 8]),
                "annotation 2: the box .* lies outside its image of 60x40 pixels",
            ),
            (
                lambda c: c["annotations"][3].update(segmentation=RUNS | {"size": [9, 8]}),
                "annotation 4 has a mask of 8x9 pixels, its image has 60x40",
            ),
            (lambda c: c.update(annotations=[]), "has no object on its 2 pictures to test on"),
            (lambda c: c.update(images=[], annotations=[]), "has no pictures to train on"),
            (lambda c: c.update(categories=[]), "has no categories"),
            (lambda c: c["annotations"][0].pop("bbox"), "lacks what COCO's have: 'bbox'"),
        ],
    )
    def test_bad_annotations(self, change, message, tmp_path):
        dataset = coco(tmp_path, change)
        with pytest.raises(InputError, match=message) as caught:
            dataset.load(0)
        assert "\n" not in str(caught.value)

    def test_bad_files(self, tmp_path):
        with pytest.raises(InputError, match="is not a folder"):
            COCO(root=str(tmp_path / "none")).load(0)
        with pytest.raises(InputError, match=r"instances_train2017.json is missing"):
            COCO(root=str(tmp_path)).load(0)
        dataset = coco(tmp_path)
        (tmp_path / "train2017" / "1.jpg").unlink()
        with pytest.raises(InputError, match=r"1.jpg cannot be decoded"):
            dataset.load(0)
        picture(tmp_path / "train2017" / "1.jpg", size=(30, 30))
        with pytest.raises(InputError, match=r"1.jpg .* has 30x30 pixels, its annotation says 60x40"):
            dataset.load(0)
        (tmp_path / "annotations" / "instances_train2017.json").write_text("[]")
        with pytest.raises(InputError, match=r"instances_train2017.json has no list of images"):
            dataset.load(0)
        (tmp_path / "annotations" / "instances_train2017.json").write_text("{")
        with pytest.raises(InputError, match=r"instances_train2017.json cannot be read as JSON"):
            dataset.load(0)

    def test_grey_pictures_are_read_also_those_of_16_bits(self, tmp_path, capsys):
        dataset = coco(tmp_path)
        picture(tmp_path / "train2017" / "1.jpg", mode="L")
        images, _ = next(dataset.load(0).train.plain().batches([torch.tensor([1])], 0, CPU))
        assert torch.equal(images[0, 0], images[0, 1])
        deep = Image.fromarray(np.full((HEIGHT, WIDTH), 40000, dtype=np.uint16))
        deep.save(tmp_path / "train2017" / "1.png")
        (tmp_path / "train2017" / "1.png").rename(tmp_path / "train2017" / "1.jpg")
        images, _ = next(dataset.load(0).train.plain().batches([torch.tensor([1])], 0, CPU))
        assert (images[0].max() * 255).round() == round(40000 / 257)
        assert capsys.readouterr().out.count("1.jpg has more than 8 bits") == 1


def voc(root, name="cat", box=(7, 5, 18, 12), difficult=0):
    tree = ElementTree.Element("annotation")
    size = ElementTree.SubElement(tree, "size")
    for key, value in (("width", WIDTH), ("height", HEIGHT), ("depth", 3)):
        ElementTree.SubElement(size, key).text = str(value)
    for crowd in {0, difficult}:
        entry = ElementTree.SubElement(tree, "object")
        ElementTree.SubElement(entry, "name").text = name
        ElementTree.SubElement(entry, "difficult").text = str(crowd)
        around = ElementTree.SubElement(entry, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            ElementTree.SubElement(around, key).text = str(value)
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(tree).write(root / "Annotations" / "a.xml")
    for split in ("train", "val"):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("a\n")
    picture(root / "JPEGImages" / "a.jpg")
    return VOC(root=str(root), image_size=60, workers=0)


class TestVOC:
    def test_pixels_count_from_one(self, tmp_path):
        data = voc(tmp_path, difficult=1).load(0)
        _, targets = next(data.train.plain().batches([torch.arange(1)], 0, CPU))
        assert targets[0]["boxes"].tolist() == [[6, 14, 18, 22]]
        assert [data.info.classes[label - 1] for label in targets[0]["labels"]] == ["cat"]
        _, targets = next(data.test.batches([torch.arange(1)], 0, CPU))
        assert targets[0]["iscrowd"].tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "yeti"}, r"a.xml: 'yeti' is no class, allowed are aeroplane, "),
            ({"box": (7, 5, 80, 12)}, r"a.xml: the box .* lies outside its image of 60x40"),
            ({"box": (7, 5, 6, 12)}, r"a.xml: the box .* has no area"),
            ({"box": ("x", 5, 6, 12)}, r"a.xml cannot be read as an annotation of VOC: could not convert"),
        ],
    )
    def test_bad_annotations(self, options, message, tmp_path):
        with pytest.raises(InputError, match=message):
            voc(tmp_path, **options).load(0)

    def test_missing_files(self, tmp_path):
        dataset = voc(tmp_path)
        (tmp_path / "JPEGImages" / "a.jpg").unlink()
        with pytest.raises(InputError, match=r"a.xml is of the image .*a.jpg, which does not exist"):
            dataset.load(0)
        (tmp_path / "ImageSets" / "Main" / "train.txt").unlink()
        with pytest.raises(InputError, match=r"train.txt cannot be read: No such file"):
            dataset.load(0)


def pennfudan(root, size=(WIDTH, HEIGHT), count=8):
    for at in range(count):
        picture(root / "images" / f"{at}.png")
        (root / "masks").mkdir(exist_ok=True)
        mask = np.zeros((size[1], size[0]), dtype=np.uint8)
        mask[4:12, 6:18], mask[20:30, 40:50] = 1, 2
        Image.fromarray(mask).save(root / "masks" / f"{at}.png")
    return PennFudan(root=str(root), image_size=60, masks=True, workers=0)


class TestPennFudan:
    def test_boxes_around_the_numbers_of_a_mask(self, tmp_path):
        data = pennfudan(tmp_path).load(0)
        assert (len(data.train), len(data.test)) == (6, 2)
        _, targets = next(data.train.plain().batches([torch.arange(1)], 0, CPU))
        assert targets[0]["boxes"].tolist() == [[6, 14, 18, 22], [40, 30, 50, 40]]
        for box, mask in zip(targets[0]["boxes"].long().tolist(), targets[0]["masks"], strict=True):
            assert mask.sum() == mask[box[1] : box[3], box[0] : box[2]].sum() > 0

    def test_a_mask_of_another_size(self, tmp_path):
        with pytest.raises(InputError, match=r"0.png has a mask of 60x50 pixels, its image has 60x40"):
            pennfudan(tmp_path, size=(60, 50)).load(0)

    def test_a_mask_that_is_missing(self, tmp_path):
        dataset = pennfudan(tmp_path)
        (tmp_path / "masks" / "3.png").unlink()
        with pytest.raises(InputError, match=r"3.png has no mask"):
            dataset.load(0)
