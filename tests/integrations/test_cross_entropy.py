"""The losses of samples that PrunedTrainer trains on: those of the model and the Trainer, or none."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from bls_bench import InfoBatch
from bls_bench.integrations.cross_entropy import CrossEntropies, in_place_of
from tests.library.helpers import bls

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pruned = pytest.importorskip("bls_bench.integrations.transformers")
IGNORED, N, BATCH, CLASSES, VOCABULARY = -100, 10, 5, 4, 32
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 16, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
WEIGHTS = torch.tensor([1.0, 10.0, 100.0, 1000.0])


class MyTrainer(pruned.PrunedTrainer, transformers.Trainer):
    pass


def texts(kind):
    """Texts of different lengths, with labels of a kind."""
    draw = torch.Generator().manual_seed(0)
    items = []
    for index in range(N):
        tokens = torch.randint(1, VOCABULARY, (3 + index % 4,), generator=draw)
        labels = {
            "class": torch.tensor(index % CLASSES),
            "shares": torch.rand(CLASSES, generator=draw).softmax(0),
            "classes": (torch.rand(CLASSES, generator=draw) > 0.5).float(),
            "number": torch.randn((), generator=draw),
            "column": torch.randn(1, generator=draw),
            "tokens": tokens,
            # The last text has no token that counts.
            "masked": tokens.where(torch.arange(len(tokens)) < (index < N - 1) * 2, IGNORED),
        }
        items.append({"input_ids": tokens, "labels": labels[kind]})
    return items


def collate(items):
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad([item["input_ids"] for item in items], batch_first=True)
    labels = pad([item["labels"].reshape(-1) for item in items], batch_first=True, padding_value=IGNORED)
    if items[0]["labels"].ndim == 0:
        labels = labels[:, 0]
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long(), "labels": labels}


def bert(head="SequenceClassification", **kwargs):
    config = transformers.BertConfig(initializer_range=0.5, **SIZES, **kwargs)
    return getattr(transformers, f"BertFor{head}")(config)


def classifier(**kwargs):
    return bert(num_labels=CLASSES, **kwargs)


def masked():
    return bert("MaskedLM")


class Tuples(transformers.BertForMaskedLM):
    def forward(self, **inputs):
        return super().forward(**inputs).to_tuple()


def tuples():
    return Tuples(masked().config)


class MyGPT(transformers.GPT2LMHeadModel):
    pass


def gpt(cls=transformers.GPT2LMHeadModel, **kwargs):
    sizes = {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 16}
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return cls(transformers.GPT2Config(initializer_range=0.5, **sizes, **none, **kwargs))


def lora(model=gpt):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    return peft.get_peft_model(model(), config)


def compiled():
    return torch.compile(gpt(), backend="eager")


def compiled_in_place():
    model = gpt()
    model.compile(backend="eager")
    return model


class Own(torch.nn.Module):
    """A model that is not of transformers; `loss` says what its loss is of logits (b, t, c) and labels."""

    def __init__(self, loss, logits=True):
        super().__init__()
        self.layer, self.loss, self.logits = torch.nn.Embedding(VOCABULARY, VOCABULARY), loss, logits

    def forward(self, input_ids, attention_mask=None, labels=None):
        logits = self.layer(input_ids)
        return {"loss": self.loss(logits, labels)} | ({"logits": logits} if self.logits else {})


def per_token(logits, labels):
    return F.cross_entropy(logits.movedim(-1, 1), labels, reduction="none")


def of_samples(logits, labels):
    """The mean over samples of each one's mean."""
    return (per_token(logits, labels).sum(1) / (labels != IGNORED).sum(1).clamp(min=1)).mean()


def of_tokens(logits, labels):
    return F.cross_entropy(logits.movedim(-1, 1), labels)


def shifted(logits, labels):
    return of_tokens(logits[:, :-1], labels[:, 1:])


def plain(outputs, labels, num_items_in_batch=None):
    return F.cross_entropy(outputs.logits, labels)


def weighted(outputs, labels, num_items_in_batch=None):
    return F.cross_entropy(outputs.logits, labels, weight=WEIGHTS.to(outputs.logits))


class Weighted(transformers.Trainer):
    """Class weights, as the documentation of transformers shows them."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = weighted(outputs, labels)
        return (loss, outputs) if return_outputs else loss


class PrunedWeighted(pruned.PrunedTrainer, Weighted):
    pass


class SaysItsLosses(PrunedWeighted):
    """sample_losses whose mean is the loss of Weighted."""

    def sample_losses(self, outputs, labels):
        losses = F.cross_entropy(outputs.logits, labels, weight=WEIGHTS, reduction="none")
        return losses * len(losses) / WEIGHTS[labels].sum()


def trainer(folder, make, kind, cls=MyTrainer, handler=None, func=None, **kwargs):
    torch.manual_seed(0)
    settings = {"num_train_epochs": 1, "per_device_train_batch_size": BATCH, "learning_rate": 0.0}
    settings |= {"save_strategy": "no", "report_to": [], "disable_tqdm": True, "use_cpu": True}
    settings |= {"remove_unused_columns": False}  # which reads the signature of a compiled model wrongly
    args = transformers.TrainingArguments(str(folder), **(settings | kwargs))
    data = handler or (lambda items: InfoBatch(items, 1, prune_ratio=0.0))
    return cls(
        model=make(),
        args=args,
        train_dataset=data(texts(kind)),
        data_collator=collate,
        compute_loss_func=func,
    )


SMOOTH = {"label_smoothing_factor": 0.2}
SAME = {
    "causal": (gpt, "tokens", {}),
    "derived": (lambda: gpt(MyGPT), "tokens", {}),
    "lora": (lora, "tokens", {}),
    "lora of a derived one": (lambda: lora(lambda: gpt(MyGPT)), "tokens", {}),
    "compiled": (compiled, "tokens", {}),
    "compiled in place": (compiled_in_place, "tokens", {"bf16": True}),
    "accumulated": (gpt, "tokens", {"gradient_accumulation_steps": 2}),
    "some tokens": (masked, "masked", {}),
    "classes": (classifier, "class", {}),
    "smoothed": (classifier, "class", SMOOTH),
    "smoothed tokens": (masked, "masked", SMOOTH),
    "smoothed causal": (gpt, "tokens", SMOOTH),
    "smoothed lora": (lora, "tokens", SMOOTH),
    "tuples": (tuples, "masked", {}),
    "smoothed tuples": (tuples, "masked", SMOOTH),
    "shares": (classifier, "shares", {"func": plain}),
    "mixed": (gpt, "tokens", {"bf16": True}),
    "mixed smoothed": (masked, "masked", {"bf16": True, **SMOOTH}),
    "bfloat16": (lambda: gpt().bfloat16(), "tokens", {}),
    "bfloat16 classes": (lambda: classifier().bfloat16(), "class", {}),
    "bfloat16 smoothed": (lambda: masked().bfloat16(), "masked", SMOOTH),
    "a function's mean": (classifier, "class", {"func": plain}),
    "a function's, not smoothed": (classifier, "class", {"func": plain, **SMOOTH}),
    "a mean over samples": (lambda: Own(of_samples), "masked", {}),
}


SLOW = ("compiled", "compiled in place")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in SAME])
def test_scores_are_what_the_trainer_has_as_loss_of_each_sample(name, tmp_path):
    """A model that does not learn: every score is the Trainer's own loss of a batch of that sample alone."""
    make, kind, kwargs = SAME[name]
    run = trainer(tmp_path, make, kind, **kwargs)
    run.train()
    inputs = [collate([item]) for item in run.handler.dataset]
    with torch.no_grad(), run.accelerator.autocast():
        own = torch.stack([super(pruned.PrunedTrainer, run).compute_loss(run.model, one) for one in inputs])
    rounded = kwargs.get("bf16") or name.startswith("bfloat16")
    # Of no token there is no mean: models of transformers have NaN there, and no gradient comes of ours.
    torch.testing.assert_close(
        run.handler.scores, own.float().nan_to_num(0), rtol=3e-2 if rounded else 1e-4, atol=1e-5
    )


def with_balance(logits, labels):
    """Like the load balancing of mixtures of experts, a thousandth of the loss."""
    loss = of_tokens(logits, labels)
    return loss + 1e-3 * loss.detach()


def several(**kwargs):
    return classifier(problem_type="multi_label_classification", **kwargs)


def number():
    return bert(num_labels=1, problem_type="regression")


DIFFER, NONE = (
    "the batch has a loss of .* mean cross-entropy of .*: override sample_losses",
    "no cross-entropy",
)
OTHER = {
    "several classes": (several, "classes", {}, DIFFER),
    "smoothing left out": (several, "classes", SMOOTH, DIFFER),
    "numbers": (number, "number", {}, NONE),
    "numbers in a column": (number, "column", {}, NONE),
    "weights of a Trainer": (classifier, "class", {"cls": PrunedWeighted}, DIFFER),
    "weights of a function": (classifier, "class", {"func": weighted}, DIFFER),
    "weights in bfloat16": (classifier, "class", {"func": weighted, "bf16": True}, DIFFER),
    "weights of bfloat16": (lambda: classifier().bfloat16(), "class", {"func": weighted}, DIFFER),
    "more than cross-entropy": (lambda: Own(with_balance), "tokens", {}, DIFFER),
    "more, in bfloat16": (lambda: Own(with_balance), "tokens", {"bf16": True}, DIFFER),
    "a sum": (lambda: Own(lambda x, y: per_token(x, y).sum()), "tokens", {}, DIFFER),
    "causal, unknown": (lambda: Own(shifted), "tokens", {}, DIFFER),
    "causal by name only": (lambda: type("GPT2LMHeadModel", (Own,), {})(of_tokens), "tokens", {}, DIFFER),
    "smoothed without a shift": (lambda: gpt(MyGPT), "tokens", SMOOTH, DIFFER),
    "no logits": (lambda: Own(of_tokens, logits=False), "tokens", {}, "gave no logits"),
}


@pytest.mark.parametrize("name", OTHER)
def test_another_loss_is_refused_before_anything_is_trained(name, tmp_path):
    make, kind, kwargs, message = OTHER[name]
    run = trainer(tmp_path, make, kind, learning_rate=0.1, **kwargs)
    before = {key: value.clone() for key, value in run.model.state_dict().items()}
    with pytest.raises(ValueError, match=message) as refusal:
        run.train()
    assert "\n" not in str(refusal.value)
    assert "BLS" in str(refusal.value)
    assert all(torch.equal(value, before[key]) for key, value in run.model.state_dict().items())
    assert run.handler.progress == 0
    assert run.handler.scores.isnan().all()


@pytest.mark.parametrize("name", ["several classes", "numbers", "weights of a Trainer", "no logits"])
def test_under_bls_the_same_trains(name, tmp_path):
    make, kind, kwargs, _ = OTHER[name]
    run = trainer(tmp_path, make, kind, handler=lambda data: bls(InfoBatch(data, 1)), **kwargs)
    run.train()
    assert run.handler.epoch == 1
    assert run.handler.scores.isfinite().all()


def test_every_batch_is_compared(tmp_path):
    """Weights of classes do not show in a batch of one class: the batch that shows them is refused."""
    losses = []

    def later(outputs, labels, num_items_in_batch=None):
        losses.append(plain(outputs, labels) * (1 + len(losses)))
        return losses[-1]

    run = trainer(tmp_path, classifier, "class", func=later)
    with pytest.raises(ValueError, match=DIFFER):
        run.train()
    assert len(losses) == 2
    assert run.handler.progress == BATCH / N


def test_a_loss_that_is_not_finite_is_the_handlers_to_judge(tmp_path):
    def broken(outputs, labels, num_items_in_batch=None):
        return plain(outputs, labels) * torch.inf

    run = trainer(tmp_path, classifier, "class", func=broken)
    run.train()
    assert run.handler.scores.isfinite().all()


def test_losses_that_are_said_train_as_the_trainer_without_pruning(tmp_path):
    whole = {"learning_rate": 0.1, "per_device_train_batch_size": N, "optim": "sgd", "max_grad_norm": 0.0}
    ours = trainer(tmp_path, classifier, "class", SaysItsLosses, **whole)
    theirs = trainer(tmp_path, classifier, "class", Weighted, lambda items: items, **whole)
    before = ours.model.classifier.weight.clone()
    for run in (ours, theirs):
        run.train()
    assert not torch.equal(ours.model.classifier.weight, before)
    for key, value in ours.model.state_dict().items():
        torch.testing.assert_close(value, theirs.model.state_dict()[key], rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("off", [0.0, 5e-5, 5e-4, 1e-2, 3e-2])
@pytest.mark.parametrize("precision", ["no", "fp16", "bf16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_how_much_is_rounding(off, precision, compiled):
    """Of a float32 loss 1e-4 of it; more only where a compiled model may round less."""
    draw = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(8, 5, generator=draw), torch.randint(5, (8,), generator=draw)
    ours = CrossEntropies.of(logits, labels, smoothing=0.0, causal=False)
    model = torch.nn.Linear(1, 1)
    trainer = SimpleNamespace(
        label_smoother=None,
        compute_loss_func=None,
        accelerator=SimpleNamespace(mixed_precision=precision),
        model_wrapped=torch.compile(model) if compiled else model,
    )
    loss = F.cross_entropy(logits, labels) * (1 + off)
    allowed = {"no": 1e-4, "fp16": 2**-9, "bf16": 2**-6}[precision] if compiled else 1e-4
    if off < allowed:
        assert in_place_of(loss, ours, trainer) is ours.losses
    else:
        with pytest.raises(ValueError, match=DIFFER):
            in_place_of(loss, ours, trainer)
