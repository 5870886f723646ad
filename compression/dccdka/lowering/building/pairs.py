"""Sums, products and joins of tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import fx

from dccdka.lowering import arithmetic, graph
from dccdka.lowering.building.draft import Draft
from dccdka.lowering.building.following import take_clamp
from dccdka.lowering.building.images import channel_order_of, in_torchs_order, limits_of, size_of
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.layers import Expanded, Join, Product, Quotient, Sum
from dccdka.lowering.tracing import describe
from dccdka.lowering.values import Value

# Least and greatest product of two int8 less their zero points.
_PRODUCTS = (-255 * 255, 255 * 255)


def of_two(draft: Draft, node: fx.Node, layer: Sum | Product | Quotient) -> None:
    """The operator of two tensors; those that are functions of one value have become a table before."""
    call = draft.calls[node]
    operands = (layer.first, layer.second) if isinstance(layer, Sum) else (call.inputs[0], call.inputs[-1])
    first, second = (draft.value(x) for x in operands)
    if isinstance(layer, Quotient):
        raise LoweringError(f"{describe(node)}: divides tensors by each other, or has one as exponent; use a number")
    if isinstance(layer, Product) and not _alike(draft, first, second):
        if _is_broadcast(draft, first, second):
            first, second = second, first
        elif not _is_broadcast(draft, second, first):
            raise _of_unlike(node, "multiplies", first, second, "equal shapes, and an image (c, h, w) by (c, 1, 1)")
    elif not _alike(draft, first, second):
        raise _of_unlike(node, "adds", first, second, "equal shapes")
    path, clamp = take_clamp(draft, [node])
    tensor = draft.ranged(path[-1], draft.tensors[first.tensor])
    output = draft.define(path, tensor, first.order)
    tensors = (first.tensor, second.tensor, output)
    limits = limits_of(clamp, tensor)
    if isinstance(layer, Product):
        factor = first.scale * second.scale / tensor.scale
        requantisation = arithmetic.scalar_requantisation(factor, tensor.zero_point, _PRODUCTS, limits)
        draft.operators.append(graph.Multiply(*tensors, *requantisation, *limits))
    else:
        scales = (layer.first_factor * first.scale, layer.second_factor * second.scale)
        a, b, shift = arithmetic.common_shift((scales[0] / tensor.scale, scales[1] / tensor.scale))
        offset = arithmetic.offset_of(tensor.zero_point, shift, a * first.zero_point, b * second.zero_point)
        draft.operators.append(graph.Add(*tensors, a, b, offset, shift, *limits))


def check_repeated(draft: Draft, node: fx.Node) -> None:
    """What is repeated to the shape of another tensor must be multiplied by one, which repeats it by itself."""
    if not isinstance(draft.layers[node], Expanded):
        return
    for user in node.users:
        others = [other for other in draft.calls[user].inputs if other is not node] if user in draft.calls else []
        product = isinstance(draft.layers.get(user), Product) and len(others) == 1
        whole = product and not isinstance(draft.layers.get(others[0]), Expanded)
        if not whole and (user in draft.layers or user.op == "output"):
            raise LoweringError(
                f"{describe(node)}: repeats values, which only the product with a tensor of that shape does by itself: "
                "write x * y without it"
            )


def _alike(draft: Draft, first: Value, second: Value) -> bool:
    same_image = size_of(draft.tensors[first.tensor]) == size_of(draft.tensors[second.tensor])
    return same_image and np.array_equal(first.order, second.order)


def _is_broadcast(draft: Draft, factor: Value, image: Value) -> bool:
    """Whether factor has one value for each channel of the image."""
    one, whole = (draft.tensors[value.tensor] for value in (factor, image))
    channels, single = channel_order_of(image.order, whole), channel_order_of(factor.order, one)
    if channels is None or single is None or one.height * one.width > 1 or one.channels != whole.channels:
        return False
    return factor.order.ndim == image.order.ndim and np.array_equal(channels, single)


def _of_unlike(node: fx.Node, verb: str, first: Value, second: Value, supported: str) -> LoweringError:
    if first.order.shape == second.order.shape:
        problem = "tensors of one shape, one of them rearranged; shuffle or permute both alike, or neither"
    else:
        problem = f"tensors of shapes {first.order.shape} and {second.order.shape}; supported are {supported}"
    return LoweringError(f"{describe(node)}: {verb} {problem}")


def join(draft: Draft, node: fx.Node, layer: Join) -> None:
    """A chain of concatenations of two tensors each, which the runtime has."""
    parts = [draft.value(x) for x in _joined(draft, node)]
    for part in parts:
        tensor = draft.tensors[part.tensor]
        if layer.axis != 0 or not in_torchs_order(channel_order_of(part.order, tensor)):
            raise LoweringError(
                f"{describe(node)}: joins tensors of shapes {[x.order.shape for x in parts]} along axis "
                f"{layer.axis + 1}; only channels (axis 1) of images can be joined, before they are flattened"
            )
    path, clamp = take_clamp(draft, [node])
    joined = parts[0]
    for i, part in enumerate(parts[1:], 2):
        first, second = draft.tensors[joined.tensor], draft.tensors[part.tensor]
        tensor = draft.ranged(path[-1], replace(first, channels=first.channels + second.channels))
        factors = (joined.scale / tensor.scale, part.scale / tensor.scale)
        last = i == len(parts)
        output = draft.define(path, tensor, draft.order(node, tensor)) if last else draft.add_tensor(tensor)
        a, b, shift = arithmetic.common_shift(factors)
        offset_a = arithmetic.offset_of(tensor.zero_point, shift, a * joined.zero_point)
        offset_b = arithmetic.offset_of(tensor.zero_point, shift, b * part.zero_point)
        tensors = (joined.tensor, part.tensor, output)
        limits = limits_of(clamp, tensor)
        draft.operators.append(graph.Concatenate(*tensors, a, b, offset_a, offset_b, shift, *limits))
        joined = Value(output, joined.order, tensor.scale, tensor.zero_point)


def _joined(draft: Draft, node: fx.Node) -> list[fx.Node]:
    """Its tensors in their order; the same one may come twice."""
    call = draft.calls[node]
    tensors: list[fx.Node] = list(call.args[0] if call.args else call.kwargs["tensors"])
    return tensors
