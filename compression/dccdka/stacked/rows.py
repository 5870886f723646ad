"""Pruning and clustering of one layer of many candidates: tensors [r, n], a row for each candidate.

Each function does to every row what its namesake in dccdka.pruning or dccdka.clustering does to one layer, with other
settings for each row, in a number of kernels that does not depend on the number of rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dccdka.clustering import MAX_LLOYD_ITERATIONS

# Looking whether k-means has settled waits for the GPU.
_LOOK_INTERVAL = 5


def magnitude_masks(weights: Tensor, live: Tensor) -> Tensor:
    """1 for the live[r] largest magnitudes of row r and 0 for the rest, [r, n]; live int64 [r]."""
    order = weights.abs().argsort(dim=1, descending=True)
    ranks = torch.arange(weights.shape[1], device=weights.device)
    kept = (ranks < live.unsqueeze(1)).to(weights.dtype)
    return torch.empty_like(weights).scatter_(1, order, kept)


def nearest(values: Tensor, centroids: Tensor) -> Tensor:
    """Index of the centroid nearest to each value [r, n], int64 [r, n]; centroids [r, k], infinite where unused."""
    ascending, order = centroids.sort(dim=1)
    boundaries = (ascending[:, 1:] + ascending[:, :-1]) / 2
    return order.gather(1, torch.searchsorted(boundaries, values))


def means_of_members(values: Tensor, assignment: Tensor, centroids: Tensor) -> Tensor:
    """Mean of the values that each centroid owns, [r, k]; zero, the first, and those without members stay."""
    sums = torch.zeros_like(centroids).scatter_add_(1, assignment, values)
    counts = torch.zeros_like(centroids).scatter_add_(1, assignment, torch.ones_like(values))
    means = torch.where(counts > 0, sums / counts.clamp(min=1), centroids)
    means[:, 0] = 0
    return means


def k_means(values: Tensor, centroids: Tensor) -> Tensor:
    """Lloyd's algorithm (Eq. 9) on the nonzero values [r, n] from initial centroids [r, k], of which the first is 0."""
    previous = None
    for iteration in range(MAX_LLOYD_ITERATIONS):
        assignment = nearest(values, centroids)
        if iteration % _LOOK_INTERVAL == 0:
            if previous is not None and torch.equal(assignment, previous):
                break
            previous = assignment
        centroids = means_of_members(values, assignment, centroids)
    return centroids
