"""Single steps of an engine, and a model whose sums come out the same in any order."""

import torch
from torch import nn

from bls_bench.data.base import Images


class Perceptron(nn.Module):
    """Looks at every sample alone, in float64: sums in another order make no difference to speak of."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.GELU(), nn.Linear(16, 10)).double()

    def forward(self, inputs):
        return self.layers(inputs.double())

    def get_classifier(self):
        return self.layers[-1]


DIGITS = Images(1, 8, tuple("0123456789"))


def parts_of(engine, *batches):
    """Yield what the training data give for the parts of these batches, in the open epoch."""
    parts = [part for batch in batches for part in engine.learner.parts(batch.indices)]
    return engine.data.train.batches(parts, engine.state.epoch, engine.fabric.device)


def fetched(engine, batch):
    """Return what the training data give for a whole batch, in the open epoch."""
    return next(engine.data.train.batches([batch.indices], engine.state.epoch, engine.fabric.device))


def learn(engine, batch):
    """Make a step on a batch and record its loss, as the loop does."""
    engine._learn(batch, parts_of(engine, batch))
    engine.done += 1


def last_record(engine):
    """Return what the open epoch has recorded of its last batch: indices, losses and signals."""
    return engine.state._log._recent[-1]


def right_percent(model, split):
    """Return the share of a split's samples that a model in evaluation mode classifies rightly."""
    inputs, targets = next(split.batches([torch.arange(len(split))], 0, torch.device("cpu")))
    with torch.no_grad():
        return float((model.eval()(inputs).argmax(1) == targets).double().mean() * 100)
