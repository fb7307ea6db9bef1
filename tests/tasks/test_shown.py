"""How each task shows its samples: as pictures, sentences or sounds, with what is known of them."""

import numpy as np
import pytest
import torch

from bls_bench.data.base import Data
from bls_bench.tasks.base import Task

from .running import make_config

SOME = torch.tensor([5, 0, 17])
FEW = ("dataset.subset=5",)
SCENES = ("dataset.images=24",)
# What of a task makes its data small, and how its samples are shown.
PICTURES = {
    "classification": FEW,
    "vae": FEW,
    "diffusion": FEW,
    "latent_diffusion": FEW,
    "masked_autoencoder": FEW,
    "semisupervised": (),
    "detection": SCENES,
    "instance_segmentation": SCENES,
    "segmentation": SCENES,
    "stereo": ("dataset.scenes=20",),
    "captioning": SCENES,
    "retrieval": SCENES,
    "text_recognition": ("dataset.words=24",),
}


def shown(task, *overrides):
    """Return how three samples of a task are shown, and its data."""
    config = make_config(f"task={task}", *overrides)
    data = config.load_data()
    state = torch.get_rng_state()
    found = list(config.task.shown(data, SOME))
    assert torch.equal(torch.get_rng_state(), state)
    return found, data


@pytest.mark.parametrize("task", PICTURES)
def test_images_are_pictures(task):
    found, data = shown(task, *PICTURES[task])
    assert len(found) == 3
    for one in found:
        assert one.picture.dtype == np.uint8
        assert one.picture.shape[2] == 3
        assert one.picture.max() > 100
    assert len({one.picture.tobytes() for one in found}) == 3
    if data.targets is not None:
        assert [one.label for one in found] == [data.info.classes[at] for at in data.targets[SOME].tolist()]


def test_a_picture_has_the_pixels_of_its_sample_whatever_the_augmentation():
    found, data = shown("classification", *FEW)
    for one, image in zip(found, data.train.images[SOME], strict=True):
        assert np.array_equal(one.picture, image.expand(3, -1, -1).permute(1, 2, 0).numpy())


def test_boxes_are_drawn_where_the_objects_are():
    found, data = shown("detection", *SCENES)
    _, targets = next(data.train.plain().batches([SOME], 0, torch.device("cpu")))
    boxes = 0
    for one, at in zip(found, targets, strict=True):
        names = [data.info.classes[label - 1] for label in at["labels"].tolist()]
        assert one.label == (", ".join(names) or "nothing")
        factor = one.picture.shape[0] // 64
        for x0, _, x1, y1 in (at["boxes"] * factor).int().tolist():
            edge = one.picture[min(y1, 64 * factor - 1), x0 + 1 : x1 - 1]
            assert (edge == edge[0]).all()  # noise elsewhere
            boxes += 1
    assert boxes > 3


def test_masks_are_drawn_too():
    boxes, masks = (shown(task, *SCENES)[0] for task in ("detection", "instance_segmentation"))
    differ = [(one.picture != other.picture).any(2).mean() for one, other in zip(boxes, masks, strict=True)]
    assert 0.01 < max(differ) < 0.5


def test_texts_are_the_sentences_that_were_read():
    pytest.importorskip("transformers")
    config = make_config("task=text", "dataset.subset=5")
    data = config.load_data()
    _, train, _ = config.dataset.read()
    for one, label in zip(config.task.shown(data, SOME), data.targets[SOME].tolist(), strict=True):
        assert one.text in train.texts
        assert one.label == data.info.classes[label]
        assert train.targets[train.texts.index(one.text)] == label


def test_words_are_shown_with_their_letters():
    found, data = shown("text_recognition", "dataset.words=24")
    words = data.train.columns["words"].rows()
    assert [one.label for one in found] == [data.info.text(words[at]) for at in SOME.tolist()]


def test_instructions_are_shown_with_their_answers():
    pytest.importorskip("transformers")
    config = make_config("task=language", "dataset.subset=40", "dataset.max_length=512")
    data = config.load_data()
    train, _ = config.dataset.read()
    for one, at in zip(config.task.shown(data, SOME), SOME.tolist(), strict=True):
        # Our tokenizer begins each with a space.
        assert one.text == f"{train[at].prompt} {train[at].answer}".strip()


def test_sounds_are_waves_that_begin_where_they_do():
    found, data = shown("audio", "dataset.size=20")
    for one, wave in zip(found, data.train.columns["waves"][SOME], strict=True):
        assert one.rate == 8000
        assert np.abs(one.wave.astype(int) - wave.numpy()).max() <= 1
    assert found[0].label == data.info.classes[int(data.targets[5])]


def test_a_task_that_shows_nothing_shows_classes_or_nothing():
    data = make_config(*FEW).load_data()
    assert [one.label for one in Task().shown(data, SOME)] == [str(int(data.targets[at])) for at in SOME]
    bare = Data(train=data.train, test=data.test, info=None)
    assert [one.label for one in Task().shown(bare, SOME)] == ["", "", ""]
