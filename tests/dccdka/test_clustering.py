"""Clusters share values, keep zero, and lower the error of Eq. 9."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dccdka.clustering import (
    assign,
    assign_rows,
    density_centroids,
    forgy_centroids,
    k_means,
    linear_centroids,
    means_of_members,
)
from dccdka.recipe import CentroidInit

INITS: tuple[CentroidInit, ...] = get_args(CentroidInit)
CENTROIDS = {"linear": linear_centroids, "density": density_centroids, "forgy": forgy_centroids}
seeds = st.integers(0, 2**32 - 1)


def pruned_weights(seed: int, weights: int = 200, live: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(weights, generator=generator) * (torch.rand(weights, generator=generator) < live)


def squared_error(weight: Tensor, centroids: Tensor) -> float:
    return float(((weight - centroids[assign(weight, centroids)]) ** 2).sum())


def test_linear_centroids_are_zero_and_equally_spaced_over_the_range() -> None:
    centroids = linear_centroids(torch.tensor([-1.0, 0.0, 3.0]), 6)
    assert centroids.tolist() == pytest.approx([0, -1, 0, 1, 2, 3])


def test_linear_centroids_leave_out_the_gap_that_pruning_left() -> None:
    centroids = linear_centroids(torch.tensor([-3.0, -1.0, 1.0, 5.0]), 5)
    # Without the gap of 1 on each side the range is -2 to 4.
    assert centroids.tolist() == pytest.approx([0, -3, 1, 3, 5])


def test_density_centroids_lie_where_the_weights_are() -> None:
    # Of 100 values four fifths are below 1: so are four of the five centroids.
    values = torch.cat([torch.linspace(0.1, 0.9, 80), torch.linspace(5, 9, 20)])
    centroids = density_centroids(values[torch.randperm(100)], 6)
    assert centroids[0] == 0
    assert int((centroids[1:] < 1).sum()) == 4
    assert centroids[1:].tolist() == values[[10, 30, 50, 70, 90]].tolist()


def test_forgy_centroids_are_values_drawn_by_the_seed() -> None:
    values = torch.randn(100, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    once = forgy_centroids(values, 9)
    torch.manual_seed(1)
    assert torch.equal(forgy_centroids(values, 9), once)
    torch.manual_seed(2)
    assert not torch.equal(forgy_centroids(values, 9), once)
    assert once[0] == 0
    assert len(once[1:].unique()) == 8
    assert torch.isin(once[1:], values).all()


@given(seed=seeds, clusters=st.integers(2, 32))
def test_each_weight_gets_its_nearest_centroid(seed: int, clusters: int) -> None:
    weight = pruned_weights(seed)
    centroids = torch.randn(clusters, generator=torch.Generator().manual_seed(seed))
    nearest = (weight[:, None] - centroids).abs().min(1).values
    assert torch.equal((weight - centroids[assign(weight, centroids)]).abs(), nearest)


@given(seed=seeds, clusters=st.lists(st.integers(2, 33), min_size=1, max_size=4))
def test_the_weights_of_many_layers_get_what_each_layers_would_by_itself(seed: int, clusters: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = [pruned_weights(seed + number, weights=50) for number in range(len(clusters))]
    centroids = torch.full((len(clusters), max(clusters)), torch.inf)
    for number, k in enumerate(clusters):
        centroids[number, :k] = torch.randn(k, generator=generator)
        centroids[number, 0] = 0
    rows = torch.arange(len(clusters), dtype=torch.int32).repeat_interleave(50)
    places = assign_rows(torch.cat(weights), rows, centroids)
    for number, (k, members) in enumerate(zip(clusters, places.split(50), strict=True)):
        own = assign(weights[number], centroids[number, :k])
        assert torch.equal(members.long(), own + number * max(clusters))


def test_a_centroid_that_comes_to_zero_takes_no_weights_from_zero() -> None:
    centroids = torch.tensor([[0.0, -0.0, 1e-45, -1e-45, 1.0]])
    assert assign_rows(torch.tensor([0.0, -0.0, 0.7]), torch.zeros(3, dtype=torch.int32), centroids).tolist() == [
        0,
        0,
        4,
    ]


@pytest.mark.parametrize("init", INITS)
@given(seed=seeds, clusters=st.integers(2, 64))
def test_k_means_keeps_zero_and_only_lowers_the_error_of_eq_9(init: CentroidInit, seed: int, clusters: int) -> None:
    weight = pruned_weights(seed)
    torch.manual_seed(seed)
    before = CENTROIDS[init](weight[weight != 0], clusters)
    torch.manual_seed(seed)
    centroids = k_means(weight, clusters, init)
    assert centroids.shape == (clusters,)
    assert centroids[0] == 0
    assert squared_error(weight, centroids) <= squared_error(weight, before) + 1e-4


def test_256_clusters_are_all_used_where_density_places_them() -> None:
    weight = pruned_weights(0, weights=5000)
    assert len(assign(weight, k_means(weight, 256, "density")).unique()) == 256


@pytest.mark.parametrize("init", INITS)
@given(seed=seeds, live=st.integers(0, 7))
def test_as_many_clusters_as_values_keep_every_weight(init: CentroidInit, seed: int, live: int) -> None:
    weight = torch.zeros(20)
    weight[:live] = torch.randn(live, generator=torch.Generator().manual_seed(seed))
    centroids = k_means(weight, 8, init)
    assert torch.equal(centroids[assign(weight, centroids)], weight)


def test_a_centroid_moves_to_the_mean_of_its_members_and_stays_without_any() -> None:
    values = torch.tensor([1.0, 3.0, -1.0])
    moved = means_of_members(values, torch.tensor([1, 1, 2]), torch.tensor([0.0, 1.5, -2.0, 7.0]))
    assert moved.tolist() == [0, 2, -1, 7]
