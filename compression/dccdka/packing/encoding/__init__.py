"""Weight codes as streams of bytes, in each of the format's encodings (FORMAT.md).

A form is planned from how often each code occurs; only the chosen one is encoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dccdka.packing.choice import Encoding
from dccdka.packing.encoding.bits import Bytes, histogram
from dccdka.packing.encoding.codebook import Codebook, codebook_bytes, codebooks
from dccdka.packing.encoding.coded import (
    MOST_BITS,
    Frequencies,
    coded_bytes,
    decode_coded,
    encode_coded,
    frequencies,
    frequencies_bytes,
)
from dccdka.packing.encoding.errors import StreamError
from dccdka.packing.encoding.indexed import (
    bitmap_bytes,
    decode_bitmap,
    decode_indexed,
    encode_bitmap,
    encode_indexed,
    indexed_bytes,
)
from dccdka.packing.encoding.raw import decode_raw, encode_raw, raw_bytes

__all__ = [
    "Form",
    "PlannedWeights",
    "StreamError",
    "decode",
    "encode",
    "plan",
    "table_bytes",
]


@dataclass(frozen=True)
class Form:
    """How weights are stored: bits of an index or, CODED, of a symbol; bits of a gap between codes."""

    encoding: Encoding
    bits: int = 8
    gap_bits: int = 0

    @property
    def is_possible(self) -> bool:
        """Whether the format has such a form."""
        least = 0 if self.encoding is Encoding.BITMAP else 1
        most = MOST_BITS if self.encoding is Encoding.CODED else 8
        return least <= self.bits <= most and self.gap_bits <= (8 if self.bits < 8 else 0)

    @property
    def codes(self) -> int:
        """In the codebook."""
        return (1 << self.bits) - (self.encoding is Encoding.CODED)


@dataclass(frozen=True, eq=False)
class PlannedWeights:
    """bytes: of codebook, frequencies and stream; CODED may take a word more or less."""

    form: Form
    bytes: int
    codebook: Codebook | None = None
    frequencies: Frequencies | None = None


def plan(codes: Bytes, zero_point: int) -> dict[Encoding, PlannedWeights]:
    """The smallest form of each encoding that holds the codes [filters, kernel y, kernel x, channels of the group]."""
    counts = histogram(codes)
    nonzero = counts.copy()
    nonzero[zero_point] = 0
    zeros, nonzeros = int(counts[zero_point]), int(nonzero.sum())
    forms = [PlannedWeights(Form(Encoding.RAW), raw_bytes(codes.shape))]
    for book in codebooks(counts, [1 << bits for bits in range(1, 9)]):
        form = Form(Encoding.INDEXED, book.bits, book.gap_bits)
        forms.append(PlannedWeights(form, indexed_bytes(book, codes.size), book))
    for book in codebooks(nonzero, [1 << bits for bits in range(9)]):
        form = Form(Encoding.BITMAP, book.bits, book.gap_bits)
        forms.append(PlannedWeights(form, bitmap_bytes(book, codes.size, nonzeros), book))
    for book in codebooks(nonzero, [(1 << bits) - 1 for bits in range(1, MOST_BITS + 1)]):
        index_counts = book.index_counts(nonzero)
        chosen = frequencies(zeros, index_counts)
        form = Form(Encoding.CODED, len(book.codes).bit_length(), book.gap_bits)
        forms.append(PlannedWeights(form, coded_bytes(book, chosen, zeros, index_counts), book, chosen))
    smallest: dict[Encoding, PlannedWeights] = {}
    for planned in sorted(forms, key=lambda planned: planned.bytes):
        smallest.setdefault(planned.form.encoding, planned)
    return smallest


def encode(codes: Bytes, zero_point: int, planned: PlannedWeights) -> bytes:
    """Codebook, frequencies and stream, as planned for these codes."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    match planned.form.encoding, planned.codebook, planned.frequencies:
        case Encoding.INDEXED, Codebook() as book, _:
            return book.pack() + encode_indexed(flat, book)
        case Encoding.BITMAP, Codebook() as book, _:
            return book.pack() + encode_bitmap(flat, zero_point, book)
        case Encoding.CODED, Codebook() as book, Frequencies() as chosen:
            return book.pack() + chosen.pack() + encode_coded(flat, zero_point, book, chosen)
        case _:
            return encode_raw(codes, zero_point)


def decode(data: Bytes, form: Form, zero_point: int, shape: tuple[int, int, int, int]) -> Bytes:
    """Inverse of `encode`: codes of this shape. Raises StreamError unless data are exactly these weights."""
    weights = int(np.prod(shape, dtype=np.int64))
    match form.encoding:
        case Encoding.RAW:
            return decode_raw(data, shape)
        case Encoding.INDEXED:
            codes = decode_indexed(data, form.bits, form.gap_bits, weights)
        case Encoding.BITMAP:
            codes = decode_bitmap(data, form.bits, form.gap_bits, weights, zero_point)
        case Encoding.CODED:
            codes = decode_coded(data, form.codes, form.gap_bits, weights, zero_point)
    return codes.reshape(shape)


def table_bytes(data: Bytes, form: Form) -> int:
    """Of codebook and frequencies, with which weights of this form begin."""
    if form.encoding is Encoding.RAW:
        return 0
    codebook = codebook_bytes(form.codes, form.gap_bits)
    return codebook + (frequencies_bytes(data[codebook:], form.codes) if form.encoding is Encoding.CODED else 0)
