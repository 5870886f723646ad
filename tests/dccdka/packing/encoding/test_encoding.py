"""Weight codes come back from their bytes exactly, in every encoding that can hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dccdka.packing.choice import Encoding
from dccdka.packing.encoding import Form, StreamError, decode, encode, plan, table_bytes
from dccdka.packing.encoding.counting import band_entries, magnitudes, nonzeros_by_filter, stream_entropy


@st.composite
def codes_and_zero_point(draw):
    codebook = draw(st.lists(st.integers(0, 255), min_size=1, max_size=256, unique=True))
    shape = arrays.array_shapes(min_dims=4, max_dims=4, max_side=5)
    codes = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from(codebook)))
    return codes, draw(st.sampled_from(codebook))


def come_back(codes, zero_point) -> dict[Encoding, int]:
    """Bytes of each encoding."""
    sizes = {}
    for encoding, planned in plan(codes, zero_point).items():
        data = np.frombuffer(encode(codes, zero_point, planned), np.uint8)
        np.testing.assert_array_equal(decode(data, planned.form, zero_point, codes.shape), codes)
        slack = 2 + len(data) // 5000 if encoding is Encoding.CODED else 0
        assert abs(len(data) - planned.bytes) <= slack
        assert table_bytes(planned.form) <= len(data)
        sizes[encoding] = len(data)
    return sizes


@given(codes_and_zero_point())
def test_codes_decode_to_exactly_the_codes_given(case):
    codes, zero_point = case
    sizes = come_back(codes, zero_point)
    assert {Encoding.RAW, Encoding.INDEXED, Encoding.BITMAP} <= set(sizes)


@given(codes_and_zero_point(), st.integers(0, 2**32))
def test_data_of_another_size_are_refused(case, seed):
    codes, zero_point = case
    for planned in plan(codes, zero_point).values():
        data = np.frombuffer(encode(codes, zero_point, planned), np.uint8)
        length = seed % (2 * len(data) + 8)
        if length != len(data):
            with pytest.raises(StreamError):
                decode(np.resize(data, length), planned.form, zero_point, codes.shape)


def filters(codes) -> np.ndarray:
    return np.asarray(codes, np.uint8).reshape(1, 1, 1, -1)


def test_sparse_weights_leave_their_zeros_out():
    codes = np.full(1000, 7, np.uint8)
    codes[::5] = np.arange(200) % 15 + 20
    sizes = come_back(filters(codes), 7)
    assert sizes[Encoding.BITMAP] == 16 * 6 // 8 + 125 + 100  # codes up to 34 take 6 bits
    # 0.72 bits a weight for where, 0.2 x log2(15) for which; codebook, counts, frequency of zeros and state besides.
    assert sizes[Encoding.CODED] == pytest.approx(1000 * (0.722 + 0.2 * 3.907) / 8 + 12 + 8 + 2 + 4, abs=3)


def test_dense_weights_need_no_bitmap():
    codes = np.tile(np.arange(0, 32, 2, dtype=np.uint8), 100)
    assert come_back(filters(codes), 4)[Encoding.INDEXED] == 16 * 5 // 8 + 800


@pytest.mark.parametrize("bits", range(1, 9))
def test_where_every_code_is_used_the_indices_are_the_codes_and_there_is_no_codebook(bits):
    codes = filters(np.tile(np.arange(1 << bits, dtype=np.uint8)[::-1], 64))
    form = plan(codes, 0)[Encoding.INDEXED].form
    assert form == Form(Encoding.INDEXED, bits, bits)
    assert come_back(codes, 0)[Encoding.INDEXED] == codes.size * bits // 8


def test_a_codebook_that_saves_less_than_it_takes_is_left_out():
    codes = filters(np.arange(100) + 130)
    assert plan(codes, 130)[Encoding.INDEXED].form.bits == 8


@pytest.mark.parametrize("sparsity", [0.0, 0.7])
def test_weights_beyond_one_chunk_come_back(sparsity):
    generator = np.random.default_rng(0)
    codebook = generator.choice(200, 20, replace=False).astype(np.uint8)
    codes = generator.choice(codebook, 3 * (1 << 16) + 5)
    codes[generator.random(len(codes)) < sparsity] = 9
    sizes = come_back(codes.reshape(1, 1, 1, -1), 9)
    assert sizes[Encoding.CODED] < min(sizes[e] for e in sizes if e is not Encoding.CODED)


@pytest.mark.parametrize(("nonzero", "codebook_bytes"), [(0, 0), (1, 1)])
def test_a_single_nonzero_value_takes_a_bit_a_weight(nonzero, codebook_bytes):
    codes = np.zeros(800, np.uint8)
    codes[:nonzero] = 9
    assert come_back(filters(codes), 0)[Encoding.BITMAP] == codebook_bytes + 100


def test_sums_and_counts_of_a_filter_are_those_of_its_weights():
    codes = np.random.default_rng(1).integers(0, 256, (70, 3, 3, 200)).astype(np.uint8)
    weights = codes.astype(int) - 100
    np.testing.assert_array_equal(magnitudes(codes, 100), np.abs(weights).sum(axis=(1, 2, 3)))
    np.testing.assert_array_equal(nonzeros_by_filter(codes, 100), (weights != 0).sum(axis=(1, 2, 3)))


def test_entries_of_a_band_are_pairs_that_are_not_both_zero():
    codes = np.zeros((3, 2, 1, 6), np.uint8)
    codes[0, 0, 0, [0, 2]] = 1  # one pair
    codes[0, 1, 0, [1, 2]] = 1  # two
    codes[1, 0, 0, [4, 5]] = 1  # with channels 6 and 7, which are filled up
    np.testing.assert_array_equal(band_entries(codes, 0), [3, 2, 0])
    # Four pairs a tap; channels 0 and 2 are both zero at one tap of the first, 4 and 5 at one of the second.
    np.testing.assert_array_equal(band_entries(codes, 1), [7, 6, 8])


def test_entropy_is_that_of_the_codes():
    assert stream_entropy(filters([0, 0, 5, 9]), 0) == pytest.approx(4 * 1.5)
    assert stream_entropy(filters([3] * 9), 3) == 0
