"""The layers of a network that are compressed, and what a recipe asks of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import UninitializedParameter

from dccdka.recipe import LayerSettings, Recipe, RecipeError

Layer = nn.Conv2d | nn.Conv1d | nn.Linear


def compressible_layers(model: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Name and module of each layer whose weight is compressed."""
    for name, module in model.named_modules():
        if isinstance(module, Layer):
            yield name, module


@dataclass(frozen=True)
class CompressedLayer:
    """A layer that is compressed, by its module name, and the recipe's values for it."""

    name: str
    module: Layer
    settings: LayerSettings


def compressed_layers(model: nn.Module, recipe: Recipe) -> list[CompressedLayer]:
    """The layers of a model in the order of its modules, with the recipe's rules applied.

    Raises RecipeError when a rule matches no layer, or leaves a layer more clusters than codes, and when the weight of
    a layer is not its own plain parameter, or there is no layer.
    """
    layers = list(compressible_layers(model))
    _require_own_weights(layers)
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


def _require_own_weights(layers: Sequence[tuple[str, Layer]]) -> None:
    """Codes are a layer's own: what is computed from other parameters, or read by two layers, cannot be given any."""
    if not layers:
        raise RecipeError("model: has no Conv1d, Conv2d or Linear layer, so there is nothing to compress")
    owners: dict[nn.Parameter, str] = {}
    for name, module in layers:
        weight = module._parameters.get("weight")
        if weight is None:
            raise RecipeError(
                f"model: the weight of layer {name!r} is parametrized already, by a compression not finalized or"
                " by another such as weight norm; take that off first, with torch.nn.utils.parametrize or its own means"
            )
        if isinstance(weight, UninitializedParameter):
            raise RecipeError(f"model: layer {name!r} is lazy and has no weight yet; run the model on a batch first")
        if weight in owners:
            raise RecipeError(
                f"model: layers {owners[weight]!r} and {name!r} share one weight, which cannot be compressed for both;"
                " call one layer twice instead, or give each its own copy"
            )
        owners[weight] = name


def _roles(module: Layer) -> set[str]:
    depthwise = isinstance(module, nn.Conv2d | nn.Conv1d) and 1 < module.groups == module.in_channels
    return {"depthwise"} if depthwise else set()
