import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from bls_bench.pruning.kmeans1d import kmeans1d, sort

pytestmark = pytest.mark.pruning


def inertia(values, groups):
    return sum(
        float(((v := values[groups == g].double()) - v.mean()).square().sum()) for g in groups.unique()
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_the_same_groups_as_scikit_learn_from_the_same_start(seed, k):
    values = torch.randn(2000, generator=torch.Generator().manual_seed(seed)).exp()
    ordered = values.double().sort().values
    start = ordered[torch.linspace(0, len(values) - 1, 2 * k + 1).long()[1::2]]
    theirs = KMeans(k, init=start[:, None].numpy(), n_init=1, tol=0, max_iter=300, algorithm="lloyd")
    labels = theirs.fit(values[:, None].double().numpy()).labels_
    rank = np.argsort(np.argsort(theirs.cluster_centers_[:, 0]))
    assert np.array_equal(kmeans1d(values, k).numpy(), rank[labels])


def test_inertia_is_near_the_best_of_many_random_starts():
    values = torch.randn(500, generator=torch.Generator().manual_seed(3)).exp()
    best = KMeans(5, n_init=20, random_state=0).fit(values[:, None].numpy()).inertia_
    assert inertia(values, kmeans1d(values, 5)) <= 1.1 * best


@settings(max_examples=200)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.25, 3.0, 50.0, 51.0, 1e6]), min_size=9), st.integers(1, 9))
def test_groups_are_intervals_in_order_and_none_is_empty(values, k):
    values = torch.tensor(values)
    groups = kmeans1d(values, k)
    if len(values.unique()) >= k:
        assert len(groups.unique()) == k
        for g in range(k - 1):
            assert values[groups == g].max() < values[groups == g + 1].min()
    assert groups.min() >= 0
    assert groups.max() < k
    assert torch.equal(groups[values.argsort(stable=True)], groups[values.argsort(stable=True)].sort().values)


@pytest.mark.parametrize("k", [2, 5])
def test_equal_values_make_equal_chunks(k):
    sizes = kmeans1d(torch.full((103,), 0.7), k).bincount(minlength=k)
    assert sizes.max() - sizes.min() <= 1


def test_a_group_that_runs_empty_is_filled_again():
    # Three tight heaps and one far point: quantile starts put all centres into the heaps.
    values = torch.cat([torch.linspace(0, 0.01, 50), torch.linspace(1, 1.01, 50), torch.tensor([1e4, 2e4])])
    assert len(kmeans1d(values, 4).unique()) == 4


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_sort_is_that_of_torch(values):
    for dtype in (torch.float32, torch.float64):
        ordered = torch.tensor(values, dtype=dtype)
        assert torch.equal(sort(ordered), ordered.sort().values)


def test_bad_input():
    with pytest.raises(ValueError, match="at least 1"):
        kmeans1d(torch.arange(5.0), 0)
    with pytest.raises(ValueError, match="NaN"):
        kmeans1d(torch.tensor([1.0, torch.nan]), 1)
