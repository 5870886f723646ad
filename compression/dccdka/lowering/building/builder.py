"""Walks a network's layers in order and makes the integer graph of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import fx

from dccdka.collaborative import LayerCodes
from dccdka.datasets import Normalization
from dccdka.lowering.building.classes import argmax, softmax
from dccdka.lowering.building.draft import Draft
from dccdka.lowering.building.following import check_in_place
from dccdka.lowering.building.images import channel_order_of, in_torchs_order
from dccdka.lowering.building.pairs import check_repeated, join, of_two
from dccdka.lowering.building.pools import average, maximum
from dccdka.lowering.building.weighted import affine, weighted
from dccdka.lowering.calls import Calls
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.graph import IntegerGraph, Tensor
from dccdka.lowering.layers import (
    ELEMENTWISE,
    Affine,
    Average,
    Expanded,
    Exponentials,
    Join,
    Largest,
    Layer,
    Maximum,
    Nothing,
    Padding,
    Product,
    Quotient,
    Rearrange,
    Scale,
    Sum,
    Weighted,
)
from dccdka.lowering.observation import Range
from dccdka.lowering.tracing import describe
from dccdka.lowering.values import image_order

# Kinds whose result needs no range of its own: the input's integers, or a scale that is always the same.
_UNOBSERVED = (Rearrange, Nothing, Expanded, Maximum, Padding, Exponentials, Largest, Scale)


def observed_nodes(layers: dict[fx.Node, Layer]) -> set[fx.Node]:
    """The nodes whose ranges `build_graph` may need."""
    return {node for node, layer in layers.items() if not isinstance(layer, _UNOBSERVED)}


def build_graph(
    calls: Calls,
    layers: dict[fx.Node, Layer],
    codes: dict[str, LayerCodes],
    image_shape: Sequence[int],
    normalization: Normalization,
    ranges: dict[fx.Node, Range],
) -> IntegerGraph:
    """The graph for images of image_shape (c, h, w). Raises LoweringError."""
    draft = Draft(calls, layers, codes, ranges)
    channels, height, width = image_shape
    tensor = Tensor(height, width, channels, normalization.scale, normalization.zero - 128)
    draft.define([calls.input], tensor, image_order(height, width, channels))
    for node, layer in layers.items():
        check_in_place(draft, node)
        check_repeated(draft, node)
        draft.roots[node] = _root(draft, node)
        if node not in draft.values:  # else a layer before has taken it along
            try:
                _lower(draft, node, layer)
            except OverflowError as error:
                raise LoweringError(f"{describe(node)}: {error}; its scale or batch norm is extreme") from error
    output = _output(draft, calls.output)
    return IntegerGraph(tuple(draft.tensors), tuple(draft.operators), 0, output)


def _root(draft: Draft, node: fx.Node) -> fx.Node:
    if node in draft.computed or not isinstance(draft.layers[node], ELEMENTWISE):
        return node
    roots = {draft.roots[source] for source in draft.calls[node].inputs}
    return roots.pop() if len(roots) == 1 else node


def _lower(draft: Draft, node: fx.Node, layer: Layer) -> None:
    """Layers that compute get operators at once; all others wait until their value is asked for."""
    match layer:
        case Weighted():
            weighted(draft, node, layer)
        case Affine():
            affine(draft, node, layer)
        case Average():
            average(draft, node, layer)
        case Maximum():
            maximum(draft, node, layer)
        case Join():
            join(draft, node, layer)
        case Exponentials():
            softmax(draft, node, layer)
        case Largest():
            argmax(draft, node, layer)
        case Sum() | Product() | Quotient() if draft.roots[node] is node:
            of_two(draft, node, layer)


def _output(draft: Draft, node: fx.Node) -> int:
    """Which tensor the network returns."""
    value = draft.value(node)
    tensor = draft.tensors[value.tensor]
    in_order = np.array_equal(value.order.ravel(), np.arange(value.order.size))
    if not in_order and not in_torchs_order(channel_order_of(value.order, tensor)):
        raise LoweringError(
            f"{describe(node)}: the network returns a flattened image, or one with its channels or pixels "
            "rearranged; end it with a linear layer or a pool to 1 x 1, and shuffle channels only before a layer"
        )
    if not draft.operators:
        raise LoweringError("the network has no layers")
    draft.tensors[value.tensor] = replace(tensor, scale=value.scale)
    return value.tensor
