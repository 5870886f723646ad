"""How the learning rate runs over a training: up, high while weights are pruned, then down to zero."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, steps: int, *, warm_up: float, decay_begin: float) -> float:
    """Share of the peak learning rate at a step, 0 < it <= 1; warm_up and decay_begin are fractions of the steps.

    Rises linearly until warm_up, stays at 1 until decay_begin and falls along a half cosine to zero at the end.
    """
    progress = (step + 0.5) / steps
    if progress < warm_up:
        return progress / warm_up
    if progress < decay_begin:
        return 1.0
    return (1 + math.cos(math.pi * (progress - decay_begin) / (1 - decay_begin))) / 2
