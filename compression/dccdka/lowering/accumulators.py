"""How far the sums of a convolution reach, whatever the image."""

from __future__ import annotations

from collections.abc import Iterator

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
    for part in _blocks(codes):
        above[part], below[part] = _signed_sums(codes[part], zero_point)
    return above, below


def accumulator_bounds(codes: NDArray[np.uint8], zero_point: int) -> tuple[_Integers, _Integers]:
    """Least and greatest sum of each filter, [c_out], over any int8 inputs.

    Every partial sum lies between them too, in whatever order: no product's range is on one side of zero only.
    """
    above, below = np.empty(len(codes), np.int64), np.empty(len(codes), np.int64)
    for part in _blocks(codes):
        above[part], below[part] = (sums.sum(axis=1) for sums in _signed_sums(codes[part], zero_point))
    return 127 * below - 128 * above, 127 * above - 128 * below


def _blocks(codes: NDArray[np.uint8]) -> Iterator[slice]:
    """Of filters."""
    step = max(1, _BLOCK // codes[0].size)
    return (slice(begin, begin + step) for begin in range(0, len(codes), step))


def _signed_sums(codes: NDArray[np.uint8], zero_point: int) -> tuple[_Integers, _Integers]:
    weights = codes.astype(np.int16) - zero_point
    above: _Integers = np.maximum(weights, 0).sum(axis=(1, 2), dtype=np.int64)
    below: _Integers = np.minimum(weights, 0).sum(axis=(1, 2), dtype=np.int64)
    return above, below
