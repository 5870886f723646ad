"""What each candidate's recipe says for each layer, worked out before the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from dccdka.clustering import INITIAL_CENTROIDS, centroid_of_each_value
from dccdka.collaborative.layers import compressed_layers
from dccdka.pruning import pruned_count
from dccdka.recipe import CentroidInit, Recipe, RecipeError
from dccdka.stacked.network import StackingError


@dataclass(frozen=True)
class LayerPlan:
    """A layer of `weights` weights under one recipe. clusters: None for no sharing, else what live weights can fill."""

    weights: int
    final_sparsity: float
    clusters: int | None
    bits: int
    centroid_init: CentroidInit

    def live(self, sparsity: float) -> int:
        """How many weights live at a sparsity."""
        return self.weights - pruned_count(sparsity, self.weights)

    def initial_centroids(self, values: Tensor) -> Tensor:
        """Where k-means of the pruned weights [weights] begins, [<= clusters]; the first is zero."""
        assert self.clusters is not None
        live = values[values != 0]
        few = centroid_of_each_value(live, self.clusters)
        return INITIAL_CENTROIDS[self.centroid_init](live, self.clusters) if few is None else few


def plans_of(model: nn.Module, recipes: Sequence[Recipe]) -> list[list[LayerPlan]]:
    """By candidate and layer. Raises StackingError for a recipe that cannot be carried out in a stack."""
    return [_of_one(model, recipe, number) for number, recipe in enumerate(recipes)]


def _of_one(model: nn.Module, recipe: Recipe, number: int) -> list[LayerPlan]:
    if recipe.pruning != "layer":
        raise StackingError(
            f'recipe {number}: pruning: must be "layer" to be stacked, got {recipe.pruning!r}; '
            "train this candidate alone with dccdka.training.compress"
        )
    try:
        layers = compressed_layers(model, recipe)
    except RecipeError as error:
        raise StackingError(f"recipe {number}: {error}") from error
    plans = []
    for layer in layers:
        asked, weights = layer.settings, layer.module.weight.numel()
        fillable = weights - pruned_count(asked.final_sparsity, weights) + 1
        clusters = None if asked.clusters is None else min(asked.clusters, fillable)
        plans.append(LayerPlan(weights, asked.final_sparsity, clusters, asked.bits, recipe.centroid_init))
    return plans
