"""Weight codes come back from their bytes exactly, in every encoding that can hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dccdka.packing.choice import Encoding
from dccdka.packing.encoding import Form, StreamError, decode, encode, plan, table_bytes
from dccdka.packing.encoding.codebook import codebooks, read_codebook
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
        assert table_bytes(data, planned.form) <= len(data)
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
    assert sizes[Encoding.BITMAP] == 1 + 125 + 100  # codes without gaps: the first
    # 0.72 bits a weight for where, 0.2 x log2(15) for which; codebook, frequency of zeros and state besides.
    assert sizes[Encoding.CODED] == pytest.approx(1000 * (0.722 + 0.2 * 3.907) / 8 + 1 + 2 + 4, abs=3)


def test_dense_weights_need_no_bitmap():
    codes = np.tile(np.arange(0, 32, 2, dtype=np.uint8), 100)
    assert come_back(filters(codes), 4)[Encoding.INDEXED] == 1 + 2 + 800  # gaps of 1 bit


@pytest.mark.parametrize("bits", range(1, 9))
def test_codes_without_gaps_take_no_more_than_the_first(bits):
    codes = filters(np.tile(np.arange(1 << bits, dtype=np.uint8)[::-1], 64))
    form = plan(codes, 0)[Encoding.INDEXED].form
    assert form == Form(Encoding.INDEXED, bits)
    assert come_back(codes, 0)[Encoding.INDEXED] == (bits < 8) + codes.size * bits // 8


@pytest.mark.parametrize(("gaps", "gap_bits"), [([1, 1, 1], 0), ([1, 2, 1], 1), ([1, 254], 8), ([9], 4)])
def test_a_codebook_is_its_first_code_and_the_gaps(gaps, gap_bits):
    codes = np.concatenate(([0], np.cumsum(gaps))).astype(np.uint8)
    counts = np.bincount(codes, minlength=256) * 1000
    sizes = [len(codes)]
    (book, *_) = codebooks(counts, sizes)
    assert (book.gap_bits, book.size) == (gap_bits, 1 + (gap_bits * len(gaps) + 7) // 8)
    fields = sum(gap - 1 << gap_bits * i for i, gap in enumerate(gaps))
    assert book.pack() == bytes([0]) + fields.to_bytes(book.size - 1, "little")
    np.testing.assert_array_equal(read_codebook(np.frombuffer(book.pack(), np.uint8), len(codes), gap_bits), codes)


def test_codes_ascend_modulo_256():
    codes = read_codebook(np.array([250, 0b0101], np.uint8), 4, 2)
    assert codes.tolist() == [250, 252, 254, 255]
    assert read_codebook(np.array([254], np.uint8), 4, 0).tolist() == [254, 255, 0, 1]


@pytest.mark.parametrize(
    ("form", "possible"),
    [
        (Form(Encoding.INDEXED, 0), False),
        (Form(Encoding.INDEXED, 7, 8), True),
        (Form(Encoding.INDEXED, 7, 9), False),
        (Form(Encoding.INDEXED, 8, 0), True),
        (Form(Encoding.INDEXED, 8, 1), False),
        (Form(Encoding.INDEXED, 9, 0), False),
        (Form(Encoding.BITMAP, 0, 3), True),
        (Form(Encoding.CODED, 0), False),
        (Form(Encoding.CODED, 6, 8), True),
        (Form(Encoding.CODED, 7), False),
    ],
)
def test_forms_that_the_format_has(form, possible):
    assert form.is_possible == possible


def test_a_codebook_that_saves_less_than_it_takes_is_left_out():
    codes = filters(np.arange(100) * 2 + 30)
    assert plan(codes, 30)[Encoding.INDEXED].form.bits == 8


@pytest.mark.parametrize("sparsity", [0.0, 0.7])
def test_weights_beyond_one_chunk_come_back(sparsity):
    generator = np.random.default_rng(0)
    codebook = generator.choice(200, 20, replace=False).astype(np.uint8)
    codes = generator.choice(codebook, 3 * (1 << 16) + 5)
    codes[generator.random(len(codes)) < sparsity] = 9
    sizes = come_back(codes.reshape(1, 1, 1, -1), 9)
    assert sizes[Encoding.CODED] < min(sizes[e] for e in sizes if e is not Encoding.CODED)


@pytest.mark.parametrize(("nonzero", "codebook_bytes"), [(0, 1), (1, 1)])
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
