"""Whether a recipe can be carried out on a network, found out before anything is done."""

from __future__ import annotations

from torch import nn

from dccdka.collaborative.filters import filter_structure
from dccdka.collaborative.layers import compressed_layers
from dccdka.recipe import Recipe


def require_feasible(model: nn.Module, recipe: Recipe) -> None:
    """Raises RecipeError for what of model and recipe Collaboration refuses; the model is not altered."""
    compressed_layers(model, recipe)
    if recipe.pruning == "filters":
        filter_structure(model)
