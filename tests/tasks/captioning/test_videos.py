"""Videos as folders of frames, whose features are averaged."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.data import CaptionBatches
from bls_bench.tasks.captioning.files import JITTER
from bls_bench.tasks.captioning.frames import frames_of
from bls_bench.tasks.captioning.models import Captioner
from bls_bench.tasks.captioning.videos import CaptionedVideos

from ..running import make_config, train

CPU = torch.device("cpu")
SPLITS = ("train", "train", "validate", "test")


def write(root, count=4, **changes):
    """Write four videos of some grey frames; frame number 10 k has the grey level 20 k + video."""
    for at in range(len(SPLITS)):
        folder = root / "frames" / f"video{at}"
        folder.mkdir(parents=True)
        for frame in range(count):
            Image.new("RGB", (40, 40), (20 * frame + at,) * 3).save(folder / f"{10 * frame}.png")
    content = {
        "videos": [{"video_id": f"video{at}", "split": split} for at, split in enumerate(SPLITS)],
        "sentences": [{"video_id": f"video{at % 4}", "caption": f"video number {at % 4}"} for at in range(8)],
    } | changes
    (root / "all.json").write_text(json.dumps(content))
    return CaptionedVideos(
        name="v", root=str(root), files=("all.json",), image_size=32, workers=0, least=1, frames=2
    )


def test_frames_are_evenly_spread_in_the_order_of_their_numbers(tmp_path):
    for number in range(12):
        (tmp_path / f"frame{number}.jpg").touch()
    (tmp_path / "notes.txt").touch()

    def numbers(count):
        return [int(path.stem[5:]) for path in frames_of(tmp_path, count)]

    assert numbers(12) == list(range(12))
    assert numbers(1) == [6]
    assert numbers(3) == [2, 6, 10]
    assert numbers(24) == [at // 2 for at in range(24)]


@pytest.mark.parametrize("kept", ["true", "false"])
def test_a_video_is_some_of_its_frames(kept, tmp_path):
    data = replace(write(tmp_path), in_memory=kept).load(0)
    assert (len(data.train), len(data.test), data.info.frames) == (3, 1, 2)
    (batch,) = data.train.plain().batches([torch.arange(3)], 0, CPU)
    assert batch.images.shape == (3, 2, 3, 32, 32)
    # Frames 1 and 3 of four.
    levels = (batch.images[:, :, 0, 16, 16] * 255).round()
    assert levels.tolist() == [[20.0 + at, 60.0 + at] for at in range(3)]
    assert data.info.references == [[("video", "number", "3")] * 2]
    assert torch.equal(batch.stills, batch.images[:, 1])


def test_all_frames_of_a_video_are_moved_alike(tmp_path):
    data = write(tmp_path).load(0)
    make, images = CaptionBatches(JITTER), torch.randint(255, (3, 2, 3, 32, 32), dtype=torch.uint8)
    columns = data.train.columns | {"images": images}
    draws = make.draw(3, torch.Generator().manual_seed(0))
    moved = make(columns, draws).images
    for at in range(2):
        single = make(columns | {"images": images[:, at]}, draws).images
        torch.testing.assert_close(moved[:, at], single)


def test_a_network_sees_the_mean_over_frames(tmp_path):
    data = write(tmp_path).load(0)
    torch.manual_seed(0)
    network = Captioner(width=32, layers=1).build(data.info).eval()
    frames = torch.rand(2, 3, 3, 32, 32)
    mean = sum(network.encoder(frames[:, at]) for at in range(3)) / 3
    torch.testing.assert_close(network.places(frames), mean)
    still = frames[:, :1].expand(-1, 4, -1, -1, -1)
    torch.testing.assert_close(network.look(still), network.look(frames[:, 0]))


@pytest.mark.parametrize("model", ["captioner", "prefix_gpt2"])
def test_runs(model, tmp_path):
    write(tmp_path / "data")
    result, _, _ = train(
        tmp_path / "records",
        "task=captioning",
        "dataset=msrvtt",
        f"dataset.root={tmp_path / 'data'}",
        "dataset.files=[all.json]",
        "dataset.image_size=32",
        "dataset.frames=2",
        "dataset.least=1",
        "dataset.workers=0",
        f"model={model}",
        "model.width=32",
        "model.layers=1",
        "trainer.epochs=2",
        "trainer.batch_size=2",
        "pruner=bls_infobatch",
    )
    assert result["status"] == "finished"
    assert len(list((tmp_path / "records").glob("*/captions.png"))) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos": [{"video_id": "a"}]}, r"all.json: a video must have a video_id and a split"),
        (
            {"sentences": [{"video_id": "b", "caption": "a"}]},
            r"sentence 1: a caption of the video b, which is",
        ),
        ({"sentences": []}, r"all.json: the video video0 has no caption"),
        ({"sentences": [{"video_id": "video0", "caption": "."}]}, r"sentence 1: an empty caption"),
        ({"videos": {}}, r"all.json has no list of videos"),
        ({"videos": [{"video_id": "a", "split": "train"}] * 2}, r"all.json: the video a is listed twice"),
    ],
)
def test_wrong_lists(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write(tmp_path, **changes).load(0)


def test_wrong_frames(tmp_path):
    dataset = write(tmp_path)
    frame = tmp_path / "frames" / "video1" / "10.png"
    frame.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"video1/10.png cannot be decoded as an image"):
        dataset.load(0)
    for path in frame.parent.iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"frames/video1 has captions, but no frames \(.jpg, "):
        dataset.load(0)
    frame.parent.rmdir()
    with pytest.raises(InputError, match=r"frames/video1 has captions, but is no folder of frames"):
        dataset.load(0)


def test_wrong_values():
    run = ("task=captioning", "dataset=msrvtt", "dataset.root=x")
    for override, message in (
        ("dataset.frames=0", r"dataset.frames must be at least 1, got 0"),
        ("dataset.files=[]", r"dataset.files must name at least one file"),
        ("dataset.test=[train]", r"dataset.test must hold none of the splits of train"),
    ):
        with pytest.raises(InputError, match=message):
            make_config(*run, override)
