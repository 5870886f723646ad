"""Between which integers each channel of each tensor lies, whatever the image, by interval arithmetic.

A channel whose bounds are equal is constant. The formulas are those of packing/FORMAT.md; every step of them rises or
falls with its input all the way, so the ends of an interval give the ends of the next, unless one leaves 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.accumulators import signed_sums
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
    Scaling,
    Softmax,
    Tensor,
    Window,
)

_Integers = NDArray[np.int64]
_INT32 = np.iinfo(np.int32)


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

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(self.low + other.low, self.high + other.high)

    def including(self, value: int) -> Bounds:
        return Bounds(np.minimum(self.low, value), np.maximum(self.high, value))

    def shifted(self, bits: int) -> Bounds:
        return Bounds(self.low >> bits, self.high >> bits)

    def anything(self, limits: tuple[int, int]) -> Bounds:
        """Of as many channels."""
        return Bounds(np.full_like(self.low, limits[0]), np.full_like(self.high, limits[1]))

    def clipped(self, low: int, high: int) -> Bounds:
        return Bounds(self.low.clip(low, high), self.high.clip(low, high))

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
            result, residual = _convolution(operator, x, y, seen), operator.residual
            if residual is None:
                return result
            others = bounds[residual.tensor].times(residual.residual_multiplier)
            sums = result.times(residual.multiplier) + others
            return _shifted(sums, residual.offset, residual.shift, (residual.low, residual.high))
        case AveragePool():
            inside = seen.including(x.zero_point) if is_padded(operator.window, x, y) else seen
            sums = inside.times(operator.window.taps)
            limits = (operator.low, operator.high)
            return _requantised(sums, operator.scaling, operator.multiplier, operator.bias, limits)
        case Add():
            sums = seen.times(operator.multiplier) + bounds[operator.second].times(operator.second_multiplier)
            return _shifted(sums, operator.offset, operator.shift, (operator.low, operator.high))
        case Concatenate():
            limits = (operator.low, operator.high)
            second = bounds[operator.second].times(operator.second_multiplier)
            a = _shifted(seen.times(operator.multiplier), operator.offset, operator.shift, limits)
            b = _shifted(second, operator.second_offset, operator.shift, limits)
            return Bounds(np.concatenate((a.low, b.low)), np.concatenate((a.high, b.high)))
        case Multiply():
            second = bounds[operator.second] - graph.tensors[operator.second].zero_point
            by_low, by_high = ((seen - x.zero_point).times(end) for end in (second.low, second.high))
            products = Bounds(np.minimum(by_low.low, by_high.low), np.maximum(by_low.high, by_high.high))
            limits = (operator.low, operator.high)
            return _requantised(products, operator.scaling, operator.multiplier, operator.bias, limits)
        case MaxPool():
            return seen
        case Pad():
            return seen.including(y.zero_point)
        case ReLU():
            return seen.clipped(operator.low, operator.high)
        case Lookup():
            parts = [operator.table[low + 128 : high + 129] for low, high in zip(seen.low, seen.high, strict=True)]
            lows, highs = [part.min() for part in parts], [part.max() for part in parts]
            return Bounds(np.array(lows, np.int64), np.array(highs, np.int64))
        case Softmax():
            return _anything(y.channels)
        case ArgMax():
            return Bounds(np.array([-128], np.int64), np.array([x.channels - 129], np.int64))


def _convolution(operator: Convolution, x: Tensor, y: Tensor, seen: Bounds) -> Bounds:
    """Before the residual, if any."""
    if operator.flatten_input:
        pixels = x.height * x.width
        seen = Bounds(np.tile(seen.low, pixels), np.tile(seen.high, pixels))
    elif is_padded(operator.window, x, y):
        seen = seen.including(x.zero_point)
    above, below = signed_sums(operator.codes, operator.weight_zero_point)
    filters = len(above)
    group = np.arange(filters) // (filters // operator.groups)
    lows, highs = (end.reshape(operator.groups, -1) for end in (seen.low, seen.high))
    low, high = (lows[0], highs[0]) if operator.groups == 1 else (lows[group], highs[group])
    sums = Bounds((above * low + below * high).sum(axis=1), (above * high + below * low).sum(axis=1))
    requantisation = operator.requantisation
    multiplier, bias = requantisation.multiplier.astype(np.int64), requantisation.bias.astype(np.int64)
    return _requantised(sums, requantisation.scaling, multiplier, bias, (operator.low, operator.high))


def _requantised(
    sums: Bounds, scaling: Scaling, multiplier: _Integers | int, bias: _Integers | int, limits: tuple[int, int]
) -> Bounds:
    shifted = sums.times(1 << scaling.accumulator_shift)
    products = shifted.times(multiplier)
    steps = Bounds((products.low >> 16) + bias, (products.high >> 16) + bias)
    if not (_fits_32_bits(shifted) and _fits_32_bits(steps)):
        return steps.anything(limits)
    return steps.shifted(scaling.fraction_bits).clipped(*limits)


def _shifted(sums: Bounds, offset: int, shift: int, limits: tuple[int, int]) -> Bounds:
    moved = Bounds(sums.low + offset, sums.high + offset)
    return moved.shifted(shift).clipped(*limits) if _fits_32_bits(moved) else moved.anything(limits)


def _fits_32_bits(bounds: Bounds) -> bool:
    return bool((bounds.low >= _INT32.min).all() and (bounds.high <= _INT32.max).all())
