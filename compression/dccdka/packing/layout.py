"""The artifact's binary layout (FORMAT.md), for packer and reader; agents/runtime/src/format.h is its twin."""

from __future__ import annotations

import struct

MAGIC = b"DCCA"
VERSION = 1
MAX_BYTES = 1 << 28
MAX_TENSORS = 512
MAX_OPERATORS = 512
MAX_FILTER_WEIGHTS = 65535
ALIGNMENT = 4

# magic, version, artifact bytes, CRC-32, arena bytes, tensors, operators, input, output, input scale, output scale.
# The scales stay raw bits here: the checks of both sides are on bits.
HEADER = struct.Struct("<4sIIIIHHHHII")
CHECKSUM_FROM = 16
# offset in the arena, height, width, channels, zero point
TENSOR = struct.Struct("<IHHHbx")

CONVOLUTION, ADD, AVERAGE_POOL, MAX_POOL, RELU = 1, 2, 3, 4, 5
DENSE, BITMAP = 0, 1

_COMMON = "<BbbBHH"  # kind, low, high, flatten, input, output
RECORDS = {
    # window, encoding, bits, groups, weight zero point, data at, data bytes, scratch at, scratch bytes
    CONVOLUTION: struct.Struct(_COMMON + "6BBBHBxIIII"),
    # second input, shift, multiplier, second multiplier
    ADD: struct.Struct(_COMMON + "HBxii"),
    # window, shift, multiplier
    AVERAGE_POOL: struct.Struct(_COMMON + "6BBxi"),
    # window
    MAX_POOL: struct.Struct(_COMMON + "6Bxx"),
    RELU: struct.Struct(_COMMON),
}
REQUANTISATION_BYTES = 9  # bias, multiplier and shift of one channel


def scratch_bytes(taps: int, nonzeros: int) -> int:
    """Arena bytes of one decoded filter: tap starts of 2 bytes, rounded up to words, then 4 bytes a nonzero."""
    return (taps + 2) // 2 * 4 + 4 * nonzeros
