"""The layers of a network that are compressed, and what a recipe asks of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from dccdka.recipe import LayerSettings, Recipe, RecipeError


def compressible_layers(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Conv1d | nn.Linear]]:
    """Name and module of each layer whose weight is compressed."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv1d | nn.Linear):
            yield name, module


@dataclass(frozen=True)
class CompressedLayer:
    """A layer that is compressed, by its module name, and the recipe's values for it."""

    name: str
    module: nn.Conv2d | nn.Conv1d | nn.Linear
    settings: LayerSettings


def compressed_layers(model: nn.Module, recipe: Recipe) -> list[CompressedLayer]:
    """The layers of a model in the order of its modules, with the recipe's rules applied.

    Raises RecipeError when a rule matches no layer, or leaves a layer more clusters than codes.
    """
    layers = list(compressible_layers(model))
    roles = {name: _roles(module) for name, module in layers}
    if layers:
        roles[layers[0][0]].add("first")
        roles[layers[-1][0]].add("last")
    for rule in recipe.layers:
        if not any(rule.matches(name, roles[name]) for name, _ in layers):
            raise RecipeError(
                f"layers: the rule for {rule.match!r} matches no layer; the network has"
                f" {', '.join(name for name, _ in layers)}"
            )
    return [CompressedLayer(name, module, recipe.for_layer(name, roles[name])) for name, module in layers]


def _roles(module: nn.Conv2d | nn.Conv1d | nn.Linear) -> set[str]:
    depthwise = isinstance(module, nn.Conv2d | nn.Conv1d) and 1 < module.groups == module.in_channels
    return {"depthwise"} if depthwise else set()
