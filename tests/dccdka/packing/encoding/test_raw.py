"""The order of RAW is the format's: pairs of filters, of each four weights 0 and 2 before 1 and 3."""

from __future__ import annotations

import numpy as np
import pytest

from dccdka.packing.encoding.raw import decode_raw, encode_raw, raw_bytes


def test_four_weights_of_two_filters():
    codes = np.array([[10, 11, 12, 13], [20, 21, 22, 23]], np.uint8).reshape(2, 1, 1, 4)
    assert list(encode_raw(codes, 0)) == [10, 148, 12, 150, 11, 149, 13, 151]


def test_rows_are_padded_and_a_missing_filter_is_all_zero_points():
    codes = np.array([[[1], [2], [3]], [[4], [5], [6]]], np.uint8).reshape(1, 2, 3, 1)
    assert list(encode_raw(codes, 9)) == [1, 137, 3, 137, 2, 137, 0, 128, 4, 137, 6, 137, 5, 137, 0, 128]


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 3, 4), (7, 2, 5, 3), (300, 3, 3, 64), (3, 1, 1, 70000)])
def test_codes_come_back(shape):
    codes = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    data = encode_raw(codes, 77)
    assert len(data) == raw_bytes(shape)
    np.testing.assert_array_equal(decode_raw(np.frombuffer(data, np.uint8), shape), codes)
