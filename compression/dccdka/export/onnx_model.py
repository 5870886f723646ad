"""An artifact as an ONNX model with QuantizeLinear and DequantizeLinear around every operator (QDQ).

Weights and activations are the devices' own integers, activations as uint8: int8 + 128. Biases, which ONNX has in
whole steps of the products, are followed by an addition of the fraction that the devices' have beyond. So each operator
computes what devices compute but for what 32-bit floating point rounds otherwise, by a step: sums so near to a half
that 24 bits cannot tell its side, and a softmax's exponentials (onnx_check finds out).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dccdka.export.onnx_residuals import with_separate_adds
from dccdka.export.onnx_rounding import Rounding
from dccdka.export.onnx_scales import factor, ratio, softmax_scale, tensor_scales
from dccdka.export.onnx_weights import quantized_weights
from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Pad,
    ReLU,
    Softmax,
    Window,
)
from dccdka.packing.artifact import Artifact, PlacedTensor

INPUT = "input"
_OPSET, _IR_VERSION = 13, 8  # the oldest with scales per channel, so that other programs read it too
_LEFT_OUT = 0.5  # of an output step: the largest fraction of a bias that `whole_biases` leaves out
_SAME = 1e-6  # relative difference of scales that are one


def onnx_model(artifact: Artifact, name: str, *, whole_biases: bool = False) -> onnx.ModelProto:
    """The model, checked by ONNX's own checker.

    whole_biases: leave the fractions of biases out of all layers where that moves no value by more than a step, so that
    tools compute these convolutions in integers; some values are then a step off.

    Input "input": float32 [n, c, h, w], what the trained network sees: (pixel - zero) * scale of the data set. Output
    "output": float32 [n, c], or [n, c, h, w] where that is more than one pixel. Raises ExportError naming the operator
    that ONNX cannot say.
    """
    model = _Model(with_separate_adds(artifact), whole_biases).build(name)
    onnx.checker.check_model(model, full_check=True)
    return model


def operator_name(index: int, operator: Operator) -> str:
    """What the names of the operator's nodes begin with. index: among those with separate adds."""
    return f"{index}_{type(operator).__name__}"


def codes_name(name: str) -> str:
    """The uint8 [n, c, h, w] of what an operator makes, or of the INPUT: the devices' int8 + 128."""
    return f"{name}/codes"


class _Model:
    """The model as it grows, an operator at a time. A name stands for a tensor of ONNX."""

    def __init__(self, artifact: Artifact, whole_biases: bool) -> None:
        self.artifact, self.whole_biases = artifact, whole_biases
        self.tensors = artifact.tensors
        self.scales = tensor_scales(artifact)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.quantized: dict[int, str] = {}
        self.dequantized: dict[tuple[int, float], str] = {}  # by tensor and scale
        self.names: Counter[tuple[str, str]] = Counter()
        self.prefix = INPUT  # of the names that an operator gives

    def build(self, name: str) -> onnx.ModelProto:
        artifact = self.artifact
        height, width, channels = artifact.input_shape
        given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", channels, height, width])
        self._quantize(INPUT, artifact.input)
        for index, operator in enumerate(artifact.operators):
            self.prefix = operator_name(index, operator)
            self._emit(index, operator)
        height, width, channels = artifact.output_shape
        one_pixel = height * width == 1
        result = helper.make_tensor_value_info(
            "output", TensorProto.FLOAT, ["n", channels, *(() if one_pixel else (height, width))]
        )
        self.prefix = "output"
        value = self._real(artifact.output, artifact.output_scale)
        self.nodes.append(helper.make_node("Flatten" if one_pixel else "Identity", [value], ["output"]))
        model = helper.make_model(
            helper.make_graph(self.nodes, name, [given], [result], self.constants),
            producer_name="dccdka",
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        zero = artifact.input_zero_point + 128
        pixel = f"input / {artifact.input_scale:.9g} + {zero}"
        helper.set_model_props(model, {"artifact_sha256": artifact.sha256, "pixel": pixel})
        return model

    def _emit(self, index: int, operator: Operator) -> None:
        match operator:
            case Convolution():
                self._convolution(operator)
            case Add():
                self._add(operator)
            case Multiply():
                self._multiply(operator)
            case Concatenate():
                self._concatenate(operator)
            case AveragePool():
                self._average_pool(operator)
            case MaxPool():
                x, y = self.tensors[operator.input], self.tensors[operator.output]
                pooled = self._windowed("MaxPool", [self._like_output(operator)], operator.window, x, y)
                self._quantize(pooled, operator.output)
            case Pad():
                self._pad(operator)
            case ReLU():
                self._finish(self._like_output(operator), operator.output, operator.low, operator.high)
            case Lookup():
                table = self._constant("table", operator.table.view(np.uint8) ^ np.uint8(0x80))
                at = self._node("Cast", [self.quantized[operator.input]], to=TensorProto.INT32)
                self._define(operator.output, "Gather", [table, at], axis=0)
            case Softmax():
                value = self._node("Softmax", [self._real(operator.input, softmax_scale(index, operator))], axis=1)
                self._define(operator.output, "QuantizeLinear", [value, *self._parameters(1 / 256, -128)])
            case ArgMax():
                at = self._node("ArgMax", [self._own(operator.input)], axis=1, keepdims=1)
                self._define(operator.output, "Cast", [at], to=TensorProto.UINT8)

    # Operators

    def _convolution(self, operator: Convolution) -> None:
        x, y = self.tensors[operator.input], self.tensors[operator.output]
        scale = self.scales[operator.output]
        weights = quantized_weights(operator, x.zero_point, y.zero_point)
        input_scale = np.float32(self.scales[operator.input])
        weight_scales = (weights.steps * (scale / self.scales[operator.input])).astype(np.float32)
        image = replace(x, height=1, width=1, channels=x.region.bytes) if operator.flatten_input else x
        inputs = [
            self._flattened(operator.input) if operator.flatten_input else self._own(operator.input),
            self._weights("weights", weights.codes, weight_scales, weights.zero_points),
            self._weights("bias", weights.bias, input_scale * weight_scales, np.zeros_like(weights.bias)),
        ]
        window = operator.window
        value = self._windowed("Conv", inputs, window, image, y, group=operator.groups, dilations=list(window.dilation))
        if not self.whole_biases or np.abs(weights.fractions).max() > _LEFT_OUT:
            fractions = (weights.fractions * scale).astype(np.float32).reshape(1, -1, 1, 1)
            value = self._node("Add", [value, self._constant("bias_fraction", fractions)])
        self._finish(value, operator.output, operator.low, operator.high)

    def _add(self, operator: Add) -> None:
        offset, values = 0.0, []
        for tensor, multiplier in (
            (operator.input, operator.multiplier),
            (operator.second, operator.second_multiplier),
        ):
            tied = ratio(multiplier, operator.shift)
            values.append(self._scaled(tensor, tied, operator.output))
            offset += tied * self.tensors[tensor].zero_point
        rounding = Rounding(operator.multiplier | operator.second_multiplier, operator.offset, operator.shift)
        total = self._shifted(self._node("Add", values), offset, rounding, operator.output)
        self._finish(total, operator.output, operator.low, operator.high)

    def _multiply(self, operator: Multiply) -> None:
        tied = factor(operator.scaling, operator.multiplier) / self.scales[operator.input]
        values = [self._own(operator.input), self._scaled(operator.second, tied, operator.output)]
        rounding = Rounding.of(operator.scaling, operator.multiplier, operator.bias)
        product = self._shifted(self._node("Mul", values), 0.0, rounding, operator.output)
        self._finish(product, operator.output, operator.low, operator.high)

    def _concatenate(self, operator: Concatenate) -> None:
        values = []
        for tensor, multiplier, offset in (
            (operator.input, operator.multiplier, operator.offset),
            (operator.second, operator.second_multiplier, operator.second_offset),
        ):
            tied = ratio(multiplier, operator.shift)
            value = self._scaled(tensor, tied, operator.output)
            rounding = Rounding(multiplier, offset, operator.shift)
            values.append(self._shifted(value, tied * self.tensors[tensor].zero_point, rounding, operator.output))
        joined = self._node("Concat", values, axis=1)
        self._finish(joined, operator.output, operator.low, operator.high)

    def _average_pool(self, operator: AveragePool) -> None:
        x, y = self.tensors[operator.input], self.tensors[operator.output]
        tied = factor(operator.scaling, operator.multiplier) * operator.window.taps
        value = self._scaled(operator.input, tied, operator.output)
        value = self._windowed("AveragePool", [value], operator.window, x, y, count_include_pad=1)
        rounding = Rounding.of(operator.scaling, operator.multiplier, operator.bias)
        value = self._shifted(value, tied * x.zero_point, rounding, operator.output)
        self._finish(value, operator.output, operator.low, operator.high)

    def _pad(self, operator: Pad) -> None:
        x, y = self.tensors[operator.input], self.tensors[operator.output]
        behind = (y.height - x.height - operator.top, y.width - x.width - operator.left)
        pads = self._constant("pads", np.array([0, 0, operator.top, operator.left, 0, 0, *behind], np.int64))
        self._quantize(self._node("Pad", [self._like_output(operator), pads]), operator.output)

    # What operators are made of

    def _windowed(
        self, kind: str, inputs: list[str], window: Window, x: PlacedTensor, y: PlacedTensor, **attributes: Any
    ) -> str:
        """A node whose window slides over x; only y's size is kept of what ONNX would make of the whole image."""
        behind = window.padding_behind(x, y)
        value = self._node(
            kind,
            inputs,
            kernel_shape=list(window.kernel),
            strides=list(window.stride),
            pads=[*window.padding, *(max(0, size) for size in behind)],
            **attributes,
        )
        if all(-size < stride for size, stride in zip(behind, window.stride, strict=True)):
            return value
        names = ("starts", "ends", "axes")
        slices = np.array([[0, 0], [y.height, y.width], [2, 3]], np.int64)
        return self._node("Slice", [value, *map(self._constant, names, slices)])

    def _flattened(self, tensor: int) -> str:
        """Real values of all of the tensor as one pixel, in the order of the devices' bytes: row, column, channel."""
        if self.tensors[tensor].height * self.tensors[tensor].width == 1:
            return self._own(tensor)
        moved = self._node("Transpose", [self.quantized[tensor]], perm=[0, 2, 3, 1])
        shape = self._constant("shape", np.array([-1, self.tensors[tensor].region.bytes, 1, 1], np.int64))
        flat = self._node("Reshape", [moved, shape])
        return self._node("DequantizeLinear", [flat, *self._parameters(self.scales[tensor], self._zero_of(tensor))])

    def _shifted(self, value: str, zero_points: float, rounding: Rounding, tensor: int) -> str:
        """Plus what the operator's offset has beyond all zero points, unless no value rounds to something else without.

        zero_points: of the inputs, in steps of the tensor.
        """
        beyond = rounding.offset + zero_points - self._zero_of(tensor)
        if abs(beyond) <= rounding.slack:
            return value
        return self._node("Add", [value, self._constant("offset", np.float32(beyond * self.scales[tensor]))])

    def _finish(self, value: str, tensor: int, low: int, high: int) -> None:
        self._quantize(self._clamped(value, self.scales[tensor], self._zero_of(tensor), low, high), tensor)

    def _clamped(self, value: str, scale: float, zero_point: int, low: int, high: int) -> str:
        if (low, high) == (-128, 127):
            return value
        if (low, high) == (zero_point, 127):
            return self._node("Relu", [value])
        bounds = (np.float32((bound - zero_point) * scale) for bound in (low, high))
        return self._node("Clip", [value, *map(self._constant, ("low", "high"), bounds)])

    # Values of tensors

    def _zero_of(self, tensor: int) -> int:
        return self.tensors[tensor].zero_point

    def _own(self, tensor: int) -> str:
        return self._real(tensor, self.scales[tensor])

    def _like_output(self, operator: MaxPool | Pad | ReLU) -> str:
        return self._real(operator.input, self.scales[operator.output])

    def _scaled(self, tensor: int, tied: float, output: int) -> str:
        """Real values where a step of the tensor is `tied` steps of the output; turned around if that is negative."""
        value = self._real(tensor, abs(tied) * self.scales[output])
        return self._node("Neg", [value]) if tied < 0 else value

    def _real(self, tensor: int, scale: float) -> str:
        """Where the scale is the tensor's own but for the rounding of a multiplier's last bit, it is that."""
        if math.isclose(scale, self.scales[tensor], rel_tol=_SAME):
            scale = self.scales[tensor]
        if (tensor, scale) not in self.dequantized:
            inputs = [self.quantized[tensor], *self._parameters(scale, self._zero_of(tensor))]
            self.dequantized[tensor, scale] = self._node("DequantizeLinear", inputs)
        return self.dequantized[tensor, scale]

    def _quantize(self, value: str, tensor: int) -> None:
        self._define(tensor, "QuantizeLinear", [value, *self._parameters(self.scales[tensor], self._zero_of(tensor))])

    def _define(self, tensor: int, kind: str, inputs: list[str], **attributes: Any) -> None:
        """The node that makes the tensor's uint8."""
        codes = codes_name(self.prefix)
        self.nodes.append(helper.make_node(kind, inputs, [codes], name=codes, **attributes))
        self.quantized[tensor] = codes
        for known in [key for key in self.dequantized if key[0] == tensor]:
            del self.dequantized[known]  # of a value that the tensor held before

    # Nodes and constants

    def _weights(self, name: str, values: NDArray[Any], scales: NDArray[np.float32], zero_points: NDArray[Any]) -> str:
        parts = (("", values), ("_scale", scales), ("_zero_point", zero_points))
        inputs = [self._constant(name + suffix, part) for suffix, part in parts]
        return self._node("DequantizeLinear", inputs, axis=0)

    def _parameters(self, scale: float, zero_point: int) -> list[str]:
        return [
            self._constant("scale", np.float32(scale)),
            self._constant("zero_point", np.uint8(zero_point + 128)),
        ]

    def _constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), self._unique(name)))
        return self.constants[-1].name

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = self._unique(kind)
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _unique(self, name: str) -> str:
        self.names[self.prefix, name] += 1
        number = self.names[self.prefix, name]
        return f"{self.prefix}/{name}" + (f"_{number}" if number > 1 else "")
