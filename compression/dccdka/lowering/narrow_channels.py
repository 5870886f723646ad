"""Brings multipliers and biases into the short form in which an artifact stores them, where that loses nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.accumulators import accumulator_bounds
from dccdka.lowering.arithmetic import Lines
from dccdka.lowering.graph import Convolution, IntegerGraph, Requantisation, Scaling
from dccdka.lowering.narrow_form import (
    MOST_BIAS_BITS,
    MOST_EXPONENT_BITS,
    bias_origin,
    bits_of_signed,
    common_zeros,
    nearest,
)

# In steps of the output, of which rounding to whole steps costs a half: what a channel's output may move at the ends
# of its range. 8 bits of mantissa take 2^-2 of that from 255 steps, the rest is for its bias, whose fraction keeps at
# least so many bits.
_TOLERANCE = 2.0**-2 + 2.0**-3
_LEAST_FRACTION = 2


def with_narrow_channels(graph: IntegerGraph) -> IntegerGraph:
    """The same graph but for roundings, most of its channels in some 20 bits instead of 64.

    A layer whose channels do not fit stays as it is.
    """
    operators = (
        replace(operator, requantisation=_narrow(operator, graph.tensors[operator.output].zero_point))
        if isinstance(operator, Convolution)
        else operator
        for operator in graph.operators
    )
    return replace(graph, operators=tuple(operators))


def _narrow(operator: Convolution, zero_point: int) -> Requantisation:
    """Of the layer; that which it has where no other is close enough. The fewest bits win, then the smallest error."""
    wide = operator.requantisation
    bounds = accumulator_bounds(operator.codes, operator.weight_zero_point)
    lines = Lines.of(wide, *bounds, (operator.low, operator.high))
    best, cost = wide, (np.inf, np.inf)
    for exponent_bits in range(MOST_EXPONENT_BITS + 1):
        multiplier = nearest(lines.multiplier(wide.scaling), exponent_bits)
        origin = bias_origin(wide.scaling, zero_point)
        bias = lines.bias(multiplier, wide.scaling) - origin
        slack = _TOLERANCE - lines.error(multiplier, wide.scaling)
        if (rounded := _rounded(bias, np.ldexp(slack, wide.scaling.fraction_bits), wide.scaling)) is None:
            continue
        error = float((np.ldexp(np.abs(rounded - bias), -wide.scaling.fraction_bits) - slack).max())
        shift = common_zeros(rounded)
        bits = exponent_bits + bits_of_signed(rounded >> shift)
        if bits_of_signed(rounded >> shift) <= MOST_BIAS_BITS and (bits, error) < cost:
            cost = bits, error
            best = replace(wide, multiplier=multiplier.astype(np.int16), bias=(rounded + origin).astype(np.int32))
    return best


def _rounded(bias: NDArray[np.float64], slack: NDArray[np.float64], scaling: Scaling) -> NDArray[np.int64] | None:
    """To the largest power of two that moves none by more than its slack."""
    for shift in range(max(scaling.fraction_bits - _LEAST_FRACTION, 0), -1, -1):
        rounded = np.rint(np.ldexp(bias, -shift)).astype(np.int64) << shift
        if (np.abs(rounded - bias) <= slack).all():
            return rounded
    return None
