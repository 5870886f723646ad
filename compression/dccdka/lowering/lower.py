"""From a compressed float network to the integer graph."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import fx, nn

from dccdka.collaborative import CompressedModel, LayerCodes
from dccdka.datasets import Normalization
from dccdka.lowering import arithmetic
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.folding import folded_requantisation
from dccdka.lowering.graph import (
    POINT,
    Add,
    AveragePool,
    Convolution,
    IntegerGraph,
    MaxPool,
    Operator,
    ReLU,
    Tensor,
    Window,
)
from dccdka.lowering.layers import (
    Average,
    Clamp,
    Layer,
    Maximum,
    Normalise,
    Rearrange,
    Sum,
    Weighted,
    convolution_window,
    describe,
    is_in_place,
    layer_of,
)
from dccdka.lowering.observation import Observation, observe
from dccdka.lowering.tracing import check_trace, network_input, trace

_Kind = TypeVar("_Kind", bound=Layer)


def lower(compressed: CompressedModel, dataset_sample: NDArray[np.uint8], normalization: Normalization) -> IntegerGraph:
    """The integer graph of a compressed network.

    dataset_sample: real images uint8 [n, c, h, w]; the range of each activation over them, 0 included, sets its int8
    scale. Batch norm and biases go into the requantisation, so the weights' codes are exactly the trained ones. The
    input takes pixel - 128, which loses nothing. Raises LoweringError naming the module or operator at fault.
    """
    module = compressed.module
    if any(child.training for child in module.modules()):
        raise LoweringError("the network is in training mode; call .eval() first")
    if len(dataset_sample) == 0:
        raise LoweringError("no images to calibrate with; give some of the training set")
    network = trace(module)
    try:
        observations = observe(network, dataset_sample, normalization)
    except RuntimeError as error:  # torch's error for shapes that do not belong together
        raise LoweringError(
            f"{type(module).__name__} fails on images of shape {dataset_sample.shape[1:]}: {error}"
        ) from error
    graph = _Lowering(network, observations, compressed.layers, normalization).run()
    check_trace(module, network, network_input(dataset_sample[:4], normalization))
    return graph


class _Lowering:
    """Walks the nodes in order and emits tensors and operators."""

    def __init__(
        self,
        network: fx.GraphModule,
        observations: dict[fx.Node, Observation],
        codes: dict[str, LayerCodes],
        normalization: Normalization,
    ) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.observations = observations
        self.codes = codes
        self.normalization = normalization
        self.layers: dict[fx.Node, Layer] = {}
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.tensor_of: dict[fx.Node, int] = {}

    def run(self) -> IntegerGraph:
        nodes = [node for node in self.network.graph.nodes if node in self.observations]
        inputs = [node for node in nodes if node.op == "placeholder"]
        if len(inputs) != 1:
            raise LoweringError(f"the network takes {len(inputs)} tensors; it must take one batch of images")
        self.layers = {node: layer_of(node, self.modules) for node in nodes if node.op.startswith("call")}
        input_index = self._input(inputs[0])
        for node, layer in self.layers.items():
            if node not in self.tensor_of:  # else a layer before has taken it along
                self._check_in_place(node)
                self._lower(node, layer)
        return IntegerGraph(tuple(self.tensors), tuple(self.operators), input_index, self._output())

    def _input(self, node: fx.Node) -> int:
        channels, height, width = self.observations[node].shape
        scale, zero_point = self.normalization.scale, self.normalization.zero - 128
        return self._emit(Tensor(height, width, channels, scale, zero_point), node)

    def _output(self) -> int:
        (node,) = (node for node in self.network.graph.nodes if node.op == "output")
        result = node.args[0]
        if not isinstance(result, fx.Node) or result not in self.tensor_of:
            raise LoweringError("the network returns several values; it must return one tensor")
        tensor = self.tensors[self.tensor_of[result]]
        if len(self.observations[result].shape) == 1 and tensor.height * tensor.width > 1:
            raise LoweringError("the network returns a flattened image; end it with a linear layer or a pool to 1 x 1")
        if not self.operators:
            raise LoweringError("the network has no layers")
        return self.tensor_of[result]

    def _lower(self, node: fx.Node, layer: Layer) -> None:
        match layer:
            case Weighted():
                self._weighted(node, layer)
            case Sum():
                self._sum(node)
            case Average():
                self._average(node, layer)
            case Maximum():
                x = self._source(node)
                shape = self._image_shape(node)
                output = self._emit(Tensor(*shape, self.tensors[x].scale, self.tensors[x].zero_point), node)
                self.operators.append(MaxPool(x, output, layer.window))
            case Clamp():
                x = self._source(node)
                output = self._emit(self.tensors[x], node)
                self.operators.append(ReLU(x, output, *_clamp_limits(layer, self.tensors[x])))
            case Rearrange():
                self._rearrange(node)
            case Normalise():
                raise LoweringError(
                    f"{describe(node)}: batch norm is folded into the layer before it, so it must directly follow a "
                    "convolution or linear layer whose output nothing else uses"
                )

    def _weighted(self, node: fx.Node, layer: Weighted) -> None:
        x = self._source(node)
        last, norm = self._take(node, Normalise)
        last, clamp = self._take(last, Clamp)
        codes = self._codes(layer)
        if isinstance(layer.module, nn.Linear):
            weights, window, groups = self._linear_codes(node, layer, codes.codes), POINT, 1
        else:
            weights, window = codes.codes.transpose(0, 2, 3, 1), convolution_window(layer.module, describe(node))
            groups = layer.module.groups
        output = self._emit(self._tensor(last), node, last)
        tensor = self.tensors[output]
        requantisation = folded_requantisation(layer, norm, self.tensors[x].scale * codes.scale, tensor.scale)
        self.operators.append(
            Convolution(
                input=x,
                output=output,
                window=window,
                groups=groups,
                flatten_input=isinstance(layer.module, nn.Linear)
                and self.tensors[x].height * self.tensors[x].width > 1,
                codes=np.ascontiguousarray(weights),
                weight_zero_point=codes.zero_point,
                requantisation=requantisation,
                **_limits(clamp, tensor),
            )
        )

    def _codes(self, layer: Weighted) -> LayerCodes:
        if layer.name not in self.codes:
            raise LoweringError(f"module {layer.name}: it was not compressed, there are no codes of its weights")
        codes = self.codes[layer.name]
        weight = layer.module.weight.detach().cpu().numpy()
        meant = (codes.codes.astype(np.float32) - codes.zero_point) * codes.scale
        if weight.shape != meant.shape or not np.allclose(weight, meant, rtol=1e-3, atol=1e-3 * codes.scale):
            raise LoweringError(f"module {layer.name}: its weights are not those of its codes")
        return codes

    def _linear_codes(self, node: fx.Node, layer: Weighted, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[out, 1, 1, in] with the columns in the order of the image's bytes; torch flattens (c, h, w)."""
        source = self._source_node(node)
        if len(self.observations[source].shape) != 1:
            raise LoweringError(f"{describe(node)}: a linear layer takes flattened images; put nn.Flatten() before it")
        tensor = self.tensors[self.tensor_of[source]]
        columns = codes.reshape(-1, tensor.channels, tensor.height, tensor.width).transpose(0, 2, 3, 1)
        return columns.reshape(len(codes), 1, 1, -1)

    def _sum(self, node: fx.Node) -> None:
        operands = [self.tensor_of[x] for x in node.all_input_nodes]
        first, second = operands[0], operands[-1]
        a, b = self.tensors[first], self.tensors[second]
        if (a.height, a.width, a.channels) != (b.height, b.width, b.channels):
            raise LoweringError(f"{describe(node)}: adds tensors of different shapes; make the shapes equal")
        last, clamp = self._take(node, Clamp)
        output = self._emit(self._tensor(last), node, last)
        tensor = self.tensors[output]
        multipliers = arithmetic.common_shift((a.scale / tensor.scale, b.scale / tensor.scale))
        self.operators.append(Add(first, second, output, *multipliers, **_limits(clamp, tensor)))

    def _average(self, node: fx.Node, layer: Average) -> None:
        x = self._source(node)
        image = self.tensors[x]
        window = layer.window or Window((image.height, image.width), (1, 1), (0, 0))
        last, clamp = self._take(node, Clamp)
        output = self._emit(self._tensor(last), node, last)
        tensor = self.tensors[output]
        multiplier, shift = arithmetic.multiplier_and_shift(image.scale / (tensor.scale * window.taps))
        self.operators.append(AveragePool(x, output, window, multiplier, shift, **_limits(clamp, tensor)))

    def _rearrange(self, node: fx.Node) -> None:
        source = self._source_node(node)
        before, after = self.observations[source].shape, self.observations[node].shape
        if after != before and after != (math.prod(before),):
            raise LoweringError(
                f"{describe(node)}: reshapes {before} to {after}; only flattening to (n, -1) is supported"
            )
        self.tensor_of[node] = self.tensor_of[source]

    def _take(self, node: fx.Node, kind: type[_Kind]) -> tuple[fx.Node, _Kind | None]:
        """The layer of this kind that alone uses node's value, and its node; else node itself and None."""
        user = node
        while True:
            users = [u for u in user.users if u in self.layers or u.op == "output"]
            if len(users) != 1 or users[0] not in self.layers:
                return node, None
            before, user = user, users[0]
            layer = self.layers[user]
            if isinstance(layer, kind):
                return user, layer
            unchanged = self.observations[user].shape == self.observations[before].shape
            if not (isinstance(layer, Rearrange) and unchanged):
                return node, None

    def _check_in_place(self, node: fx.Node) -> None:
        """What an operator changes in place, under whatever name, must be its own."""
        changed, source = is_in_place(node, self.modules), node
        while changed:
            source = self._source_node(source)
            if len([user for user in source.users if user in self.layers]) > 1:
                raise LoweringError(
                    f"{describe(node)}: changes in place what others use too; use the form that does not"
                )
            changed = isinstance(self.layers.get(source), Rearrange)

    def _source_node(self, node: fx.Node) -> fx.Node:
        source = node.args[0] if node.args else node.kwargs["input"]
        assert isinstance(source, fx.Node)  # layer_of admits only calls on tensors
        return source

    def _source(self, node: fx.Node) -> int:
        return self.tensor_of[self._source_node(node)]

    def _image_shape(self, node: fx.Node) -> tuple[int, int, int]:
        """(h, w, c) of a node's value."""
        shape = self.observations[node].shape
        if len(shape) not in (1, 3):
            raise LoweringError(
                f"{describe(node)}: gives a value of shape {shape}; only images and vectors are supported"
            )
        channels, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
        return height, width, channels

    def _tensor(self, node: fx.Node) -> Tensor:
        seen = self.observations[node]
        return Tensor(*self._image_shape(node), *arithmetic.scale_and_zero_point(seen.low, seen.high))

    def _emit(self, tensor: Tensor, *nodes: fx.Node) -> int:
        """Adds the tensor as the value of the first node, of the last, and of those between."""
        self.tensors.append(tensor)
        index = len(self.tensors) - 1
        node, last = nodes[0], nodes[-1]
        self.tensor_of[node] = index
        while node is not last:
            (node,) = (user for user in node.users if user in self.layers)
            self.tensor_of[node] = index
        return index


def _clamp_limits(clamp: Clamp, tensor: Tensor) -> tuple[int, int]:
    low = tensor.zero_point
    high = 127 if clamp.limit is None else min(127, low + round(clamp.limit / tensor.scale))
    return low, high


def _limits(clamp: Clamp | None, tensor: Tensor) -> dict[str, Any]:
    if clamp is None:
        return {}
    low, high = _clamp_limits(clamp, tensor)
    return {"low": low, "high": high}
