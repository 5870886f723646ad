"""Codebooks: which code an index stands for.

Codes ascend, so a book is its first code and the gaps between them; codes without gaps take no more than the first.
A book of all 256 codes is left out: there, the index is the code.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.encoding.bits import Bytes, pack_fields, unpack_fields, whole_bytes

_ALL = 256


@dataclass(frozen=True, eq=False)
class Codebook:
    """codes: of each index, uint8, ascending modulo 256. A code that comes twice goes by its first index."""

    codes: Bytes
    gap_bits: int

    @property
    def bits(self) -> int:
        """Of an index."""
        return (len(self.codes) - 1).bit_length()

    @property
    def size(self) -> int:
        """In bytes."""
        return codebook_bytes(len(self.codes), self.gap_bits)

    def pack(self) -> bytes:
        if self.size == 0:
            return b""
        return self.codes[:1].tobytes() + pack_fields(np.diff(self.codes) - np.uint8(1), self.gap_bits)

    def index_table(self) -> Bytes:
        """uint8 [256]: the index of each code."""
        table = np.zeros(_ALL, np.uint8)
        indices = np.arange(len(self.codes)).astype(np.uint8)
        table[self.codes[::-1]] = indices[::-1]
        return table

    def index_counts(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each index occurs, of how often each code does, int64 [256]."""
        by_index = np.zeros(len(self.codes), np.int64)
        occurring = np.flatnonzero(counts)
        by_index[self.index_table()[occurring]] = counts[occurring]
        return by_index


def codebooks(counts: NDArray[np.int64], sizes: Collection[int]) -> list[Codebook]:
    """Those worth a thought for codes that occur so often, int64 [256]: the fewest codes, and no gaps between them.

    sizes: how many codes a book may have. None where there are more codes than that.
    """
    occurring = np.flatnonzero(counts) if counts.any() else np.zeros(1, np.int64)
    first, gaps = int(occurring[0]), np.diff(occurring) - 1
    fewest = min((size for size in sizes if size >= len(occurring)), default=None)
    without = min((size for size in sizes if size > occurring[-1] - first), default=None)
    books = []
    if fewest is not None:
        filled = np.zeros(fewest - 1, np.uint8)
        filled[: len(gaps)] = gaps
        books.append(_book(first, filled, int(gaps.max(initial=0)).bit_length()))
    if without is not None:
        books.append(_book(first, np.zeros(without - 1, np.uint8), 0))
    return books


def codebook_bytes(codes: int, gap_bits: int) -> int:
    """Of so many codes."""
    return 0 if codes == _ALL else 1 + whole_bytes(gap_bits * (codes - 1))


def read_codebook(data: Bytes, codes: int, gap_bits: int) -> Bytes:
    """uint8 [codes]; data begins with the codebook and holds all of it."""
    if codes == _ALL:
        return _book(0, np.zeros(_ALL - 1, np.uint8), 0).codes
    return _book(int(data[0]), unpack_fields(data[1:], gap_bits, codes - 1), gap_bits).codes


def _book(first: int, gaps: Bytes, gap_bits: int) -> Codebook:
    """Of the first code and the gaps before the others."""
    if len(gaps) == _ALL - 1:
        return Codebook(np.arange(_ALL).astype(np.uint8), 0)
    steps = np.concatenate(([first], gaps.astype(np.int64) + 1))
    return Codebook((np.cumsum(steps) & 255).astype(np.uint8), gap_bits)
