"""What every kernel of the reference interpreter takes, gives and ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Scaling

Images = NDArray[np.int8]  # [n, h, w, c]
Values = Mapping[int, Images]  # by tensor index
Kernel = Callable[[Values], Images]  # the operator as a function of the values of all tensors computed so far
Narrowing = Callable[[NDArray[Any]], Images]  # of sums, whole numbers of any type, to the output's integers

_INT32_MAX = 2**31 - 1


def requantiser(
    scaling: Scaling,
    multiplier: NDArray[np.int16] | int,
    bias: NDArray[np.int32] | int,
    largest_sum: NDArray[np.int64] | int,
    limits: tuple[int, int],
) -> Narrowing:
    """clamp(requantise(a, M, B), low, high) with one multiplier and bias for all, or one per channel.

    largest_sum: the most that |a| can be, likewise. Where neither a << p nor the sum with B can leave 32 bits, both
    shifts to the right are one, as (x >> 16) + B >> k = x + (B << 16) >> 16 + k; and as that is below 2^48, doubles
    hold it exactly.
    """
    p, k = scaling.accumulator_shift, scaling.fraction_bits
    m, b, a = (np.asarray(values, np.int64) for values in (multiplier, bias, largest_sum))
    largest = a << p
    wraps = bool((largest > _INT32_MAX).any() or (((largest * np.abs(m)) >> 16) + 1 + np.abs(b) > _INT32_MAX).any())
    low, high = limits
    if wraps:  # never for artifacts of our packer

        def in_integers(sums: NDArray[Any]) -> Images:
            steps = _int32(sums.astype(np.int64) << p) * m >> 16
            result: Images = (_int32(steps + b) >> k).clip(low, high).astype(np.int8)
            return result

        return in_integers
    factor, offset = np.ldexp(m.astype(np.float64), p - 16 - k), np.ldexp(b.astype(np.float64), -k)

    def in_doubles(sums: NDArray[Any]) -> Images:
        steps = np.multiply(sums, factor, dtype=np.float64)
        steps += offset
        np.clip(steps, low, high, out=steps)
        result: Images = np.floor(steps, out=steps).astype(np.int8)
        return result

    return in_doubles


def shifted(sums: NDArray[np.int32], shift: int, limits: tuple[int, int]) -> Images:
    """clamp(sums >> shift, low, high); sums is overwritten."""
    sums >>= shift
    return np.clip(sums, *limits, out=sums).astype(np.int8)


def _int32(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Modulo 2^32."""
    return values.astype(np.int32).astype(np.int64)
