"""Weight sharing: each layer's weights take one of k values, of which zero is one (Eqs 3 and 9)."""

from __future__ import annotations

import torch
from torch import Tensor

from dccdka.recipe import CentroidInit

MAX_LLOYD_ITERATIONS = 50


def linear_centroids(values: Tensor, clusters: int) -> Tensor:
    """Centroids [clusters]: zero, then equally spaced ones over the range of the nonzero values (Han et al.'s linear).

    The gap that pruning leaves around zero is taken out of the range, or centroids inside it would never get members.
    """
    gap = values.abs().min()
    low, high = torch.aminmax(values - values.sign() * gap)
    spread = low + (high - low) * torch.linspace(0, 1, clusters - 1, dtype=values.dtype, device=values.device)
    return torch.cat([spread.new_zeros(1), torch.where(spread < 0, spread - gap, spread + gap)])


def density_centroids(values: Tensor, clusters: int) -> Tensor:
    """Centroids [clusters]: zero, then the quantiles at equal steps of the values' distribution (Han et al.'s density).

    The i-th of the k - 1 is the quantile (i + 1/2)/(k - 1), so that each begins with as many members.
    """
    levels = (torch.arange(clusters - 1, device=values.device) * 2 + 1) * len(values) // (2 * (clusters - 1))
    return torch.cat([values.new_zeros(1), values.sort().values[levels]])


def forgy_centroids(values: Tensor, clusters: int) -> Tensor:
    """Centroids [clusters]: zero, then k - 1 of the values, drawn by torch's global generator (Forgy).

    The draw is made on the CPU, so that a seed gives the same one for every device.
    """
    drawn = torch.randperm(len(values))[: clusters - 1]
    return torch.cat([values.new_zeros(1), values[drawn.to(values.device)]])


INITIAL_CENTROIDS = {"linear": linear_centroids, "density": density_centroids, "forgy": forgy_centroids}


def assign(weight: Tensor, centroids: Tensor) -> Tensor:
    """Index of the centroid nearest to each weight, int64, weight's shape."""
    ascending, order = centroids.detach().sort()
    boundaries = (ascending[1:] + ascending[:-1]) / 2
    return order[torch.bucketize(weight.detach().contiguous(), boundaries)]


def assign_rows(weights: Tensor, rows: Tensor, centroids: Tensor) -> Tensor:
    """For weights [n] of many layers the place of the nearest of their layer's centroids [layers, k], int32 [n].

    rows: the layer of each weight, int32 [n]; the result points into centroids.view(-1). A centroid that a layer has
    not is inf. One that has come to zero gets no members besides the first, which is zero and stays.

    All layers are searched at once, bit by bit of the answer: a fourth of the time of torch.bucketize for each.
    """
    layers, clusters = centroids.shape
    distinct = torch.where(centroids.abs() < torch.finfo(centroids.dtype).tiny, torch.inf, centroids)
    distinct[:, 0] = 0
    ascending, order = distinct.sort(dim=1)
    bits = (clusters - 1).bit_length()
    width = 2**bits
    boundaries = centroids.new_full((layers, width), torch.inf)
    boundaries[:, : clusters - 1] = (ascending[:, 1:] + ascending[:, :-1]) / 2
    table = boundaries.view(-1)
    place = rows * width
    for bit in reversed(range(bits)):
        beyond = weights > table.index_select(0, place + (2**bit - 1))
        place.add_(beyond, alpha=2**bit)
    places = rows.new_zeros(layers, width)
    places[:, :clusters] = order + torch.arange(layers, device=order.device)[:, None] * clusters
    return places.view(-1).index_select(0, place)


def sum_over_members(values: Tensor, assignment: Tensor, clusters: int) -> Tensor:
    """Sum of the values [n...] that each cluster owns, [clusters]."""
    return values.new_zeros(clusters).index_add_(0, assignment.flatten(), values.flatten())


def means_of_members(values: Tensor, assignment: Tensor, centroids: Tensor) -> Tensor:
    """One iteration of Lloyd's (Eq. 9): each centroid [clusters] moves to the mean of its members' values.

    One without members stays where it was.
    """
    clusters = centroids.numel()
    counts = sum_over_members(torch.ones_like(values), assignment, clusters)
    means = sum_over_members(values, assignment, clusters) / counts.clamp(min=1)
    return torch.where(counts > 0, means, centroids)


def centroid_of_each_value(values: Tensor, clusters: int) -> Tensor | None:
    """Centroids [<= clusters], zero and every distinct one of the nonzero values; None when those are too many."""
    distinct: Tensor = values.unique()  # type: ignore[no-untyped-call]  # untyped in torch
    return torch.cat([values.new_zeros(1), distinct]) if len(distinct) < clusters else None


def k_means(weight: Tensor, clusters: int, init: CentroidInit = "linear") -> Tensor:
    """Centroids [clusters] of the unpruned (nonzero) weights by Lloyd's algorithm (Eq. 9); the first is zero and stays.

    With no more distinct values than clusters, the values themselves are the centroids and the rest repeat the last.
    """
    live = weight.detach()[weight.detach() != 0]
    few = centroid_of_each_value(live, clusters)
    if few is not None:
        return torch.cat([few, few[-1:].expand(clusters - len(few))])
    centroids = INITIAL_CENTROIDS[init](live, clusters)
    previous = None
    for _ in range(MAX_LLOYD_ITERATIONS):
        assignment = assign(live, centroids)
        if previous is not None and torch.equal(assignment, previous):
            break
        previous = assignment
        centroids = means_of_members(live, assignment, centroids)
        centroids[0] = 0
    return centroids
