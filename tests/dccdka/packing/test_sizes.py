"""Every byte of an artifact is accounted for."""

from __future__ import annotations

import numpy as np
import pytest

from dccdka.lowering.graph import POINT, Convolution, IntegerGraph, MaxPool, Requantisation, Scaling, Tensor
from dccdka.packing import pack, read_artifact
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.sizes import artifact_sizes

# Artifact bytes: 20 fixed, 5 varints, 2 tensors of 5 bytes, then the record.
BEFORE = 20 + 5 + 2 * 5


def graph(bias: int) -> IntegerGraph:
    codes = np.array([[3, 3, 7, 3], [3, 9, 3, 3]], np.uint8).reshape(2, 1, 1, 4)
    scaling = Requantisation(Scaling(2, 4), np.array([256, 512], np.int16), np.array([8, bias], np.int32))
    tensors = (Tensor(5, 5, 4, 1.0, 0), Tensor(5, 5, 2, 1.0, 0))
    return IntegerGraph(tensors, (Convolution(0, 1, POINT, 1, False, codes, 3, scaling),), 0, 1)


def packed(bias: int, choice: KernelChoice):
    return artifact_sizes(read_artifact(pack(graph(bias), choose=lambda *_: choice)))


def test_a_narrow_layer_with_a_bitmap():
    sizes = packed(8, KernelChoice(Kernel.GENERAL, Encoding.BITMAP))
    (layer,) = sizes.layers
    assert layer.entropy == pytest.approx((6 * np.log2(8 / 6) + 2 * np.log2(8)) / 8)
    assert (layer.weights, layer.tables, layer.stream, layer.padding) == (8, 1, 2, 0)  # codes from 7 on, without gaps
    assert layer.channels == (2 * (8 + 0 + 1) + 7) // 8  # mantissas, no exponent, a bias of 0 above its origin
    # Kind and tensors, window, groups, kernel, what is worked on at once, scaling, form, weights, size.
    record = 3 + 1 + 1 + 1 + 3 + 1 + 2 + 2 + 1
    assert sizes.records == BEFORE + record
    assert sizes.total == sizes.records + 1 + 2 + layer.channels
    assert sizes.overhead == pytest.approx(sizes.total / layer.entropy - 1)


def test_a_wide_raw_layer_is_aligned():
    sizes = packed(123456789, KernelChoice(Kernel.TILE, Encoding.RAW, 2))
    (layer,) = sizes.layers
    assert (layer.tables, layer.stream, layer.channels) == (0, 8, 16)
    assert 0 <= layer.padding <= 3
    assert (sizes.total - 24) % 4 == 0


def test_without_weights_there_is_nothing_to_compare_with():
    image = Tensor(1, 1, 1, 1.0, 0)
    sizes = artifact_sizes(read_artifact(pack(IntegerGraph((image, image), (MaxPool(0, 1, POINT),), 0, 1))))
    assert (sizes.entropy, sizes.records, sizes.overhead) == (0, sizes.total, float("inf"))
