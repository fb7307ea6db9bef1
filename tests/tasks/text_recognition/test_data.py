"""Pictures of words: made up, from lists and from databases; and what is wrong with files."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.transforms.v2.functional import pil_to_tensor

from bls_bench.data.scenes import handwritten
from bls_bench.system.errors import InputError
from bls_bench.tasks.text_recognition.databases import LmdbWords
from bls_bench.tasks.text_recognition.digit_words import DigitWords
from bls_bench.tasks.text_recognition.listed import ListedWords

from .helpers import listed, picture

CPU = torch.device("cpu")
SHARED = Path(__file__).parents[3] / "../shared/data"
WORDS = ["Stop", "it's", "42", "a-b", "!?", "longest"]


def words_of(split, info, count):
    (batch,) = split.batches([torch.arange(count)], 0, CPU)
    return [info.text(row) for row in batch.words.rows()]


def test_words_of_digits_are_the_same_for_every_seed_and_the_sides_share_no_digit():
    data, other = DigitWords(words=40).load(0), DigitWords(words=80).load(7)
    assert torch.equal(data.train.columns["images"], other.train.columns["images"][:40])
    assert (len(data.train), len(data.test)) == (40, 10)
    lengths = other.train.columns["words"].lengths
    assert (int(lengths.min()), int(lengths.max())) == (1, 6)
    (train, _), (test, _) = handwritten()
    assert not {one.numpy().tobytes() for one in train} & {one.numpy().tobytes() for one in test}


def test_a_digit_stands_where_the_ground_is_brightest():
    """One digit a word: what is bright is the digit, alone, as large as it may be."""
    data = DigitWords(words=40, digits=1).load(0)
    images = data.train.columns["images"].float().amax(1)
    bright = images > 0.55 * 255
    assert bright.any((1, 2)).all()
    across, down = bright.any(1).sum(1), bright.any(2).sum(1)
    assert int(across.max()) <= 30
    assert int(down.min()) >= 10


def test_a_batch_is_what_a_loop_gives(tmp_path):
    root = listed(tmp_path, WORDS)
    data = ListedWords(root=str(root), workers=0, width=40).load(0)
    (batch,) = data.test.batches([torch.tensor([2, 0])], 0, CPU)
    for image, name in zip(batch.images, ("2.png", "0.png"), strict=True):
        with Image.open(root / "test" / name) as file:
            expected = pil_to_tensor(file.resize((40, 32), Image.Resampling.BILINEAR))
        torch.testing.assert_close(image, expected / 127.5 - 1)
    assert [data.info.text(row) for row in batch.words.rows()] == ["42", "stop"]
    draws = data.train.draw(5, torch.Generator().manual_seed(0))
    assert len(draws) == 5


def test_the_same_batches_in_memory_or_read_as_needed(tmp_path):
    root = listed(tmp_path, WORDS)
    pair = [ListedWords(root=str(root), workers=0, in_memory=kept).load(3) for kept in ("true", "false")]
    batches = [next(one.train.batches([torch.tensor([1, 3, 0])], 2, CPU)) for one in pair]
    assert torch.equal(batches[0].images, batches[1].images)
    assert torch.equal(batches[0].words.values, batches[1].words.values)


def test_words_without_letters_and_long_ones_are_left_out_and_told(tmp_path, capsys):
    root = listed(tmp_path, WORDS)
    data = ListedWords(root=str(root), workers=0, longest=4).load(0)
    assert words_of(data.train, data.info, 4) == ["stop", "its", "42", "ab"]
    # A test word is never too long: it would count as read wrongly.
    assert words_of(data.test, data.info, 5) == ["stop", "its", "42", "ab", "longest"]
    told = capsys.readouterr().out
    assert "dataset: of 6 words in train 1 has no letter of the alphabet and 1 more than 4: left out" in told
    assert "dataset: of 6 words in test 1 has no letter of the alphabet: left out" in told


def test_capitals_count_where_the_alphabet_has_them(tmp_path):
    root = listed(tmp_path, WORDS)
    data = ListedWords(root=str(root), workers=0, alphabet="Stop'is").load(0)
    assert words_of(data.test, data.info, 3) == ["Stop", "it's", "ost"]


def test_iiit5k_is_read_as_published_too(tmp_path):
    root = listed(tmp_path, WORDS[:3])
    plain = ListedWords(root=str(root), workers=0).load(0)
    for name in ("train", "test"):
        rows = [
            {"ImgName": f"{name}/{at}.png", "GroundTruth": word, "smallLexi": ["a", "b"]}
            for at, word in enumerate(WORDS[:3])
        ]
        savemat(root / f"{name}data.mat", {f"{name}data": rows})
        (root / f"{name}.tsv").unlink()
    published = ListedWords(root=str(root), workers=0).load(0)
    (one,), (other,) = (data.test.batches([torch.arange(3)], 0, CPU) for data in (plain, published))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.words.values, other.words.values)


BAD = {
    "train/0.png STOP": r"train.tsv, line 1: 1 fields, needed are a file, a tab and a text",
    "train/0.png\tStop\ntrain/9.png\tx": r"train.tsv, line 2: there is no picture .*9.png",
    "train/0.png\t ": r"train.tsv, line 1: the picture has no text",
    "": "train.tsv is empty",
}


@pytest.mark.parametrize("content", BAD)
def test_a_bad_line_is_named(content, tmp_path):
    root = listed(tmp_path, WORDS)
    (root / "train.tsv").write_text(content)
    with pytest.raises(InputError, match=BAD[content]):
        ListedWords(root=str(root)).load(0)


def test_what_is_missing_or_cannot_be_read_is_named(tmp_path):
    root = listed(tmp_path, WORDS)
    with pytest.raises(InputError, match=r"dataset.root=.* has neither dev.tsv nor devdata.mat"):
        ListedWords(root=str(root), benchmarks=("dev",)).load(0)
    (root / "train" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1.png cannot be decoded as an image"):
        ListedWords(root=str(root), workers=0, in_memory="true").load(0)
    (root / "devdata.mat").write_bytes(b"no list")
    with pytest.raises(InputError, match=r"devdata.mat cannot be read as IIIT5K's list"):
        ListedWords(root=str(root), benchmarks=("dev",)).load(0)
    with pytest.raises(InputError, match=r"has no pictures to train on"):
        ListedWords(root=str(root), alphabet="ß", workers=0).load(0)


def database(folder, words, lmdb):
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**22) as environment, environment.begin(write=True) as entries:
        entries.put(b"num-samples", str(len(words)).encode())
        for number, word in enumerate(words, 1):
            file = folder / "picture.png"
            picture(word).save(file)
            entries.put(b"image-%09d" % number, file.read_bytes())
            entries.put(b"label-%09d" % number, word.encode())


def test_databases_give_what_lists_give_and_each_set_its_number(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    plain = ListedWords(root=str(listed(tmp_path / "lists", WORDS)), workers=0).load(0)
    root = tmp_path / "databases"
    for name, words in (("MJ/one", WORDS[:2]), ("ST", WORDS[2:]), ("a/SVT", WORDS), ("a/CUTE80", ["last"])):
        database(root / name, words, lmdb)
    data = LmdbWords(
        root=str(root), train=("MJ/one", "ST"), benchmarks=("a/SVT", "a/CUTE80"), workers=2, in_memory="false"
    ).load(0)
    (one,), (other,) = (each.train.batches([torch.tensor([4, 0, 3])], 0, CPU) for each in (plain, data))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.words.values, other.words.values)
    (last,) = data.test.batches([torch.arange(len(data.test))], 0, CPU)
    assert last.sets.tolist() == [0] * 5 + [1]
    assert data.info.benchmarks == ("a/SVT", "a/CUTE80")


def test_what_is_wrong_with_a_database_is_named(tmp_path):
    lmdb = pytest.importorskip("lmdb")

    def read(*train):
        LmdbWords(root=str(tmp_path), train=train, benchmarks=("good",), workers=0).load(0)

    for name in ("good", "short", "count", "bytes", "none"):
        database(tmp_path / name, ["one", "two"], lmdb)
    for name, key, value in (
        ("count", b"num-samples", b"many"),
        ("short", b"num-samples", b"3"),
        ("bytes", b"label-000000002", b"\xff"),
        ("none", b"label-000000001", b" "),
    ):
        with lmdb.open(str(tmp_path / name)) as environment, environment.begin(write=True) as entries:
            entries.put(key, value)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "data.mdb").write_bytes(b"no database" * 1000)
    for name, message in {
        "nowhere": r"has no database nowhere/data.mdb",
        "count": r"count: num-samples is 'many', and must be a number",
        "short": r"short has no entry label-000000003",
        "bytes": r"bytes, label 2 is not UTF-8",
        "none": r"none, label 1: the picture has no text",
        "broken": r"broken cannot be read as LMDB",
    }.items():
        with pytest.raises(InputError, match=message):
            read(name)


def test_iiit5k_of_the_shared_data(tmp_path):
    archive = SHARED / "iiit5k.tar.xz"
    if not archive.exists():
        pytest.skip("the shared data are not here")
    import tarfile

    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    data = ListedWords(root=str(tmp_path / "iiit5k"), workers=0, in_memory="false").load(0)
    assert (len(data.train), len(data.test)) == (2000, 3000)
    assert words_of(data.test, data.info, 3) == ["private", "parking", "salutes"]


def test_letters_take_a_byte_each(tmp_path):
    data = ListedWords(root=str(listed(tmp_path, WORDS)), workers=0, in_memory="true").load(0)
    assert data.train.columns["words"].values.dtype == torch.uint8


@pytest.mark.parametrize("exif", [False, True])
def test_orientation_tags_are_followed_by_choice(exif, tmp_path):
    root = listed(tmp_path, WORDS)
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as file:
            picture, tags = file.convert("RGB"), file.getexif()
        # Top-left is white, and the tag says that it was turned by half.
        picture.paste("black", (0, 0, *picture.size))
        picture.paste("white", (0, 0, picture.width // 2, picture.height // 2))
        tags[0x0112] = 3
        picture.save(path, exif=tags)
    data = ListedWords(root=str(root), workers=0, exif=exif).load(0)
    (batch,) = data.test.batches([torch.arange(1)], 0, CPU)
    for image in [batch.images]:
        corners = image[0, 0, [8, -8]][:, [8, -8]]
        bright = [[False, False], [False, True]] if exif else [[True, False], [False, False]]
        assert (corners > 0.5).tolist() == bright
