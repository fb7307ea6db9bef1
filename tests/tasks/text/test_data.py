"""Texts as batches of tokens, beside slow plain versions; and what is wrong with files."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Place
from bls_bench.tasks.text.articles import Articles
from bls_bench.tasks.text.data import Sentences, split
from bls_bench.tasks.text.docstrings import Docstrings
from bls_bench.tasks.text.models import Encoder
from bls_bench.tasks.text.objective import shortened
from bls_bench.tasks.text.sst2 import SST2
from bls_bench.tasks.text.task import Text
from bls_bench.tasks.text.tokenizing import tokens, trained

from ..running import make_config, make_engine
from .helpers import TINY

CPU = torch.device("cpu")
SHARED = Path(__file__).parents[3] / "../shared/data"
TEXTS = ["a short one", "one that is quite a bit longer than the others are", "ünïcode too", "a a a"] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return trained(TEXTS, 300)


@pytest.fixture(scope="module")
def docstrings():
    return Docstrings(size=20, vocabulary=300).load(0)


def test_a_batch_is_what_padding_in_a_loop_gives(docstrings):
    indices = torch.tensor([5, 0, 77, 5])
    (batch,) = docstrings.train.batches([indices], 0, CPU)
    rows = [docstrings.train.columns["tokens"].rows()[i].tolist() for i in indices]
    longest = max(map(len, rows))
    assert batch["input_ids"].tolist() == [row + [docstrings.info.pad] * (longest - len(row)) for row in rows]
    assert batch["attention_mask"].tolist() == [[1] * len(r) + [0] * (longest - len(r)) for r in rows]
    assert torch.equal(batch["labels"], docstrings.targets[indices])
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.int64


@pytest.mark.parametrize("length", [4, 9, 60])
def test_texts_are_cut_as_transformers_cuts_them(tokenizer, length):
    expected = tokenizer(TEXTS, truncation=True, max_length=length, padding=True, return_tensors="pt")
    table, real = tokens(tokenizer, TEXTS).padded(tokenizer.pad_token_id)
    input_ids, attention_mask = shortened(table.long(), real.long(), length)
    assert torch.equal(input_ids, expected["input_ids"])
    assert torch.equal(attention_mask, expected["attention_mask"])


def test_tokens_lose_nothing_and_depend_on_the_texts_alone(tokenizer):
    rows = tokens(tokenizer, TEXTS).rows()
    assert [tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows] == TEXTS
    assert trained(list(reversed(TEXTS)), 300).get_vocab() == tokenizer.get_vocab()


def test_the_docstrings_are_balanced_and_no_text_is_on_both_sides():
    classes, train, test = Docstrings(size=50).read()
    assert sorted(train.targets + test.targets) == [
        target for target in range(len(classes)) for _ in range(50)
    ]
    assert len({*train.texts, *test.texts}) == 50 * len(classes)
    more = Docstrings(size=80).read()
    assert {*train.texts} <= {*more[1].texts}
    assert {*test.texts} <= {*more[2].texts}


def test_a_split_by_digest_holds_when_texts_come_and_go():
    numbers = list(range(400))
    texts = Sentences([str(n) for n in numbers], numbers)
    train, test = split(texts)
    assert 50 < len(test.texts) < 110
    assert set(split(Sentences(texts.texts[:100], numbers[:100]))[1].texts) == set(test.texts) & set(
        texts.texts[:100]
    )
    assert all(text == str(target) for text, target in zip(*train, strict=True))


def test_the_loss_is_that_of_the_transformers_model():
    data = Docstrings(size=20, vocabulary=300).load(0)
    model = Encoder(width=16, layers=1, dropout=0.0).build(data.info)
    objective = Text().build(data, 0)
    batch = next(data.train.batches([torch.arange(7)], 0, CPU))
    loss = objective.loss(model, batch, Place(0, 0, 0), frozenset())
    torch.testing.assert_close(loss.value.mean(), model.model(**batch).loss)
    assert loss.value.shape == (7,)


def test_a_pretrained_folder_brings_its_weights_and_its_tokenizer(tokenizer, tmp_path):
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    saved = BertForSequenceClassification(config)
    saved.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    overrides = (*TINY, f"model.weights={tmp_path / 'bert'}")
    engine = make_engine(*overrides)
    embeddings = engine.learner.model.module.model.bert.embeddings.word_embeddings.weight
    assert torch.equal(embeddings, saved.bert.embeddings.word_embeddings.weight)
    assert engine.data.info.vocabulary == len(tokenizer)
    with pytest.raises(InputError, match=r"task.max_length must be at most 16, the positions"):
        make_engine(*overrides, "task.max_length=17")
    with pytest.raises(InputError, match=r"model.weights=.*knows .* tokens.*dataset.tokenizer="):
        make_engine(*overrides, "dataset.tokenizer=null", "dataset.vocabulary=1500")
    with pytest.raises(InputError, match=r"dataset.tokenizer=.*nowhere"):
        make_engine(*TINY, f"model.weights={tmp_path / 'nowhere'}")


def test_parts_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(InputError, match=r"model=encoder needs text, which dataset=digits does not give"):
        make_config("task=text", "dataset=digits")
    with pytest.raises(InputError, match=r"model=classifier needs images, which dataset=docstrings"):
        make_config("task=text", "model=resnet18")


def test_cut_texts_are_counted(docstrings, capsys):
    lengths = docstrings.info.lengths
    Text(max_length=10).build(docstrings, 0)
    told = capsys.readouterr().out
    assert told.startswith(f"task.max_length=10: {int((lengths > 10).sum())} of {len(lengths)} texts are cut")
    Text(max_length=10_000).build(docstrings, 0)
    assert capsys.readouterr().out == ""


BAD_TSV = {
    "good film\t1\n no tab": r"train.tsv, line 2: 1 fields",
    "good film\t2": r"train.tsv, line 1: the label '2', allowed are 0 and 1",
    "sentence\tlabel\n \t1": r"train.tsv, line 2: an empty sentence",
    "": "train.tsv is empty",
}


@pytest.mark.parametrize("content", BAD_TSV)
def test_a_bad_line_of_sst2_is_named(content, tmp_path):
    (tmp_path / "train.tsv").write_text(content)
    with pytest.raises(InputError, match=BAD_TSV[content]):
        SST2(root=str(tmp_path)).read()


BAD_CSV = {
    '"1","a"\n"5","b"': r"test.csv, line 2: the class '5', allowed are 1 to 4",
    '"1","a"\n"2",""," "': r"test.csv, line 2: an empty sentence",
    '"1","a"\n"2","b': r"test.csv, line 2: unexpected end of data",
    '"1","a"\n\n': r"test.csv, line 2: the class ''",
}


@pytest.mark.parametrize("content", BAD_CSV)
def test_a_bad_line_of_articles_is_named(content, tmp_path):
    (tmp_path / "test.csv").write_text(content)
    with pytest.raises(InputError, match=BAD_CSV[content]):
        Articles(name="agnews", root=str(tmp_path), part="test").read()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"train.tsv cannot be read .*dataset.root"):
        SST2(root=str(tmp_path)).read()
    (tmp_path / "test.csv").write_text('"1","a","b"\n')
    with pytest.raises(InputError, match=r"train.csv is not there: dataset.part=test"):
        Articles(name="agnews", root=str(tmp_path)).read()
    (tmp_path / "test.csv").write_bytes(b'"1","\xff"\n')
    with pytest.raises(InputError, match=r"test.csv is not UTF-8"):
        Articles(name="agnews", root=str(tmp_path), part="test").read()


def test_csv_fields_are_joined_and_quotes_undone(tmp_path):
    (tmp_path / "test.csv").write_text('"3","A title","He said ""no"".\nAnd left."\n"1","b","c"\n')
    (tmp_path / "train.csv").write_text('"4","t","u"\n')
    classes, train, test = Articles(name="agnews", root=str(tmp_path)).read()
    assert test == (['A title He said "no".\nAnd left.', "b c"], [2, 0])
    assert train == (["t u"], [3])
    assert len(classes) == 4
