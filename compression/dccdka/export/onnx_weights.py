"""A convolution's weights and biases as ONNX has them: uint8 with zero points and scales, and int32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dccdka.export.onnx_rounding import Rounding
from dccdka.lowering.graph import Convolution

_LARGEST_BIAS = 2.0**30


@dataclass(frozen=True, eq=False)
class QuantizedWeights:
    """codes uint8 [c_out, c_in / groups, kernel y, kernel x]; all else [c_out].

    (code - zero point) * step turns a step of the input into steps of the output, as bias * step does. fractions: what
    is to be added then, in steps of the output, as ONNX has biases in whole steps of the products only: half a step of
    these at most, unless the bias leaves its 32 bits.
    """

    codes: NDArray[np.uint8]
    zero_points: NDArray[np.uint8]
    steps: NDArray[np.float64]
    bias: NDArray[np.int32]
    fractions: NDArray[np.float64]


def quantized_weights(operator: Convolution, input_zero_point: int, output_zero_point: int) -> QuantizedWeights:
    """The same function. A negative multiplier turns the weights of its channel around."""
    requantisation = operator.requantisation
    scaling = requantisation.scaling
    factors = requantisation.multiplier * 2.0 ** (scaling.accumulator_shift - 16 - scaling.fraction_bits)
    weights = operator.codes.astype(np.int64) - operator.weight_zero_point
    sums = weights.reshape(len(weights), -1).sum(axis=1)
    channels = zip(requantisation.multiplier.tolist(), requantisation.bias.tolist(), strict=True)
    offsets = np.array([Rounding.of(scaling, multiplier, bias).offset for multiplier, bias in channels])
    # The sum over x is that over x - zero point, and the zero point's share.
    offsets += input_zero_point * sums * factors - output_zero_point
    weights = weights.transpose(0, 3, 1, 2) * _along(np.sign(factors).astype(np.int64), weights)
    zero_points = _zero_points(weights)
    steps = np.where(factors == 0, 1.0, np.abs(factors))
    bias = np.rint(offsets / steps).clip(-_LARGEST_BIAS, _LARGEST_BIAS)
    return QuantizedWeights(
        codes=(weights + _along(zero_points, weights)).astype(np.uint8),
        zero_points=zero_points.astype(np.uint8),
        steps=steps,
        bias=bias.astype(np.int32),
        fractions=offsets - bias * steps,
    )


def _zero_points(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same for all channels wherever they fit one, and as near to the middle as they let it be."""
    by_channel = weights.reshape(len(weights), -1)
    least, most = by_channel.min(axis=1, initial=0), by_channel.max(axis=1, initial=0)
    if most.max() - least.min() <= 255:
        least, most = np.full_like(least, least.min()), np.full_like(most, most.max())
    middle: NDArray[np.int64] = np.clip(128, -least, 255 - most)
    return middle


def _along(values: NDArray[Any], weights: NDArray[np.int64]) -> NDArray[Any]:
    return values.reshape(-1, *(1,) * (weights.ndim - 1))
