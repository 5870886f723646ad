"""Integers that stand for real factors: scales, zero points, multipliers (Jacob et al., arXiv:1712.05877).

A channel computes factor x sum + offset, in steps of its output. FORMAT.md's requantisation has 16 bits for the factor
and shifts that all channels share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Requantisation, Scaling
from dccdka.lowering.narrow_form import LARGEST_MULTIPLIER

_Reals = NDArray[np.float64]
_Integers = NDArray[np.int64]

_MOST_SHIFT = 15
_MOST_SHARED_SHIFT = 22
# With fewer, sums that are cut to whole steps / 2^fraction_bits would be felt beside the rounding to whole steps.
_GOOD_FRACTION_BITS = 4
_INT16_MAX, _INT32_MAX = 2**15 - 1, 2**31 - 1
# What the short form of multipliers and biases may add to a sum: 2^-9 of the products, which are below 2^30.
_LARGEST_SUM = _INT32_MAX - (1 << 23)


def scale_and_zero_point(low: float, high: float) -> tuple[float, int]:
    """Of an int8 tensor that holds [low, high]; the range is widened to hold 0, so that 0 is exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < np.finfo(np.float32).tiny:
        return 1.0, 0
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


@dataclass(frozen=True, eq=False)
class Lines:
    """What channels shall compute: factor x sum + offset, in steps of the output; each [channels].

    Where neither end of the sums makes a difference the factor is 0 and the offset a whole number. middle: of the sums
    that count, which the output's limits do not swallow; reach: how far the others lie from it, at most.
    """

    factor: _Reals
    offset: _Reals
    middle: _Reals
    reach: _Reals

    @classmethod
    def through(
        cls, factor: _Reals, offset: _Reals, least: _Integers, greatest: _Integers, limits: tuple[int, int]
    ) -> Lines:
        """Of channels whose sums lie between least and greatest, and whose output between the limits."""
        at_ends = [np.rint(factor * end + offset).clip(*limits) for end in (least, greatest)]
        constant = at_ends[0] == at_ends[1]
        factor, offset = np.where(constant, 0.0, factor), np.where(constant, at_ends[0], offset)
        divisor = np.where(constant, 1.0, factor)
        counting = [((limit - offset) / divisor).clip(least, greatest) for limit in limits]
        middle, reach = (counting[0] + counting[1]) / 2, np.abs(counting[0] - counting[1]) / 2
        return cls(factor, offset, np.where(constant, 0.0, middle), np.where(constant, 0.0, reach))

    @classmethod
    def of(
        cls, requantisation: Requantisation, least: _Integers, greatest: _Integers, limits: tuple[int, int]
    ) -> Lines:
        """What a requantisation computes but for its roundings."""
        bits = requantisation.scaling.fraction_bits
        factor = _factor(requantisation.multiplier, requantisation.scaling)
        rounding = _rounding(requantisation.multiplier, bits)
        offset = np.ldexp(requantisation.bias - rounding, -bits)
        return cls.through(factor, offset, least, greatest, limits)

    def multiplier(self, scaling: Scaling) -> _Integers:
        """The nearest."""
        steps = np.ldexp(self.factor, 16 + scaling.fraction_bits - scaling.accumulator_shift)
        return np.rint(steps).astype(np.int64)

    def bias(self, multiplier: _Integers, scaling: Scaling) -> _Reals:
        """That with this multiplier is right in the middle, and so off by the same at both ends."""
        slope = self.factor - _factor(multiplier, scaling)
        bits = scaling.fraction_bits
        return np.ldexp(self.offset + slope * self.middle, bits) + _rounding(multiplier, bits)

    def error(self, multiplier: _Integers, scaling: Scaling) -> _Reals:
        """How far the multiplier leads astray at the ends, in steps of the output."""
        return np.abs(self.factor - _factor(multiplier, scaling)) * self.reach


def requantisation(
    factors: _Reals,
    offsets: _Reals,
    least: _Integers,
    greatest: _Integers,
    limits: tuple[int, int] = (-128, 127),
) -> Requantisation:
    """Per channel: output = factor x sum + offset, both in steps of the output; sums lie between least and greatest.

    The largest multiplier has 15 bits, unless more fraction bits than there are were needed for it. Raises
    OverflowError where the product of a factor and its sums leaves 32 bits.
    """
    if not (np.isfinite(factors).all() and np.isfinite(offsets).all()):
        raise OverflowError("a rescaling by what is no finite number")
    lines = Lines.through(factors, offsets, least, greatest, limits)
    largest = float(np.abs(lines.factor).max())
    exponent = _exponent(largest)
    for bits in range(min(_MOST_SHIFT, exponent + _MOST_SHIFT, max(exponent, _GOOD_FRACTION_BITS)), -1, -1):
        scaling = Scaling(max(bits - exponent, 0), bits)
        multiplier = lines.multiplier(scaling)
        bias = np.rint(lines.bias(multiplier, scaling))
        if _fits(multiplier, bias, scaling, least, greatest):
            return Requantisation(scaling, multiplier.astype(np.int16), bias.astype(np.int32))
    raise OverflowError(f"a rescaling by {largest:g} leaves 32 bits")


def scalar_requantisation(
    factor: float, offset: float, sums: tuple[int, int], limits: tuple[int, int]
) -> tuple[Scaling, int, int]:
    """Scaling, multiplier and bias of what treats all channels alike."""
    least, greatest = (np.array([end], np.int64) for end in sums)
    result = requantisation(np.array([factor]), np.array([offset]), least, greatest, limits)
    return result.scaling, int(result.multiplier[0]), int(result.bias[0])


def common_shift(factors: tuple[float, float]) -> tuple[int, int, int]:
    """Two 16-bit multipliers and the shift that they share: factor = multiplier / 2^shift.

    The larger has 15 bits, unless its factor is below 2^-8, which needs more shift than is left beside a zero point of
    8 bits. Raises OverflowError from 2^15 on.
    """
    largest = max(map(abs, factors))
    shift = 15 - math.frexp(largest)[1]
    if not math.isfinite(largest) or shift < 0:
        raise OverflowError(f"a rescaling by {largest:g} does not fit a 16-bit multiplier")
    if round(largest * 2.0**shift) > _INT16_MAX:
        shift -= 1
    shift = min(shift, _MOST_SHARED_SHIFT)
    first, second = (round(factor * 2.0**shift) for factor in factors)
    return first, second, shift


def offset_of(zero_point: int, shift: int, *products: int) -> int:
    """What brings a shifted sum to the output's zero point, with the half that rounds.

    products: of each input's zero point and multiplier; real zeros so give a real zero, exactly.
    """
    return (zero_point << shift) + (1 << shift >> 1) - sum(products)


def _exponent(largest: float) -> int:
    """Fraction bits less accumulator shift, with which the factor's multiplier has 15 bits, as far as they go."""
    if largest == 0:
        return 0
    exponent = -1 - math.frexp(largest)[1]
    if round(math.ldexp(largest, 16 + exponent)) > LARGEST_MULTIPLIER:
        exponent -= 1
    return min(exponent, _MOST_SHIFT)


def _factor(multiplier: NDArray[np.signedinteger], scaling: Scaling) -> _Reals:
    shift = scaling.accumulator_shift - 16 - scaling.fraction_bits
    return np.ldexp(multiplier.astype(np.float64), shift)


def _rounding(multiplier: NDArray[np.signedinteger], bits: int) -> _Reals:
    """The half that rounds, and what products lose in the mean by being cut to whole numbers."""
    return (1 << bits >> 1) + np.where(multiplier == 0, 0.0, 0.5)


def _fits(multiplier: _Integers, bias: _Reals, scaling: Scaling, least: _Integers, greatest: _Integers) -> bool:
    """Whether no step for any of the sums leaves its bits."""
    shifted = [end << scaling.accumulator_shift for end in (least, greatest)]
    results = [((end * multiplier) >> 16) + bias for end in shifted]
    fits = [np.abs(end) <= _INT32_MAX for end in shifted] + [np.abs(end) <= _LARGEST_SUM for end in (bias, *results)]
    return all(part.all() for part in fits) and bool((np.abs(multiplier) <= LARGEST_MULTIPLIER).all())
