"""Whether a recipe can be carried out on a network, found out before anything is done."""

from __future__ import annotations

from torch import nn

from dccdka.collaborative.filters import filter_structure
from dccdka.collaborative.layers import compressed_layers
from dccdka.kinds import kind_of
from dccdka.recipe import Recipe, RecipeError


def require_feasible(model: nn.Module, recipe: Recipe) -> None:
    """Raises RecipeError for what of model and recipe Collaboration refuses; the model is not altered."""
    require_model_and_recipe(model, recipe)
    compressed_layers(model, recipe)
    if recipe.pruning == "filters":
        filter_structure(model)


def require_model_and_recipe(model: object, recipe: object) -> None:
    """Raises RecipeError for anything else."""
    if not isinstance(model, nn.Module):
        raise RecipeError(f"model: must be a torch.nn.Module, is {kind_of(model)}; give the network itself")
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"recipe: must be a Recipe, is {kind_of(recipe)}; dccdka.Recipe.from_dict makes one of plain values"
        )
