"""Weight codes come back from their bit streams exactly, and the smaller stream is taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dccdka.packing.encoding import decode, encode, most_nonzeros, stream_bytes, weight_magnitudes
from dccdka.packing.layout import BITMAP, DENSE


@st.composite
def codes_and_zero_point(draw):
    codebook = draw(st.lists(st.integers(0, 255), min_size=1, max_size=256, unique=True))
    shape = arrays.array_shapes(min_dims=4, max_dims=4, max_side=5)
    codes = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from(codebook)))
    return codes, draw(st.sampled_from(codebook))


@given(codes_and_zero_point())
def test_codes_decode_to_exactly_the_codes_given(case):
    codes, zero_point = case
    encoded = encode(codes, zero_point)
    stream = np.frombuffer(encoded.stream, np.uint8)
    form = (encoded.encoding, encoded.bits, encoded.code_bits)
    assert stream_bytes(stream, *form, codes.size) == len(stream)
    decoded = decode(stream, *form, codes.size, zero_point)
    np.testing.assert_array_equal(decoded.reshape(codes.shape), codes)


def test_sparse_weights_leave_their_zeros_out():
    codes = np.full(1000, 7, np.uint8)
    codes[::5] = np.arange(200) % 15 + 20
    encoded = encode(codes, 7)
    assert encoded.encoding == BITMAP
    assert len(encoded.stream) == 16 * 6 // 8 + 125 + 100  # codes up to 34 take 6 bits


def test_dense_weights_need_no_bitmap():
    codes = np.tile(np.arange(0, 32, 2, dtype=np.uint8), 100)
    encoded = encode(codes, 4)
    assert encoded.encoding == DENSE
    assert len(encoded.stream) == 16 * 5 // 8 + 800


@pytest.mark.parametrize("bits", range(1, 9))
def test_where_every_code_is_used_the_indices_are_the_codes_and_there_is_no_codebook(bits):
    codes = np.tile(np.arange(1 << bits, dtype=np.uint8)[::-1], 64)
    encoded = encode(codes, 0)
    assert (encoded.bits, encoded.code_bits) == (bits, bits)
    if encoded.encoding == DENSE:
        assert len(encoded.stream) == len(codes) * bits // 8
    stream = np.frombuffer(encoded.stream, np.uint8)
    form = (encoded.encoding, encoded.bits, encoded.code_bits)
    np.testing.assert_array_equal(decode(stream, *form, len(codes), 0), codes)


def test_weights_beyond_one_chunk_come_back():
    generator = np.random.default_rng(0)
    codebook = generator.choice(200, 20, replace=False).astype(np.uint8)
    codes = generator.choice(codebook, 3 * (1 << 16) + 5)
    for sparsity in (0.0, 0.7):
        codes[generator.random(len(codes)) < sparsity] = 9
        encoded = encode(codes, 9)
        form = (encoded.encoding, encoded.bits, encoded.code_bits)
        assert encoded.encoding == (BITMAP if sparsity else DENSE)
        stream = np.frombuffer(encoded.stream, np.uint8)
        np.testing.assert_array_equal(decode(stream, *form, len(codes), 9), codes)


def test_sums_and_counts_of_a_filter_are_those_of_its_weights():
    codes = np.random.default_rng(1).integers(0, 256, (70, 3, 3, 200)).astype(np.uint8)
    weights = codes.astype(int) - 100
    np.testing.assert_array_equal(weight_magnitudes(codes, 100), np.abs(weights).sum(axis=(1, 2, 3)))
    assert most_nonzeros(codes, 100) == (weights != 0).sum(axis=(1, 2, 3)).max()


@pytest.mark.parametrize(("nonzero", "codebook_bytes"), [(0, 0), (1, 1)])
def test_a_single_nonzero_value_takes_a_bit_a_weight(nonzero, codebook_bytes):
    codes = np.zeros(800, np.uint8)
    codes[:nonzero] = 9
    assert len(encode(codes, 0).stream) == codebook_bytes + 100


def test_a_stream_that_ends_inside_the_bitmap_has_no_size():
    assert stream_bytes(np.zeros(10, np.uint8), BITMAP, 2, 8, weights=100) is None
