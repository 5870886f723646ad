"""Sums of products reach as far as the bounds say, and no farther."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from dccdka.lowering.accumulators import accumulator_bounds, signed_sums


@given(st.integers(0, 2**32), st.integers(0, 255))
def test_the_extremes_are_reached_by_some_image(seed, zero_point):
    codes = default_rng(seed).integers(0, 256, (3, 2, 3, 4)).astype(np.uint8)
    weights = codes.astype(int) - zero_point
    least, greatest = accumulator_bounds(codes, zero_point)
    largest, smallest = np.where(weights > 0, 127, -128), np.where(weights > 0, -128, 127)
    assert (weights * largest).sum(axis=(1, 2, 3)).tolist() == greatest.tolist()
    assert (weights * smallest).sum(axis=(1, 2, 3)).tolist() == least.tolist()


def test_large_layers_are_added_up_in_parts():
    codes = default_rng(0).integers(0, 256, (40, 3, 3, 5000)).astype(np.uint8)
    above, below = signed_sums(codes, 100)
    weights = codes.astype(np.int64) - 100
    assert above.shape == (40, 5000)
    assert (above + below == weights.sum(axis=(1, 2))).all()
    assert (above - below == np.abs(weights).sum(axis=(1, 2))).all()
