"""A GPT-2 that continues what an image encoder says."""

import pytest
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.data import Captions
from bls_bench.tasks.captioning.objective import Describing
from bls_bench.tasks.captioning.prefix_models import PrefixGPT2
from bls_bench.tasks.captioning.scenes import DescribedScenes
from bls_bench.tasks.captioning.task import Captioning
from bls_bench.tasks.captioning.tokens import FIRST, Tokens
from bls_bench.tasks.captioning.words import END, PAD, START, UNKNOWN, Vocabulary
from bls_bench.tasks.objective import Place

from ..running import assert_same, make_config, make_engine, train, train_in_two_goes

transformers = pytest.importorskip("transformers")

TEXTS = ["a three at the top left", "there is a zero", "a picture of an eight"]
TINY = (
    "task=captioning",
    "model=prefix_gpt2",
    "dataset.images=40",
    "dataset.image_size=32",
    "model.prefix=3",
    "model.width=32",
    "model.layers=1",
    "trainer.epochs=2",
    "trainer.batch_size=16",
)
MODEL = {"prefix": 3, "dropout": 0.0}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A GPT-2 of 300 tokens and its tokenizer, as transformers saves them."""
    from bls_bench.tasks.text.tokenizing import trained

    folder = tmp_path_factory.mktemp("data") / "gpt2"
    tokenizer = trained(TEXTS, 300)
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(folder)
    config = transformers.GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def tokens(folder):
    return Tokens.opened(folder)


def batch_of(data, count=6):
    (batch,) = data.train.plain().batches([torch.arange(count)], 0, CPU)
    return batch


def test_tokens_are_the_tokenizers_and_back_again(tokens):
    captions = [tuple(text.split()) for text in TEXTS]
    rows = tokens.rows(captions, 12)
    for row, text, caption in zip(rows.tolist(), TEXTS, captions, strict=True):
        plain = tokens.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert row == [FIRST + token for token in plain] + [END] + [PAD] * (12 - len(plain))
        assert tokens.said(row) == caption
        assert tokens.length(caption) == len(plain)
    assert tokens.rows(captions, 2)[0, 2] == END


@pytest.mark.parametrize("saved", [False, True])
def test_logits_are_gpt2s_own_behind_the_prefix(saved, tokens, folder):
    vocabulary = tokens if saved else Vocabulary.of([text.split() for text in TEXTS], 1)
    info = Captions(32, vocabulary, 8, [])
    torch.manual_seed(0)
    network = PrefixGPT2(gpt2=folder if saved else None, width=32, **MODEL).build(info).eval()
    images, row = torch.rand(1, 3, 32, 32), vocabulary.rows([TEXTS[1].split()], 8)[:, :4].long()
    found = network(images, torch.cat([torch.tensor([[START]]), row], 1))[0].log_softmax(1)
    # A step of GPT-2 alone for each word, with its own numbers.
    own = [number - FIRST if saved else number for number in row[0].tolist()]
    seen = network.look(images)
    for at in range(5):
        spoken = network.gpt2.get_input_embeddings()(torch.tensor([own[:at]], dtype=torch.long))
        logits = network.gpt2(inputs_embeds=torch.cat([seen, spoken], 1)).logits[0, -1]
        # The model may know more tokens than the tokenizer has.
        chances = logits[: len(tokens.tokenizer) if saved else None].log_softmax(0)
        if saved:
            torch.testing.assert_close(found[at, END], chances[tokens.end])
            others = [token for token in range(len(tokens.tokenizer)) if token != tokens.end]
            torch.testing.assert_close(found[at, FIRST:][others], chances[others])
            never = [PAD, START, UNKNOWN, FIRST + tokens.end]
            assert (found[at, never] == -torch.inf).all()
        else:
            torch.testing.assert_close(found[at], chances)


def learn(network, data, batch, steps):
    """Train on one batch; returns the first and the last loss."""
    objective, losses = Describing(Captioning(), data.info), []
    optimizer = torch.optim.Adam(network.train().parameters(), lr=0.003)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = objective.loss(network, batch, Place(0, 0, 0), frozenset()).value.mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses[0], losses[-1]


def test_captions_are_learnt_by_heart_and_by_a_prefix_alone(folder, tmp_path):
    data = DescribedScenes(images=24, image_size=32, tokenizer=folder).load(0)
    batch = batch_of(data)
    torch.manual_seed(0)
    network = PrefixGPT2(gpt2=folder, **MODEL).build(data.info)
    learn(network, data, batch, 150)
    assert torch.equal(network.eval()(batch.images), batch.captions[:, :-1])
    # The same GPT-2, which stays as it is, behind an encoder that knows nothing yet.
    network.gpt2.save_pretrained(tmp_path)
    frozen = PrefixGPT2(gpt2=str(tmp_path), frozen=True, **MODEL).build(data.info)
    first, last = learn(frozen, data, batch, 40)
    assert last < first / 2
    assert not frozen.gpt2.training
    for name, value in frozen.gpt2.state_dict().items():
        assert torch.equal(value, network.gpt2.state_dict()[name])


def test_runs_resume_to_the_bit(tmp_path):
    overrides = (*TINY, "pruner=bls_infobatch", "task.per_sample=false")
    whole = train(tmp_path / "whole", *overrides)
    assert whole[1][-1]["loss"] < whole[1][0]["loss"]
    assert_same(train_in_two_goes(4, tmp_path / "parts", *overrides), whole)


def test_a_folder_brings_its_tokenizer(folder):
    engine = make_engine(*TINY, f"model.gpt2={folder}", "model.frozen=true")
    info, network = engine.data.info, engine.learner.model.module
    assert len(info.vocabulary) == FIRST + len(info.vocabulary.tokenizer)
    said = info.vocabulary.said(batch_of(engine.data).captions[0].tolist())
    assert said in {tuple(one) for one in engine.data.info.references[0]} or len(said) > 1
    assert not any(value.requires_grad for value in network.gpt2.parameters())


def test_what_does_not_fit_is_refused_in_one_line(folder, tmp_path):
    words = Captions(32, Vocabulary.of([("a",)], 1), 4, [])
    for options, info, message in (
        ({"gpt2": folder}, words, r"model.gpt2=.* the data have words: use dataset.tokenizer="),
        ({"gpt2": str(tmp_path / "none")}, words, r"model.gpt2=.*none is not a folder"),
        (
            {"gpt2": folder, "prefix": 61},
            None,
            r"takes 64 positions, model.prefix=61 and captions of 4 tokens",
        ),
    ):
        info = info or Captions(32, Tokens.opened(folder), 4, [])
        with pytest.raises(InputError, match=message):
            PrefixGPT2(**options).build(info)
    with pytest.raises(InputError, match=r"model.gpt2 must be a folder with frozen=true"):
        make_config("task=captioning", "model=prefix_gpt2", "model.frozen=true")
    with pytest.raises(InputError, match=r"dataset.tokenizer=nowhere is not a folder"):
        Tokens.opened("nowhere")
