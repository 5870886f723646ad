"""Gradual magnitude pruning (Eq. 8): how much at a step, and which weights or filters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def sparsity_at(step: int, *, begin: int, end: int, interval: int, final: float, initial: float = 0.0) -> float:
    """Sparsity asked for at a training step, Eq. 8: s_f + (s_i - s_f)(1 - (t - t0)/(n dt))^3 for t0 <= t <= t0 + n dt.

    The paper prints (s_i + s_f), which exceeds 1; Zhu & Gupta (arXiv:1710.01878), whom it cites, have the difference.
    begin is t0, interval dt; n dt is the part of end - begin that whole intervals fill: the last one reaches s_f.
    """
    if step < begin:
        return initial
    duration = (end - begin) // interval * interval
    if step >= begin + duration:
        return final
    remaining = 1 - (step - begin) / duration
    return final + (initial - final) * remaining**3


def pruned_count(sparsity: float, weights: int) -> int:
    """How many of a layer's weights are zero at a sparsity, rounded down: at least one weight lives."""
    return min(int(sparsity * weights + 1e-6), weights - 1)


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    """1 for the weights that live and 0 for the `pruned_count` smallest magnitudes; same shape and type as weight."""
    count = pruned_count(sparsity, weight.numel())
    return mask_of_smallest(weight.detach().abs().flatten(), count).view_as(weight).to(weight.dtype)


def global_masks(weights: Sequence[Tensor], sparsity: float) -> list[Tensor]:
    """A mask for each weight: 0 for the smallest magnitudes of all together, but each keeps its largest weight.

    As many are zero as `pruned_count` says for all the weights together, or all but one in each.
    """
    magnitudes = []
    for weight in weights:
        flat = weight.detach().abs().flatten()
        magnitudes.append(flat.index_fill(0, flat.argmax(), torch.inf))
    sizes = [len(flat) for flat in magnitudes]
    total = sum(sizes)
    count = min(pruned_count(sparsity, total), total - len(weights))
    parts = torch.split(mask_of_smallest(torch.cat(magnitudes), count), sizes)
    return [part.view_as(weight).to(weight.dtype) for part, weight in zip(parts, weights, strict=True)]


def filter_norms(weight: Tensor) -> Tensor:
    """Squared L2 norm of each output filter of a weight (out, in, ...), [out]."""
    return weight.detach().flatten(1).square().sum(1)


def mask_of_smallest(sizes: Tensor, count: int) -> Tensor:
    """False for the `count` smallest of sizes [n], the first of equal ones; True for the others. No host sync."""
    if count == 0:
        return torch.ones_like(sizes, dtype=torch.bool)
    threshold = sizes.kthvalue(count).values
    equal = sizes == threshold
    # Of those that equal the largest to go, only as many go as are still due.
    due = count - (sizes < threshold).sum()
    return (sizes > threshold) | (equal & (equal.cumsum(0) > due))
