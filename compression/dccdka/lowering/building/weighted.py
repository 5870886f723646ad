"""Convolutions and linear layers, with the batch norm, paddings and clamps around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import fx, nn

from dccdka.collaborative import LayerCodes
from dccdka.lowering import graph
from dccdka.lowering.building.draft import Draft
from dccdka.lowering.building.following import take_affine_and_clamp
from dccdka.lowering.building.images import limits_of
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.folding import convolution_requantisation, folded
from dccdka.lowering.graph import POINT, Tensor, Window
from dccdka.lowering.layers import Affine, Nothing, Padding, Weighted
from dccdka.lowering.tracing import describe
from dccdka.lowering.values import Order, Value, is_along_channels
from dccdka.lowering.windows import is_column, turned


def weighted(draft: Draft, node: fx.Node, layer: Weighted) -> None:
    """A convolution or linear layer and what follows it, as one operator."""
    codes = _codes(draft, layer, node)
    path, channelwise, clamp = take_affine_and_clamp(draft, node)
    if isinstance(layer.module, nn.Linear):
        x, weights, window, flatten = _linear(draft, node, codes)
        order, image = _linear_order(draft, x, len(weights))
    else:
        x, weights, window = _convolution(draft, node, layer, codes)
        flatten, image, order = False, draft.shape_like(node, draft.tensors[x.tensor]), None
    height, width = image
    tensor = draft.ranged(path[-1], Tensor(height, width, len(weights), 1.0, 0))
    output = draft.define(path, tensor, draft.order(node, tensor) if order is None else order)
    weights = np.ascontiguousarray(weights)
    low, high = limits_of(clamp, tensor)
    draft.operators.append(
        graph.Convolution(
            input=x.tensor,
            output=output,
            window=window,
            groups=layer.groups,
            flatten_input=flatten,
            codes=weights,
            weight_zero_point=codes.zero_point,
            requantisation=convolution_requantisation(
                folded(layer.module.bias, len(weights), channelwise),
                x.scale * codes.scale,
                (weights, codes.zero_point),
                x.zero_point,
                tensor,
                (low, high),
            ),
            low=low,
            high=high,
        )
    )


def _codes(draft: Draft, layer: Weighted, node: fx.Node) -> LayerCodes:
    if layer.name not in draft.codes:
        raise LoweringError(f"{describe(node)}: it was not compressed, there are no codes of its weights")
    codes = draft.codes[layer.name]
    weight, meant = layer.module.weight.detach().cpu().numpy(), codes.weights()
    # Equal weights, the usual case, are quickly compared.
    same = weight.shape == meant.shape and (
        np.array_equal(weight, meant) or np.allclose(weight, meant, rtol=1e-3, atol=1e-3 * codes.scale)
    )
    if not same:
        raise LoweringError(f"{describe(node)}: its weights are not those of its codes")
    return codes


def _convolution(
    draft: Draft, node: fx.Node, layer: Weighted, codes: LayerCodes
) -> tuple[Value, NDArray[np.uint8], Window]:
    """Input, codes [out, y, x, in / groups] and window; paddings before it go into the window."""
    source, top, left = _before_padding(draft, draft.calls[node].inputs[0])
    image = draft.image(source, node, any_channels=layer.groups == 1)
    weights = codes.codes if codes.codes.ndim == 4 else codes.codes[:, :, None, :]
    window = replace(layer.window, padding=(layer.window.padding[0] + top, layer.window.padding[1] + left))
    if codes.codes.ndim == 3 and is_column(image.tensor):
        weights, window = weights.transpose(0, 1, 3, 2), turned(window)
    weights = weights.transpose(0, 2, 3, 1)
    return image.value, weights if layer.groups > 1 else _columns(weights, image.channels), window


def _before_padding(draft: Draft, node: fx.Node) -> tuple[fx.Node, int, int]:
    """What a convolution's paddings pad, and how much lies above and left."""
    top = left = 0
    while isinstance(layer := draft.layers.get(node), Padding | Nothing):
        if isinstance(layer, Padding):
            top, left = top + layer.top, left + layer.left
        node = draft.calls[node].inputs[0]
    return node, top, left


def _linear(draft: Draft, node: fx.Node, codes: LayerCodes) -> tuple[Value, NDArray[np.uint8], Window, bool]:
    """Input, codes [out, 1, 1, in] with the columns in the order of the bytes, window, and whether it flattens."""
    x = draft.value(draft.calls[node].inputs[0])
    tensor = draft.tensors[x.tensor]
    weights = codes.codes
    if x.order.ndim == 1:
        return x, _columns(weights, x.order)[:, None, None], POINT, tensor.height * tensor.width > 1
    if not is_along_channels(x.order, -1, tensor.channels):
        raise LoweringError(
            f"{describe(node)}: a linear layer takes flattened images, put nn.Flatten() before it; or the channels "
            "of each pixel, as the last axis"
        )
    return x, weights[:, None, None], POINT, False


def _linear_order(draft: Draft, x: Value, outputs: int) -> tuple[Order, tuple[int, int]]:
    """Where its outputs lie, and the height and width of their image."""
    if x.order.ndim == 1:
        return np.arange(outputs, dtype=np.int32), (1, 1)
    tensor = draft.tensors[x.tensor]
    pixels = x.order[..., :1] // tensor.channels
    order = (pixels * outputs + np.arange(outputs)).astype(np.int32)
    return order, (tensor.height, tensor.width)


def affine(draft: Draft, node: fx.Node, layer: Affine) -> None:
    """Batch norm that follows no convolution: a depthwise 1 x 1 convolution with weights of one."""
    x = draft.value(draft.calls[node].inputs[0])
    before = draft.tensors[x.tensor]
    path, following, clamp = take_affine_and_clamp(draft, node)
    combined = layer
    for step in following:
        combined = Affine(combined.factor * step.factor, combined.offset * step.factor + step.offset)
    by_byte = [_by_byte(values, x.order, before) for values in (combined.factor, combined.offset)]
    flatten = any((values != values[:1]).any() for values in by_byte)
    factor, offset = (values.ravel() if flatten else values[0] for values in by_byte)
    tensor = draft.ranged(path[-1], before)
    if flatten:
        tensor = replace(tensor, height=1, width=1, channels=before.elements)
    output = draft.define(path, tensor, x.order)
    ones = np.ones((len(factor), 1, 1, 1), np.uint8)
    low, high = limits_of(clamp, tensor)
    draft.operators.append(
        graph.Convolution(
            input=x.tensor,
            output=output,
            window=POINT,
            groups=len(factor),
            flatten_input=flatten and before.height * before.width > 1,
            codes=ones,
            weight_zero_point=0,
            requantisation=convolution_requantisation(
                Affine(factor, offset), x.scale, (ones, 0), x.zero_point, tensor, (low, high)
            ),
            low=low,
            high=high,
        )
    )


def _columns(weights: NDArray[np.uint8], order: Order) -> NDArray[np.uint8]:
    """The weights, whose last axis is torch's, in the order of the bytes."""
    in_order = np.array_equal(order, np.arange(len(order)))
    return weights if in_order else np.take(weights, np.argsort(order), axis=-1)


def _by_byte(values: NDArray[np.float64], order: Order, tensor: Tensor) -> NDArray[np.float64]:
    """Of a value for each of torch's channels (the order's first axis), [h x w, c] the value at each byte."""
    by_byte = np.empty(order.size)
    by_byte[order.reshape(len(order), -1)] = values[:, None]
    return by_byte.reshape(-1, tensor.channels)
