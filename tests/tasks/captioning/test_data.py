"""Pictures with captions: the scenes, three formats of files, and what is wrong in them."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.coco import COCOCaptions
from bls_bench.tasks.captioning.karpathy import Karpathy
from bls_bench.tasks.captioning.lines import CaptionLines
from bls_bench.tasks.captioning.scenes import DescribedScenes, captions_of

CPU = torch.device("cpu")
PLAIN = {"image_size": 32, "workers": 0, "least": 1}
SOME = ["A red house.", "one tree", "a house and a tree"]


def said(data, split, epoch=0, count=3, plain=False):
    """Return the captions of the first pictures of a split."""
    split = getattr(data, split)
    split = split.plain() if plain else split
    (batch,) = split.batches([torch.arange(count)], epoch, CPU)
    return [" ".join(data.info.vocabulary.said(row)) for row in batch.captions.tolist()]


def pictures(folder, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(count):
        Image.new("RGB", (40, 30), (at, 90, 200)).save(folder / f"{at}.jpg")


def lines(root, rows=None, **options):
    pictures(root / "images")
    rows = rows or [
        json.dumps({"image": f"{at % 3}.jpg", "source": source, "captions": SOME})
        for at, source in enumerate(["train"] * 3 + ["test"] * 3)
    ]
    (root / "captions.jsonl").write_text("\n".join(rows) + "\n")
    options = PLAIN | {"train": ("train",), "test": ("test",)} | options
    return CaptionLines(name="lines", root=str(root), **options)


def entry(**changes):
    return json.dumps({"image": "0.jpg", "source": "train", "captions": SOME} | changes)


class TestScenes:
    def test_captions_tell_what_is_there(self):
        boxes = torch.tensor([[30.0, 2, 40, 12], [2, 30, 12, 40]])
        assert captions_of(torch.tensor([8, 3]), boxes, 48) == (
            "a three at the bottom left and an eight at the top right",
            "there is a three at the bottom left and an eight at the top right",
            "an eight at the top right and a three at the bottom left",
            "a picture of a three at the bottom left and an eight at the top right",
        )
        # One digit: what is the same both ways round is one caption less.
        assert len(set(captions_of(torch.tensor([8]), boxes[:1], 48))) == 3
        assert "nothing here" in captions_of(torch.zeros(0), torch.zeros(0, 4), 48)

    def test_a_picture_has_one_of_its_captions_in_each_epoch(self):
        data = DescribedScenes(images=24).load(0)
        given = [
            [" ".join(data.info.vocabulary.said(caption)) for caption in captions.tolist()]
            for captions in data.train.columns["captions"].rows()
        ]
        seen = [set() for _ in given]
        for epoch in range(40):
            for at, caption in enumerate(said(data, "train", epoch, 24)):
                assert caption in given[at]
                seen[at].add(caption)
        assert all(one == set(captions) for one, captions in zip(seen, given, strict=True))
        assert said(data, "train", 3, 24) == said(data, "train", 3, 24)
        assert said(data, "train", 3, 24, plain=True) == [captions[0] for captions in given]

    def test_which_caption_does_not_hang_on_the_batch(self):
        data = DescribedScenes(images=24).load(0)
        whole = next(data.train.batches([torch.arange(24)], 2, CPU))
        for batch, own in zip(
            data.train.batches([torch.tensor([7, 3]), torch.tensor([20])], 2, CPU),
            ([7, 3], [20]),
            strict=True,
        ):
            assert torch.equal(batch.captions, whole.captions[own])
            assert torch.equal(batch.images, whole.images[own])

    def test_references_are_those_of_the_test_pictures(self):
        data = DescribedScenes(images=24).load(0)
        assert len(data.info.references) == len(data.test) == 6
        first = [" ".join(captions[0]) for captions in data.info.references]
        assert said(data, "test", count=6) == first


class TestFiles:
    @pytest.mark.parametrize("kept", ["true", "false"])
    def test_lines(self, kept, tmp_path):
        data = lines(tmp_path, in_memory=kept).load(0)
        assert (len(data.train), len(data.test)) == (3, 3)
        assert said(data, "test") == ["a red house"] * 3
        (batch,) = data.test.batches([torch.arange(3)], 0, CPU)
        assert batch.images.shape == (3, 3, 32, 32)
        assert (batch.images[0, 2, 16] > 0.7).all()
        assert batch.numbers.tolist() == [0, 1, 2]
        assert data.info.references[2][2] == ("a", "house", "and", "a", "tree")

    def test_coco(self, tmp_path):
        for split in ("train2017", "val2017"):
            pictures(tmp_path / split)
            content = {
                "images": [{"id": 10 + at, "file_name": f"{at}.jpg"} for at in range(3)],
                # Not in the order of the images.
                "annotations": [
                    {"image_id": 12 - at % 3, "caption": f"the number {2 - at % 3}"} for at in range(6)
                ],
            }
            (tmp_path / "annotations").mkdir(exist_ok=True)
            (tmp_path / "annotations" / f"captions_{split}.json").write_text(json.dumps(content))
        data = COCOCaptions(root=str(tmp_path), **PLAIN).load(0)
        assert said(data, "train", plain=True) == ["the number 0", "the number 1", "the number 2"]
        assert [len(captions) for captions in data.info.references] == [2, 2, 2]

    def test_karpathy(self, tmp_path):
        pictures(tmp_path / "val2014")
        images = [
            {
                "filepath": "val2014",
                "filename": f"{at}.jpg",
                "split": ("train", "restval", "test")[at],
                "sentences": [{"raw": f"number {at}"}],
            }
            for at in range(3)
        ]
        (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images}))
        data = Karpathy(name="karpathy", root=str(tmp_path), **PLAIN).load(0)
        assert said(data, "train", count=2, plain=True) == ["number 0", "number 1"]
        assert data.info.references == [[("number", "2")]]

    def test_a_part_of_the_pictures_is_held_back_by_their_names(self, tmp_path):
        pictures(tmp_path / "images", 40)
        rows = [
            entry(image=f"{at}.jpg", source=("val", "test")[at % 2], captions=[f"n{at}"]) for at in range(40)
        ]

        def parts(order, **options):
            dataset = lines(tmp_path, [rows[at] for at in order], least=1, **options)
            return [{one.said[0][0] for one in part} for part in dataset.described(tmp_path)]

        options = {"train": ("val", "test"), "test": (), "held_back": 4}
        train, test = parts(range(40), **options)
        assert train | test == {f"n{at}" for at in range(40)}
        assert not train & test
        assert 4 <= len(test) <= 16
        assert parts(reversed(range(40)), **options) == [train, test]
        with pytest.raises(InputError, match=r"dataset.held_back=1000 leaves no picture to test on, of 20"):
            parts(range(20), **options | {"held_back": 1000})
        # A picture stays on its side, whichever others are there.
        train, test = parts(range(40), **options | {"train": ("val",)}), (train, test)
        assert all(one <= other for one, other in zip(train, test, strict=True))

    def test_long_captions_are_cut_counted_and_told(self, tmp_path, capsys):
        data = lines(tmp_path, longest=3).load(0)
        assert "3 of 9 training captions are cut, the longest has 5 words" in capsys.readouterr().out
        (batch,) = data.test.batches([torch.arange(1)], 0, CPU)
        assert batch.captions.shape == (1, 4)
        # What people said is compared with as it is.
        assert len(data.info.references[0][2]) == 5

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([entry(), "{no"], r"captions.jsonl, line 2: no JSON, "),
            ([entry(), "[]"], r"captions.jsonl, line 2: needed is an object with a text at 'image'"),
            ([entry(captions=[])], r"captions.jsonl, line 1: needed is an object with a list at 'captions'"),
            ([entry(captions=["a", " . "])], r"captions.jsonl, line 1: an empty caption"),
            ([entry(captions=[3])], r"captions.jsonl, line 1: a caption must be text, got 3"),
            ([entry(), entry(source="test", image="9.jpg")], r"images/9.jpg has captions, but is not there"),
            ([entry()], r"captions.jsonl has no split 'test', it has train"),
        ],
    )
    def test_bad_lines(self, rows, message, tmp_path):
        with pytest.raises(InputError, match=message):
            lines(tmp_path, rows).load(0)

    @pytest.mark.parametrize(
        ("annotation", "message"),
        [
            ({"image_id": 9, "caption": "a"}, r"annotation 1: a caption of the image 9, which is not there"),
            ({"image_id": 1, "caption": ""}, r"annotation 1: an empty caption"),
            ({"image_id": 1}, r"an annotation an image_id and a caption"),
            (None, r"the image 0.jpg has no caption"),
        ],
    )
    def test_bad_coco(self, annotation, message, tmp_path):
        (tmp_path / "annotations").mkdir()
        content = {
            "images": [{"id": 1, "file_name": "0.jpg"}],
            "annotations": [] if annotation is None else [annotation],
        }
        (tmp_path / "annotations" / "captions_train2017.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            COCOCaptions(root=str(tmp_path), **PLAIN).load(0)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", r"dataset_coco.json cannot be read as JSON"),
            ("{}", r"dataset_coco.json has no list of images"),
            ('{"images": [{"filename": "a"}]}', r"image 1: needed are filename, split, and sentences"),
            ('{"images": [{"filename": "a", "split": "train", "sentences": []}]}', r"image 1: no caption"),
        ],
    )
    def test_bad_karpathy(self, content, message, tmp_path):
        (tmp_path / "dataset_coco.json").write_text(content)
        with pytest.raises(InputError, match=message):
            Karpathy(name="karpathy", root=str(tmp_path), **PLAIN).load(0)

    def test_words_that_are_too_rare(self, tmp_path):
        with pytest.raises(InputError, match=r"dataset.least=100 leaves no word of the training captions"):
            lines(tmp_path, least=100).load(0)


@pytest.mark.parametrize("exif", [False, True])
def test_orientation_tags_are_followed_by_choice(exif, tmp_path):
    dataset = lines(tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        with Image.open(path) as file:
            picture, tags = file.convert("RGB"), file.getexif()
        # Top-left is white, and the tag says that it was turned by half.
        picture.paste("black", (0, 0, *picture.size))
        picture.paste("white", (0, 0, picture.width // 2, picture.height // 2))
        tags[0x0112] = 3
        picture.save(path, exif=tags)
    data = replace(dataset, exif=exif).load(0)
    (batch,) = data.test.batches([torch.arange(1)], 0, CPU)
    for image in [batch.images]:
        corners = image[0, 0, [8, -8]][:, [8, -8]]
        bright = [[False, False], [False, True]] if exif else [[True, False], [False, False]]
        assert (corners > 0.5).tolist() == bright
