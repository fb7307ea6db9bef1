"""The rows that the tests of every static pruner run over, and observations made up for them."""

import pytest
import torch
from torch.nn import functional as F

from bls_bench.static.methods.proxy_topk import ProxyTopK
from bls_bench.static.methods.static_ccs import CCS
from bls_bench.static.methods.static_contextual_diversity import ContextualDiversity
from bls_bench.static.methods.static_craig import Craig
from bls_bench.static.methods.static_deepfool import DeepFool
from bls_bench.static.methods.static_dp import DatasetPruning
from bls_bench.static.methods.static_el2n import EL2N
from bls_bench.static.methods.static_entropy import Entropy
from bls_bench.static.methods.static_forgetting import Forgetting
from bls_bench.static.methods.static_glister import Glister
from bls_bench.static.methods.static_grand import GraNd
from bls_bench.static.methods.static_herding import Herding
from bls_bench.static.methods.static_influence import Influence
from bls_bench.static.methods.static_kcenter import KCenter
from bls_bench.static.methods.static_least_confidence import LeastConfidence
from bls_bench.static.methods.static_margin import Margin
from bls_bench.static.methods.static_metriq import MetriQ
from bls_bench.static.methods.static_random import StaticRandom
from bls_bench.static.methods.static_tdds import TDDS
from bls_bench.static.observations import Observations

STATIC = [
    pytest.param(method, id=method.__name__)
    for method in (
        StaticRandom,
        EL2N,
        GraNd,
        Forgetting,
        LeastConfidence,
        Margin,
        Entropy,
        ProxyTopK,
        Herding,
        KCenter,
        ContextualDiversity,
        DeepFool,
        Craig,
        Glister,
        Influence,
        DatasetPruning,
        CCS,
        TDDS,
        MetriQ,
    )
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def chosen(pruner, observed, seed=0):
    pruner.choose(observed, generator(seed))
    return pruner._chosen


def observations(n=60, classes=4, features=6, epochs=7, seed=0):
    """Random ones; class k has about twice as many samples as class k - 1."""
    draw = generator(seed)
    shares = torch.tensor([2.0**k for k in range(classes)])
    return Observations(
        targets=torch.multinomial(shares, n, replacement=True, generator=draw),
        num_classes=classes,
        logits=torch.randn(n, classes, generator=draw) * 2,
        features=torch.randn(n, features, generator=draw),
        history=torch.rand(epochs, n, generator=draw) * 2 - 1,
        probed=torch.rand(n, generator=draw),
    )


def probabilities(observed):
    return [F.softmax(row.double(), 0).tolist() for row in observed.logits]


def plain_gradients(observed):
    """The (n, C * (d + 1)) gradients of each sample in the last layer, by hand."""
    rows = []
    for p, target, h in zip(
        probabilities(observed), observed.targets.tolist(), observed.features.tolist(), strict=True
    ):
        error = [x - (k == target) for k, x in enumerate(p)]
        rows.append([e * x for e in error for x in [*h, 1.0]])
    return torch.tensor(rows, dtype=torch.float64)
