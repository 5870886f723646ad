"""Softmax and argmax."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import fx

from dccdka.lowering import graph, tables
from dccdka.lowering.building.draft import Draft
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.layers import Exponentials, Largest, Nothing, Scale
from dccdka.lowering.tracing import describe
from dccdka.lowering.values import Value, is_along_channels


def softmax(draft: Draft, node: fx.Node, layer: Exponentials) -> None:
    """Probabilities in steps of 1/256, whatever the range of the input."""
    if _only_for_argmax(draft, node, layer.axis):
        return
    x = _along_channels(draft, node, layer.axis)
    tensor = replace(draft.tensors[x.tensor], scale=1 / 256, zero_point=-128)
    output = draft.define([node], tensor, x.order)
    draft.operators.append(graph.Softmax(x.tensor, output, tables.exponentials(x.scale)))


def argmax(draft: Draft, node: fx.Node, layer: Largest) -> None:
    """The number of the class as one byte, which ends the network.

    Of what a softmax before it takes: of steps of 1/256 several could be the largest.
    """
    x = _along_channels(draft, _softmax_before(draft, node, layer.axis) or node, layer.axis)
    if any(user in draft.layers for user in node.users):
        raise LoweringError(f"{describe(node)}: argmax is lowered at the end of a network only; leave out the rest")
    before = draft.tensors[x.tensor]
    if before.channels > 256:
        raise LoweringError(
            f"{describe(node)}: argmax over {before.channels} channels does not fit a byte; return the logits"
        )
    tensor = replace(before, channels=1, scale=1.0, zero_point=-128)
    order = np.moveaxis(x.order, layer.axis, -1)[..., 0] // before.channels
    draft.define([node], tensor, order.reshape(draft.calls[node].shape or ()))
    draft.operators.append(graph.ArgMax(x.tensor, draft.values[node].tensor))


def _only_for_argmax(draft: Draft, node: fx.Node, axis: int) -> bool:
    """Whether nothing but an argmax along the axis makes use of a node's value, which it then goes behind."""
    layers = [draft.layers.get(user) for user in node.users if user in draft.layers or user.op == "output"]
    behind = [user for user in node.users if isinstance(draft.layers.get(user), Nothing | Scale)]
    ends = all(layer == Largest(axis) or isinstance(layer, Nothing | Scale) for layer in layers)
    return bool(layers) and ends and all(_only_for_argmax(draft, user, axis) for user in behind)


def _softmax_before(draft: Draft, node: fx.Node, axis: int) -> fx.Node | None:
    """The softmax along the axis whose largest value is also the largest that the node is given."""
    source = draft.calls[node].inputs[0]
    while isinstance(draft.layers.get(source), Nothing | Scale):
        source = draft.calls[source].inputs[0]
    return source if draft.layers.get(source) == Exponentials(axis) else None


def _along_channels(draft: Draft, node: fx.Node, axis: int) -> Value:
    x = draft.value(draft.calls[node].inputs[0])
    if not is_along_channels(x.order, axis, draft.tensors[x.tensor].channels):
        raise LoweringError(f"{describe(node)}: goes along axis {axis + 1}; only the channels' axis is supported")
    return x
