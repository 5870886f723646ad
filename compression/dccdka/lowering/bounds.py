"""Between which integers each channel of each tensor lies, whatever the image, by interval arithmetic.

A channel whose bounds are equal is constant. The formulas are those of packing/FORMAT.md; every step of them rises or
falls with its input all the way, so the ends of an interval give the ends of the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    IntegerGraph,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Pad,
    ReLU,
    Softmax,
    Tensor,
    Window,
)

_Integers = NDArray[np.int64]
# Weights that are worked on at once.
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Bounds:
    """Least and greatest int8 value of each channel, both [channels] and included."""

    low: _Integers
    high: _Integers

    @property
    def constant(self) -> NDArray[np.bool_]:
        constant: NDArray[np.bool_] = self.low == self.high
        return constant

    def __sub__(self, zero_point: int) -> Bounds:
        return Bounds(self.low - zero_point, self.high - zero_point)

    def with_zero(self) -> Bounds:
        return Bounds(np.minimum(self.low, 0), np.maximum(self.high, 0))

    def times(self, factor: _Integers | int) -> Bounds:
        ends = self.low * factor, self.high * factor
        return Bounds(np.minimum(*ends), np.maximum(*ends))


def channel_bounds(graph: IntegerGraph) -> list[Bounds]:
    """By tensor."""
    bounds = [_anything(tensor.channels) for tensor in graph.tensors]
    for operator in graph.operators:
        bounds[operator.output] = _output_bounds(graph, operator, bounds)
    return bounds


def is_padded(window: Window, image: Tensor, output: Tensor) -> bool:
    """Whether some position of the window reaches beyond the image."""
    return any(padding > 0 for padding in (*window.padding, *window.padding_behind(image, output)))


def _anything(channels: int) -> Bounds:
    return Bounds(np.full(channels, -128, np.int64), np.full(channels, 127, np.int64))


def _output_bounds(graph: IntegerGraph, operator: Operator, bounds: list[Bounds]) -> Bounds:
    x, y = graph.tensors[operator.input], graph.tensors[operator.output]
    seen = bounds[operator.input]
    match operator:
        case Convolution():
            return _convolution(operator, x, y, seen)
        case AveragePool():
            centred = seen - x.zero_point
            sums = (centred.with_zero() if is_padded(operator.window, x, y) else centred).times(operator.window.taps)
            return _requantised(sums.times(operator.multiplier), operator.shift, y, operator.low, operator.high)
        case Add():
            second = bounds[operator.second] - graph.tensors[operator.second].zero_point
            a, b = (seen - x.zero_point).times(operator.multiplier), second.times(operator.second_multiplier)
            sums = Bounds(a.low + b.low, a.high + b.high)
            return _requantised(sums, operator.shift, y, operator.low, operator.high)
        case Concatenate():
            second = bounds[operator.second] - graph.tensors[operator.second].zero_point
            a, b = (seen - x.zero_point).times(operator.multiplier), second.times(operator.second_multiplier)
            both = Bounds(np.concatenate((a.low, b.low)), np.concatenate((a.high, b.high)))
            return _requantised(both, operator.shift, y, operator.low, operator.high)
        case Multiply():
            second = bounds[operator.second] - graph.tensors[operator.second].zero_point
            by_low, by_high = ((seen - x.zero_point).times(end) for end in (second.low, second.high))
            product = Bounds(np.minimum(by_low.low, by_high.low), np.maximum(by_low.high, by_high.high))
            scaled = product.times(operator.multiplier)
            return _requantised(scaled, operator.shift, y, operator.low, operator.high)
        case MaxPool():
            return seen
        case Pad():
            return Bounds(np.minimum(seen.low, x.zero_point), np.maximum(seen.high, x.zero_point))
        case ReLU():
            return Bounds(*(end.clip(operator.low, operator.high) for end in (seen.low, seen.high)))
        case Lookup():
            parts = [operator.table[low + 128 : high + 129] for low, high in zip(seen.low, seen.high, strict=True)]
            lows, highs = [part.min() for part in parts], [part.max() for part in parts]
            return Bounds(np.array(lows, np.int64), np.array(highs, np.int64))
        case Softmax():
            return _anything(y.channels)
        case ArgMax():
            return Bounds(np.array([-128], np.int64), np.array([x.channels - 129], np.int64))


def _requantised(products: Bounds, shift: _Integers | int, output: Tensor, low: int, high: int) -> Bounds:
    """Products have the multiplier in them already."""
    rounding = np.int64(1) << (np.asarray(shift, np.int64) - 1)
    ends = (((end + rounding) >> shift) + output.zero_point for end in (products.low, products.high))
    return Bounds(*(end.clip(low, high) for end in ends))


def _convolution(operator: Convolution, x: Tensor, y: Tensor, seen: Bounds) -> Bounds:
    centred = seen - x.zero_point
    if operator.flatten_input:
        pixels = x.height * x.width
        centred = Bounds(np.tile(centred.low, pixels), np.tile(centred.high, pixels))
    elif is_padded(operator.window, x, y):
        centred = centred.with_zero()
    filters, requantisation = len(operator.codes), operator.requantisation
    low_sums, high_sums = np.empty(filters, np.int64), np.empty(filters, np.int64)
    lows, highs = (end.reshape(operator.groups, -1) for end in (centred.low, centred.high))
    block = max(1, _BLOCK // operator.codes[0].size)
    for begin in range(0, filters, block):
        part = slice(begin, begin + block)
        weights = operator.codes[part].astype(np.int16) - operator.weight_zero_point
        above = np.maximum(weights, 0).sum(axis=(1, 2), dtype=np.int64)
        below = np.minimum(weights, 0).sum(axis=(1, 2), dtype=np.int64)
        group = np.arange(filters)[part] // (filters // operator.groups)
        low, high = (lows[0], highs[0]) if operator.groups == 1 else (lows[group], highs[group])
        low_sums[part] = (above * low + below * high).sum(axis=1)
        high_sums[part] = (above * high + below * low).sum(axis=1)
    sums = Bounds(low_sums + requantisation.bias, high_sums + requantisation.bias)
    multiplier, shift = requantisation.multiplier.astype(np.int64), requantisation.shift.astype(np.int64)
    limits = np.iinfo(np.int32)
    if (sums.low < limits.min).any() or (sums.high > limits.max).any():  # may wrap: the packer refuses such a graph
        return _anything(filters)
    return _requantised(sums.times(multiplier), shift, y, operator.low, operator.high)
