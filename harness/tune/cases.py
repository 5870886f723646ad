"""The layers that a device's kernels are measured on: one convolution each, small, with random weights.

Shapes differ in what a kernel's time may depend on, so that every kind of work has a cost of its own; all of them with
their tensors and scratch fit 32 kB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Convolution, IntegerGraph, Requantisation, Residual, Scaling, Tensor, Window
from dccdka.packing import Artifact, pack, read_artifact
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.work import Layer, layer_of

_WEIGHT_ZERO_POINT = 128
_CLUSTERS = 16
_SPREAD = 40.0  # of the outputs, in steps of int8
_FRACTION_BITS = 4


@dataclass(frozen=True)
class Plan:
    """Of a convolution that is padded so that the output is as large as the input / stride; pairs are (y, x).

    filters_at_once, rows_at_once: None for all of them.
    """

    output: tuple[int, int]
    channels: int
    filters: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    filters_at_once: int | None = None
    rows_at_once: int | None = None
    residual: bool = False
    wide: bool = False


_CONVOLUTIONS = (
    Plan((8, 8), 16, 16, (3, 3), rows_at_once=2, residual=True),
    Plan((12, 12), 3, 16, (3, 3), filters_at_once=4, rows_at_once=3),
    Plan((8, 8), 8, 24, (3, 3), stride=(2, 2), filters_at_once=8, rows_at_once=1),
    Plan((6, 6), 32, 32),
    Plan((9, 5), 24, 20, filters_at_once=6, rows_at_once=3),
    Plan((5, 7), 8, 10, (5, 5), filters_at_once=2),
    Plan((10, 10), 1, 8, (10, 4), stride=(2, 2), filters_at_once=2, rows_at_once=1),
    Plan((4, 4), 28, 16, (3, 3)),
    Plan((9, 9), 16, 6, stride=(2, 2), filters_at_once=2, rows_at_once=4),
    Plan((14, 14), 12, 12, filters_at_once=4, rows_at_once=7, residual=True),
    Plan((2, 16), 16, 4, (1, 3), rows_at_once=1),
    Plan((12, 12), 8, 4, (3, 1), rows_at_once=6),
    Plan((16, 16), 4, 8, (3, 3), rows_at_once=8),
    Plan((7, 7), 6, 9, (3, 3), filters_at_once=4, rows_at_once=4),
    Plan((3, 3), 48, 24),
    Plan((6, 10), 20, 8, (1, 5), filters_at_once=4, rows_at_once=3),
    Plan((20, 6), 5, 10, (7, 1), filters_at_once=10, rows_at_once=10),
    Plan((8, 8), 16, 8, (5, 5), stride=(2, 2), rows_at_once=2),
    Plan((11, 11), 7, 7, (2, 2), filters_at_once=2, rows_at_once=4),
    Plan((1, 1), 200, 24),
    Plan((1, 1), 40, 64),
    Plan((1, 1), 12, 20, (3, 3)),
    Plan((1, 1), 100, 16),
    # Bands of few rows, widened anew for each group of filters.
    Plan((16, 16), 16, 16, (3, 3), filters_at_once=4, rows_at_once=1),
    Plan((12, 12), 32, 8, (3, 3), filters_at_once=2, rows_at_once=2),
)
_DEPTHWISE = (
    Plan((8, 8), 16, 16, (3, 3)),
    Plan((25, 5), 8, 8, (3, 3)),
    Plan((3, 3), 64, 64, (3, 3)),
    Plan((12, 12), 8, 8, (3, 3), stride=(2, 2), rows_at_once=4),
    Plan((6, 9), 12, 12, (5, 5), rows_at_once=3),
    Plan((16, 16), 4, 4, (3, 3), residual=True, rows_at_once=8),
    Plan((7, 7), 10, 10, (2, 2)),
    Plan((4, 20), 6, 6, (1, 3), rows_at_once=1),
    Plan((20, 4), 6, 6, (5, 1)),
    Plan((6, 6), 16, 16, (5, 5), stride=(2, 2)),
    Plan((24, 24), 2, 2, (7, 7), rows_at_once=6),
    Plan((1, 1), 48, 48, (3, 3)),
    Plan((12, 16), 8, 8, (3, 3), rows_at_once=2),
    Plan((5, 5), 24, 24, (3, 3), stride=(2, 2)),
    Plan((10, 12), 12, 12, (3, 3), rows_at_once=5),
)
_VECTORS = (
    Plan((1, 1), 64, 10),
    Plan((1, 1), 10, 64),
    Plan((1, 1), 256, 12),
    Plan((1, 1), 32, 32, residual=True),
    Plan((1, 1), 8, 128),
    Plan((1, 1), 130, 6),
    Plan((1, 1), 640, 8),
    Plan((1, 1), 1, 24),
    Plan((1, 1), 500, 2),
    Plan((1, 1), 10, 14, (5, 3), stride=(5, 3)),
    Plan((1, 1), 33, 4, (4, 4), stride=(4, 4)),
    Plan((1, 1), 96, 96, residual=True),
    Plan((1, 1), 64, 5),
    Plan((1, 1), 20, 20),
    Plan((1, 1), 3, 70),
    Plan((1, 1), 128, 27),
    Plan((1, 1), 90, 3),
    Plan((1, 1), 15, 7),
    Plan((1, 1), 7, 11, (6, 4), stride=(6, 4)),
    Plan((1, 1), 2, 16, (7, 7), stride=(7, 7)),
    Plan((1, 1), 48, 24),
    Plan((1, 1), 200, 36),
    Plan((1, 1), 100, 13),
    Plan((1, 1), 4, 60),
    Plan((1, 1), 31, 9),
)
_SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.65)


@dataclass(frozen=True, eq=False)
class MicroBenchmark:
    """One convolution, packed with the choice that it is to measure."""

    name: str
    choice: KernelChoice
    graph: IntegerGraph

    @cached_property
    def layer(self) -> Layer:
        convolution = self.graph.operators[0]
        assert isinstance(convolution, Convolution)
        return layer_of(self.graph, convolution)

    @cached_property
    def artifact(self) -> Artifact:
        return read_artifact(pack(self.graph, choose=lambda index, convolution, candidates: self.choice))


def micro_benchmarks() -> Iterator[MicroBenchmark]:
    """All of them, the same ones every time: each kernel with each encoding that it takes."""
    for kernel in Kernel:
        plans = {Kernel.DEPTHWISE: _DEPTHWISE, Kernel.VECTOR: _VECTORS}.get(kernel, _CONVOLUTIONS)
        for row, encoding in enumerate(kernel.encodings):
            for column, plan in enumerate(plans):
                yield _micro_benchmark(kernel, encoding, plan, _SPARSITIES[(row + column) % len(_SPARSITIES)], column)
    for column, plan in enumerate(_VECTORS[::2]):
        yield _micro_benchmark(Kernel.VECTOR, Encoding.RAW, replace(plan, wide=True), 0.0, column)


def _micro_benchmark(kernel: Kernel, encoding: Encoding, plan: Plan, sparsity: float, seed: int) -> MicroBenchmark:
    clusters = None if encoding is Encoding.RAW else _CLUSTERS
    size = f"{plan.output[0]}x{plan.output[1]}x{plan.channels} to {plan.filters}"
    window = f"{plan.kernel[0]}x{plan.kernel[1]}/{plan.stride[0]}"
    name = f"{kernel.name} {encoding.name} {size}, {window}, {sparsity:.0%} zeros{', wide channels' * plan.wide}"
    filters = (plan.filters_at_once or plan.filters) if kernel in (Kernel.TILE, Kernel.BAND) else 1
    rows = (plan.rows_at_once or plan.output[0]) if kernel in (Kernel.BAND, Kernel.DEPTHWISE) else 1
    choice = KernelChoice(kernel, encoding, filters, rows, plan.wide)
    groups = plan.channels if kernel is Kernel.DEPTHWISE else 1
    codes = _codes((plan.filters, *plan.kernel, plan.channels // groups), sparsity, clusters, seed)
    return MicroBenchmark(name, choice, convolution_graph(plan, groups, codes))


def _codes(shape: tuple[int, ...], sparsity: float, clusters: int | None, seed: int) -> NDArray[np.uint8]:
    """Around the zero point, of so many values beside it (None: any).

    Each filter has exactly this share of zeros, but never zeros alone: those are pruned before anything is packed.
    """
    generator = np.random.default_rng(seed)
    values = np.setdiff1d(np.arange(_WEIGHT_ZERO_POINT - 60, _WEIGHT_ZERO_POINT + 61), [_WEIGHT_ZERO_POINT])
    if clusters is not None:
        values = generator.choice(values, clusters, replace=False)
    codes = generator.choice(values, (shape[0], math.prod(shape[1:]))).astype(np.uint8)
    zeros = min(round(sparsity * codes.shape[1]), codes.shape[1] - 1)
    for own in codes:
        own[generator.permutation(len(own))[:zeros]] = _WEIGHT_ZERO_POINT
    return codes.reshape(shape)


def convolution_graph(plan: Plan, groups: int, codes: NDArray[np.uint8]) -> IntegerGraph:
    """The convolution alone; its residual is its input.

    codes: uint8 [filters, kernel y, kernel x, channels / groups].
    """
    axes = list(zip(plan.output, plan.kernel, plan.stride, strict=True))
    height, width = (output * stride for output, _, stride in axes)
    padding = tuple((kernel - 1) // 2 if kernel > stride else 0 for _, kernel, stride in axes)
    image = Tensor(height, width, plan.channels, scale=1 / 128, zero_point=-3)
    output = Tensor(*plan.output, plan.filters, scale=1 / 16, zero_point=5)
    filters = (codes.astype(np.int64) - _WEIGHT_ZERO_POINT).reshape(len(codes), -1)
    sums_std = 255 / math.sqrt(12) * max(1.0, float(np.sqrt((filters**2).sum(axis=1).mean())))
    multiplier = _narrow(_SPREAD * 2 ** (16 + _FRACTION_BITS) / sums_std)
    zero_points = (multiplier * image.zero_point * filters.sum(axis=1)) >> 16
    bias = (output.zero_point << _FRACTION_BITS) + (1 << _FRACTION_BITS - 1) - zero_points
    return IntegerGraph(
        tensors=(image, output),
        operators=(
            Convolution(
                input=0,
                output=1,
                window=Window(plan.kernel, plan.stride, (padding[0], padding[1])),
                groups=groups,
                flatten_input=False,
                codes=codes,
                weight_zero_point=_WEIGHT_ZERO_POINT,
                requantisation=Requantisation(
                    Scaling(0, _FRACTION_BITS),
                    np.full(plan.filters, multiplier, np.int16),
                    bias.astype(np.int32),
                ),
                residual=Residual(0, 1 << 7, 1 << 7, 1 << 7, 8) if plan.residual else None,
            ),
        ),
        input=0,
        output=1,
    )


def _narrow(multiplier: float) -> int:
    """The largest that is not above it, of 9 significant bits: what NARROW channels can hold."""
    whole = min(int(multiplier), 2**15 - 1)
    dropped = max(0, whole.bit_length() - 9)
    return whole >> dropped << dropped
