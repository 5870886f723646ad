"""Weight codes as bit streams: a codebook, and indices into it with or without the zeros.

DENSE stores an index of every weight. BITMAP stores one bit for every weight and indices of the nonzero ones only. The
smallest form is taken, codebook included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.layout import BITMAP, DENSE


@dataclass(frozen=True)
class EncodedWeights:
    """stream: codebook (2^bits codes), bitmap if there is one, indices."""

    encoding: int
    bits: int
    stream: bytes


def encode(codes: NDArray[np.uint8], zero_point: int) -> EncodedWeights:
    """The shorter of both encodings of the codes, taken in C order."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    mask = flat != zero_point
    dense_bits, dense = _codebook_and_indices(flat, least_bits=1)
    sparse_bits, sparse = _codebook_and_indices(flat[mask], least_bits=0)
    codebook_bytes = 1 << sparse_bits
    bitmap = sparse[:codebook_bytes] + _pack_bits(mask) + sparse[codebook_bytes:]
    if len(bitmap) < len(dense):
        return EncodedWeights(BITMAP, sparse_bits, bitmap)
    return EncodedWeights(DENSE, dense_bits, dense)


def decode(data: NDArray[np.uint8], encoding: int, bits: int, weights: int, zero_point: int) -> NDArray[np.uint8]:
    """Inverse of `encode`: uint8 [weights]. data begins with the codebook and is as long as `stream_bytes` says."""
    codebook, stream = data[: 1 << bits], data[1 << bits :]
    if encoding == DENSE:
        return codebook[_unpack_indices(stream, bits, weights)]
    mask = _unpack_mask(stream, weights)
    codes = np.full(weights, zero_point, np.uint8)
    codes[mask] = codebook[_unpack_indices(stream[_whole_bytes(weights) :], bits, int(mask.sum()))]
    return codes


def stream_bytes(data: NDArray[np.uint8], encoding: int, bits: int, weights: int) -> int | None:
    """Bytes that codebook, bitmap and indices take; None if data ends before the bitmap does."""
    if encoding == DENSE:
        return (1 << bits) + _whole_bytes(weights * bits)
    bitmap_end = (1 << bits) + _whole_bytes(weights)
    if bitmap_end > len(data):
        return None
    ones = int(_unpack_mask(data[1 << bits :], weights).sum())
    return bitmap_end + _whole_bytes(ones * bits)


def _whole_bytes(bits: int) -> int:
    return (bits + 7) // 8


def _codebook_and_indices(codes: NDArray[np.uint8], least_bits: int) -> tuple[int, bytes]:
    """Bits of an index, and the codebook of 2^bits codes followed by the packed indices."""
    distinct, indices = np.unique(codes, return_inverse=True)
    bits = max(least_bits, (max(len(distinct), 1) - 1).bit_length())
    codebook = np.zeros(1 << bits, np.uint8)
    codebook[: len(distinct)] = distinct
    columns = (indices[:, np.newaxis] >> np.arange(bits)) & 1
    return bits, codebook.tobytes() + _pack_bits(columns)


def _pack_bits(bits: NDArray[np.generic]) -> bytes:
    return np.packbits(bits.reshape(-1).astype(bool), bitorder="little").tobytes()


def _unpack_mask(stream: NDArray[np.uint8], weights: int) -> NDArray[np.bool_]:
    return np.unpackbits(stream[: _whole_bytes(weights)], count=weights, bitorder="little").astype(bool)


def _unpack_indices(stream: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int64]:
    columns = np.unpackbits(stream[: _whole_bytes(count * bits)], count=count * bits, bitorder="little")
    return columns.reshape(count, bits).astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64))
