"""Codebooks: which code an index stands for.

Codes take as many bits as the largest of them. Where indices take as many, the index is the code, and there is no
codebook.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.encoding.bits import Bytes, pack_fields, unpack_fields, whole_bytes


@dataclass(frozen=True, eq=False)
class Codebook:
    """codes: those that occur, uint8, ascending; bits: of an index."""

    codes: Bytes
    bits: int
    code_bits: int

    @property
    def size(self) -> int:
        """In bytes."""
        return codebook_bytes(self.bits, self.code_bits)

    def pack(self) -> bytes:
        if self.size == 0:
            return b""
        filled = np.zeros(1 << self.bits, np.uint8)
        filled[: len(self.codes)] = self.codes
        return pack_fields(filled, self.code_bits)

    def index_table(self) -> Bytes:
        """uint8 [256]: the index of each code."""
        table = np.arange(256, dtype=np.uint8)
        if self.size:
            table[self.codes] = np.arange(len(self.codes), dtype=np.uint8)
        return table

    def index_counts(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each of the 2^bits indices occurs, of how often each code does."""
        by_index = np.zeros(1 << self.bits, np.int64)
        by_index[self.index_table()[self.codes]] = counts[self.codes]
        return by_index


def codebooks(counts: NDArray[np.int64], least_bits: int) -> list[Codebook]:
    """Those worth a thought for codes that occur so often, int64 [256]: the fewest bits an index, and no codebook."""
    codes = np.flatnonzero(counts).astype(np.uint8)
    largest = int(codes[-1]) if len(codes) else 0
    code_bits = max(1, largest.bit_length())
    fewest = max(least_bits, (max(len(codes), 1) - 1).bit_length())
    return [Codebook(codes, bits, code_bits) for bits in sorted({fewest, code_bits})]


def codebook_bytes(bits: int, code_bits: int) -> int:
    """Of 2^bits codes; none where indices have as many bits as codes."""
    return 0 if bits == code_bits else whole_bytes(code_bits << bits)


def read_codebook(data: Bytes, bits: int, code_bits: int) -> Bytes:
    """uint8 [2^bits]: the code of each index; data begins with the codebook and holds all of it."""
    if bits == code_bits:
        return np.arange(1 << bits, dtype=np.uint8)
    return unpack_fields(data, code_bits, 1 << bits)
