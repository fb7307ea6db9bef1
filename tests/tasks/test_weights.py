"""Weights read from files: what is not taken from them is told, and a file of another model is refused."""

import json

import pytest
import torch
from torch import nn

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.data import Captions
from bls_bench.tasks.captioning.models import Captioner
from bls_bench.tasks.captioning.words import Vocabulary
from bls_bench.tasks.fitting import tell_random
from bls_bench.tasks.retrieval.data import Views
from bls_bench.tasks.retrieval.models import TwoTowers
from bls_bench.tasks.weights import load_weights

INFO = Captions(32, Vocabulary.of([("a",)], 1), 4, [])


def network(width, classes):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3), nn.Linear(width, classes))


def test_all_that_fits_is_loaded_and_a_head_of_other_classes_is_told(capsys):
    saved, model = network(4, 7), network(4, 5)
    head = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("2.")}
    load_weights(model, saved.state_dict(), "model.weights=a.pt")
    for name, value in model.state_dict().items():
        assert torch.equal(value, head.get(name, saved.state_dict()[name]))
    assert capsys.readouterr().out == (
        "model.weights=a.pt: 2 of 6 tensors are not loaded, they begin at random: "
        "2.bias is 7 in the file, 5 here, 2.weight is 7x4 in the file, 5x4 here\n"
    )
    load_weights(network(4, 5), saved.state_dict(), "model.weights=a.pt")
    assert capsys.readouterr().out == ""  # once
    load_weights(network(4, 7), saved.state_dict(), "model.weights=b.pt")
    assert capsys.readouterr().out == ""  # nothing to tell


def test_weights_of_another_width_are_refused():
    with pytest.raises(
        InputError,
        match=r"model.weights=a.pt is of another model, 0 of 3 weights fit: 0.bias is 4 in the file, 6 here",
    ):
        load_weights(network(6, 5), network(4, 5).state_dict(), "model.weights=a.pt")


def test_a_long_list_is_cut(capsys):
    own = {str(number): torch.zeros(1) for number in range(9)} | {"w": torch.zeros(1, 1)}
    tell_random(own, {str(number): "is not in the file" for number in range(9)}, "a key")
    assert capsys.readouterr().out.endswith("3 is not in the file, 5 more\n")


def test_an_image_encoder_tells_what_is_of_another_shape(tmp_path, capsys):
    """A ResNet for small images has a stem of its own; two towers tell it once."""
    saved = Captioner(encoder="resnet18").build(Captions(96, INFO.vocabulary, 4, [])).encoder.network
    file = tmp_path / "weights.pt"
    torch.save(saved.state_dict(), file)
    TwoTowers(encoder="resnet18", weights=str(file)).build(Views(32))
    assert capsys.readouterr().out == (
        f"model.weights={file}: 1 of 120 tensors are not loaded, they begin at random: "
        "conv1.weight is 64x3x7x7 in the file, 64x3x3x3 here\n"
    )
    halved = {
        name: value[: len(value) // 2] if value.ndim else value for name, value in saved.state_dict().items()
    }
    torch.save(halved, file)
    with pytest.raises(InputError, match=r"weights.pt is of another model, 0 of 20 weights fit: "):
        Captioner(encoder="resnet18", weights=str(file)).build(INFO)


class TestTransformers:
    """Of a folder that transformers saved."""

    @pytest.fixture
    def folder(self, tmp_path):
        transformers = pytest.importorskip("transformers")
        config = transformers.BertConfig(
            vocab_size=300,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=16,
        )
        transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
        return tmp_path

    def load(self, folder, **options):
        from transformers import AutoModelForSequenceClassification

        from bls_bench.tasks.pretrained import pretrained

        return pretrained(AutoModelForSequenceClassification, str(folder), num_labels=3, **options)

    def test_a_missing_head_is_told(self, folder, capsys):
        self.load(folder)
        told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("model.weights=")]
        assert len(told) == 1
        assert (
            "4 of 25 tensors are not loaded, they begin at random: bert.pooler.dense.bias is not in the"
            in told[0]
        )

    @pytest.mark.parametrize("ignored", [True, False])
    def test_weights_that_are_not_of_the_config_are_refused(self, folder, ignored):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 16}))
        message = "of another model, 0 of 11 weights fit" if ignored else "other shapes than its config.json"
        with pytest.raises(InputError, match=rf"^model.weights=.*{message}"):
            self.load(folder, ignore_mismatched_sizes=ignored)

    @pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
    def test_a_damaged_file_is_refused(self, folder, name):
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(b"no weights at all")
        with pytest.raises(InputError, match=r"^model.weights=.*: its file of weights is damaged$"):
            self.load(folder)
