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
    """codes uint8 [c_out, c_in / groups, kernel y, kernel x]; zero_points uint8, steps and bias (int32) [c_out].

    (code - zero point) * step turns a step of the input into steps of the output, as bias * step does.
    """

    codes: NDArray[np.uint8]
    zero_points: NDArray[np.uint8]
    steps: NDArray[np.float64]
    bias: NDArray[np.int32]


def quantized_weights(operator: Convolution, input_zero_point: int, output_zero_point: int) -> QuantizedWeights:
    """The same function up to the rounding of the bias, which in ONNX is a whole number of steps of the products.

    So each channel's weights are stretched within their 8 bits, by the whole factor whose finer steps hold the bias
    best. A negative multiplier turns the weights of its channel around.
    """
    requantisation = operator.requantisation
    scaling = requantisation.scaling
    factors = requantisation.multiplier * 2.0 ** (scaling.accumulator_shift - 16 - scaling.fraction_bits)
    weights = operator.codes.astype(np.int64) - operator.weight_zero_point
    sums = weights.reshape(len(weights), -1).sum(axis=1)
    roundings = zip(requantisation.multiplier.tolist(), requantisation.bias.tolist(), strict=True)
    offsets = np.array([Rounding.of(scaling, multiplier, bias).offset for multiplier, bias in roundings])
    # The sum over x is that over x - zero point, and the zero point's share.
    offsets += input_zero_point * sums * factors - output_zero_point
    weights = weights.transpose(0, 3, 1, 2)
    weights[factors < 0] *= -1
    factors = np.abs(factors)
    least, most = (_by_channel(weights, extreme) for extreme in (np.minimum, np.maximum))
    zero_points = _zero_points(least, most)
    room = np.minimum(_times(zero_points, -least), _times(255 - zero_points, most))
    steps = np.maximum(factors / _best_stretch(factors, offsets, room), np.abs(offsets) / _LARGEST_BIAS)
    steps[steps == 0] = 1.0
    codes = np.rint(weights * _along(factors / steps, weights)) + _along(zero_points, weights)
    return QuantizedWeights(
        codes=codes.astype(np.uint8),
        zero_points=zero_points.astype(np.uint8),
        steps=steps,
        bias=np.rint(offsets / steps).astype(np.int32),
    )


def _by_channel(weights: NDArray[np.int64], extreme: np.ufunc) -> NDArray[np.int64]:
    """Least or largest weight of each channel, and zero, which is always representable."""
    result: NDArray[np.int64] = extreme.reduce(weights.reshape(len(weights), -1), axis=1, initial=0)
    return result


def _zero_points(least: NDArray[np.int64], most: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same for all channels wherever they fit one, and as near to the middle as they let it be."""
    if most.max() - least.min() <= 255:
        least, most = np.full_like(least, least.min()), np.full_like(most, most.max())
    middle: NDArray[np.int64] = np.clip(128, -least, 255 - most)
    return middle


def _times(room: NDArray[np.int64], needed: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often what is needed goes into the room; often where nothing is."""
    times: NDArray[np.int64] = np.where(needed > 0, room // np.maximum(needed, 1), 255)
    return times


def _best_stretch(
    factors: NDArray[np.float64], offsets: NDArray[np.float64], room: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of each channel, at most its room, that whose steps come nearest to the offset; of equal ones the largest."""
    stretches = np.arange(room.max(), 0, -1)[:, None]
    steps = np.where(factors > 0, factors, 1.0) / stretches
    errors = np.abs(offsets - np.rint(offsets / steps) * steps)
    errors[stretches > room] = np.inf
    best: NDArray[np.int64] = stretches[errors.argmin(axis=0), 0]
    return best


def _along(values: NDArray[Any], weights: NDArray[np.int64]) -> NDArray[Any]:
    return values.reshape(-1, *(1,) * (weights.ndim - 1))
