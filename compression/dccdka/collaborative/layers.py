"""The layers of a network that are compressed, and what a recipe asks of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import UninitializedParameter

from dccdka.collaborative.tracing import NotTraceable, traced
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

    Raises RecipeError when a rule matches no layer, could mean two, or leaves a layer more clusters than codes, and
    when the weight of a layer is not its own plain parameter, or there is no layer.
    """
    layers = list(compressible_layers(model))
    _require_own_weights(layers)
    roles = _roles(model, layers, {rule.match for rule in recipe.layers})
    names = [name for name, _ in layers]
    for rule in recipe.layers:
        if not any(rule.matches(name, roles[name]) for name in names):
            raise RecipeError(
                f"layers: the rule for {rule.match!r} matches no layer; the network has {', '.join(names)}"
            )
        _require_unambiguous(rule.match, roles)
    return [CompressedLayer(name, module, recipe.for_layer(name, roles[name])) for name, module in layers]


def _roles(model: nn.Module, layers: Sequence[tuple[str, Layer]], asked: Collection[str]) -> dict[str, set[str]]:
    """Those of "first", "last" and "depthwise" that each layer has; the first two only where they are asked for."""
    roles = {name: {"depthwise"} if _is_depthwise(module) else set() for name, module in layers}
    if not {"first", "last"}.isdisjoint(asked):
        called = _in_order_of_calls(model, list(roles))
        roles[called[0]].add("first")
        roles[called[-1]].add("last")
    return roles


def _in_order_of_calls(model: nn.Module, names: Sequence[str]) -> Sequence[str]:
    """The layers as the network calls them, one that it calls twice twice; as it holds them where that is not known."""
    try:
        graph = traced(model)
    except NotTraceable:
        return names
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    # A module of torch's own, such as an encoder, is one call of all layers that it holds.
    called = [name for call in calls for name in names if name == call or name.startswith(f"{call}.")]
    return called or names


def _is_depthwise(module: Layer) -> bool:
    return isinstance(module, nn.Conv2d | nn.Conv1d) and 1 < module.groups == module.in_channels


def _require_unambiguous(match: str, roles: Mapping[str, Collection[str]]) -> None:
    """A layer may be called "first" and be another than the network's first."""
    meant = [name for name, own in roles.items() if match in own]
    if match in roles and meant and meant != [match]:
        raise RecipeError(
            f"layers: the rule for {match!r} could mean the layer of that name, or the network's {match},"
            f" {', '.join(meant)}; write {match[:-1]}[{match[-1]}] for the one, its name for the other"
        )


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
