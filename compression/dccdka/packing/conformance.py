"""Random integer graphs, with which every runtime and agent is compared with the reference interpreter.

They hold what trained networks seldom do: filters of zeros, negative multipliers, saturation, odd windows, one cluster.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dccdka.lowering.graph import (
    POINT,
    Add,
    AveragePool,
    Convolution,
    IntegerGraph,
    MaxPool,
    Operator,
    ReLU,
    Requantisation,
    Tensor,
    Window,
)


def random_graph(generator: Generator, operators: int = 5) -> IntegerGraph:
    """A graph of this many operators, each of a random kind on a random tensor among the latest; arena below 64 kB."""
    builder = _Builder(generator)
    for _ in range(operators):
        builder.append()
    return builder.graph()


def random_inputs(generator: Generator, graph: IntegerGraph, count: int) -> NDArray[np.int8]:
    """int8 [count, h, w, c], extremes more often than by chance."""
    tensor = graph.tensors[graph.input]
    shape = (count, tensor.height, tensor.width, tensor.channels)
    values = generator.integers(-128, 128, shape)
    extremes = generator.choice([-128, 127], shape)
    return np.where(generator.random(shape) < 0.2, extremes, values).astype(np.int8)


class _Builder:
    def __init__(self, generator: Generator) -> None:
        self.random = generator
        self.tensors = [self._tensor(self._integer(1, 10), self._integer(1, 10), self._integer(1, 6))]
        self.operators: list[Operator] = []

    def graph(self) -> IntegerGraph:
        return IntegerGraph(tuple(self.tensors), tuple(self.operators), input=0, output=len(self.tensors) - 1)

    def append(self) -> None:
        latest = range(max(0, len(self.tensors) - 3), len(self.tensors))
        makers = (self._convolution, self._convolution, self._linear, self._add, self._average, self._max, self._relu)
        makers[self._integer(0, len(makers) - 1)](int(self.random.choice(latest)))

    def _integer(self, least: int, most: int) -> int:
        return int(self.random.integers(least, most + 1))

    def _tensor(self, height: int, width: int, channels: int) -> Tensor:
        return Tensor(height, width, channels, scale=0.05, zero_point=self._integer(-128, 127))

    def _emit(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _clamp(self) -> tuple[int, int]:
        low = self._integer(-128, 20) if self.random.random() < 0.5 else -128
        return low, self._integer(low, 127) if self.random.random() < 0.2 else 127

    def _window(self, tensor: Tensor, most_padding: int) -> Window:
        axes = []
        for size in (tensor.height, tensor.width):
            padding = self._integer(0, most_padding)
            kernel = self._integer(max(1, padding + 1 if most_padding == 1 else 1), min(5, size + 2 * padding))
            axes.append((kernel, self._integer(1, 3), padding))
        kernel_y, kernel_x = axes
        return Window(*zip(kernel_y, kernel_x, strict=True))

    def _scaling(self, magnitude: float) -> tuple[int, int]:
        """A multiplier and shift that bring values of this magnitude to about 8 bits, now and then far from it."""
        multiplier = self._integer(1 << 30, (1 << 31) - 1) * int(self.random.choice([-1, 1]))
        shift = round(31 + math.log2(max(magnitude, 1) / 64) + self.random.normal())
        if self.random.random() < 0.05:
            shift = int(self.random.choice([1, 62]))
        return multiplier, min(max(shift, 1), 62)

    def _weights(self, *shape: int) -> tuple[NDArray[np.uint8], int]:
        """Codes and zero point: 2 to 256 clusters, any sparsity, some filters of zeros."""
        zero_point = self._integer(0, 255)
        clusters = int(self.random.choice([2, 3, 4, 16, 17, 64, 256]))
        codebook = self.random.choice(256, clusters, replace=False).astype(np.uint8)
        codes: NDArray[np.uint8] = self.random.choice(codebook, shape)
        codes[self.random.random(shape) < self.random.choice([0, 0.5, 0.8, 0.95, 1])] = zero_point
        codes[self.random.random(shape[0]) < 0.1] = zero_point
        return codes, zero_point

    def _convolution_on(self, x: int, window: Window, groups: int, flatten: bool) -> None:
        tensor = self.tensors[x]
        height, width, channels = tensor.height, tensor.width, tensor.channels
        if flatten:
            height, width, channels = 1, 1, tensor.elements
        filters = groups * self._integer(1, max(1, 8 // groups))
        codes, zero_point = self._weights(filters, *window.kernel, channels // groups)
        magnitude = math.sqrt(codes[0].size) * 64 * max(1.0, float(codes.std()))
        scalings = [self._scaling(magnitude) for _ in range(filters)]
        requantisation = Requantisation(
            bias=self.random.normal(0, magnitude, filters).astype(np.int32),
            multiplier=np.array([multiplier for multiplier, _ in scalings], np.int32),
            shift=np.array([shift for _, shift in scalings], np.uint8),
        )
        output = self._emit(self._tensor(*window.output_size(height, width), filters))
        low, high = self._clamp()
        self.operators.append(
            Convolution(x, output, window, groups, flatten, codes, zero_point, requantisation, low, high)
        )

    def _convolution(self, x: int) -> None:
        tensor = self.tensors[x]
        divisors = [d for d in range(1, tensor.channels + 1) if tensor.channels % d == 0]
        self._convolution_on(x, self._window(tensor, most_padding=3), int(self.random.choice(divisors)), flatten=False)

    def _linear(self, x: int) -> None:
        self._convolution_on(x, POINT, groups=1, flatten=True)

    def _add(self, x: int) -> None:
        tensor = self.tensors[x]
        shape = (tensor.height, tensor.width, tensor.channels)
        partners = [i for i, t in enumerate(self.tensors) if (t.height, t.width, t.channels) == shape]
        multiplier, shift = self._scaling(100)
        second_multiplier = multiplier >> self._integer(0, 4)
        output = self._emit(self._tensor(*shape))
        second = int(self.random.choice(partners))
        self.operators.append(Add(x, second, output, multiplier, second_multiplier, shift, *self._clamp()))

    def _average(self, x: int) -> None:
        tensor = self.tensors[x]
        window = self._window(tensor, most_padding=1)
        multiplier, shift = self._scaling(64 * math.sqrt(window.taps))
        output = self._emit(self._tensor(*window.output_size(tensor.height, tensor.width), tensor.channels))
        self.operators.append(AveragePool(x, output, window, multiplier, shift, *self._clamp()))

    def _max(self, x: int) -> None:
        tensor = self.tensors[x]
        window = self._window(tensor, most_padding=1)
        size = window.output_size(tensor.height, tensor.width)
        output = self._emit(Tensor(*size, tensor.channels, tensor.scale, tensor.zero_point))
        self.operators.append(MaxPool(x, output, window))

    def _relu(self, x: int) -> None:
        output = self._emit(self.tensors[x])
        self.operators.append(ReLU(x, output, *self._clamp()))
