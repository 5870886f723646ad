"""The entropy code comes within a hundredth of the entropy, and streams that are none are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from dccdka.packing.choice import Encoding
from dccdka.packing.encoding import Form, StreamError, decode, encode, plan
from dccdka.packing.encoding.codebook import codebook_bytes
from dccdka.packing.encoding.coded import Frequencies, decode_coded, frequencies
from dccdka.packing.encoding.counting import stream_entropy


def skewed(weights: int, sparsity: float, symbols: int) -> np.ndarray:
    """Zeros (code 0) and codes whose frequencies fall by a fifth from one to the next."""
    generator = np.random.default_rng(0)
    shares = 0.8 ** np.arange(symbols)
    codes = generator.choice(symbols, weights, p=shares / shares.sum()).astype(np.uint8) * 3 + 1
    codes[generator.random(weights) < sparsity] = 0
    return codes.reshape(1, 1, 1, -1)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("symbols", [1, 3, 7, 15, 40])
def test_the_stream_is_hardly_longer_than_the_entropy(sparsity, symbols):
    codes = skewed(20000, sparsity, symbols)
    planned = plan(codes, 0)[Encoding.CODED]
    stream = planned.bytes - planned.codebook.size - planned.frequencies.size
    # At the sparsest, 4096 leave too little for the frequencies of many symbols.
    assert stream <= 1.015 * stream_entropy(codes, 0) / 8 + 12


@pytest.mark.parametrize("zeros", [0, 1, 5000])
@pytest.mark.parametrize("n", [1, 3, 15, 63])
def test_frequencies_leave_no_symbol_empty(zeros, n):
    generator = np.random.default_rng(n)
    for index_counts in (np.zeros(n, np.int64), generator.integers(0, 2, n), generator.integers(0, 1000, n) ** 3):
        chosen = frequencies(zeros, index_counts)
        assert chosen.are_valid
        assert chosen.cumulative[-1] == 4096
        assert len(chosen.cumulative) == n + 2


def test_counts_are_stored_only_where_that_pays():
    even, uneven = np.full(15, 100), np.array([2000] + 14 * [10])
    assert frequencies(9000, even).size == 2
    assert frequencies(9000, uneven).count_bits > 1
    # What counts of 4 bits would save here, some 12 bits, is less than the 60 that they take.
    assert frequencies(100, np.array([6, 1, 1] + 12 * [2])).size == 2


@pytest.mark.parametrize("count_bits", range(5))
def test_frequencies_are_the_formats(count_bits):
    chosen = Frequencies(1000, np.arange(3).astype(np.uint8) % (1 << count_bits), count_bits)
    quantities = [(2 + c % 2) << c // 2 for c in chosen.counts.tolist()]
    widths = [3096 * sum(quantities[:i]) // sum(quantities) for i in range(4)]
    assert chosen.cumulative.tolist() == [0, *(1000 + width for width in widths)]
    packed = 1000 | count_bits << 12
    fields = sum(c << count_bits * i for i, c in enumerate(chosen.counts.tolist()))
    assert chosen.pack() == packed.to_bytes(2, "little") + fields.to_bytes((3 * count_bits + 7) // 8, "little")


def test_a_stream_by_hand():
    # f = 2048 of 4096 for a zero, one code with the other half: each of 16 weights takes a bit, all together a word.
    codes = np.array([0, 7, 7, 0] * 4, np.uint8)
    state, words = 1 << 16, []
    for code in codes[::-1]:
        if state >= 1 << 31:
            words.append(state & 0xFFFF)
            state >>= 16
        state = (state // 2048 << 12) + state % 2048 + (2048 if code else 0)
    (word,) = words
    data = bytes([7]) + struct.pack("<HIH", 2048, state, word)
    np.testing.assert_array_equal(decode_coded(np.frombuffer(data, np.uint8), 1, 0, 16, 0), codes)


def encoded() -> tuple[np.ndarray, Form, np.ndarray]:
    codes = skewed(300, 0.6, 3)
    planned = plan(codes, 0)[Encoding.CODED]
    return codes, planned.form, np.frombuffer(encode(codes, 0, planned), np.uint8)


@pytest.mark.parametrize("weights", [299, 301])
def test_another_number_of_weights_is_refused(weights):
    codes, form, data = encoded()
    np.testing.assert_array_equal(decode(data, form, 0, codes.shape), codes)
    with pytest.raises(StreamError, match="stream"):
        decode(data, form, 0, (1, 1, 1, weights))


def test_frequencies_that_leave_a_symbol_empty_are_refused():
    _, form, data = encoded()
    at = codebook_bytes(form.codes, form.gap_bits)
    (packed,) = struct.unpack("<H", data[at : at + 2].tobytes())
    for zero in (0, 4095):
        with pytest.raises(StreamError, match="symbol empty"):
            decode(with_frequency(data, at, packed & ~4095 | zero), form, 0, (1, 1, 1, 300))
    assert not Frequencies(0, np.zeros(1, np.uint8), 0).are_valid


@pytest.mark.parametrize("count_bits", [5, 15])
def test_counts_of_more_than_four_bits_are_refused(count_bits):
    _, form, data = encoded()
    at = codebook_bytes(form.codes, form.gap_bits)
    with pytest.raises(StreamError, match="counts of"):
        decode(with_frequency(np.pad(data, (0, len(data) % 2)), at, 1 | count_bits << 12), form, 0, (1, 1, 1, 300))


def with_frequency(data, at, packed) -> np.ndarray:
    damaged = data.copy()
    damaged[at : at + 2] = np.frombuffer(struct.pack("<H", packed), np.uint8)
    return damaged


def test_a_few_bytes_cannot_claim_millions_of_weights():
    _, form, data = encoded()
    with pytest.raises(StreamError):
        decode(data, form, 0, (65535, 1, 1, 65535))
