"""What proofs, scratch and costs need to know of weights, counted a chunk at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.encoding.bits import Bytes, filter_chunks, histogram


def magnitudes(codes: Bytes, zero_point: int) -> NDArray[np.int64]:
    """Sum of |code - zero point| over each filter, int64 [filters]."""
    table = np.abs(np.arange(256) - zero_point).astype(np.uint8)
    filters = codes.reshape(len(codes), -1)
    sums = np.empty(len(filters), np.int64)
    for part in filter_chunks(*filters.shape):
        sums[part] = table[filters[part]].sum(axis=1, dtype=np.int64)
    return sums


def nonzeros_by_filter(codes: Bytes, zero_point: int) -> NDArray[np.int64]:
    """int64 [filters]."""
    return np.array([np.count_nonzero(own != zero_point) for own in codes], np.int64)


def band_entries(codes: Bytes, zero_point: int) -> NDArray[np.int64]:
    """Entries of each filter in BAND's list (FORMAT.md), int64 [filters]."""
    filters, channels = len(codes), codes.shape[3]
    flat = codes.reshape(filters, -1, channels)
    entries = np.empty(filters, np.int64)
    for part in filter_chunks(filters, flat[0].size):
        nonzero = flat[part] != zero_point
        filled = np.pad(nonzero, ((0, 0), (0, 0), (0, -channels % 4)))
        fours = filled.reshape(len(nonzero), -1, 4)
        entries[part] = (fours[..., :2] | fours[..., 2:]).sum(axis=(1, 2))
    return entries


def stream_entropy(codes: Bytes, zero_point: int) -> float:
    """Zero-order entropy of the weights in bits, all together; a zero is a symbol as each other code is."""
    counts = histogram(codes)
    counts = counts[counts > 0]
    return float(counts @ np.log2(counts.sum() / counts))
