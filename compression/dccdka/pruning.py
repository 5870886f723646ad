"""Gradual magnitude pruning of one layer (Eq. 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
    magnitudes = weight.detach().abs().flatten()
    live = magnitudes.numel() - pruned_count(sparsity, magnitudes.numel())
    mask = torch.zeros_like(magnitudes)
    mask[magnitudes.topk(live, sorted=False).indices] = 1
    return mask.view_as(weight)


class Prune(nn.Module):
    """Parametrization that sets a layer's smallest weights to zero; prunes nothing until `renew` is called."""

    mask: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight))

    def renew(self, weight: Tensor, sparsity: float) -> None:
        """Choose anew which weights live, by the magnitude of the weights before pruning."""
        self.mask = magnitude_mask(weight, sparsity)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask
