"""The artifact's binary layout (FORMAT.md), for packer and reader; agents/runtime/src/format.h is its twin."""

from __future__ import annotations

import struct

MAGIC = b"DCCA"
VERSION = 2
MAX_BYTES = 1 << 28
MAX_TENSORS = 512
MAX_OPERATORS = 512
MAX_FILTER_WEIGHTS = 65535
MAX_ROW_OFFSETS = 65536  # what an offset inside a kernel row, of 16 bits, can tell apart
MAX_PADDING_BEHIND = 255  # rows below an image, columns right of it
ALIGNMENT = 4

# magic, version, artifact bytes, CRC-32, arena bytes, tensors, operators, input, output, input scale, output scale.
# The scales stay raw bits here: the checks of both sides are on bits.
HEADER = struct.Struct("<4sIIIIHHHHII")
CHECKSUM_FROM = 16
# offset in the arena, height, width, channels, zero point
TENSOR = struct.Struct("<IHHHbx")

CONVOLUTION, ADD, AVERAGE_POOL, MAX_POOL, RELU, MULTIPLY, CONCATENATE, PAD, LOOKUP, SOFTMAX, ARGMAX = range(1, 12)
DENSE, BITMAP = 0, 1

_COMMON = "<BbbBHH"  # kind, low, high, flatten, input, output
RECORDS = {
    # window, dilation, groups, encoding, weight zero point, data at, data bytes, scratch at, scratch bytes
    CONVOLUTION: struct.Struct(_COMMON + "6B2BHBBIIII"),
    # second input, shift, multiplier, second multiplier
    ADD: struct.Struct(_COMMON + "HBxii"),
    # window, shift, multiplier
    AVERAGE_POOL: struct.Struct(_COMMON + "6BBxi"),
    # window
    MAX_POOL: struct.Struct(_COMMON + "6Bxx"),
    RELU: struct.Struct(_COMMON),
    # second input, shift, multiplier
    MULTIPLY: struct.Struct(_COMMON + "HBxi"),
    # second input, shift, multiplier, second multiplier
    CONCATENATE: struct.Struct(_COMMON + "HBxii"),
    # top, left
    PAD: struct.Struct(_COMMON + "HH"),
    # data at
    LOOKUP: struct.Struct(_COMMON + "I"),
    # data at
    SOFTMAX: struct.Struct(_COMMON + "I"),
    ARGMAX: struct.Struct(_COMMON),
}
LOOKUP_BYTES = 256
EXPONENTIALS_BYTES = 512
FIRST_EXPONENTIAL = 1 << 15
REQUANTISATION_BYTES = 9  # bias, multiplier and shift of one channel


def scratch_bytes(taps: int, nonzeros: int) -> int:
    """Arena bytes of one decoded filter: tap starts of 2 bytes, rounded up to words, then 4 bytes a nonzero."""
    return (taps + 2) // 2 * 4 + 4 * nonzeros


def encoding_byte(encoding: int, bits: int, code_bits: int) -> int:
    """The field of a convolution that holds all three."""
    return bits | (code_bits - 1) << 4 | encoding << 7


def split_encoding(byte: int) -> tuple[int, int, int]:
    """Encoding, bits of an index and bits of a code."""
    return byte >> 7, byte & 15, (byte >> 4 & 7) + 1


def codebook_bytes(bits: int, code_bits: int) -> int:
    """Of 2^bits codes; none where indices have as many bits as codes."""
    return 0 if bits == code_bits else ((code_bits << bits) + 7) // 8
