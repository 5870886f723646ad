"""Weight codes as bit streams: a codebook, and indices into it with or without the zeros.

DENSE stores an index of every weight. BITMAP stores one bit for every weight and indices of the nonzero ones only. The
smallest form is taken, codebook included. Codes take as many bits as the largest of them; where indices take as many,
the indices are the codes and there is no codebook.

Weights are taken in chunks: NumPy looks bytes up through 64-bit copies of them, and a bit stream goes through a byte
for each bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.layout import BITMAP, DENSE, codebook_bytes

_CHUNK = 1 << 16  # weights; a multiple of 8, so that each chunk's stream begins at a whole byte
_Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class EncodedWeights:
    """stream: codebook (2^bits codes of code_bits), bitmap if there is one, indices."""

    encoding: int
    bits: int
    code_bits: int
    stream: bytes


@dataclass(frozen=True)
class _Codebook:
    """codes: uint8, ascending."""

    codes: _Bytes
    bits: int
    code_bits: int

    @property
    def size(self) -> int:
        return codebook_bytes(self.bits, self.code_bits)

    def stream(self) -> bytes:
        if self.size == 0:
            return b""
        padded = np.zeros(1 << self.bits, np.uint8)
        padded[: len(self.codes)] = self.codes
        return _pack_fields(padded, self.code_bits)

    def index_table(self) -> _Bytes:
        """uint8 [256]: the index of each code."""
        table = np.arange(256, dtype=np.uint8)
        if self.size:
            table[self.codes] = np.arange(len(self.codes), dtype=np.uint8)
        return table


def encode(codes: _Bytes, zero_point: int) -> EncodedWeights:
    """The shorter of both encodings of the codes, taken in C order."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    counts = _histogram(flat)
    dense = _codebook(counts, least_bits=1)
    nonzero_counts = counts.copy()
    nonzero_counts[zero_point] = 0
    sparse = _codebook(nonzero_counts, least_bits=0)
    nonzeros = int(nonzero_counts.sum())
    dense_bytes = dense.size + _whole_bytes(len(flat) * dense.bits)
    sparse_bytes = sparse.size + _whole_bytes(len(flat)) + _whole_bytes(nonzeros * sparse.bits)
    if sparse_bytes < dense_bytes:
        mask = flat != zero_point
        bitmap = np.packbits(mask, bitorder="little").tobytes()
        stream = sparse.stream() + bitmap + _pack_indices(flat[mask], sparse)
        return EncodedWeights(BITMAP, sparse.bits, sparse.code_bits, stream)
    return EncodedWeights(DENSE, dense.bits, dense.code_bits, dense.stream() + _pack_indices(flat, dense))


def decode(data: _Bytes, encoding: int, bits: int, code_bits: int, weights: int, zero_point: int) -> _Bytes:
    """Inverse of `encode`: uint8 [weights]. data begins with the codebook and is as long as `stream_bytes` says."""
    size = codebook_bytes(bits, code_bits)
    codebook = _unpack_fields(data, code_bits, 1 << bits) if size else np.arange(256, dtype=np.uint8)
    stream = data[size:]
    if encoding == DENSE:
        return _unpack_indices(stream, bits, weights, codebook)
    mask = _unpack_mask(stream, weights)
    codes = np.full(weights, zero_point, np.uint8)
    codes[mask] = _unpack_indices(stream[_whole_bytes(weights) :], bits, int(np.count_nonzero(mask)), codebook)
    return codes


def stream_bytes(data: _Bytes, encoding: int, bits: int, code_bits: int, weights: int) -> int | None:
    """Bytes that codebook, bitmap and indices take; None if data ends before the bitmap does."""
    size = codebook_bytes(bits, code_bits)
    if encoding == DENSE:
        return size + _whole_bytes(weights * bits)
    bitmap_end = size + _whole_bytes(weights)
    if bitmap_end > len(data):
        return None
    ones = int(np.count_nonzero(_unpack_mask(data[size:], weights)))
    return bitmap_end + _whole_bytes(ones * bits)


def weight_magnitudes(codes: _Bytes, zero_point: int) -> NDArray[np.int64]:
    """Sum of |code - zero_point| over each filter, int64 [filters]; codes are [filters, ...]."""
    table = np.abs(np.arange(256) - zero_point).astype(np.uint8)
    filters = codes.reshape(len(codes), -1)
    sums = np.empty(len(filters), np.int64)
    step = max(1, _CHUNK // max(1, filters.shape[1]))
    for begin in range(0, len(filters), step):
        sums[begin : begin + step] = table[filters[begin : begin + step]].sum(axis=1, dtype=np.int64)
    return sums


def most_nonzeros(codes: _Bytes, zero_point: int) -> int:
    """Of the filter that has most; codes are [filters, ...]."""
    return max(int(np.count_nonzero(own != zero_point)) for own in codes)


def _whole_bytes(bits: int) -> int:
    return (bits + 7) // 8


def _chunks(count: int) -> Iterator[slice]:
    return (slice(begin, min(begin + _CHUNK, count)) for begin in range(0, count, _CHUNK))


def _histogram(codes: _Bytes) -> NDArray[np.int64]:
    counts = np.zeros(256, np.int64)
    for part in _chunks(len(codes)):
        counts += np.bincount(codes[part], minlength=256)
    return counts


def _codebook(counts: NDArray[np.int64], least_bits: int) -> _Codebook:
    codes = np.flatnonzero(counts).astype(np.uint8)
    largest = int(codes[-1]) if len(codes) else 0
    code_bits = max(1, largest.bit_length())
    return _Codebook(codes, max(least_bits, (max(len(codes), 1) - 1).bit_length()), code_bits)


def _pack_indices(codes: _Bytes, codebook: _Codebook) -> bytes:
    table = codebook.index_table()
    return b"".join(_pack_fields(table[codes[part]], codebook.bits) for part in _chunks(len(codes)))


def _unpack_indices(stream: _Bytes, bits: int, count: int, codebook: _Bytes) -> _Bytes:
    codes = np.empty(count, np.uint8)
    for part in _chunks(count):
        codes[part] = codebook[_unpack_fields(stream[part.start * bits // 8 :], bits, part.stop - part.start)]
    return codes


def _pack_fields(values: _Bytes, bits: int) -> bytes:
    """The lowest so many bits of each value, back to back."""
    columns = np.unpackbits(values[:, np.newaxis], axis=1, count=bits, bitorder="little")
    return np.packbits(columns, bitorder="little").tobytes()


def _unpack_fields(stream: _Bytes, bits: int, count: int) -> _Bytes:
    if bits == 0:
        return np.zeros(count, np.uint8)
    columns = np.unpackbits(stream[: _whole_bytes(count * bits)], count=count * bits, bitorder="little")
    return np.packbits(columns.reshape(count, bits), axis=1, bitorder="little")[:, 0]


def _unpack_mask(stream: _Bytes, weights: int) -> NDArray[np.bool_]:
    return np.unpackbits(stream[: _whole_bytes(weights)], count=weights, bitorder="little").view(bool)
