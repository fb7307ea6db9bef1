"""Losses of pairs beside slow plain versions, and recall of cases that are worked out by hand."""

import math

import pytest
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Place
from bls_bench.tasks.retrieval.data import ViewBatch, Views
from bls_bench.tasks.retrieval.models import TwoTowers
from bls_bench.tasks.retrieval.objective import Matching, Recall, info_nce, soft_margin
from bls_bench.tasks.retrieval.task import Retrieval

SHARP = 3.0


class Vectors(torch.nn.Module):
    """Takes the images for vectors."""

    def forward(self, queries, places):
        return queries, places


def pairs(count=5, width=4):
    generator = torch.Generator().manual_seed(0)
    queries, places = (
        torch.nn.functional.normalize(
            torch.randn(count, width, generator=generator, dtype=torch.float64), dim=1
        )
        for _ in range(2)
    )
    return ViewBatch(queries, places, torch.arange(count))


def plain_info_nce(batch):
    losses = []
    for own in range(len(batch.queries)):
        ways = ((batch.queries[own], batch.places), (batch.places[own], batch.queries))
        terms = []
        for one, others in ways:
            likeness = [math.exp(SHARP * float(one @ other)) for other in others]
            terms.append(-math.log(likeness[own] / sum(likeness)))
        losses.append(sum(terms) / 2)
    return losses


def plain_soft_margin(batch):
    losses = []
    for own in range(len(batch.queries)):
        terms = []
        for one, others in ((batch.queries[own], batch.places), (batch.places[own], batch.queries)):
            near = float((one - others[own]).square().sum())
            for at, other in enumerate(others):
                if at != own:
                    terms.append(math.log1p(math.exp(SHARP * (near - float((one - other).square().sum())))))
        losses.append(sum(terms) / len(terms))
    return losses


@pytest.mark.parametrize(
    ("name", "plain"), [("info_nce", plain_info_nce), ("soft_margin", plain_soft_margin)]
)
def test_losses_are_those_of_a_loop_over_pairs(name, plain):
    batch = pairs()
    expected = torch.tensor(plain(batch), dtype=torch.float64)
    for per_sample, wanted in ((True, expected), (False, expected.mean())):
        task = Retrieval(loss=name, sharpness=SHARP, per_sample=per_sample)
        loss = Matching(task, Views(32)).loss(Vectors(), batch, Place(0, 0, 0), frozenset()).value
        torch.testing.assert_close(loss, wanted)


@pytest.mark.parametrize("loss", [info_nce, soft_margin])
def test_a_pair_alone_has_nothing_to_learn_from(loss):
    likeness = torch.tensor([[0.3]], requires_grad=True)
    value = loss(likeness, SHARP)
    assert value.tolist() == [0]
    value.sum().backward()
    assert likeness.grad.tolist() == [[0]]


@pytest.mark.parametrize("loss", [info_nce, soft_margin])
def test_the_loss_of_a_pair_hangs_on_the_others(loss):
    batch = pairs()
    likeness = batch.queries @ batch.places.T
    assert not torch.isclose(loss(likeness, SHARP)[0], loss(likeness[:2, :2], SHARP)[0])


def recall(likeness, parts=1):
    """Return the metrics of queries that are as like the places as a table (n, n) says."""
    table = torch.tensor(likeness, dtype=torch.float64)
    whole = ViewBatch(table, torch.eye(len(table), dtype=torch.float64), torch.arange(len(table)))
    measures = []
    for rank in range(parts):
        measures.append(Recall())
        measures[-1].update(Vectors(), ViewBatch(*(part[rank::parts] for part in whole)))
    measure = Recall()
    measure.merge([one.state() for one in measures])
    return measure.compute()


def test_recall_by_hand():
    # The right one is first, second, third and first.
    table = [[0.9, 0, 0, 0], [0.5, 0.4, 0, 0], [0.5, 0.4, 0.3, 0], [0, 0.1, 0.2, 0.3]]
    for parts in (1, 2, 3):
        assert recall(table, parts) == {"R1": 50, "R5": 100, "R10": 100, "R1percent": 50}


def test_recall_among_many():
    # 250 places: 1 % are the first two. Query i has i % 8 places before its own.
    table = torch.zeros(250, 250)
    for query in range(250):
        table[query, query] = 0.5
        for other in range(query % 8):
            table[query, (query + 1 + other) % 250] = 1.0
    ranks = [query % 8 for query in range(250)]
    found = recall(table.tolist())
    assert found == pytest.approx(
        {
            "R1": 100 * sum(rank < 1 for rank in ranks) / 250,
            "R5": 100 * sum(rank < 5 for rank in ranks) / 250,
            "R10": 100,
            "R1percent": 100 * sum(rank < 2 for rank in ranks) / 250,
        }
    )


def test_vectors_that_are_all_alike_find_nothing():
    assert recall([[1.0] * 11] * 11) == {"R1": 0, "R5": 0, "R10": 0, "R1percent": 0}


@pytest.mark.parametrize("encoder", ["cnn", "resnet18", "convnext_atto"])
@pytest.mark.parametrize("shared", [True, False])
def test_towers_give_vectors_of_length_one(encoder, shared):
    network = TwoTowers(encoder=encoder, shared=shared, width=16).build(Views(32))
    views = torch.rand(3, 3, 32, 32)
    queries, places = network(views, views.flip(0))
    for found in (queries, places):
        assert found.shape == (3, 16)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert (network.query is network.place) == shared
    (queries @ places.T).sum().backward()
    assert all(value.grad is not None for value in network.parameters())


def test_an_unknown_encoder():
    with pytest.raises(InputError, match="model.encoder=eye is neither cnn nor a timm model"):
        TwoTowers(encoder="eye").build(Views(32))


def test_vectors_that_are_no_numbers_find_nothing():
    assert recall([[math.nan] * 11] * 11) == {"R1": 0, "R5": 0, "R10": 0, "R1percent": 0}


@pytest.mark.parametrize("name", ["info_nce", "soft_margin"])
def test_likeness_is_not_rounded_in_mixed_precision(name):
    batch = ViewBatch(*(part.float() for part in pairs()[:2]), torch.arange(5))
    objective = Matching(Retrieval(loss=name), Views(32))
    whole = objective.loss(Vectors(), batch, Place(0, 0, 0), frozenset()).value
    with torch.autocast("cpu", torch.bfloat16):
        mixed = objective.loss(Vectors(), batch, Place(0, 0, 0), frozenset()).value
    assert torch.equal(mixed, whole)
