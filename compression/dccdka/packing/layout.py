"""The artifact's binary layout (FORMAT.md), for packer and reader; agents/runtime/src/format.h is its twin."""

from __future__ import annotations

import struct
from enum import IntEnum

MAGIC = b"DCC"
VERSION = 3
MAX_BYTES = 1 << 28
MAX_TENSORS = 512
MAX_OPERATORS = 512
MAX_SIZE = 65535  # of one axis of a tensor
MAX_FILTER_WEIGHTS = 65535
MAX_WEIGHTS = 1 << 28  # of a convolution: a few bytes of CODED could claim any number
MAX_ROW_OFFSETS = 65536  # what an offset inside a kernel row, of 16 bits, can tell apart
MAX_PADDING_BEHIND = 255  # rows below an image, columns right of it
MAX_SHIFT = 31  # of add, concatenate and biases
MAX_SCALING_SHIFT = 15  # p and k, which share a byte
ALIGNMENT = 4

# magic, version, CRC-32, artifact bytes, input scale, output scale; the varints follow.
# The scales stay raw bits here: the checks of both sides are on bits.
HEADER = struct.Struct("<3sBIIII")
CHECKSUM_FROM = 8

CONVOLUTION, ADD, AVERAGE_POOL, MAX_POOL, RELU, MULTIPLY, CONCATENATE, PAD, LOOKUP, SOFTMAX, ARGMAX = range(1, 12)
KIND_BITS = 0x0F
CLAMPED, FLATTEN, RESIDUAL = 0x10, 0x20, 0x40
MAY_CLAMP = (CONVOLUTION, ADD, AVERAGE_POOL, RELU, MULTIPLY, CONCATENATE)
POOLS = (AVERAGE_POOL, MAX_POOL)
PAIRS = (ADD, MULTIPLY, CONCATENATE)


class Present(IntEnum):
    """Which numbers of a window are stored for y, in this order."""

    KERNEL = 1
    STRIDE = 2
    PADDING = 4
    DILATION = 8


LOOKUP_BYTES = 256
EXPONENTIALS_BYTES = 512
FIRST_EXPONENTIAL = 1 << 15


def up(number: int, multiple: int) -> int:
    """Rounded up to a multiple."""
    return -(-number // multiple) * multiple


def known_flags(kind: int) -> int:
    """Bits of the kind byte that may be set beside the kind; -1 if there is no such kind."""
    if kind == CONVOLUTION:
        return CLAMPED | FLATTEN | RESIDUAL
    if CONVOLUTION < kind <= ARGMAX:
        return CLAMPED if kind in MAY_CLAMP else 0
    return -1
