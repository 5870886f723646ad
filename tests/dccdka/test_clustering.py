"""Clusters share values, keep zero, and pass gradients as sums over their members."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dccdka.clustering import Cluster, assign, k_means, linear_centroids


def pruned_weights(seed: int, weights: int = 200, live: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(weights, generator=generator) * (torch.rand(weights, generator=generator) < live)


def squared_error(weight: Tensor, centroids: Tensor) -> float:
    return float(((weight - centroids[assign(weight, centroids)]) ** 2).sum())


seeds = st.integers(0, 2**32 - 1)


def test_linear_centroids_are_zero_and_equally_spaced_over_the_range() -> None:
    centroids = linear_centroids(torch.tensor([-1.0, 0.0, 3.0]), 6)
    assert centroids.tolist() == pytest.approx([0, -1, 0, 1, 2, 3])


def test_linear_centroids_leave_out_the_gap_that_pruning_left() -> None:
    centroids = linear_centroids(torch.tensor([-3.0, -1.0, 1.0, 5.0]), 5)
    # Without the gap of 1 on each side the range is -2 to 4.
    assert centroids.tolist() == pytest.approx([0, -3, 1, 3, 5])


@given(seed=seeds, clusters=st.integers(2, 32))
def test_each_weight_gets_its_nearest_centroid(seed: int, clusters: int) -> None:
    weight = pruned_weights(seed)
    centroids = torch.randn(clusters, generator=torch.Generator().manual_seed(seed))
    nearest = (weight[:, None] - centroids).abs().min(1).values
    assert torch.equal((weight - centroids[assign(weight, centroids)]).abs(), nearest)


@given(seed=seeds, clusters=st.integers(2, 64))
def test_k_means_keeps_zero_and_only_lowers_the_error_of_eq_9(seed: int, clusters: int) -> None:
    weight = pruned_weights(seed)
    centroids = k_means(weight, clusters)
    assert centroids.shape == (clusters,)
    assert centroids[0] == 0
    assert (
        squared_error(weight, centroids)
        <= squared_error(weight, linear_centroids(weight[weight != 0], clusters)) + 1e-4
    )


@given(seed=seeds, live=st.integers(0, 7))
def test_as_many_clusters_as_values_keep_every_weight(seed: int, live: int) -> None:
    weight = torch.zeros(20)
    weight[:live] = torch.randn(live, generator=torch.Generator().manual_seed(seed))
    centroids = k_means(weight, 8)
    assert torch.equal(centroids[assign(weight, centroids)], weight)


@given(seed=seeds, clusters=st.integers(2, 16))
def test_the_output_has_at_most_k_values_and_pruned_weights_stay_zero(seed: int, clusters: int) -> None:
    weight = pruned_weights(seed)
    cluster = Cluster(weight, clusters)
    cluster.begin(weight)
    shared = cluster(weight)
    assert len(shared.unique()) <= clusters
    assert torch.all(shared[weight == 0] == 0)


@given(seed=seeds)
def test_a_centroids_gradient_is_the_sum_over_its_members_and_zero_never_moves(seed: int) -> None:
    weight = pruned_weights(seed).requires_grad_()
    cluster = Cluster(weight, 6)
    cluster.begin(weight)
    upstream = torch.randn(len(weight), generator=torch.Generator().manual_seed(seed))
    (cluster(weight) * upstream).sum().backward()
    assert cluster.assignment is not None
    gradient = cluster.centroids.grad
    assert gradient is not None
    assert gradient[0] == 0
    for index in range(1, 6):
        torch.testing.assert_close(gradient[index], upstream[cluster.assignment == index].sum())
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, upstream)


def test_it_does_nothing_before_it_begins() -> None:
    weight = pruned_weights(0)
    assert torch.equal(Cluster(weight, 4)(weight), weight)
