"""RAW: 8 bits a code, in the order in which two-filter kernels read them, a byte of each filter of a pair in turn."""

from __future__ import annotations

import numpy as np

from dccdka.packing.encoding.bits import Bytes, filter_chunks
from dccdka.packing.encoding.errors import require_size
from dccdka.packing.layout import up

_ORDER = (0, 2, 1, 3)  # which of four weights a half word holds; the order is its own inverse
_FLIP = 0x80  # of the second filter's codes, which are stored signed


def raw_bytes(shape: tuple[int, ...]) -> int:
    """Of codes [filters, kernel y, kernel x, channels of the group]."""
    filters, rows, columns, channels = shape
    return up(filters, 2) * rows * up(columns * channels, 4)


def encode_raw(codes: Bytes, zero_point: int) -> bytes:
    """Of codes [filters, kernel y, kernel x, channels of the group]."""
    filters, rows, columns, channels = codes.shape
    row = columns * channels
    encoded = []
    for part in filter_chunks(up(filters, 2) // 2, 2 * rows * up(row, 4)):
        own = codes[2 * part.start : 2 * part.stop].reshape(-1, rows, row)
        filled = np.zeros((2 * (part.stop - part.start), rows, up(row, 4)), np.uint8)
        filled[: len(own), :, :row] = own
        filled[len(own) :, :, :row] = zero_point
        filled[1::2] ^= _FLIP
        fours = filled.reshape(part.stop - part.start, 2, -1, 4)[..., _ORDER]
        encoded.append(fours.transpose(0, 2, 3, 1).tobytes())
    return b"".join(encoded)


def decode_raw(data: Bytes, shape: tuple[int, int, int, int]) -> Bytes:
    """Codes of this shape. Raises StreamError unless data have exactly the size."""
    require_size(data, raw_bytes(shape))
    filters, rows, columns, channels = shape
    row = columns * channels
    codes = np.empty((filters, rows, row), np.uint8)
    pairs = data.reshape(up(filters, 2) // 2, -1, 4, 2)
    for part in filter_chunks(len(pairs), 2 * rows * up(row, 4)):
        filled = pairs[part].transpose(0, 3, 1, 2)[..., _ORDER].reshape(-1, rows, up(row, 4))
        filled[1::2] ^= _FLIP
        own = codes[2 * part.start : 2 * part.stop]
        own[:] = filled[: len(own), :, :row]
    return codes.reshape(shape)
