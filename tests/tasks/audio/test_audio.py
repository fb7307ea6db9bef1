"""Sounds: the data and the network beside slow plain versions, whole runs, and what is wrong with files."""

from math import log10
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.audio import logmel
from bls_bench.tasks.audio.chirps import CLASSES, Chirps
from bls_bench.tasks.audio.data import FULL, Sounds
from bls_bench.tasks.audio.esc import ESC
from bls_bench.tasks.audio.logmel import FLOOR, LogMel
from bls_bench.tasks.audio.models import SpeechEncoder

from ...helpers import StopAt
from ...two_processes import in_two_processes
from ..running import assert_same, make_config, make_engine, train, train_in_two_goes

CPU = torch.device("cpu")
# 96 sounds of a second, two epochs of three steps.
TINY = (
    "task=audio",
    "dataset.size=15",
    "dataset.noise=0.5",
    "model.width=4",
    "model.bands=24",
    "trainer.epochs=2",
    "trainer.batch_size=32",
)
# Without layers that look at a whole batch.
SPEECH = (
    "task=audio",
    "dataset.size=5",
    "model=hubert",
    "model.width=16",
    "model.layers=1",
    "model.dropout=0",
)


@pytest.fixture(scope="module")
def chirps():
    return Chirps(size=10).load(0)


def test_a_sound_begins_where_its_draw_says_and_loses_nothing(chirps):
    indices = torch.tensor([3, 60, 3])
    (waves, labels), (again, _) = (next(chirps.train.batches([indices], epoch, CPU)) for epoch in (0, 0))
    assert torch.equal(waves, again)
    starts = chirps.train.draw(len(chirps.train), _stream(0))[indices, 0]
    for wave, start, index in zip(waves, starts, indices, strict=True):
        stored = chirps.train.columns["waves"][index].float() / FULL
        assert torch.equal(wave, stored.roll(-int(start * len(stored))))
    assert torch.equal(labels, chirps.targets[indices])


def _stream(epoch):
    from bls_bench.system.streams import stream

    return stream(0, "augment", epoch)


def test_the_sounds_are_the_same_for_every_seed(chirps):
    other = Chirps(size=10).load(7)
    assert torch.equal(other.train.columns["waves"], chirps.train.columns["waves"])
    assert chirps.targets.bincount().tolist() == [8] * len(CLASSES)
    assert len(chirps.test) == 2 * len(CLASSES)
    assert int(chirps.train.columns["waves"].abs().amax(1).min()) > 300


def test_a_steady_tone_stays_and_a_rising_one_rises():
    waves = Chirps(size=5, noise=0.0).load(0).train.columns["waves"].float()
    halves = waves.reshape(len(CLASSES), 4, 2, -1)
    peaks = torch.fft.rfft(halves).abs().argmax(-1).float()
    change = peaks[..., 1] / peaks[..., 0].clamp_min(1)
    assert (change[CLASSES.index("steady")] - 1).abs().max() < 0.02
    assert change[CLASSES.index("rising")].min() > 1.1
    assert change[CLASSES.index("falling")].max() < 0.9


def test_log_mel_does_not_depend_on_how_many_sounds_are_looked_at_together(monkeypatch):
    waves, bands = torch.randn(5, 3000), LogMel(4000, 10, 40.0)
    whole = bands(waves)
    for values in (1, 6000, 2**30):
        monkeypatch.setattr(logmel, "CACHED", values)
        assert torch.equal(bands(waves), whole)


def test_log_mel_is_that_of_numpy_in_a_loop():
    rate, bands, size = 4000, 10, 160
    waves = torch.randn(2, 1200)
    found = LogMel(rate, bands, 40.0)(waves).numpy()
    edges = [
        700 * (10 ** (k * 2595 * log10(1 + rate / 2 / 700) / (bands + 1) / 2595) - 1)
        for k in range(bands + 2)
    ]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    for wave, of_wave in zip(
        np.pad(waves.numpy(), ((0, 0), (size // 2,) * 2), "reflect"), found, strict=True
    ):
        for frame in range(of_wave.shape[1]):
            start = frame * size // 2
            power = abs(np.fft.rfft(wave[start : start + size] * window)) ** 2
            for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
                total = FLOOR
                for k, value in enumerate(power):
                    f = k * rate / size
                    total += max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) * value
                assert of_wave[band, frame] == pytest.approx(np.log(total), abs=2e-3)


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2"])
def test_speech_encoders_come_from_a_config_or_a_folder(kind, tmp_path):
    info = Sounds(16000, 2000, ("a", "b", "c"))
    model = SpeechEncoder(kind=kind, width=16, layers=1, dropout=0.0).build(info).eval()
    waves = torch.randn(2, 2000)
    assert model(waves).shape == (2, 3)
    torch.testing.assert_close(model(waves), model(waves * 7 + 1), rtol=1e-3, atol=1e-4)
    model.model.save_pretrained(tmp_path)
    again = SpeechEncoder(kind=kind, weights=str(tmp_path)).build(info).eval()
    torch.testing.assert_close(again(waves), model(waves))
    with pytest.raises(InputError, match=r"model.weights=.*nowhere"):
        SpeechEncoder(kind=kind, weights=str(tmp_path / "nowhere")).build(info)


PAIRS = [("none", "per_sample"), ("infobatch", "per_sample"), ("infobatch", "gradient_norm")]
PAIRS += [("random", "per_sample"), *((pruner, "bls") for pruner in ("infobatch", "seta", "repb"))]


@pytest.mark.parametrize(("pruner", "scorer"), PAIRS)
def test_every_kind_of_pruning_trains(pruner, scorer, tmp_path):
    result, _, _ = train(tmp_path, *TINY, f"pruner={pruner}", f"scorer={scorer}")
    assert result["status"] == "finished"
    assert 0 <= result["accuracy_last"] <= 100


@pytest.mark.parametrize("overrides", [TINY, (*SPEECH, "trainer.epochs=2", "trainer.batch_size=8")])
def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(overrides, tmp_path):
    overrides = (*overrides, "pruner=bls_seta")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(4, tmp_path / "parts", *overrides), whole)


def an_epoch(rank=0, folder=None):
    engine = make_engine(*SPEECH, "trainer.epochs=1", "trainer.batch_size=16", "optimizer=sgd", "pruner=none")
    line = engine.epoch(None, StopAt(-1))
    return line["accuracy"], engine.learner.weights()


def test_two_processes_make_the_steps_of_one(tmp_path):
    accuracy, weights = an_epoch()
    for other, others in in_two_processes(an_epoch, tmp_path):
        assert other == accuracy
        for name, value in weights.items():
            torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-4)


def test_it_learns(tmp_path):
    more = (
        "dataset.size=40",
        "dataset.noise=0",
        "trainer.epochs=6",
        "trainer.batch_size=16",
        "model.width=8",
    )
    result, _, _ = train(tmp_path, *TINY, *more, "pruner=none")
    assert result["accuracy_last"] > 50  # one in eight by chance


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(
        InputError, match=r"model=logmel_cnn needs sounds, which dataset=digits does not give"
    ):
        make_config("task=audio", "dataset=digits")
    with pytest.raises(InputError, match=r"dataset.fold must be 1 to 5, got 6"):
        make_config("task=audio", "dataset=esc10", "dataset.root=x", "dataset.fold=6")


@pytest.fixture
def tree(tmp_path):
    """Ten classes of five folds, half a second each at 8000 values a second."""
    time = np.arange(4000) / 8000
    for kind in range(10):
        for fold in range(1, 6):
            folder = tmp_path / f"kind{kind}"
            folder.mkdir(exist_ok=True)
            wave = 0.5 * np.sin(2 * np.pi * (200 + 100 * kind) * time)
            soundfile.write(folder / f"{fold}-{kind}.wav", wave, 8000)
    return tmp_path


def esc(root, **fields):
    return ESC(name="esc10", root=str(root), rate=8000, seconds=0.5, **fields)


def test_the_fold_is_the_test_split_and_the_waves_are_those_of_the_files(tree):
    data = esc(tree, fold=2).load(0)
    assert (len(data.train), len(data.test)) == (40, 10)
    assert data.info == Sounds(8000, 4000, tuple(f"kind{kind}" for kind in range(10)))
    expected, _ = soundfile.read(tree / "kind3" / "2-3.wav", dtype="int16")
    assert (data.test.columns["waves"][3] - torch.from_numpy(expected)).abs().max() <= 1
    assert data.test.columns["labels"].tolist() == list(range(10))


def test_the_published_layout_gives_the_same(tree, tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    (root / "meta").mkdir()
    (root / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for path in sorted(tree.glob("*/*.wav")):
        (root / "audio" / path.name).write_bytes(path.read_bytes())
        rows.append(f"{path.name},{path.name[0]},0,{path.parent.name},True,0,A")
    rows.append("none.wav,1,0,other,False,0,A")
    (root / "meta" / "esc50.csv").write_text("\n".join(rows))
    one, other = esc(tree).load(0), esc(root).load(0)
    assert torch.equal(one.train.columns["waves"], other.train.columns["waves"])
    assert one.info == other.info


def test_other_rates_are_resampled_and_told_once(tree, capsys):
    time = np.arange(8000) / 16000
    soundfile.write(tree / "kind0" / "1-0.wav", 0.5 * np.sin(2 * np.pi * 200 * time), 16000)
    wave = esc(tree).load(0).test.columns["waves"][0].float() / FULL
    assert capsys.readouterr().out == "dataset.rate=8000: 1 of 50 sounds are resampled\n"
    exact = 0.5 * torch.sin(2 * torch.pi * 200 * torch.arange(4000) / 8000)
    assert (wave - exact)[100:-100].abs().max() < 0.01


def test_what_is_wrong_with_a_file_is_named(tree):
    good = (tree / "kind4" / "3-4.wav").read_bytes()
    (tree / "kind4" / "3-4.wav").write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"3-4.wav cannot be decoded as a sound"):
        esc(tree).load(0)
    soundfile.write(tree / "kind4" / "3-4.wav", np.zeros(4000), 8000)
    with pytest.raises(InputError, match=r"3-4.wav is silent"):
        esc(tree).load(0)
    (tree / "kind4" / "3-4.wav").rename(tree / "kind4" / "x.wav")
    with pytest.raises(InputError, match=r"x.wav: the name must begin with its fold, 1 to 5"):
        esc(tree).load(0)
    (tree / "kind4" / "x.wav").unlink()
    (tree / "kind10").mkdir()
    (tree / "kind10" / "1-x.wav").write_bytes(good)
    with pytest.raises(InputError, match=r"holds 11 classes, esc10 has others"):
        esc(tree).load(0)
    with pytest.raises(InputError, match=r"holds neither meta/ nor folders of sounds"):
        esc(Path(tree) / "kind4").load(0)
