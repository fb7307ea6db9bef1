"""The losses of captions beside slow plain versions, and the words that a network says."""

import pytest
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.data import CaptionBatch, Captions
from bls_bench.tasks.captioning.models import Captioner
from bls_bench.tasks.captioning.network import CaptionNet
from bls_bench.tasks.captioning.objective import Describing
from bls_bench.tasks.captioning.task import Captioning
from bls_bench.tasks.captioning.words import END, PAD, START, UNKNOWN, Vocabulary, words_of
from bls_bench.tasks.objective import Place

VOCABULARY = Vocabulary.of([words_of("a tree and a house"), words_of("a house")], 1)
INFO = Captions(32, VOCABULARY, 6, [[("a", "tree")], [("a", "house")], [("a",)]])
MODEL = Captioner(width=32, layers=1, dropout=0)
A, HOUSE, AND, TREE = 4, 5, 6, 7


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MODEL.build(INFO)


def a_batch():
    captions = VOCABULARY.rows([words_of("a tree and a house"), ("a", "house"), ("tree",)], 6).long()
    return CaptionBatch(torch.rand(3, 3, 32, 32), captions, torch.arange(3))


def loss(network, batch, per_sample):
    objective = Describing(Captioning(per_sample=per_sample), INFO)
    return objective.loss(network, batch, Place(0, 0, 0), frozenset()).value


def test_losses_are_those_of_a_loop_over_words(network):
    batch = a_batch()
    each, every = [], []
    for image, caption in zip(batch.images, batch.captions.tolist(), strict=True):
        terms, before = [], [START]
        for word in caption[: caption.index(END) + 1]:
            chances = network(image[None], torch.tensor([before]))[0, -1].log_softmax(0)
            terms.append(-chances[word])
            before.append(word)
        each.append(sum(terms) / len(terms))
        every += terms
    assert len(every) == 6 + 3 + 2
    torch.testing.assert_close(loss(network, batch, True), torch.stack(each))
    torch.testing.assert_close(loss(network, batch, False), torch.stack(every).mean())


def test_a_loss_looks_at_no_other_sample(network):
    batch = a_batch()
    alone = CaptionBatch(*(part[1:2] for part in batch))
    torch.testing.assert_close(loss(network, batch, True)[1:2], loss(network, alone, True))


def test_what_is_said_is_the_likeliest_word_after_each_other(network):
    batch = a_batch()
    network.eval()
    for image, row in zip(batch.images, network(batch.images).tolist(), strict=True):
        before = [START]
        for word in row:
            if before[-1] == END:
                assert word == PAD
                before.append(END)
                continue
            chances = network(image[None], torch.tensor([before]))[0, -1]
            chances[[PAD, START, UNKNOWN]] = -torch.inf
            assert word == int(chances.argmax())
            before.append(word)


def test_words_and_their_numbers():
    assert words_of("Two dogs, one man's -- an ice-cream.") == (
        "two",
        "dogs",
        "one",
        "man's",
        "an",
        "ice-cream",
    )
    assert VOCABULARY.words[4:] == ("a", "house", "and", "tree")  # by how often, then by letters
    rows = VOCABULARY.rows([words_of("a cat and a tree"), ("house",)], 3)
    assert rows.tolist() == [[A, UNKNOWN, AND, END], [HOUSE, END, PAD, PAD]]
    assert VOCABULARY.said([A, TREE, END, HOUSE]) == ("a", "tree")
    assert Vocabulary.of([("a", "b"), ("a",)], 2).words[4:] == ("a",)


@pytest.mark.parametrize(
    "encoder", ["cnn", "resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_encoders(encoder):
    network = Captioner(encoder=encoder, width=32, layers=1).build(INFO)
    logits = network(torch.rand(2, 3, 32, 32), torch.tensor([[START, A], [START, HOUSE]]))
    assert logits.shape == (2, 2, len(VOCABULARY))
    logits.mean().backward()
    assert network.words.weight.grad.abs().sum() > 0
    assert all(value.grad is not None for value in network.encoder.parameters())


def test_weights_of_an_encoder_from_a_file(tmp_path):
    network = Captioner(encoder="resnet18", width=32).build(INFO)
    state = network.encoder.network.state_dict()
    torch.save(state | {"fc.weight": torch.zeros(2, 2)}, tmp_path / "weights.pt")
    other = Captioner(encoder="resnet18", width=32, weights=str(tmp_path / "weights.pt")).build(INFO)
    assert isinstance(other, CaptionNet)
    assert all(torch.equal(value, state[name]) for name, value in other.encoder.network.state_dict().items())
    with pytest.raises(InputError, match="model.encoder=resnet18x is neither cnn nor a timm model"):
        Captioner(encoder="resnet18x").build(INFO)
    with pytest.raises(InputError, match=r"weights.pt is of another model"):
        Captioner(encoder="resnet34", weights=str(tmp_path / "weights.pt")).build(INFO)
    with pytest.raises(InputError, match=r"model.encoder=vgg11 cannot take images of 16x16 pixels"):
        Captioner(encoder="vgg11").build(Captions(16, VOCABULARY, 6, []))
