"""The amounts of work, held against a walk through the loops that FORMAT.md describes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dccdka.lowering.graph import Convolution, IntegerGraph, Requantisation, Residual, Scaling, Tensor, Window
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.work import Layer, band_entries, kinds_of_work, layer_of, work

LAYER = Layer(
    input_size=(9, 11),
    output_size=(9, 11),
    channels=6,
    filters=5,
    groups=1,
    kernel=(3, 3),
    stride=(1, 1),
    padding=(1, 1),
    nonzeros=100,
    entries=70,
)


def test_entries_of_a_band_are_pairs_of_channels_two_apart() -> None:
    generator = np.random.default_rng(1)
    nonzero = generator.random((4, 3, 2, 7)) < 0.3
    expected = 0
    for filter_, y, x in product(range(4), range(3), range(2)):
        for first in (0, 1, 4, 5):
            pair = [c for c in (first, first + 2) if c < 7]
            expected += any(nonzero[filter_, y, x, c] for c in pair)
    assert band_entries(nonzero) == expected


def test_a_tile_is_four_pixels_of_a_row_by_two_filters() -> None:
    done = work(KernelChoice(Kernel.TILE, Encoding.RAW, 2), LAYER)
    tiles = 9 * 3  # 11 pixels are 3 tiles
    patch = 3 * 20  # 3 x 6 values of a row, filled up to 20
    groups = 3  # of 2, 2 and 1 filters
    assert done["patches"] == tiles * groups
    assert done["patch rows"] == tiles * groups * 3
    assert done["patch values"] == tiles * groups * 4 * patch
    assert done["tiles"] == tiles * 3
    assert done["steps"] == tiles * 3 * patch / 2
    assert not any("weights" in kind for kind in done)  # RAW is not decoded


def test_a_band_is_widened_for_each_group_of_filters() -> None:
    done = work(KernelChoice(Kernel.BAND, Encoding.CODED, 2, 4), LAYER)
    rows = 6 + 6 + 3  # bands of 4, 4 and 1 output rows
    assert done["widened rows"] == 3 * rows
    assert done["widened words"] == 3 * rows * 4 * (11 + 2)  # 8 channels in 4 pairs, rows of 11 and 2 beside
    assert done["tiles"] == 9 * 2 * 5
    assert done["steps"] == 9 * 2 * 70
    assert (done["coded weights"], done["coded nonzeros"]) == (LAYER.weights, 100)


def test_rows_of_a_point_convolution_are_one() -> None:
    point = Layer((6, 5), (6, 5), 4, 3, 1, (1, 1), (1, 1), (0, 0), nonzeros=6, entries=5)
    band = work(KernelChoice(Kernel.BAND, Encoding.INDEXED, 3, 4), point)
    assert band["tiles"] == (3 + 2) * 3  # 20 and 10 pixels
    assert band["widened words"] == 2 * (20 + 10)
    assert work(KernelChoice(Kernel.TILE, Encoding.RAW, 3), point)["tiles"] == 8 * 2


@pytest.mark.parametrize("kernel", Kernel)
def test_whatever_work_names_is_among_the_kinds(kernel: Kernel) -> None:
    kinds = kinds_of_work(kernel)
    for encoding in kernel.encodings:
        assert set(work(KernelChoice(kernel, encoding), LAYER)) <= set(kinds)
    assert "residual outputs" in kinds and len(set(kinds)) == len(kinds)


def test_a_layer_of_a_graph_is_flattened_as_the_convolution_reads_it() -> None:
    codes = np.full((7, 1, 1, 40), 9, np.uint8)
    codes[2, 0, 0, :13] = 3
    convolution = Convolution(
        input=0,
        output=1,
        window=Window((1, 1), (1, 1), (0, 0)),
        groups=1,
        flatten_input=True,
        codes=codes,
        weight_zero_point=9,
        requantisation=Requantisation(Scaling(0, 4), np.ones(7, np.int16), np.ones(7, np.int32)),
        residual=Residual(2, 1, 1, 0, 0),
    )
    graph = IntegerGraph(
        (Tensor(2, 4, 5, 1.0, 0), Tensor(1, 1, 7, 1.0, 0), Tensor(1, 1, 7, 1.0, 0)), (convolution,), 0, 1
    )
    layer = layer_of(graph, convolution)
    assert (layer.input_size, layer.channels, layer.filters) == ((1, 1), 40, 7)
    assert (layer.nonzeros, layer.entries, layer.weights) == (13, 7, 280)
    assert layer.residual and layer.is_point
    assert work(KernelChoice(Kernel.VECTOR, Encoding.RAW), layer)["steps"] == 10 * 4  # 40 inputs, 4 pairs of filters
