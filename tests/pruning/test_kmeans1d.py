import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from bls_bench.pruning.kmeans1d import GRID, kmeans1d, sort

pytestmark = pytest.mark.pruning


def inertia(values, groups):
    return sum(
        float(((v := values[groups == g].double()) - v.mean()).square().sum()) for g in groups.unique()
    )


def least_inertia(values, k):
    """The slow plain program over all cuts, O(k n^2), for any n."""
    ordered = np.sort(values.double().numpy())
    n = len(ordered)
    best = np.full(n + 1, np.inf)
    best[0] = 0
    for _ in range(k):
        new = np.full(n + 1, np.inf)
        for end in range(1, n + 1):
            # Means and squared distances of all groups that end here, from the last value to the first.
            part = ordered[:end][::-1]
            sizes = np.arange(1, end + 1)
            means = np.cumsum(part - part[0]) / sizes
            cost = np.cumsum((part - part[0]) ** 2) - sizes * means**2
            new[end] = (best[:end][::-1] + cost).min()
        best = new
    return best[n]


def lognormal(n, sigma, seed=0):
    return (torch.randn(n, generator=torch.Generator().manual_seed(seed)) * sigma).exp()


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_up_to_a_grid_of_values_it_is_the_optimum(sigma, k):
    for seed, n in enumerate([30, 400, GRID]):
        values = lognormal(n, sigma, seed)
        assert inertia(values, kmeans1d(values, k)) == pytest.approx(least_inertia(values, k), rel=1e-9)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_with_more_values_it_is_within_a_thousandth_of_the_optimum(sigma):
    values = lognormal(4 * GRID, sigma)
    assert inertia(values, kmeans1d(values, 5)) <= 1.001 * least_inertia(values, 5)


def test_heavy_tails_do_not_hold_it_in_a_poor_optimum():
    """From quantiles Lloyd's algorithm ends at more than twice the least inertia on such values."""
    values = lognormal(20_000, 3.0)
    best = KMeans(5, n_init=5, random_state=0).fit(values[:, None].double().numpy()).inertia_
    assert inertia(values, kmeans1d(values, 5)) <= 1.0001 * best


def test_many_equal_values_are_never_cut_apart():
    values = torch.randint(0, 3000, (50_000,), generator=torch.Generator().manual_seed(0)).float()
    groups = kmeans1d(values, 5)
    for g in range(4):
        assert values[groups == g].max() < values[groups == g + 1].min()


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


def test_many_different_values_beside_far_more_equal_ones_leave_no_group_empty():
    """Neither bins of as many values nor bins of one width tell the different ones apart."""
    few = torch.rand(2 * GRID, generator=torch.Generator().manual_seed(0))
    groups = kmeans1d(torch.cat([torch.zeros(2_000_000), 1e-6 * few, torch.tensor([1e6])]), 5)
    assert len(groups.unique()) == 5
    assert len(kmeans1d(few, GRID + 1).unique()) == GRID + 1


@pytest.mark.parametrize("k", [2, 5])
def test_equal_values_make_equal_chunks(k):
    sizes = kmeans1d(torch.full((103,), 0.7), k).bincount(minlength=k)
    assert sizes.max() - sizes.min() <= 1


def test_heaps_and_far_points_make_groups_of_their_own():
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
