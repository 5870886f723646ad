"""Weight sharing: each layer's weights take one of k values, of which zero is one (Eqs 3 and 9)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MAX_LLOYD_ITERATIONS = 50


def linear_centroids(values: Tensor, clusters: int) -> Tensor:
    """Centroids [clusters]: zero, then equally spaced ones over the range of the nonzero values (Han et al.'s linear).

    The gap that pruning leaves around zero is taken out of the range, or centroids inside it would never get members.
    """
    gap = values.abs().min()
    low, high = torch.aminmax(values - values.sign() * gap)
    spread = low + (high - low) * torch.linspace(0, 1, clusters - 1, dtype=values.dtype, device=values.device)
    return torch.cat([spread.new_zeros(1), torch.where(spread < 0, spread - gap, spread + gap)])


def assign(weight: Tensor, centroids: Tensor) -> Tensor:
    """Index of the centroid nearest to each weight, int64, weight's shape."""
    ascending, order = centroids.detach().sort()
    boundaries = (ascending[1:] + ascending[:-1]) / 2
    return order[torch.bucketize(weight.detach().contiguous(), boundaries)]


def sum_over_members(values: Tensor, assignment: Tensor, clusters: int) -> Tensor:
    """Sum of the values [n...] that each cluster owns, [clusters]."""
    return values.new_zeros(clusters).scatter_add_(0, assignment.flatten(), values.flatten())


def k_means(weight: Tensor, clusters: int) -> Tensor:
    """Centroids [clusters] of the unpruned (nonzero) weights by Lloyd's algorithm (Eq. 9); the first is zero and stays.

    With no more distinct values than clusters, the values themselves are the centroids and the rest repeat the last.
    A centroid without members stays where it was.
    """
    live = weight.detach()[weight.detach() != 0]
    distinct: Tensor = live.unique()  # type: ignore[no-untyped-call]  # untyped in torch
    if distinct.numel() < clusters:
        padded = weight.new_zeros(clusters)
        padded[1 : 1 + distinct.numel()] = distinct
        padded[1 + distinct.numel() :] = padded[distinct.numel()].clone()
        return padded
    centroids = linear_centroids(live, clusters)
    ones = torch.ones_like(live)
    previous = None
    for _ in range(MAX_LLOYD_ITERATIONS):
        assignment = assign(live, centroids)
        if previous is not None and torch.equal(assignment, previous):
            break
        previous = assignment
        counts = sum_over_members(ones, assignment, clusters)
        means = sum_over_members(live, assignment, clusters) / counts.clamp(min=1)
        centroids = torch.where(counts > 0, means, centroids)
        centroids[0] = 0
    return centroids


class _Share(torch.autograd.Function):
    """Each weight takes its centroid's value.

    A centroid's gradient is the sum over its members (Han et al.), zero's is none; each weight gets its own gradient
    straight through, so that it can move to another cluster.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, centroids: Tensor, assignment: Tensor) -> Tensor:
        ctx.save_for_backward(assignment)
        ctx.clusters = centroids.numel()
        # A tenth of the time of centroids[assignment] and a half of that of take.
        return centroids.index_select(0, assignment.view(-1)).view_as(assignment)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (assignment,) = ctx.saved_tensors
        of_centroids = sum_over_members(gradients[0], assignment, ctx.clusters)
        of_centroids[0] = 0
        return gradients[0], of_centroids, None


class Cluster(nn.Module):
    """Parametrization that replaces each weight by its cluster's centroid, a trained parameter; inert until `begin`."""

    def __init__(self, weight: Tensor, clusters: int) -> None:
        super().__init__()
        self.centroids = nn.Parameter(weight.new_zeros(clusters))
        self.assignment: Tensor | None = None

    def begin(self, weight: Tensor) -> None:
        """Find the clusters of the weights, pruned ones being zero."""
        with torch.no_grad():
            self.centroids.copy_(k_means(weight, self.centroids.numel()))
        self.renew(weight)

    def renew(self, weight: Tensor) -> None:
        """Give each weight to the centroid that is nearest now."""
        self.assignment = assign(weight, self.centroids)

    def forward(self, weight: Tensor) -> Tensor:
        if self.assignment is None:
            return weight
        return _Share.apply(weight, self.centroids, self.assignment)  # type: ignore[no-untyped-call, no-any-return]  # untyped
