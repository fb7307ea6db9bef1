"""PruningCallback: validation each epoch, the right steps, and a resume that equals no interruption."""

import itertools
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import DataLoader, InfoBatch, SeTa
from tests.library.helpers import bls

pl = pytest.importorskip("lightning.pytorch")
callback = pytest.importorskip("bls_bench.integrations.lightning")
EPOCHS, N, BATCH = 6, 150, 16


def data(n=N):
    generator = torch.Generator().manual_seed(n)
    inputs = torch.randn(n, 8, generator=generator)
    return TensorDataset(inputs, (inputs.sum(1) > 0).long())


class Module(pl.LightningModule):
    def __init__(self, handler):
        super().__init__()
        self.handler, self.seen, self.validated = handler, [], []
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        self.per_sample = handler.state.scorer.per_sample

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        self.seen.append((self.trainer.current_epoch, batch_idx, self.handler.batch_indices.tolist()))
        losses = nn.functional.cross_entropy(self.model(inputs), targets, reduction="none")
        return self.handler.update(losses if self.per_sample else losses.mean())

    def validation_step(self, batch, _):
        loss = nn.functional.cross_entropy(self.model(batch[0]), batch[1])
        self.log("val", loss)

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.validated.append(self.trainer.current_epoch)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1 - self.handler.progress)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit(make, folder, ckpt=None, extra=(), **kwargs):
    handler = make()
    module = Module(handler)
    loader = DataLoader(handler, sampler=handler.sampler, batch_size=BATCH)
    validation = DataLoader(data(40), batch_size=40)
    kwargs = {"max_epochs": EPOCHS, **kwargs}
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        default_root_dir=folder,
        callbacks=[callback.PruningCallback(handler), *extra],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(extra),
        num_sanity_val_steps=0,
        **kwargs,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, loader, validation, ckpt_path=ckpt, weights_only=False)
    return module, trainer


MAKE = {
    "infobatch": lambda: InfoBatch(data(), EPOCHS, delta=0.7),
    "bls_seta": lambda: bls(SeTa(data(), EPOCHS, prune_ratio=0.3)),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_run_resumed_in_mid_epoch_equals_the_uninterrupted_one(name, accumulate, tmp_path):
    saving = pl.callbacks.ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    whole, trainer = fit(MAKE[name], tmp_path, extra=[saving], accumulate_grad_batches=accumulate)
    handler, steps = whole.handler, trainer.global_step
    assert whole.validated == list(range(EPOCHS))
    assert handler.epoch == EPOCHS
    lengths = [sum(epoch == e for e, *_ in whole.seen) for epoch in range(EPOCHS)]
    assert steps == sum(-(-length // accumulate) for length in lengths)
    for step in range(6, steps, 9):
        resumed, again = fit(
            MAKE[name], tmp_path, tmp_path / f"step={step}.ckpt", accumulate_grad_batches=accumulate
        )
        assert again.global_step == steps
        assert resumed.seen == whole.seen[-len(resumed.seen) :]
        assert resumed.validated == list(range(EPOCHS))[-len(resumed.validated) :]
        for name_, value in whole.model.state_dict().items():
            assert torch.equal(value, resumed.model.state_dict()[name_]), (step, name_)
        assert torch.equal(resumed.handler.scores.nan_to_num(-1), handler.scores.nan_to_num(-1))
        assert resumed.handler.pruned_percent == handler.pruned_percent


@pytest.mark.parametrize("kwargs", [{}, {"limit_train_batches": 0.5}], ids=["whole", "limited"])
@pytest.mark.parametrize("name", MAKE)
def test_a_run_resumed_after_any_step_equals_the_uninterrupted_one(name, kwargs, tmp_path):
    """At the end of an epoch as well, whether the next one is longer or shorter."""
    saving = pl.callbacks.ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    whole, trainer = fit(MAKE[name], tmp_path, extra=[saving], **kwargs)
    lengths = [sum(epoch == e for e, *_ in whole.seen) for epoch in range(EPOCHS)]
    assert any(after > before for before, after in itertools.pairwise(lengths))
    assert any(after < before for before, after in itertools.pairwise(lengths))
    for step in range(1, trainer.global_step + 1):
        resumed, again = fit(MAKE[name], tmp_path, tmp_path / f"step={step}.ckpt", **kwargs)
        assert again.global_step == trainer.global_step, step
        assert resumed.seen == whole.seen[step:], step
        equal(resumed, whole)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"val_check_interval": 0.5},
        {"check_val_every_n_epoch": 2},
        {"val_check_interval": 5, "check_val_every_n_epoch": None},
    ],
    ids=["each", "half", "second", "fifth"],
)
def test_a_run_resumed_from_a_validation_equals_the_uninterrupted_one(name, kwargs, tmp_path):
    saving = pl.callbacks.ModelCheckpoint(
        tmp_path, monitor="val", save_top_k=-1, filename="{step}", save_on_train_epoch_end=False
    )
    whole, trainer = fit(MAKE[name], tmp_path, extra=[saving], **kwargs)
    checkpoints = sorted(tmp_path.glob("step=*.ckpt"), key=lambda file: int(file.stem[5:]))
    assert len(checkpoints) >= EPOCHS // 2
    for file in checkpoints[:-1]:
        resumed, again = fit(MAKE[name], tmp_path, file, **kwargs)
        assert again.global_step == trainer.global_step, file.stem
        assert resumed.seen == whole.seen[int(file.stem[5:]) :], file.stem
        assert resumed.validated == whole.validated[-len(resumed.validated) :], file.stem
        equal(resumed, whole)


def equal(resumed, whole):
    """Assert that two runs have ended alike."""
    assert resumed.handler.epoch == whole.handler.epoch == EPOCHS
    assert resumed.handler.pruned_percent == whole.handler.pruned_percent
    assert torch.equal(resumed.handler.scores.nan_to_num(-1), whole.handler.scores.nan_to_num(-1))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_early_stopping_sees_every_epoch(tmp_path):
    stopping = pl.callbacks.EarlyStopping("val", patience=2, min_delta=100.0)
    module, trainer = fit(MAKE["infobatch"], tmp_path, extra=[stopping])
    assert module.validated == [0, 1, 2]
    assert trainer.current_epoch == 3


def test_limited_epochs_end(tmp_path):
    module, _ = fit(MAKE["infobatch"], tmp_path, limit_train_batches=3)
    assert module.handler.epoch == EPOCHS
    assert len(module.seen) == 3 * EPOCHS


def test_a_learning_rate_finder_is_no_epoch(tmp_path):
    handler = MAKE["infobatch"]()
    module = Module(handler)
    module.lr = 1e-2
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        default_root_dir=tmp_path,
        callbacks=[callback.PruningCallback(handler)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    loader = DataLoader(handler, sampler=handler.sampler, batch_size=BATCH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pl.tuner.Tuner(trainer).lr_find(module, loader, num_training=25, update_attr=False)
    assert handler.epoch == handler.progress == 0
    assert handler.scores.isnan().all()


@pytest.mark.parametrize(
    ("make", "kwargs", "message"),
    [
        (MAKE["infobatch"], {"max_epochs": 5}, r"num_epochs=6 and Trainer\(max_epochs=5\) differ"),
        (
            lambda: InfoBatch(data(), num_steps=100, batch_size=BATCH),
            {"max_epochs": -1, "max_steps": 50},
            r"num_steps=100 are not the batches of Trainer\(max_steps=50, accumulate_grad_batches=1\)",
        ),
    ],
)
def test_a_run_of_another_length_is_refused(make, kwargs, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        fit(make, tmp_path, **kwargs)


def test_a_run_in_steps(tmp_path):
    module, trainer = fit(
        lambda: InfoBatch(data(), num_steps=50, batch_size=BATCH), tmp_path, max_epochs=-1, max_steps=50
    )
    assert trainer.global_step == len(module.seen) == 50
    assert module.handler.progress == 1
    assert module.validated == list(range(len(module.validated)))
    assert len(module.validated) >= 4


def test_another_loader_is_refused(tmp_path):
    handler = MAKE["infobatch"]()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        default_root_dir=tmp_path,
        callbacks=[callback.PruningCallback(handler)],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(handler, sampler=handler.sampler, batch_size=BATCH)
    with pytest.raises(TypeError, match=r"needs a bls_bench\.DataLoader"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(Module(handler), loader)
    with pytest.raises(
        TypeError, match="PruningCallback takes a handler such as InfoBatch, got TensorDataset"
    ):
        callback.PruningCallback(data())
