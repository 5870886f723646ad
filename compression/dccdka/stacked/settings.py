"""What each candidate's recipe says for each layer, worked out before the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dccdka.clustering import linear_centroids
from dccdka.collaborative import compressible_layers
from dccdka.pruning import pruned_count
from dccdka.recipe import Recipe
from dccdka.stacked.network import StackingError


@dataclass(frozen=True)
class LayerPlan:
    """A layer of `weights` weights under one recipe. clusters: None for no sharing, else what the live ones can fill."""

    weights: int
    final_sparsity: float
    clusters: int | None
    bits: int

    def live(self, sparsity: float) -> int:
        """How many weights live at a sparsity."""
        return self.weights - pruned_count(sparsity, self.weights)

    def initial_centroids(self, values: Tensor) -> Tensor:
        """Where k-means of the pruned weights [weights] begins, [<= clusters]; the first is zero."""
        assert self.clusters is not None
        live = values[values != 0]
        distinct: Tensor = live.unique()  # type: ignore[no-untyped-call]  # untyped in torch
        if len(distinct) < self.clusters:
            return torch.cat([values.new_zeros(1), distinct])
        return linear_centroids(live, self.clusters)


def settings_of(model: nn.Module, recipes: Sequence[Recipe]) -> list[list[LayerPlan]]:
    """By candidate and layer. Raises StackingError for a recipe that cannot be carried out in a stack."""
    return [_of_one(model, recipe, number) for number, recipe in enumerate(recipes)]


def _of_one(model: nn.Module, recipe: Recipe, number: int) -> list[LayerPlan]:
    if recipe.pruning != "layer":
        raise StackingError(
            f'recipe {number}: pruning: must be "layer" to be stacked, got {recipe.pruning!r}; '
            "train this candidate alone with dccdka.training.compress"
        )
    layers = []
    for _, module in compressible_layers(model):
        weights = module.weight.numel()
        live = weights - pruned_count(recipe.final_sparsity, weights)
        clusters = None if recipe.clusters is None else min(recipe.clusters, live + 1)
        layers.append(LayerPlan(weights, recipe.final_sparsity, clusters, recipe.bits))
    return layers
