"""Fields of less than a byte, back to back, each byte filled from its lowest bit.

Weights are taken in chunks: NumPy looks bytes up through 64-bit copies of them, and a bit stream goes through a byte
for each bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_CHUNK = 1 << 16  # weights; a multiple of 8, so that each chunk's stream begins at a whole byte


def whole_bytes(bits: int) -> int:
    return (bits + 7) // 8


def chunks(count: int) -> Iterator[slice]:
    return (slice(begin, min(begin + _CHUNK, count)) for begin in range(0, count, _CHUNK))


def filter_chunks(filters: int, filter_weights: int) -> Iterator[slice]:
    """Of as many whole filters as make about a chunk."""
    step = max(1, _CHUNK // max(1, filter_weights))
    return (slice(begin, min(begin + step, filters)) for begin in range(0, filters, step))


def histogram(codes: Bytes) -> NDArray[np.int64]:
    """int64 [256]: how often each code occurs."""
    flat = codes.reshape(-1)
    counts = np.zeros(256, np.int64)
    for part in chunks(len(flat)):
        counts += np.bincount(flat[part], minlength=256)
    return counts


def pack_fields(values: Bytes, bits: int) -> bytes:
    """The lowest so many bits of each value."""
    columns = np.unpackbits(values[:, np.newaxis], axis=1, count=bits, bitorder="little")
    return np.packbits(columns, bitorder="little").tobytes()


def unpack_fields(stream: Bytes, bits: int, count: int) -> Bytes:
    if bits == 0:
        return np.zeros(count, np.uint8)
    columns = np.unpackbits(stream[: whole_bytes(count * bits)], count=count * bits, bitorder="little")
    return np.packbits(columns.reshape(count, bits), axis=1, bitorder="little")[:, 0]


def pack_mapped(codes: Bytes, table: Bytes, bits: int) -> bytes:
    """Fields of what the table [256] has for each code."""
    return b"".join(pack_fields(table[codes[part]], bits) for part in chunks(len(codes)))


def unpack_mapped(stream: Bytes, table: Bytes, bits: int, count: int) -> Bytes:
    """What the table has for each field."""
    codes = np.empty(count, np.uint8)
    for part in chunks(count):
        codes[part] = table[unpack_fields(stream[part.start * bits // 8 :], bits, part.stop - part.start)]
    return codes
