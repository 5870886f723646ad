"""Multiply-accumulates are those that the field counts."""

from __future__ import annotations

import numpy as np

from dccdka.lowering import macs, nonzero_macs
from dccdka.lowering.graph import Convolution, IntegerGraph, Requantisation, Scaling, Tensor, Window


def test_positions_times_taps_times_channels_are_counted():
    # 3 x 3 over 8 x 8 at stride 2 with padding: 4 x 4 positions; 6 filters in 2 groups of 4 channels.
    codes = np.full((6, 3, 3, 4), 7, np.uint8)
    codes[0] = 9
    requantisation = Requantisation(Scaling(0, 4), np.ones(6, np.int16), np.zeros(6, np.int32))
    operator = Convolution(0, 1, Window((3, 3), (2, 2), (1, 1)), 2, False, codes, 9, requantisation)
    graph = IntegerGraph((Tensor(8, 8, 8, 1.0, 0), Tensor(4, 4, 6, 1.0, 0)), (operator,), 0, 1)
    assert macs(graph) == 16 * 6 * 9 * 4
    assert nonzero_macs(graph) == 16 * 5 * 9 * 4
