"""CODED: a range asymmetric numeral system over zero and the indices of the codebook.

Duda, arXiv:1311.2540; the arithmetic is that of Giesen, arXiv:1402.3392, in one stream of 16-bit words. Symbol 0 is the
zero, symbol i >= 1 the index i - 1. The frequencies of all symbols together are 4096.
"""

from __future__ import annotations

import math
import struct
from array import array
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.encoding.bits import Bytes, chunks, pack_fields, unpack_fields, whole_bytes
from dccdka.packing.encoding.codebook import Codebook, codebook_bytes, read_codebook
from dccdka.packing.encoding.errors import StreamError

MOST_BITS = 6  # of a symbol

_SCALE_BITS = 12
_SCALE = 1 << _SCALE_BITS
_LEAST_STATE = 1 << 16
_MOST_COUNT_BITS = 4
_QUANTITIES = np.array([(2 + c % 2) << c // 2 for c in range(1 << _MOST_COUNT_BITS)], np.int64)

_Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frequencies:
    """zero: of a zero, in 4096; counts: of each index, of count_bits each, as the format quantises them."""

    zero: int
    counts: Bytes
    count_bits: int

    @cached_property
    def cumulative(self) -> _Integers:
        """int64 [symbols + 1], from 0 to 4096."""
        cumulative: _Integers = _cumulative(self.zero, self.counts[np.newaxis])[0]
        return cumulative

    @property
    def are_valid(self) -> bool:
        """Whether the format allows them: no symbol is empty."""
        return 1 <= self.zero < _SCALE and bool((np.diff(self.cumulative) > 0).all())

    @property
    def size(self) -> int:
        """In bytes."""
        return 2 + whole_bytes(self.count_bits * len(self.counts))

    def pack(self) -> bytes:
        return struct.pack("<H", self.zero | self.count_bits << _SCALE_BITS) + pack_fields(self.counts, self.count_bits)


def frequencies(zeros: int, index_counts: _Integers) -> Frequencies:
    """Those with which so many zeros and indices, and they themselves, take the fewest bits, or nearly so."""
    choices = (_frequencies(zeros, index_counts, bits) for bits in range(_MOST_COUNT_BITS + 1))
    return min(choices, key=lambda chosen: 8 * chosen.size + _bits_of(chosen, zeros, index_counts))


def frequencies_bytes(data: Bytes, codes: int) -> int:
    """Of the frequencies of so many codes, with which data begin."""
    return 2 + whole_bytes(int(data[1] >> 4) * codes)


def _frequencies(zeros: int, index_counts: _Integers, count_bits: int) -> Frequencies:
    """Counts are quantised at several scales, the best is refined by single steps as long as one helps."""
    known = _QUANTITIES[: 1 << count_bits]
    total = max(1, zeros + int(index_counts.sum()))
    wanted = min(_SCALE - 1, max(1, round(_SCALE * zeros / total)))
    with np.errstate(divide="ignore"):
        magnitudes = np.log2(index_counts / max(1, index_counts.max()))
    scales = np.arange(0, math.log2(known[-1] / known[0]) + 0.1, 0.125)
    targets = np.log2(known[-1]) - scales[:, np.newaxis] + magnitudes[np.newaxis]
    distances = np.abs(targets.clip(0)[..., np.newaxis] - np.log2(known))
    counts = distances.argmin(axis=2).astype(np.uint8)
    quantities = _QUANTITIES[counts]
    # So none is empty: each then has at least 1 of what zero leaves.
    most = _SCALE - -(-quantities.sum(axis=1) // quantities.min(axis=1))
    valid = most >= 1
    zero, counts = np.minimum(wanted, most[valid]), counts[valid]
    costs = _bits(zero, counts, zeros, index_counts)
    best = int(costs.argmin())
    start = Frequencies(int(zero[best]), counts[best], count_bits)
    return _refined(start, float(costs[best]), zeros, index_counts)


def coded_bytes(codebook: Codebook, chosen: Frequencies, zeros: int, index_counts: _Integers) -> int:
    """Of codebook, frequencies and stream; the stream may differ by a word."""
    return codebook.size + chosen.size + 4 + 2 * int(_bits_of(chosen, zeros, index_counts) // 16)


def encode_coded(codes: Bytes, zero_point: int, codebook: Codebook, chosen: Frequencies) -> bytes:
    """The stream alone: state and words."""
    table = codebook.index_table() + np.uint8(1)
    table[zero_point] = 0
    starts = chosen.cumulative.tolist()
    widths = np.diff(chosen.cumulative).tolist()
    limits = [width << 32 - _SCALE_BITS for width in widths]
    words = array("H")
    state = _LEAST_STATE
    for part in reversed(list(chunks(len(codes)))):
        for symbol in table[codes[part]][::-1].tolist():
            if state >= limits[symbol]:
                words.append(state & 0xFFFF)
                state >>= 16
            width = widths[symbol]
            state = (state // width << _SCALE_BITS) + state % width + starts[symbol]
    return struct.pack("<I", state) + np.array(words[::-1], "<u2").tobytes()


def decode_coded(data: Bytes, codes: int, gap_bits: int, weights: int, zero_point: int) -> Bytes:
    """uint8 [weights]. Raises StreamError unless data are exactly codebook, frequencies and a stream of so many."""
    frequencies_at = codebook_bytes(codes, gap_bits)
    if len(data) < frequencies_at + 2:
        raise StreamError("its frequencies are cut off")
    stream_at = frequencies_at + frequencies_bytes(data[frequencies_at:], codes)
    if len(data) < stream_at + 4 or (len(data) - stream_at) % 2:
        raise StreamError("its frequencies or its stream are cut off")
    packed = int(data[frequencies_at]) | int(data[frequencies_at + 1]) << 8
    count_bits = packed >> _SCALE_BITS
    if count_bits > _MOST_COUNT_BITS:
        raise StreamError(f"its frequencies have counts of {count_bits} bits")
    counts = unpack_fields(data[frequencies_at + 2 : stream_at], count_bits, codes)
    chosen = Frequencies(packed % _SCALE, counts, count_bits)
    if not chosen.are_valid:
        raise StreamError("its frequencies leave a symbol empty")
    (state,) = struct.unpack("<I", data[stream_at : stream_at + 4].tobytes())
    words = array("H", data[stream_at + 4 :].view("<u2").astype(np.uint16).tobytes())
    codes_of = np.concatenate((np.array([zero_point], np.uint8), read_codebook(data, codes, gap_bits)))
    return codes_of[_decode_symbols(state, words, chosen.cumulative, weights)]


def _decode_symbols(state: int, words: array[int], cumulative: _Integers, count: int) -> Bytes:
    widths = np.diff(cumulative)
    symbol_of = np.repeat(np.arange(len(widths)), widths)
    width_of = widths[symbol_of].tolist()
    offset_of = (np.arange(_SCALE) - cumulative[symbol_of]).tolist()
    symbols = symbol_of.astype(np.uint8)
    decoded = []  # as they come, since a few bytes may claim any number of weights
    unread = iter(words)
    try:
        for part in chunks(count):
            slots = []
            for _ in range(part.start, part.stop):
                slot = state & _SCALE - 1
                slots.append(slot)
                state = width_of[slot] * (state >> _SCALE_BITS) + offset_of[slot]
                if state < _LEAST_STATE:
                    state = state << 16 | next(unread)
            decoded.append(symbols[slots])
    except StopIteration:
        raise StreamError("its stream is cut off") from None
    if state != _LEAST_STATE or next(unread, None) is not None:
        raise StreamError("its stream does not end where its weights do")
    return np.concatenate(decoded)


def _cumulative(zero: int | _Integers, counts: Bytes) -> _Integers:
    """Of several frequencies at once: zero [variants], counts [variants, n] to [variants, n + 2]."""
    sums = _QUANTITIES[counts].cumsum(axis=1)
    column = np.broadcast_to(zero, len(counts))[:, np.newaxis]
    parts = column + (_SCALE - column) * sums // sums[:, -1:]
    return np.concatenate((np.zeros_like(column), column, parts), axis=1)


def _bits(zero: _Integers, counts: Bytes, zeros: int, index_counts: _Integers) -> NDArray[np.float64]:
    """What the symbols take with each of several frequencies; infinite for those that leave a symbol empty."""
    widths = np.diff(_cumulative(zero, counts), axis=1)
    valid = (widths > 0).all(axis=1)
    occurrences = np.concatenate(([zeros], index_counts))
    bits: NDArray[np.float64] = (_SCALE_BITS - np.log2(np.maximum(widths, 1))) @ occurrences
    return np.where(valid, bits, np.inf)


def _bits_of(chosen: Frequencies, zeros: int, index_counts: _Integers) -> float:
    return float(_bits(np.array([chosen.zero]), chosen.counts[np.newaxis], zeros, index_counts)[0])


def _refined(start: Frequencies, cost: float, zeros: int, index_counts: _Integers) -> Frequencies:
    zero, counts, n = start.zero, start.counts, len(start.counts)
    steps = np.concatenate((np.eye(n, dtype=np.int64), -np.eye(n, dtype=np.int64), np.zeros((2, n), np.int64)))
    zero_steps = np.zeros(2 * n + 2, np.int64)
    zero_steps[-2:] = 1, -1
    while True:
        variants = (counts + steps).clip(0, (1 << start.count_bits) - 1).astype(np.uint8)
        zero_variants = (zero + zero_steps).clip(1, _SCALE - 1)
        costs = _bits(zero_variants, variants, zeros, index_counts)
        best = int(costs.argmin())
        if not costs[best] < cost:
            return Frequencies(zero, counts, start.count_bits)
        zero, counts, cost = int(zero_variants[best]), variants[best], float(costs[best])
