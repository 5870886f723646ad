"""How far the sums of a convolution reach, whatever the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Integers = NDArray[np.int64]
# Weights that are worked on at once.
_BLOCK = 1 << 20


def signed_sums(codes: NDArray[np.uint8], zero_point: int) -> tuple[_Integers, _Integers]:
    """Of the weights codes - zero_point, codes [c_out, y, x, c]: the positive and the negative ones of each filter and
    channel added up over the taps, both [c_out, c]."""
    filters, channels = codes.shape[0], codes.shape[3]
    above, below = np.empty((filters, channels), np.int64), np.empty((filters, channels), np.int64)
    block = max(1, _BLOCK // codes[0].size)
    for begin in range(0, filters, block):
        part = slice(begin, begin + block)
        weights = codes[part].astype(np.int16) - zero_point
        above[part] = np.maximum(weights, 0).sum(axis=(1, 2), dtype=np.int64)
        below[part] = np.minimum(weights, 0).sum(axis=(1, 2), dtype=np.int64)
    return above, below


def accumulator_bounds(codes: NDArray[np.uint8], zero_point: int) -> tuple[_Integers, _Integers]:
    """Least and greatest sum of each filter, [c_out], over any int8 inputs.

    Every partial sum lies between them too, in whatever order: no product's range is on one side of zero only.
    """
    above, below = (part.sum(axis=1) for part in signed_sums(codes, zero_point))
    return 127 * below - 128 * above, 127 * above - 128 * below
