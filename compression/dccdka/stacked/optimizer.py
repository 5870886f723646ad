"""Adam for N candidates at once, with a learning rate for each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dccdka.stacked.weights import StackedWeights, on_device

_BETAS = 0.9, 0.999


class StackedAdam:
    """One fused Adam over the vectors of StackedWeights.

    Torch's kernel knows one learning rate. So it moves vectors of zeros by the rate 1, which leaves Adam's direction in
    them; what is trained then takes its candidate's rate times that.
    """

    def __init__(self, weights: StackedWeights, clustering_begins: Sequence[int]) -> None:
        """clustering_begins: by candidate, the step from which its centroids are trained."""
        self._weights = weights
        self._begins = clustering_begins
        self._direction = nn.Parameter(torch.zeros_like(weights.trained))
        self._direction.grad = weights.gradient
        # Centroids have no gradient, and take no step, before the first candidate has any.
        self._of_centroids = nn.Parameter(torch.zeros_like(weights.centroids))
        self._adam = torch.optim.Adam([self._direction, self._of_centroids], lr=1.0, betas=_BETAS, fused=True)

    @torch.no_grad()
    def step(self, step: int, rates: Sequence[float], alive: Tensor) -> None:
        """Training step `step`: move each candidate by its learning rate, those that are not alive (bool [N]) not."""
        if step >= min(self._begins):
            self._of_centroids.grad = self._weights.centroid_gradient
        self._adam.step()
        of_candidate = on_device(rates, alive.device)
        # What is not finite stays so when multiplied by zero.
        alive_weight = alive[self._weights.candidate_of]
        self._direction.mul_(of_candidate[self._weights.candidate_of])
        self._weights.trained.add_(torch.where(alive_weight, self._direction, 0))
        self._direction.zero_()
        self._weights.gradient.zero_()
        if self._of_centroids.grad is not None:
            corrections = [self._correction(step, begin) for begin in self._begins]
            factor = of_candidate * on_device(corrections, alive.device)
            moved = self._of_centroids * factor.view(-1, 1, 1)
            self._weights.centroids.add_(torch.where(alive.view(-1, 1, 1), moved, 0))
            self._of_centroids.zero_()

    def _correction(self, step: int, begin: int) -> float:
        """What Adam's bias correction lacks for a candidate whose centroids began later than the first one's.

        Its moments were zero till then, so only the count of steps is wrong (Kingma & Ba, arXiv:1412.6980).
        """
        if step < begin:
            return 1.0
        counted, right = step - min(self._begins) + 1, step - begin + 1
        first, second = ((1 - beta**counted) / (1 - beta**right) for beta in _BETAS)
        return first / math.sqrt(second)
