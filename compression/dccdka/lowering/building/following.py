"""What follows a layer and is computed with it."""

from __future__ import annotations

from typing import TypeVar

from torch import fx, nn

from dccdka.lowering.building.draft import Draft
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.layers import Affine, Clamp, Layer, Nothing, Rearrange, Weighted
from dccdka.lowering.tracing import describe

_Kind = TypeVar("_Kind", bound=Layer)


def take_affine_and_clamp(draft: Draft, node: fx.Node) -> tuple[list[fx.Node], list[Affine], Clamp | None]:
    """The nodes from this to the last that its operator computes, and what they do."""
    path, affine = [node], list[Affine]()
    # The channels of a linear layer on a tensor of several axes are not torch's first axis, as Affine has it.
    layer, shape = draft.layers[node], draft.calls[node].shape
    linear = isinstance(layer, Weighted) and isinstance(layer.module, nn.Linear)
    channels_first = not linear or len(shape or ()) == 1
    while channels_first and (taken := _take(draft, path[-1], Affine)) is not None:
        affine.append(taken[1])
        path += taken[0]
    path, clamp = take_clamp(draft, path)
    return path, affine, clamp


def take_clamp(draft: Draft, path: list[fx.Node]) -> tuple[list[fx.Node], Clamp | None]:
    """The path with a clamp that alone uses its last node's value, and that clamp."""
    taken = _take(draft, path[-1], Clamp)
    return (path, None) if taken is None else (path + taken[0], taken[1])


def _take(draft: Draft, node: fx.Node, kind: type[_Kind]) -> tuple[list[fx.Node], _Kind] | None:
    """The layer of this kind that alone uses node's value, and the nodes up to it."""
    path: list[fx.Node] = []
    while True:
        users = [user for user in node.users if user in draft.layers or user.op == "output"]
        if len(users) != 1 or users[0] not in draft.layers:
            return None
        node = users[0]
        path.append(node)
        layer = draft.layers[node]
        if isinstance(layer, kind):
            return path, layer
        if not isinstance(layer, Nothing):
            return None


def check_in_place(draft: Draft, node: fx.Node) -> None:
    """What an operator changes in place, under whatever name, must be its own."""
    changed, source = draft.calls[node].in_place, node
    while changed and source in draft.calls:
        source = draft.calls[source].inputs[0]
        if len([user for user in source.users if user in draft.layers]) > 1:
            raise LoweringError(f"{describe(node)}: changes in place what others use too; use the form that does not")
        changed = isinstance(draft.layers.get(source), Rearrange | Nothing)
