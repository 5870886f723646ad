"""The integer graph while it is made: its tensors and operators so far, and the value of each node of the trace."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import fx

from dccdka.collaborative import LayerCodes
from dccdka.lowering import arithmetic, graph, tables
from dccdka.lowering.building.images import Image, channel_order_of, in_torchs_order, limits_of, size_of
from dccdka.lowering.calls import Call, Calls
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.graph import Operator, Tensor
from dccdka.lowering.layers import Average, Clamp, Expanded, Layer, Maximum, Nothing, Padding, Rearrange, Scale
from dccdka.lowering.observation import Range
from dccdka.lowering.tracing import describe
from dccdka.lowering.values import Order, Value, image_order
from dccdka.lowering.windows import is_column, window_of


class Draft:
    """Operators are added by the functions of this package, one layer after the other.

    Functions of single values, paddings and reshapes wait until their value is asked for: by then a convolution may
    have taken the padding, and all functions between two values are one table.
    """

    def __init__(
        self,
        calls: Calls,
        layers: dict[fx.Node, Layer],
        codes: dict[str, LayerCodes],
        ranges: dict[fx.Node, Range],
    ) -> None:
        self.calls = calls.by_node
        self.device = calls.result.device
        self.layers = layers
        self.codes = codes
        self.ranges = ranges
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.values: dict[fx.Node, Value] = {}
        # Nodes whose value an operator other than a table gives.
        self.computed: set[fx.Node] = set()
        # The nearest computed value that each node is a function of, value by value; itself if there is none.
        self.roots: dict[fx.Node, fx.Node] = {calls.input: calls.input}

    # Values that wait until they are asked for

    def value(self, node: fx.Node) -> Value:
        """Where the node's result is, made now if it waited."""
        if node not in self.values:
            self.values[node] = self._derived(node)
        return self.values[node]

    def _derived(self, node: fx.Node) -> Value:
        layer = self.layers[node]
        source = self.calls[node].inputs[0]
        match layer:
            case Nothing() | Expanded():
                return self.value(source)
            case Rearrange():
                return self.value(source).rearranged(self.calls[node])
            case Scale(factor):
                return self.value(source).scaled(factor)
            case Padding():
                return self._padded(node, layer)
            case Clamp() if source in self.values or self.roots[source] is source:
                return self._clamped(self.value(source), layer)
            case _:
                return self._looked_up(node)

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

    def _looked_up(self, node: fx.Node) -> Value:
        inputs = self.calls[node].inputs
        root = inputs[0] if len(inputs) == 1 and inputs[0] in self.values else self.roots[node]
        x = self.value(root)
        real = (torch.arange(-128, 128) - x.zero_point) * x.scale
        with torch.no_grad():
            results = self._evaluate(node, {root: real.to(self.device, torch.float32)})
        tensor = self.ranged(node, self.tensors[x.tensor])
        output = self.add_tensor(tensor)
        table = tables.lookup_table(results.cpu().numpy().ravel(), tensor)
        self.operators.append(graph.Lookup(x.tensor, output, table))
        return Value(output, x.order, tensor.scale, tensor.zero_point)

    def _clamped(self, x: Value, layer: Clamp) -> Value:
        tensor = replace(self.tensors[x.tensor], scale=x.scale)
        output = self.add_tensor(tensor)
        self.operators.append(graph.ReLU(x.tensor, output, *limits_of(layer, tensor)))
        return replace(x, tensor=output)

    def _padded(self, node: fx.Node, layer: Padding) -> Value:
        image = self.image(self.calls[node].inputs[0], node)
        tensor = self.image_tensor(node, image.tensor, image.value)
        top, left = _turned_pair(layer, image.tensor, self.calls[node])
        output = self.add_tensor(tensor)
        self.operators.append(graph.Pad(image.value.tensor, output, top, left))
        return replace(image.value, tensor=output, order=self.order(node, tensor))

    # Tensors

    def image(self, node: fx.Node, user: fx.Node, any_channels: bool = False) -> Image:
        """A node's value as an image, whose channels are in torch's order unless any will do."""
        value = self.value(node)
        tensor = self.tensors[value.tensor]
        channels = channel_order_of(value.order, tensor)
        if channels is None or not (any_channels or in_torchs_order(channels)):
            raise LoweringError(
                f"{describe(user)}: takes an image (c, h, w) that is given as {value.order.shape} with its values "
                "rearranged; lowering moves no bytes, so flatten or permute only before linear layers, and shuffle "
                "channels only before convolutions without groups"
            )
        return Image(value, tensor, channels)

    def shape_like(self, node: fx.Node, image: Tensor) -> tuple[int, int]:
        """Height and width of a node's value, computed from the image: (c, h, w), or (c, l) along the image's line."""
        shape = self.calls[node].shape or ()
        if len(shape) == 3:
            return shape[1], shape[2]
        return (shape[1], 1) if is_column(image) else (1, shape[1])

    def image_tensor(self, node: fx.Node, image: Tensor, value: Value) -> Tensor:
        """Of a node that a window or padding makes from the image, with the image's scale."""
        shape = self.calls[node].shape or ()
        ndim = value.order.ndim
        if len(shape) == ndim:
            height, width = self.shape_like(node, image)
            return replace(image, height=height, width=width, scale=value.scale)
        # An average over axes that are not kept
        layer = self.layers[node]
        assert isinstance(layer, Average | Maximum)
        window = window_of(layer.region, image, ndim)
        assert window is not None
        height, width = window.output_size(image.height, image.width)
        return replace(image, height=height, width=width, scale=value.scale)

    def order(self, node: fx.Node, tensor: Tensor) -> Order:
        """Of an image that a window or padding makes; torch may leave out axes of size 1."""
        return image_order(*size_of(tensor)).reshape(self.calls[node].shape or ())

    def ranged(self, node: fx.Node, like: Tensor) -> Tensor:
        """A tensor of the same size that holds the range of the node's values."""
        scale, zero_point = arithmetic.scale_and_zero_point(*self.ranges[node])
        return replace(like, scale=scale, zero_point=zero_point)

    def add_tensor(self, tensor: Tensor) -> int:
        """Its number in the graph."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def define(self, path: list[fx.Node], tensor: Tensor, order: Order) -> int:
        """Adds the tensor as the value of the nodes."""
        index = self.add_tensor(tensor)
        self.values |= dict.fromkeys(path, Value(index, order, tensor.scale, tensor.zero_point))
        self.computed.update(path)
        return index


def _turned_pair(layer: Padding, image: Tensor, call: Call) -> tuple[int, int]:
    along_y = len(call.input_shape) == 2 and is_column(image)
    return (layer.left, layer.top) if along_y else (layer.top, layer.left)
