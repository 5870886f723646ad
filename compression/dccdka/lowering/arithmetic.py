"""Integers that stand for real factors: scales, zero points, multipliers (Jacob et al., arXiv:1712.05877)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Requantisation

_LARGEST_BIAS = 1 << 30  # half of an int32, the other half is for the sum of products


def scale_and_zero_point(low: float, high: float) -> tuple[float, int]:
    """Of an int8 tensor that holds [low, high]; the range is widened to hold 0, so that 0 is exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < np.finfo(np.float32).tiny:
        return 1.0, 0
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def multiplier_and_shift(factor: float) -> tuple[int, int]:
    """factor = multiplier / 2^shift with 2^30 <= |multiplier| < 2^31, 1 <= shift <= 62, where such exist.

    A smaller factor gets a smaller multiplier. Raises OverflowError from 2^30 on.
    """
    if factor == 0:
        return 0, 62
    mantissa, exponent = math.frexp(factor)  # 0.5 <= |mantissa| < 1
    multiplier, shift = round(mantissa * (1 << 31)), 31 - exponent
    if abs(multiplier) == 1 << 31:
        multiplier, shift = multiplier // 2, shift - 1
    if shift < 1:
        raise OverflowError(f"a rescaling by {factor:g} does not fit a 32-bit multiplier")
    if shift > 62:
        multiplier, shift = round(factor * 2.0**62), 62
    return multiplier, shift


def common_shift(factors: tuple[float, float]) -> tuple[int, int, int]:
    """Two multipliers and the shift that they share, which is that of the larger factor."""
    _, shift = multiplier_and_shift(max(factors, key=abs))
    first, second = (round(factor * 2.0**shift) for factor in factors)
    return first, second, shift


def requantisation(factors: NDArray[np.float64], offsets: NDArray[np.float64]) -> Requantisation:
    """Per channel: output = factor x sum + offset, both in steps of the output.

    The offset becomes a bias, offset / factor, added to the sum. Where the factor is so small, or zero, that the bias
    would leave its 31 bits, the factor is raised to the least that keeps it inside: the products then count at most
    sum / 2^30 of the offset, which is below the rounding of int8.
    """
    least = np.abs(offsets) / _LARGEST_BIAS
    factors = np.where(np.abs(factors) < least, np.copysign(least, factors), factors)
    bias = np.divide(offsets, factors, out=np.zeros_like(offsets), where=factors != 0)
    pairs = [multiplier_and_shift(float(factor)) for factor in factors]
    return Requantisation(
        np.rint(bias).astype(np.int32),
        np.array([multiplier for multiplier, _ in pairs], np.int32),
        np.array([shift for _, shift in pairs], np.uint8),
    )
