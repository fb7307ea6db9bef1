"""Instruction tuning beside slow plain versions; what is wrong with files; whole runs of a few samples."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from bls_bench.system.errors import InputError
from bls_bench.tasks.language.alpaca import Alpaca
from bls_bench.tasks.language.models import CausalLM
from bls_bench.tasks.language.signatures import Signatures
from bls_bench.tasks.language.task import Language
from bls_bench.tasks.objective import Place
from bls_bench.tasks.text.tokenizing import trained

from ..running import assert_same, make_config, make_engine, train, train_in_two_goes

CPU = torch.device("cpu")
# Some eighty samples, two epochs of three steps.
TINY = (
    "task=language",
    "dataset.size=100",
    "dataset.vocabulary=300",
    "dataset.max_length=128",
    "model.width=16",
    "model.layers=1",
    "trainer.epochs=2",
    "trainer.batch_size=24",
)


def write(folder, entries):
    folder.mkdir(exist_ok=True)
    (folder / "alpaca_data.json").write_text(json.dumps(entries))
    return str(folder)


def entries(count):
    return [
        {"instruction": f"Say number {i}.", "input": "twice" * (i % 2), "output": f"{i}, yes " * (i % 7)}
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def alpaca(tmp_path_factory):
    root = write(tmp_path_factory.mktemp("alpaca"), entries(40))
    return Alpaca(root=root, vocabulary=300, max_length=90).load(0)


@pytest.fixture(scope="module")
def model(alpaca):
    torch.manual_seed(0)
    return CausalLM(width=16, layers=1).build(alpaca.info)


def slow_losses(model, split, i):
    """The loss of each token of a sample's answer, one sample at a time, no padding and no mask."""
    row, first = split.columns["tokens"].rows()[i].long(), int(split.columns["prompt"][i])
    logits = model.model(row[None]).logits[0]
    return torch.stack([F.cross_entropy(logits[at - 1], row[at]) for at in range(first, len(row))])


@pytest.mark.parametrize("per_sample", [True, False])
def test_the_loss_is_that_of_the_answers_tokens(alpaca, model, per_sample):
    indices = torch.tensor([5, 0, 17, 5, 3])
    batch = next(alpaca.train.batches([indices], 0, CPU))
    value = (
        Language(per_sample=per_sample).build(alpaca, 0).loss(model, batch, Place(0, 0, 0), frozenset()).value
    )
    losses = [slow_losses(model, alpaca.train, i) for i in indices]
    assert len({len(one) for one in losses}) > 1
    expected = torch.stack([one.mean() for one in losses]) if per_sample else torch.cat(losses).mean()
    torch.testing.assert_close(value, expected)
    if not per_sample:
        torch.testing.assert_close(value, model.model(**batch).loss)  # as transformers weighs them


def test_the_metrics_are_over_all_tokens_however_batched(alpaca, model):
    losses = torch.cat([slow_losses(model, alpaca.test, i) for i in range(len(alpaca.test))]).detach()
    objective = Language().build(alpaca, 0)
    parts = []
    for indices in torch.arange(len(alpaca.test)).split(3):
        measure = objective.measure()
        with torch.no_grad():
            measure.update(model, next(alpaca.test.batches([indices], 0, CPU)))
        parts.append(measure.state())
    measure.merge(parts)
    found = measure.compute()
    assert found["nll"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["nll"]))


def test_a_batch_is_prompt_answer_and_end(tmp_path):
    root = write(tmp_path / "data", entries(20))
    data, train_pairs = Alpaca(root=root, vocabulary=300).load(0), Alpaca(root=root).read()[0]
    (batch,) = data.train.batches([torch.arange(len(train_pairs))], 0, CPU)
    tokenizer = trained([text for pair in train_pairs for text in pair], 300)
    for row, labels, pair in zip(batch["input_ids"], batch["labels"], train_pairs, strict=True):
        assert tokenizer.decode(row, skip_special_tokens=True).split() == " ".join(pair).split()
        learned = labels[labels >= 0]
        assert learned[-1] == tokenizer.sep_token_id
        assert tokenizer.decode(learned, skip_special_tokens=True).strip() == pair.answer


def test_long_samples_are_cut_counted_and_told(tmp_path, capsys):
    some = [{"instruction": "a b " * i, "output": "c d e"} for i in range(1, 40)]
    root = write(tmp_path / "data", some)
    whole = Alpaca(root=root, vocabulary=300, max_length=10_000).load(0)
    assert capsys.readouterr().out == ""
    lengths, firsts = whole.train.columns["tokens"].lengths, whole.train.columns["prompt"]
    limit = int(firsts.median())
    cut = Alpaca(root=root, vocabulary=300, max_length=limit).load(0)
    told = capsys.readouterr().out.splitlines()[0]
    assert f"{int((lengths > limit).sum())} of {len(lengths)} training samples are too long" in told
    assert f"{int((firsts >= limit).sum())} have no room for an answer and are left out" in told
    kept = [
        row[:limit].tolist()
        for row, first in zip(whole.train.columns["tokens"].rows(), firsts, strict=True)
        if first < limit
    ]
    assert [row.tolist() for row in cut.train.columns["tokens"].rows()] == kept
    with pytest.raises(InputError, match=r"dataset.max_length=3 leaves no training sample an answer"):
        Alpaca(root=root, vocabulary=300, max_length=3).load(0)


def test_signatures_have_no_answer_on_both_sides_and_grow():
    train_pairs, test_pairs = Signatures(size=60).read()
    assert len({pair.answer for pair in train_pairs + test_pairs}) == 60
    more = Signatures(size=90).read()
    assert set(train_pairs) <= set(more[0])
    assert set(test_pairs) <= set(more[1])
    assert all(pair.prompt.startswith(("def ", "class ")) for pair in train_pairs)
    with pytest.raises(InputError, match=r"dataset.size must be at most \d+"):
        Signatures(size=10**7).read()


BAD = {
    '[\n{"instruction": "a",\n "output" "b"}]': r"data.json, line 3: no JSON",
    '{"a": 1}': r"data.json must be a list of instructions, got dict",
    '[{"instruction": "a", "output": "b"}, 3]': r"data.json, entry 2: needed is an object, got int",
    '[{"instruction": "a"}]': r"data.json, entry 1: output must be a text, got None",
    '[{"instruction": " ", "output": "b"}]': r"data.json, entry 1: an empty instruction",
    "[]": r"data.json has too few entries: none to train with",
    "": r"data.json is empty",
}


@pytest.mark.parametrize("content", BAD)
def test_a_bad_file_is_named(content, tmp_path):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(InputError, match=BAD[content]):
        Alpaca(root=str(tmp_path)).read()


def test_a_folder_without_its_one_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has 0 JSON files, needed is one: is dataset.root right"):
        Alpaca(root=str(tmp_path)).read()


def test_parts_and_values_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(
        InputError, match=r"model=causal_lm needs instructions with answers, which dataset=docstrings"
    ):
        make_config("task=language", "dataset=docstrings")
    with pytest.raises(InputError, match=r"model.weights must be given with lora_rank=4"):
        make_config("task=language", "model.lora_rank=4")
    with pytest.raises(InputError, match=r"dataset.max_length must be at most 16, the positions"):
        make_engine(*TINY, "model.positions=16")


@pytest.mark.parametrize("choice", [("infobatch", "per_sample"), ("seta", "bls")])
def test_pruning_trains_on_either_loss(choice, tmp_path):
    pruner, scorer = choice
    per_sample = str(scorer == "per_sample").lower()
    result, lines, _ = train(
        tmp_path, *TINY, f"pruner={pruner}", f"scorer={scorer}", f"task.per_sample={per_sample}"
    )
    assert result["status"] == "finished"
    assert lines[-1]["nll"] < lines[0]["nll"] < math.log(300)


def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path):
    overrides = (*TINY, "pruner=bls_infobatch", "trainer.epochs=3")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(4, tmp_path / "parts", *overrides), whole)


@pytest.fixture
def folder(tmp_path):
    """A folder as transformers saves a pretrained model, with its tokenizer."""
    tokenizer = trained([entry["output"] + entry["instruction"] for entry in entries(40)], 300)
    tokenizer.bos_token, tokenizer.eos_token = "[CLS]", "[SEP]"
    tokenizer.save_pretrained(tmp_path / "llama")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


def test_a_pretrained_folder_brings_its_weights_and_its_tokenizer(folder, tmp_path):
    root = write(tmp_path / "data", entries(40))
    run = ("task=language", "dataset=alpaca", f"dataset.root={root}", f"model.weights={folder}")
    engine = make_engine(*run)
    saved = LlamaForCausalLM.from_pretrained(folder).state_dict()
    assert all(
        torch.equal(value, saved[name])
        for name, value in engine.learner.model.module.model.state_dict().items()
    )
    with pytest.raises(InputError, match=r"model.weights=.*knows .* tokens.*dataset.tokenizer="):
        make_engine(*run, "dataset.tokenizer=null", "dataset.vocabulary=500")
    with pytest.raises(InputError, match=r"dataset.tokenizer=.*nowhere"):
        make_engine(*run, f"dataset.tokenizer={tmp_path / 'nowhere'}")


def test_the_papers_experiment_trains_what_lora_adds_and_nothing_else(folder, tmp_path):
    pytest.importorskip("peft")
    root = write(tmp_path / "data", entries(40))
    run = ("experiment=alpaca_llama", f"dataset.root={root}", f"model.weights={folder}", "pruner=infobatch")
    small = ("trainer.epochs=2", "trainer.batch_size=8", "optimizer.lr=0.01")
    whole = train(tmp_path / "whole", *run, *small)
    saved = LlamaForCausalLM.from_pretrained(folder).state_dict()
    before = {
        name.replace("base_layer.", ""): value for name, value in whole[2].items() if "lora_" not in name
    }
    for name, value in saved.items():
        assert any(key.endswith(name) and torch.equal(value, other) for key, other in before.items())
    added = {name: value for name, value in whole[2].items() if "lora_B" in name}
    assert len(added) == 2  # of queries and values
    assert all(bool(value.any()) for value in added.values())  # they begin as zeros
    assert_same(train_in_two_goes(3, tmp_path / "parts", *run, *small), whole)


def test_weights_saved_in_half_precision_are_trained_in_full(folder, tmp_path):
    LlamaForCausalLM.from_pretrained(folder).bfloat16().save_pretrained(folder)
    root = write(tmp_path / "data", entries(40))
    data = Alpaca(root=root, tokenizer=str(folder)).load(0)
    for rank in (None, 2):
        model = CausalLM(weights=str(folder), lora_rank=rank).build(data.info)
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_the_perplexity_of_a_model_that_knows_nothing_is_infinite(alpaca):
    measure = Language().build(alpaca, 0).measure()
    measure.merge([(8000.0, 10)])
    assert measure.compute() == {"nll": 800.0, "perplexity": math.inf}
