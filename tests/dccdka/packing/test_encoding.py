"""Weight codes come back from their bit streams exactly, and the smaller stream is taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dccdka.packing.encoding import decode, encode, stream_bytes
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
    assert stream_bytes(stream, encoded.encoding, encoded.bits, codes.size) == len(stream)
    decoded = decode(stream, encoded.encoding, encoded.bits, codes.size, zero_point)
    np.testing.assert_array_equal(decoded.reshape(codes.shape), codes)


def test_sparse_weights_leave_their_zeros_out():
    codes = np.full(1000, 7, np.uint8)
    codes[::5] = np.arange(200) % 15 + 20
    encoded = encode(codes, 7)
    assert encoded.encoding == BITMAP
    assert len(encoded.stream) == 16 + 125 + 100


def test_dense_weights_need_no_bitmap():
    codes = np.tile(np.arange(16, dtype=np.uint8), 100)
    encoded = encode(codes, 3)
    assert encoded.encoding == DENSE
    assert len(encoded.stream) == 16 + 800


@pytest.mark.parametrize("nonzero", [0, 1])
def test_a_single_nonzero_value_needs_no_indices(nonzero):
    codes = np.zeros(800, np.uint8)
    codes[:nonzero] = 9
    assert len(encode(codes, 0).stream) == 1 + 100


def test_a_stream_that_ends_inside_the_bitmap_has_no_size():
    assert stream_bytes(np.zeros(10, np.uint8), BITMAP, 2, weights=100) is None
