"""The amounts of work, held against a walk through the loops that FORMAT.md describes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from dccdka.lowering.graph import POINT, Convolution, IntegerGraph, Requantisation, Residual, Scaling, Tensor, Window
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.kernels import Shape
from dccdka.packing.work import Layer, kinds_of_work, layer_of, work

SHAPE = Shape((9, 11, 6), (9, 11, 5), Window((3, 3), (1, 1), (1, 1)), 1, flatten=False)
LAYER = Layer(SHAPE, nonzeros=100, entries=70)


def test_a_vectors_channels_are_decoded_or_wide():
    shape = Shape((1, 1, 8), (1, 1, 6), POINT, 1, flatten=False)
    for wide, named in ((False, "channels"), (True, "wide channels")):
        done = work(KernelChoice(Kernel.VECTOR, Encoding.RAW, wide=wide), Layer(shape, nonzeros=48, entries=24))
        assert done[named] == done["channels"] + done["wide channels"] == 6


def test_a_tile_is_four_pixels_by_two_filters() -> None:
    done = work(KernelChoice(Kernel.TILE, Encoding.RAW, 2), LAYER)
    pixels, groups = 9 * 11, 3  # of 2, 2 and 1 filters
    assert done["patches"] == 25 * groups
    assert done["inner pixels"] == 7 * 9 * groups
    assert done["inner inputs"] == 7 * 9 * groups * 3 * 20  # 3 kernel rows of 3 x 6 inputs, filled up to 20
    assert done["outer rows"] == (pixels - 7 * 9) * groups * 3
    assert done["tiles"] == 25 * 3
    assert done["loose outputs"] == 3 * 5 + 24 * 4  # 3 pixels beside the tiles, and the filter beside the pairs
    assert done["steps"] == 25 * 3 * 3 * 20 / 2
    assert not any("weights" in kind for kind in done)  # RAW is not decoded


@pytest.mark.parametrize("channels", [6, 8])
def test_inputs_of_outer_pixels_are_copied_by_four_where_all_lie_in_the_image(channels: int) -> None:
    counted = dict.fromkeys(("copied inputs", "filled inputs", "mixed inputs", "inner inputs"), 0)
    for y, x, kernel_row in product(range(9), range(11), range(3)):
        in_row = 0 <= y + kernel_row - 1 < 9
        is_inner = 0 < y < 8 and 0 < x < 10
        for first in range(0, 3 * channels, 4):  # of 18 inputs, the last are two only
            inputs = range(first, min(first + 4, 3 * channels))
            inside = [in_row and 0 <= x + at // channels - 1 < 11 for at in inputs]
            how = "copied" if inside == [True] * 4 else "filled" if inside == [False] * 4 else "mixed"
            counted["inner inputs" if is_inner else f"{how} inputs"] += 4
    layer = replace(LAYER, shape=replace(SHAPE, image=(9, 11, channels)))
    done = work(KernelChoice(Kernel.TILE, Encoding.RAW, 5), layer)
    assert {kind: done[kind] for kind in counted} == counted


def test_products_outside_the_image_are_left_out() -> None:
    inside = sum(
        0 <= y + dy - 1 < 9 and 0 <= x + dx - 1 < 11
        for y, x, dy, dx in product(range(9), range(11), range(3), range(3))
    )
    done = work(KernelChoice(Kernel.GENERAL, Encoding.BITMAP), LAYER)
    assert done["products"] == pytest.approx(100 * inside / 9)
    assert done["kernel rows"] == 5 * 11 * (9 * 3 - 2)


def test_a_band_is_widened_for_each_group_of_filters() -> None:
    done = work(KernelChoice(Kernel.BAND, Encoding.CODED, 2, 4), LAYER)
    rows = 6 + 6 + 3  # bands of 4, 4 and 1 output rows
    assert done["widened rows"] == 3 * rows
    assert done["widened fours"] == 3 * rows * 2 * 2  # 6 channels are twice 4; of 11 pixels 8 go by 4
    assert done["widened singles"] == 3 * rows * 2 * 3
    assert done["cleared words"] == 3 * 6 * 4 * (11 + 2)  # 4 pairs of channels, rows of 11 and 2 beside
    assert done["filter bands"] == 5 * 3
    assert done["tiles"] == 9 * 2 * 5
    assert done["steps"] == 9 * 2 * 70
    assert done["loose tiles"] == 0  # the second of a row overlaps the first
    assert (done["coded weights"], done["coded nonzeros"]) == (LAYER.weights, 100)


def test_a_band_that_holds_all_rows_is_widened_once() -> None:
    done = work(KernelChoice(Kernel.BAND, Encoding.CODED, 2, 9), LAYER)
    assert done["cleared words"] == 11 * 4 * (11 + 2)
    assert done["widened rows"] == 11


def test_outputs_of_a_band_that_may_not_overlap_are_loose() -> None:
    choice = KernelChoice(Kernel.BAND, Encoding.CODED, 5, 9)
    done = work(choice, replace(LAYER, residual=True))
    assert (done["loose tiles"], done["loose outputs"]) == (5 * 9, 5 * 9 * 3)
    narrow = work(choice, replace(LAYER, shape=replace(SHAPE, image=(9, 6, 6), output=(9, 6, 5))))
    assert (narrow["tiles"], narrow["loose tiles"], narrow["loose outputs"]) == (5 * 9, 5 * 9, 5 * 9 * 6)


def test_rows_of_a_point_convolution_are_one_row_of_a_band() -> None:
    point = Layer(Shape((6, 5, 4), (6, 5, 3), POINT, 1, flatten=False), nonzeros=6, entries=5)
    band = work(KernelChoice(Kernel.BAND, Encoding.INDEXED, 3, 4), point)
    assert band["tiles"] == (3 + 2) * 3  # 20 and 10 pixels
    assert (band["widened rows"], band["widened fours"], band["widened singles"]) == (6, 6, 6)


def test_a_depthwise_band_decodes_and_widens_anew() -> None:
    shape = Shape((9, 11, 6), (9, 11, 6), Window((3, 3), (1, 1), (1, 1)), 6, flatten=False)
    layer = Layer(shape, nonzeros=20, entries=0)
    done = work(KernelChoice(Kernel.DEPTHWISE, Encoding.BITMAP, 1, 4), layer)
    assert (done["bitmap weights"], done["bitmap nonzeros"], done["channels"]) == (3 * 54, 3 * 20, 3 * 6)
    # Rows of 4 outputs are joined, 12 values from one to the next: 47, 47 and 11 outputs.
    assert (done["listed tiles"], done["tiles"]) == (6 + 6 + 2, 6 * 14)
    assert done["widened values"] == (6 + 6 + 3) * 11 * 6
    assert done["loose products"] == 0
    loose = work(KernelChoice(Kernel.DEPTHWISE, Encoding.BITMAP, 1, 4), replace(layer, residual=True))
    assert (loose["tiles"], loose["loose products"]) == (0, 99 * 6 * 9)


def vector(inputs: int, filters: int, residual: bool = False) -> dict[str, float]:
    shape = Shape((1, 1, inputs), (1, 1, filters), POINT, 1, flatten=False)
    return work(KernelChoice(Kernel.VECTOR, Encoding.RAW), Layer(shape, 0, 0, residual))


def test_filters_of_a_vector_go_by_six() -> None:
    done = vector(40, 15)  # 14 filters are whole pairs: 3 blocks, the last of which overlaps
    assert (done["blocks"], done["steps"]) == (3, 3 * 10)
    assert (done["loose outputs"], done["loose steps"], done["loose inputs"]) == (1, 10, 0)


def test_a_vector_of_odd_inputs_or_with_a_residual_is_loose() -> None:
    odd = vector(41, 15)  # blocks of 6, 6 and 3 filters, which are two pairs
    assert (odd["blocks"], odd["loose outputs"], odd["loose steps"], odd["loose inputs"]) == (0, 15, 4 * 10, 8)
    assert vector(40, 15, residual=True)["loose outputs"] == 15


def test_where_there_is_one_output_general_makes_no_lists() -> None:
    shape = Shape((1, 1, 40), (1, 1, 7), POINT, 1, flatten=False)
    done = work(KernelChoice(Kernel.GENERAL, Encoding.CODED), Layer(shape, nonzeros=30, entries=20))
    assert (done["products"], done["outputs"], done["single weights"]) == (0, 0, 280)


def test_taps_of_a_dilated_kernel_in_the_image() -> None:
    window = Window((3, 1), (1, 1), (2, 0), (2, 1))
    layer = Layer(Shape((5, 4, 2), (5, 4, 2), window, 1, flatten=False), nonzeros=1, entries=1)
    expected = [[tap for tap in range(3) if 0 <= y - 2 + 2 * tap < 5] for y in range(5)]
    assert [list(taps) for taps in layer.taps_inside(0)] == expected


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
    assert (layer.shape.image, layer.shape.filters, layer.shape.flatten) == ((1, 1, 40), 7, True)
    assert (layer.nonzeros, layer.entries, layer.weights) == (13, 7, 280)
    assert layer.residual and layer.shape.is_point
