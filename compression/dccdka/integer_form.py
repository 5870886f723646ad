"""Whether a network can become integers at all, found out before it is trained."""

from __future__ import annotations

import torch
from torch import nn

from dccdka.collaborative import worst_case
from dccdka.datasets import Dataset
from dccdka.lowering import LoweringError, lower_all_channels
from dccdka.recipe import Recipe


def require_integer_form(model: nn.Module, dataset: Dataset, recipe: Recipe) -> None:
    """Lower a copy with random weights: what has an integer form depends on the network, not on what it learned.

    What does depend on it is left to the training: numbers too large for the integers, and weights that are not finite,
    of which the training says at which step and layer that began. Raises LoweringError as `lower` does.
    """
    if not all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values()):
        return
    with torch.random.fork_rng(devices=()):
        try:
            lower_all_channels(worst_case(model, recipe), dataset.train.images[:1], dataset.normalization)
        except LoweringError as error:
            if not isinstance(error.__cause__, OverflowError):
                raise
