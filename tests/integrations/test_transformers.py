"""PrunedTrainer: steps, gradients, schedule and a resume that equals no interruption."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from bls_bench import InfoBatch, SeTa
from tests.library.helpers import bls

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pruned = pytest.importorskip("bls_bench.integrations.transformers")
EPOCHS, N, BATCH = 3, 75, 8


class Text(Dataset):
    """Sequences of random tokens and lengths; the label is whether the first is large."""

    def __init__(self, n=N, causal=False):
        generator = torch.Generator().manual_seed(n)
        self.items = []
        for _ in range(n):
            length = int(torch.randint(4, 12, (), generator=generator))
            tokens = torch.randint(1, 32, (length,), generator=generator)
            self.items.append((tokens, tokens if causal else (tokens[0] > 16).long()))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        tokens, label = self.items[index]
        return {"input_ids": tokens, "labels": label}


def collate(items):
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad([item["input_ids"] for item in items], batch_first=True)
    labels = [item["labels"] for item in items]
    labels = torch.stack(labels) if labels[0].ndim == 0 else pad(labels, batch_first=True, padding_value=-100)
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long(), "labels": labels}


def classifier():
    config = transformers.BertConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config)


def language_model():
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    )


class Recording(pruned.PrunedTrainer, transformers.Trainer):
    """Notes the samples of every batch, and the norm of what gradients are left when an epoch begins."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen, self.left_over = [], []

    def compute_loss(self, model, inputs, *args, **kwargs):
        if pruned.KEY in inputs:
            self.seen.append((self.handler.epoch, inputs[pruned.KEY].indices.tolist()))
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _run_epoch(self, **kwargs):
        gradients = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
        self.left_over.append(sum(float(g.norm()) for g in gradients))
        super()._run_epoch(**kwargs)


def trainer(make, folder, model=classifier, **kwargs):
    settings = {
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": BATCH,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "linear",
        "logging_steps": 1,
        "eval_strategy": "epoch",
        "save_strategy": "steps",
        "save_steps": 2,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        **kwargs,
    }
    causal = model is language_model
    return Recording(
        model=model(),
        args=transformers.TrainingArguments(str(folder), **settings),
        train_dataset=make(Text(causal=causal)),
        eval_dataset=Text(20, causal=causal),
        data_collator=collate,
    )


MAKE = {
    "infobatch": lambda data: InfoBatch(data, EPOCHS, delta=0.7),
    "bls_seta": lambda data: bls(SeTa(data, EPOCHS, prune_ratio=0.3)),
}
CASES = [
    ("infobatch", classifier, {}),
    ("bls_seta", classifier, {"gradient_accumulation_steps": 3, "bf16": True}),
    ("infobatch", language_model, {"train_sampling_strategy": "group_by_length"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model", "kwargs"), CASES)
def test_a_run_resumed_in_mid_epoch_equals_the_uninterrupted_one(name, model, kwargs, tmp_path):
    whole = trainer(MAKE[name], tmp_path, model, **kwargs)
    whole.train()
    handler, accumulate = whole.handler, kwargs.get("gradient_accumulation_steps", 1)
    assert handler.epoch == EPOCHS
    lengths = [sum(epoch == e for e, _ in whole.seen) for epoch in range(EPOCHS)]
    steps = sum(-(-length // accumulate) for length in lengths)
    assert whole.state.global_step == steps < whole.state.max_steps
    assert whole.left_over == [0] * EPOCHS
    rates = [entry["learning_rate"] for entry in whole.state.log_history if "learning_rate" in entry]
    assert whole.lr_scheduler.get_last_lr()[0] == 0
    assert rates[0] == pytest.approx(1e-2)
    assert rates == sorted(rates, reverse=True)
    assert sum("eval_loss" in entry for entry in whole.state.log_history) == EPOCHS
    for step in [step for step in range(2, steps, 2) if in_mid_epoch(tmp_path, step)][:: steps // 3]:
        resumed = trainer(MAKE[name], tmp_path / "again", model, **kwargs)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert resumed.state.global_step == steps
        assert resumed.seen == whole.seen[-len(resumed.seen) :]
        assert len(resumed.seen) < len(whole.seen)
        for key, value in whole.model.state_dict().items():
            assert torch.equal(value, resumed.model.state_dict()[key]), (step, key)
        assert torch.equal(resumed.handler.scores.nan_to_num(-1), handler.scores.nan_to_num(-1))
        assert resumed.handler.pruned_percent == handler.pruned_percent
        ours, theirs = ([e for e in t.state.log_history if "loss" in e] for t in (resumed, whole))
        assert [e["epoch"] for e in ours] == [e["epoch"] for e in theirs]
    check_batches(whole, kwargs)


def in_mid_epoch(folder, step):
    return torch.load(folder / f"checkpoint-{step}" / pruned.FILE, weights_only=True)["selection"] is not None


def check_batches(whole, kwargs):
    """Every sample of an epoch once; batches by length if asked for."""
    first = [indices for epoch, indices in whole.seen if epoch == 0]
    samples = [index for batch in first for index in batch]
    assert len(set(samples)) == len(samples) == whole.handler.state._selected[0]
    lengths = [len(item["input_ids"]) for item in whole.handler.dataset]
    padding = sum(max(lengths[i] for i in batch) * len(batch) for batch in first)
    padding -= sum(lengths[i] for i in samples)
    assert (padding < 40) == ("train_sampling_strategy" in kwargs)


def test_scores_are_the_losses_of_their_samples(tmp_path):
    """A model that does not learn: every score is the loss of its own sample."""
    for model in (classifier, language_model):
        run = trainer(
            lambda data: InfoBatch(data, 1),
            tmp_path,
            model,
            num_train_epochs=1,
            learning_rate=0.0,
            gradient_accumulation_steps=4,
            dataloader_num_workers=2 if model is classifier else 0,
            save_strategy="no",
            eval_strategy="no",
        )
        for module in run.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        run.model.config.attention_probs_dropout_prob = 0.0
        run.train()
        own = torch.stack([run.model(**collate([item])).loss.detach() for item in run.handler.dataset])
        torch.testing.assert_close(run.handler.scores, own, rtol=1e-4, atol=1e-5)


def test_a_run_in_steps(tmp_path):
    run = trainer(
        lambda data: InfoBatch(data, num_steps=30, batch_size=BATCH),
        tmp_path,
        max_steps=30,
        save_strategy="no",
        eval_strategy="no",
    )
    run.train()
    assert run.state.global_step == len(run.seen) == 30
    assert run.handler.progress == 1
    assert run.lr_scheduler.get_last_lr()[0] == 0


@pytest.mark.parametrize(
    ("make", "kwargs", "message"),
    [
        (lambda data: InfoBatch(data, 5), {}, "num_epochs=5 and num_train_epochs=3 differ"),
        (
            MAKE["infobatch"],
            {"max_steps": 10},
            "max_steps=10 needs a handler of as many batches: num_steps=10",
        ),
        (MAKE["infobatch"], {"train_sampling_strategy": "sequential"}, "take random or group_by_length"),
        (MAKE["infobatch"], {"auto_find_batch_size": True}, "give the batch size"),
    ],
)
def test_what_cannot_be_right_is_refused(make, kwargs, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        trainer(make, tmp_path, **kwargs)


def test_other_data_sets_and_checkpoints_are_refused(tmp_path):
    with pytest.raises(TypeError, match="train_dataset has to be a handler such as InfoBatch, got Text"):
        trainer(lambda data: data, tmp_path)
    run = trainer(MAKE["infobatch"], tmp_path, save_strategy="no", eval_strategy="no")
    run.train()
    with pytest.raises(RuntimeError, match="make a new one, or resume_from_checkpoint"):
        run.train()
    run.save_state()
    run.save_model(str(tmp_path))
    state = json.loads(Path(tmp_path, "trainer_state.json").read_text())
    assert state["global_step"] == run.state.global_step
    with pytest.raises(FileNotFoundError, match="no checkpoint of a PrunedTrainer"):
        trainer(MAKE["infobatch"], tmp_path).train(resume_from_checkpoint=str(tmp_path))
