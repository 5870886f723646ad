"""Emits tensors and operators for the layers of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from dccdka.collaborative import LayerCodes
from dccdka.datasets import Normalization
from dccdka.lowering import arithmetic, graph, tables
from dccdka.lowering.calls import Call, Calls
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.folding import convolution_requantisation, folded
from dccdka.lowering.graph import POINT, IntegerGraph, Operator, Tensor, Window
from dccdka.lowering.layers import (
    ELEMENTWISE,
    Affine,
    Average,
    Clamp,
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
from dccdka.lowering.values import Order, Value, channel_order, image_order, is_along_channels
from dccdka.lowering.windows import is_column, turned, window_of

_Kind = TypeVar("_Kind", bound=Layer)
# Least and greatest product of two int8 less their zero points.
_PRODUCTS = (-255 * 255, 255 * 255)
# Kinds whose result needs no range of its own: the input's integers, or a scale that is always the same.
_UNOBSERVED = (Rearrange, Nothing, Maximum, Padding, Exponentials, Largest, Scale)


@dataclass(frozen=True)
class _Image:
    """A value whose bytes are an image; channels[i]: which of the graph's channels torch's channel i is."""

    value: Value
    tensor: Tensor
    channels: Order


class GraphBuilder:
    """Walks a network's layers in order.

    Layers that compute get operators at once. Functions of single values, paddings and reshapes wait until their value
    is asked for: by then a convolution may have taken the padding, and all functions between two values are one table.
    """

    def __init__(
        self,
        calls: Calls,
        layers: dict[fx.Node, Layer],
        codes: dict[str, LayerCodes],
    ) -> None:
        self.input, self.output = calls.input, calls.output
        self.calls = calls.by_node
        self.device = calls.result.device
        self.layers = layers
        self.codes = codes
        self.ranges: dict[fx.Node, Range] = {}
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.values: dict[fx.Node, Value] = {}
        # Nodes whose value an operator other than a table gives.
        self.computed: set[fx.Node] = set()
        # The nearest computed value that each node is a function of, value by value; itself if there is none.
        self.roots: dict[fx.Node, fx.Node] = {self.input: self.input}

    def observed(self) -> set[fx.Node]:
        """The nodes whose ranges `build` may need."""
        return {node for node, layer in self.layers.items() if not isinstance(layer, _UNOBSERVED)}

    def build(
        self,
        image_shape: Sequence[int],
        normalization: Normalization,
        ranges: dict[fx.Node, Range],
    ) -> IntegerGraph:
        """The graph for images of image_shape (c, h, w). Raises LoweringError."""
        self.ranges = ranges
        channels, height, width = image_shape
        tensor = Tensor(height, width, channels, normalization.scale, normalization.zero - 128)
        self._define([self.input], tensor, image_order(height, width, channels))
        for node, layer in self.layers.items():
            self._check_in_place(node)
            self.roots[node] = self._root(node)
            if node not in self.values:  # else a layer before has taken it along
                try:
                    self._lower(node, layer)
                except OverflowError as error:
                    raise LoweringError(f"{describe(node)}: {error}; its scale or batch norm is extreme") from error
        output = self._output()
        return IntegerGraph(tuple(self.tensors), tuple(self.operators), 0, output)

    def _output(self) -> int:
        value = self._value(self.output)
        tensor = self.tensors[value.tensor]
        in_order = np.array_equal(value.order.ravel(), np.arange(value.order.size))
        if not in_order and not _in_torchs_order(channel_order_of(value.order, tensor)):
            raise LoweringError(
                f"{describe(self.output)}: the network returns a flattened image, or one with its channels or pixels "
                "rearranged; end it with a linear layer or a pool to 1 x 1, and shuffle channels only before a layer"
            )
        if not self.operators:
            raise LoweringError("the network has no layers")
        self.tensors[value.tensor] = replace(tensor, scale=value.scale)
        return value.tensor

    def _lower(self, node: fx.Node, layer: Layer) -> None:
        match layer:
            case Weighted():
                self._weighted(node, layer)
            case Affine():
                self._affine(node)
            case Average():
                self._average(node, layer)
            case Maximum():
                self._maximum(node, layer)
            case Join():
                self._join(node, layer)
            case Exponentials():
                self._softmax(node, layer)
            case Largest():
                self._argmax(node, layer)
            case Sum() | Product() | Quotient() if self.roots[node] is node:
                self._of_two(node, layer)

    # Values that wait until they are asked for

    def _value(self, node: fx.Node) -> Value:
        if node not in self.values:
            self.values[node] = self._derived(node)
        return self.values[node]

    def _derived(self, node: fx.Node) -> Value:
        layer = self.layers[node]
        source = self.calls[node].inputs[0]
        match layer:
            case Nothing():
                return self._value(source)
            case Rearrange():
                return self._value(source).rearranged(self.calls[node])
            case Scale(factor):
                return self._value(source).scaled(factor)
            case Padding():
                return self._padded(node, layer)
            case Clamp() if source in self.values or self.roots[source] is source:
                return self._clamped(self._value(source), layer)
            case _:
                return self._looked_up(node)

    def _root(self, node: fx.Node) -> fx.Node:
        if node in self.computed or not isinstance(self.layers[node], ELEMENTWISE):
            return node
        roots = {self.roots[source] for source in self.calls[node].inputs}
        return roots.pop() if len(roots) == 1 else node

    def _looked_up(self, node: fx.Node) -> Value:
        inputs = self.calls[node].inputs
        root = inputs[0] if len(inputs) == 1 and inputs[0] in self.values else self.roots[node]
        x = self._value(root)
        real = (torch.arange(-128, 128) - x.zero_point) * x.scale
        with torch.no_grad():
            results = self._evaluate(node, {root: real.to(self.device, torch.float32)})
        tensor = self._ranged(node, self.tensors[x.tensor])
        output = self._add_tensor(tensor)
        table = tables.lookup_table(results.cpu().numpy().ravel(), tensor)
        self.operators.append(graph.Lookup(x.tensor, output, table))
        return Value(output, x.order, tensor.scale, tensor.zero_point)

    def _evaluate(self, node: fx.Node, values: dict[fx.Node, torch.Tensor]) -> torch.Tensor:
        """A function of single values at other values of its root."""
        if node not in values:
            call = self.calls[node]
            for source in call.inputs:
                self._evaluate(source, values)
            # cat((x,), 1) names an axis, which single values have not.
            unchanged = isinstance(self.layers[node], Nothing)
            values[node] = values[call.inputs[0]] if unchanged else call.run(values)
        return values[node]

    def _clamped(self, x: Value, layer: Clamp) -> Value:
        tensor = replace(self.tensors[x.tensor], scale=x.scale)
        output = self._add_tensor(tensor)
        self.operators.append(graph.ReLU(x.tensor, output, *_limits(layer, tensor)))
        return replace(x, tensor=output)

    def _padded(self, node: fx.Node, layer: Padding) -> Value:
        image = self._image(self.calls[node].inputs[0], node)
        tensor = self._image_tensor(node, image.tensor, image.value)
        top, left = _turned_pair(layer, image.tensor, self.calls[node])
        output = self._add_tensor(tensor)
        self.operators.append(graph.Pad(image.value.tensor, output, top, left))
        return replace(image.value, tensor=output, order=self._order(node, tensor))

    # Layers that compute

    def _weighted(self, node: fx.Node, layer: Weighted) -> None:
        codes = self._codes(layer, node)
        path, affine, clamp = self._take_affine_and_clamp(node)
        if isinstance(layer.module, nn.Linear):
            x, weights, window, flatten = self._linear(node, codes)
            order, image = self._linear_order(x, len(weights))
        else:
            x, weights, window = self._convolution(node, layer, codes)
            flatten, image, order = False, self._shape_like(node, self.tensors[x.tensor]), None
        height, width = image
        tensor = self._ranged(path[-1], Tensor(height, width, len(weights), 1.0, 0))
        output = self._define(path, tensor, self._order(node, tensor) if order is None else order)
        weights = np.ascontiguousarray(weights)
        low, high = _limits(clamp, tensor)
        self.operators.append(
            graph.Convolution(
                input=x.tensor,
                output=output,
                window=window,
                groups=layer.groups,
                flatten_input=flatten,
                codes=weights,
                weight_zero_point=codes.zero_point,
                requantisation=convolution_requantisation(
                    folded(layer.module.bias, len(weights), affine),
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

    def _take_affine_and_clamp(self, node: fx.Node) -> tuple[list[fx.Node], list[Affine], Clamp | None]:
        """The nodes from this to the last that its operator computes, and what they do."""
        path, affine = [node], list[Affine]()
        # The channels of a linear layer on a tensor of several axes are not torch's first axis, as Affine has it.
        shape = self.calls[node].shape
        channels_first = not isinstance(self.calls[node].module, nn.Linear) or len(shape or ()) == 1
        while channels_first and (taken := self._take(path[-1], Affine)) is not None:
            affine.append(taken[1])
            path += taken[0]
        path, clamp = self._take_clamp(path)
        return path, affine, clamp

    def _codes(self, layer: Weighted, node: fx.Node) -> LayerCodes:
        if layer.name not in self.codes:
            raise LoweringError(f"{describe(node)}: it was not compressed, there are no codes of its weights")
        codes = self.codes[layer.name]
        weight, meant = layer.module.weight.detach().cpu().numpy(), codes.weights()
        # Equal weights, the usual case, are quickly compared.
        same = weight.shape == meant.shape and (
            np.array_equal(weight, meant) or np.allclose(weight, meant, rtol=1e-3, atol=1e-3 * codes.scale)
        )
        if not same:
            raise LoweringError(f"{describe(node)}: its weights are not those of its codes")
        return codes

    def _convolution(
        self, node: fx.Node, layer: Weighted, codes: LayerCodes
    ) -> tuple[Value, NDArray[np.uint8], Window]:
        """Input, codes [out, y, x, in / groups] and window; paddings before it go into the window."""
        source, top, left = self._before_padding(self.calls[node].inputs[0])
        image = self._image(source, node, any_channels=layer.groups == 1)
        weights = codes.codes if codes.codes.ndim == 4 else codes.codes[:, :, None, :]
        window = replace(layer.window, padding=(layer.window.padding[0] + top, layer.window.padding[1] + left))
        if codes.codes.ndim == 3 and is_column(image.tensor):
            weights, window = weights.transpose(0, 1, 3, 2), turned(window)
        weights = weights.transpose(0, 2, 3, 1)
        return image.value, weights if layer.groups > 1 else _columns(weights, image.channels), window

    def _before_padding(self, node: fx.Node) -> tuple[fx.Node, int, int]:
        """What a convolution's paddings pad, and how much lies above and left."""
        top = left = 0
        while isinstance(layer := self.layers.get(node), Padding | Nothing):
            if isinstance(layer, Padding):
                top, left = top + layer.top, left + layer.left
            node = self.calls[node].inputs[0]
        return node, top, left

    def _linear(self, node: fx.Node, codes: LayerCodes) -> tuple[Value, NDArray[np.uint8], Window, bool]:
        """Input, codes [out, 1, 1, in] with the columns in the order of the bytes, window, and whether it flattens."""
        x = self._value(self.calls[node].inputs[0])
        tensor = self.tensors[x.tensor]
        weights = codes.codes
        if x.order.ndim == 1:
            return x, _columns(weights, x.order)[:, None, None], POINT, tensor.height * tensor.width > 1
        if not is_along_channels(x.order, -1, tensor.channels):
            raise LoweringError(
                f"{describe(node)}: a linear layer takes flattened images, put nn.Flatten() before it; or the channels "
                "of each pixel, as the last axis"
            )
        return x, weights[:, None, None], POINT, False

    def _linear_order(self, x: Value, outputs: int) -> tuple[Order, tuple[int, int]]:
        """Where its outputs lie, and the height and width of their image."""
        if x.order.ndim == 1:
            return np.arange(outputs, dtype=np.int32), (1, 1)
        tensor = self.tensors[x.tensor]
        pixels = x.order[..., :1] // tensor.channels
        order = (pixels * outputs + np.arange(outputs)).astype(np.int32)
        return order, (tensor.height, tensor.width)

    def _affine(self, node: fx.Node) -> None:
        """Batch norm that follows no convolution: a depthwise 1 x 1 convolution with weights of one."""
        x = self._value(self.calls[node].inputs[0])
        before = self.tensors[x.tensor]
        layer = self.layers[node]
        assert isinstance(layer, Affine)
        path, following, clamp = self._take_affine_and_clamp(node)
        combined = layer
        for step in following:
            combined = Affine(combined.factor * step.factor, combined.offset * step.factor + step.offset)
        by_byte = [_by_byte(values, x.order, before) for values in (combined.factor, combined.offset)]
        flatten = any((values != values[:1]).any() for values in by_byte)
        factor, offset = (values.ravel() if flatten else values[0] for values in by_byte)
        tensor = self._ranged(path[-1], before)
        if flatten:
            tensor = replace(tensor, height=1, width=1, channels=before.elements)
        output = self._define(path, tensor, x.order)
        ones = np.ones((len(factor), 1, 1, 1), np.uint8)
        low, high = _limits(clamp, tensor)
        self.operators.append(
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

    def _average(self, node: fx.Node, layer: Average) -> None:
        image, window = self._pooled(node, layer)
        path, clamp = self._take_clamp([node])
        tensor = self._ranged(path[-1], self._image_tensor(node, image.tensor, image.value))
        output = self._define(path, tensor, self._order(node, tensor))
        factor, taps = image.value.scale / (tensor.scale * window.taps), window.taps
        offset = tensor.zero_point - factor * taps * image.value.zero_point
        limits = _limits(clamp, tensor)
        requantisation = arithmetic.scalar_requantisation(factor, offset, (-128 * taps, 127 * taps), limits)
        self.operators.append(graph.AveragePool(image.value.tensor, output, window, *requantisation, *limits))

    def _maximum(self, node: fx.Node, layer: Maximum) -> None:
        image, window = self._pooled(node, layer)
        tensor = self._image_tensor(node, image.tensor, image.value)
        output = self._define([node], tensor, self._order(node, tensor))
        self.operators.append(graph.MaxPool(image.value.tensor, output, window))

    def _pooled(self, node: fx.Node, layer: Average | Maximum) -> tuple[_Image, Window]:
        image = self._image(self.calls[node].inputs[0], node)
        axes = image.value.order.ndim
        window = window_of(layer.region, image.tensor, axes)
        if window is None:
            size = f"{image.tensor.height} x {image.tensor.width}"
            raise LoweringError(
                f"{describe(node)}: pools an image of {size} by parts that are not equal, or over channels; use an "
                "output size that divides the image's, or AvgPool2d, and average over height and width only"
            )
        return image, window

    def _of_two(self, node: fx.Node, layer: Sum | Product | Quotient) -> None:
        call = self.calls[node]
        operands = (layer.first, layer.second) if isinstance(layer, Sum) else (call.inputs[0], call.inputs[-1])
        first, second = (self._value(x) for x in operands)
        if isinstance(layer, Quotient):
            raise LoweringError(
                f"{describe(node)}: divides tensors by each other, or has one as exponent; use a number"
            )
        if isinstance(layer, Product) and not self._alike(first, second):
            if self._is_broadcast(first, second):
                first, second = second, first
            elif not self._is_broadcast(second, first):
                raise _of_unlike(node, "multiplies", first, second, "equal shapes, and an image (c, h, w) by (c, 1, 1)")
        elif not self._alike(first, second):
            raise _of_unlike(node, "adds", first, second, "equal shapes")
        path, clamp = self._take_clamp([node])
        tensor = self._ranged(path[-1], self.tensors[first.tensor])
        output = self._define(path, tensor, first.order)
        tensors = (first.tensor, second.tensor, output)
        limits = _limits(clamp, tensor)
        if isinstance(layer, Product):
            factor = first.scale * second.scale / tensor.scale
            requantisation = arithmetic.scalar_requantisation(factor, tensor.zero_point, _PRODUCTS, limits)
            self.operators.append(graph.Multiply(*tensors, *requantisation, *limits))
        else:
            scales = (layer.first_factor * first.scale, layer.second_factor * second.scale)
            a, b, shift = arithmetic.common_shift((scales[0] / tensor.scale, scales[1] / tensor.scale))
            offset = arithmetic.offset_of(tensor.zero_point, shift, a * first.zero_point, b * second.zero_point)
            self.operators.append(graph.Add(*tensors, a, b, offset, shift, *limits))

    def _alike(self, first: Value, second: Value) -> bool:
        same_image = _size(self.tensors[first.tensor]) == _size(self.tensors[second.tensor])
        return same_image and np.array_equal(first.order, second.order)

    def _is_broadcast(self, factor: Value, image: Value) -> bool:
        """Whether factor has one value for each channel of the image."""
        one, whole = (self.tensors[value.tensor] for value in (factor, image))
        channels, single = channel_order_of(image.order, whole), channel_order_of(factor.order, one)
        if channels is None or single is None or one.height * one.width > 1 or one.channels != whole.channels:
            return False
        return factor.order.ndim == image.order.ndim and np.array_equal(channels, single)

    def _join(self, node: fx.Node, layer: Join) -> None:
        parts = [self._value(x) for x in self._joined(node)]
        for part in parts:
            tensor = self.tensors[part.tensor]
            if layer.axis != 0 or not _in_torchs_order(channel_order_of(part.order, tensor)):
                raise LoweringError(
                    f"{describe(node)}: joins tensors of shapes {[x.order.shape for x in parts]} along axis "
                    f"{layer.axis + 1}; only channels (axis 1) of images can be joined, before they are flattened"
                )
        path, clamp = self._take_clamp([node])
        joined = parts[0]
        for i, part in enumerate(parts[1:], 2):
            first, second = self.tensors[joined.tensor], self.tensors[part.tensor]
            tensor = self._ranged(path[-1], replace(first, channels=first.channels + second.channels))
            factors = (joined.scale / tensor.scale, part.scale / tensor.scale)
            if i == len(parts):
                output = self._define(path, tensor, self._order(node, tensor))
            else:
                output = self._add_tensor(tensor)
            a, b, shift = arithmetic.common_shift(factors)
            offset_a = arithmetic.offset_of(tensor.zero_point, shift, a * joined.zero_point)
            offset_b = arithmetic.offset_of(tensor.zero_point, shift, b * part.zero_point)
            tensors = (joined.tensor, part.tensor, output)
            limits = _limits(clamp, tensor)
            self.operators.append(graph.Concatenate(*tensors, a, b, offset_a, offset_b, shift, *limits))
            joined = Value(output, joined.order, tensor.scale, tensor.zero_point)

    def _joined(self, node: fx.Node) -> list[fx.Node]:
        """Its tensors in their order; the same one may come twice."""
        call = self.calls[node]
        tensors: list[fx.Node] = list(call.args[0] if call.args else call.kwargs["tensors"])
        return tensors

    def _softmax(self, node: fx.Node, layer: Exponentials) -> None:
        x = self._along_channels(node, layer.axis)
        tensor = replace(self.tensors[x.tensor], scale=1 / 256, zero_point=-128)
        output = self._define([node], tensor, x.order)
        self.operators.append(graph.Softmax(x.tensor, output, tables.exponentials(x.scale)))

    def _argmax(self, node: fx.Node, layer: Largest) -> None:
        x = self._along_channels(node, layer.axis)
        if any(user in self.layers for user in node.users):
            raise LoweringError(f"{describe(node)}: argmax is lowered at the end of a network only; leave out the rest")
        before = self.tensors[x.tensor]
        if before.channels > 256:
            raise LoweringError(
                f"{describe(node)}: argmax over {before.channels} channels does not fit a byte; return the logits"
            )
        tensor = replace(before, channels=1, scale=1.0, zero_point=-128)
        order = np.moveaxis(x.order, layer.axis, -1)[..., 0] // before.channels
        self._define([node], tensor, order.reshape(self.calls[node].shape or ()))
        self.operators.append(graph.ArgMax(x.tensor, self.values[node].tensor))

    def _along_channels(self, node: fx.Node, axis: int) -> Value:
        x = self._value(self.calls[node].inputs[0])
        if not is_along_channels(x.order, axis, self.tensors[x.tensor].channels):
            raise LoweringError(f"{describe(node)}: goes along axis {axis + 1}; only the channels' axis is supported")
        return x

    # What follows a layer and is computed with it

    def _take_clamp(self, path: list[fx.Node]) -> tuple[list[fx.Node], Clamp | None]:
        taken = self._take(path[-1], Clamp)
        return (path, None) if taken is None else (path + taken[0], taken[1])

    def _take(self, node: fx.Node, kind: type[_Kind]) -> tuple[list[fx.Node], _Kind] | None:
        """The layer of this kind that alone uses node's value, and the nodes up to it."""
        path: list[fx.Node] = []
        while True:
            users = [user for user in node.users if user in self.layers or user.op == "output"]
            if len(users) != 1 or users[0] not in self.layers:
                return None
            node = users[0]
            path.append(node)
            layer = self.layers[node]
            if isinstance(layer, kind):
                return path, layer
            if not isinstance(layer, Nothing):
                return None

    def _check_in_place(self, node: fx.Node) -> None:
        """What an operator changes in place, under whatever name, must be its own."""
        changed, source = self.calls[node].in_place, node
        while changed and source in self.calls:
            source = self.calls[source].inputs[0]
            if len([user for user in source.users if user in self.layers]) > 1:
                raise LoweringError(
                    f"{describe(node)}: changes in place what others use too; use the form that does not"
                )
            changed = isinstance(self.layers.get(source), Rearrange | Nothing)

    # Tensors

    def _image(self, node: fx.Node, user: fx.Node, any_channels: bool = False) -> _Image:
        """A node's value as an image, whose channels are in torch's order unless any will do."""
        value = self._value(node)
        tensor = self.tensors[value.tensor]
        channels = channel_order_of(value.order, tensor)
        if channels is None or not (any_channels or _in_torchs_order(channels)):
            raise LoweringError(
                f"{describe(user)}: takes an image (c, h, w) that is given as {value.order.shape} with its values "
                "rearranged; lowering moves no bytes, so flatten or permute only before linear layers"
            )
        return _Image(value, tensor, channels)

    def _shape_like(self, node: fx.Node, image: Tensor) -> tuple[int, int]:
        """Height and width of a node's value, computed from the image: (c, h, w), or (c, l) along the image's line."""
        shape = self.calls[node].shape or ()
        if len(shape) == 3:
            return shape[1], shape[2]
        return (shape[1], 1) if is_column(image) else (1, shape[1])

    def _image_tensor(self, node: fx.Node, image: Tensor, value: Value) -> Tensor:
        """Of a node that a window or padding makes from the image, with the image's scale."""
        shape = self.calls[node].shape or ()
        ndim = value.order.ndim
        if len(shape) == ndim:
            height, width = self._shape_like(node, image)
            return replace(image, height=height, width=width, scale=value.scale)
        # An average over axes that are not kept
        layer = self.layers[node]
        assert isinstance(layer, Average | Maximum)
        window = window_of(layer.region, image, ndim)
        assert window is not None
        height, width = window.output_size(image.height, image.width)
        return replace(image, height=height, width=width, scale=value.scale)

    def _order(self, node: fx.Node, tensor: Tensor) -> Order:
        """Of an image that a window or padding makes; torch may leave out axes of size 1."""
        return image_order(*_size(tensor)).reshape(self.calls[node].shape or ())

    def _ranged(self, node: fx.Node, like: Tensor) -> Tensor:
        """A tensor of the same size that holds the range of the node's values."""
        scale, zero_point = arithmetic.scale_and_zero_point(*self.ranges[node])
        return replace(like, scale=scale, zero_point=zero_point)

    def _add_tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _define(self, path: list[fx.Node], tensor: Tensor, order: Order) -> int:
        """Adds the tensor as the value of the nodes."""
        index = self._add_tensor(tensor)
        self.values |= dict.fromkeys(path, Value(index, order, tensor.scale, tensor.zero_point))
        self.computed.update(path)
        return index


def channel_order_of(order: Order, tensor: Tensor) -> Order | None:
    return channel_order(order, *_size(tensor))


def _in_torchs_order(channels: Order | None) -> bool:
    return channels is not None and np.array_equal(channels, np.arange(len(channels)))


def _size(tensor: Tensor) -> tuple[int, int, int]:
    return tensor.height, tensor.width, tensor.channels


def _turned_pair(layer: Padding, image: Tensor, call: Call) -> tuple[int, int]:
    along_y = len(call.input_shape) == 2 and is_column(image)
    return (layer.left, layer.top) if along_y else (layer.top, layer.left)


def _of_unlike(node: fx.Node, verb: str, first: Value, second: Value, supported: str) -> LoweringError:
    if first.order.shape == second.order.shape:
        problem = "tensors of one shape, one of them rearranged; shuffle or permute both alike, or neither"
    else:
        problem = f"tensors of shapes {first.order.shape} and {second.order.shape}; supported are {supported}"
    return LoweringError(f"{describe(node)}: {verb} {problem}")


def _columns(weights: NDArray[np.uint8], order: Order) -> NDArray[np.uint8]:
    """The weights, whose last axis is torch's, in the order of the bytes."""
    in_order = np.array_equal(order, np.arange(len(order)))
    return weights if in_order else np.take(weights, np.argsort(order), axis=-1)


def _by_byte(values: NDArray[np.float64], order: Order, tensor: Tensor) -> NDArray[np.float64]:
    """Of a value for each of torch's channels (the order's first axis), [h x w, c] the value at each byte."""
    by_byte = np.empty(order.size)
    by_byte[order.reshape(len(order), -1)] = values[:, None]
    return by_byte.reshape(-1, tensor.channels)


def _limits(clamp: Clamp | None, tensor: Tensor) -> tuple[int, int]:
    """low and high of an operator that clamps to real values."""
    if clamp is None:
        return -128, 127
    low, high = (
        int(np.clip(tensor.zero_point + bound / tensor.scale, -128, 127).round()) for bound in (clamp.low, clamp.high)
    )
    return low, high
