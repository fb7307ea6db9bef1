"""MSR-VTT's format: JSON files of videos and sentences, and a folder of frames for each video."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bls_bench.data.json_files import listed
from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.files import Described, said_of
from bls_bench.tasks.captioning.splits import SplitPictures


@dataclass(frozen=True, kw_only=True)
class CaptionedVideos(SplitPictures):
    """`root` holds the JSON `files`, and the frames of a video as pictures in frames/VIDEO_ID.

    A file has a list of videos, with video_id and split, and one of sentences, with video_id and caption.
    """

    files: tuple[str, ...] = ("train_val_videodatainfo.json", "test_videodatainfo.json")
    train: tuple[str, ...] = ("train", "validate")
    test: tuple[str, ...] = ("test",)
    frames: int | None = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "files", tuple(self.files))
        if not self.files:
            raise ValueError("files must name at least one file, got []")
        if self.frames is None:
            raise ValueError("frames must be at least 1, got null")

    def found(self, root: Path) -> tuple[Path, dict[str, list[Described]]]:
        found: dict[str, list[Described]] = {}
        for name in self.files:
            for split, videos in _described(root / name, root / "frames").items():
                found.setdefault(split, []).extend(videos)
        return root / self.files[-1], found


def _described(file: Path, frames: Path) -> dict[str, list[Described]]:
    videos, sentences = listed(file, "videos", "sentences")
    try:
        listing = [(str(entry["video_id"]), str(entry["split"])) for entry in videos]
        captions = [(str(entry["video_id"]), entry["caption"]) for entry in sentences]
    except (KeyError, TypeError):
        raise InputError(
            f"{file}: a video must have a video_id and a split, a sentence a video_id and a caption"
        ) from None
    splits = dict(listing)
    if len(splits) < len(listing):
        twice = Counter(video for video, _ in listing).most_common(1)[0][0]
        raise InputError(f"{file}: the video {twice} is listed twice")
    said: dict[str, list[tuple[str, ...]]] = {}
    for number, (video, caption) in enumerate(captions, 1):
        where = f"{file}, sentence {number}"
        if video not in splits:
            raise InputError(f"{where}: a caption of the video {video}, which is not there")
        said.setdefault(video, []).append(said_of(caption, where))
    found: dict[str, list[Described]] = {}
    for video, split in splits.items():
        if video not in said:
            raise InputError(f"{file}: the video {video} has no caption")
        found.setdefault(split, []).append(Described(frames / video, said[video]))
    return found
