"""Random integer graphs, with which every runtime and agent is compared with the reference interpreter.

They hold what trained networks seldom do: filters of zeros, negative multipliers, saturation, one cluster, windows that
are odd, dilated or padded on one side.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dccdka.lowering.graph import (
    POINT,
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    IntegerGraph,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Pad,
    ReLU,
    Requantisation,
    Softmax,
    Tensor,
    Window,
)


def random_graph(generator: Generator, operators: int = 5) -> IntegerGraph:
    """A graph of this many operators, at most one more, each of a random kind on a random tensor among the latest.

    Its arena is below 64 kB.
    """
    builder = _Builder(generator)
    while len(builder.operators) < operators:
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
        makers = (
            self._convolution,
            self._convolution,
            self._linear,
            self._add,
            self._multiply,
            self._gate,
            self._concatenate,
            self._average,
            self._max,
            self._pad,
            self._relu,
            self._lookup,
            self._softmax,
            self._argmax,
        )
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

    def _window(self, tensor: Tensor, most_padding: int, most_dilation: int = 1) -> tuple[Window, tuple[int, int]]:
        """A window, and the size of its output. Windows of pools, whose most_padding is 1, always meet the image."""
        axes = []
        for size in (tensor.height, tensor.width):
            before, after = self._integer(0, most_padding), self._integer(0, most_padding)
            padded = size + before + after
            least = 1 + max(before, after) if most_padding == 1 else 1
            kernel = self._integer(least, max(least, min(5, padded)))
            dilation = self._integer(1, max(1, min(most_dilation, (padded - 1) // max(1, kernel - 1))))
            stride = self._integer(1, 3)
            most = (padded - dilation * (kernel - 1) - 1) // stride + 1
            output = most if self.random.random() < 0.8 else self._integer(1, most)
            axes.append((kernel, stride, before, dilation, output))
        kernels, strides, paddings, dilations, outputs = zip(*axes, strict=True)
        return Window(kernels, strides, paddings, dilations), outputs

    def _scaling(self, magnitude: float) -> tuple[int, int]:
        """A multiplier and shift that bring values of this magnitude to about 8 bits, now and then far from it."""
        multiplier = self._integer(1 << 30, (1 << 31) - 1) * int(self.random.choice([-1, 1]))
        shift = round(31 + math.log2(max(magnitude, 1) / 64) + self.random.normal())
        if self.random.random() < 0.05:
            shift = int(self.random.choice([1, 62]))
        return multiplier, min(max(shift, 1), 62)

    def _weights(self, *shape: int) -> tuple[NDArray[np.uint8], int]:
        """Codes and zero point: 1 to 8 bits, 2 to 256 clusters, any sparsity, some filters of zeros."""
        levels = 1 << (8 if self.random.random() < 0.5 else self._integer(1, 7))
        zero_point = self._integer(0, levels - 1)
        clusters = min(levels, int(self.random.choice([2, 3, 4, 16, 17, 64, 256])))
        codebook = self.random.choice(levels, clusters, replace=False).astype(np.uint8)
        codes: NDArray[np.uint8] = self.random.choice(codebook, shape)
        codes[self.random.random(shape) < self.random.choice([0, 0.5, 0.8, 0.95, 1])] = zero_point
        codes[self.random.random(shape[0]) < 0.1] = zero_point
        return codes, zero_point

    def _convolution_on(self, x: int, window: Window, size: tuple[int, int], groups: int, flatten: bool) -> None:
        channels = self.tensors[x].elements if flatten else self.tensors[x].channels
        filters = groups * self._integer(1, max(1, 8 // groups))
        codes, zero_point = self._weights(filters, *window.kernel, channels // groups)
        magnitude = math.sqrt(codes[0].size) * 64 * max(1.0, float(codes.std()))
        scalings = [self._scaling(magnitude) for _ in range(filters)]
        requantisation = Requantisation(
            bias=self.random.normal(0, magnitude, filters).astype(np.int32),
            multiplier=np.array([multiplier for multiplier, _ in scalings], np.int32),
            shift=np.array([shift for _, shift in scalings], np.uint8),
        )
        output = self._emit(self._tensor(*size, filters))
        low, high = self._clamp()
        self.operators.append(
            Convolution(x, output, window, groups, flatten, codes, zero_point, requantisation, low, high)
        )

    def _convolution(self, x: int) -> None:
        tensor = self.tensors[x]
        divisors = [d for d in range(1, tensor.channels + 1) if tensor.channels % d == 0]
        window, size = self._window(tensor, most_padding=3, most_dilation=3)
        self._convolution_on(x, window, size, int(self.random.choice(divisors)), flatten=False)

    def _linear(self, x: int) -> None:
        self._convolution_on(x, POINT, (1, 1), groups=1, flatten=True)

    def _partner(self, x: int, channels: int | None = None) -> int:
        """A tensor of x's size, and of this many channels if they are said; x itself only if there is no other."""
        size = (self.tensors[x].height, self.tensors[x].width)
        fits = [i for i, t in enumerate(self.tensors) if (t.height, t.width) == size and channels in (None, t.channels)]
        others = [i for i in fits if i != x] or fits
        return int(self.random.choice(others))

    def _add(self, x: int) -> None:
        tensor = self.tensors[x]
        shape = (tensor.height, tensor.width, tensor.channels)
        second = self._partner(x, tensor.channels)
        multiplier, shift = self._scaling(100)
        second_multiplier = multiplier >> self._integer(0, 4)
        output = self._emit(self._tensor(*shape))
        self.operators.append(Add(x, second, output, multiplier, second_multiplier, shift, *self._clamp()))

    def _multiply(self, x: int) -> None:
        self._product(x, self._partner(x, self.tensors[x].channels))

    def _gate(self, x: int) -> None:
        """An image times its mean pixel."""
        tensor = self.tensors[x]
        window = Window((tensor.height, tensor.width), (1, 1), (0, 0))
        multiplier, shift = self._scaling(64 * math.sqrt(window.taps))
        pixel = self._emit(self._tensor(1, 1, tensor.channels))
        self.operators.append(AveragePool(x, pixel, window, multiplier, shift))
        self._product(x, pixel)

    def _product(self, x: int, second: int) -> None:
        tensor = self.tensors[x]
        shape = (tensor.height, tensor.width, tensor.channels)
        multiplier, shift = self._scaling(64 * 64)
        output = self._emit(self._tensor(*shape))
        self.operators.append(Multiply(x, second, output, multiplier, shift, *self._clamp()))

    def _concatenate(self, x: int) -> None:
        tensor = self.tensors[x]
        second = self._partner(x)
        channels = tensor.channels + self.tensors[second].channels
        if channels > 32:
            return self._relu(x)
        multiplier, shift = self._scaling(100)
        second_multiplier = multiplier >> self._integer(0, 4)
        output = self._emit(self._tensor(tensor.height, tensor.width, channels))
        self.operators.append(Concatenate(x, second, output, multiplier, second_multiplier, shift, *self._clamp()))

    def _average(self, x: int) -> None:
        tensor = self.tensors[x]
        window, size = self._window(tensor, most_padding=1)
        multiplier, shift = self._scaling(64 * math.sqrt(window.taps))
        output = self._emit(self._tensor(*size, tensor.channels))
        self.operators.append(AveragePool(x, output, window, multiplier, shift, *self._clamp()))

    def _max(self, x: int) -> None:
        tensor = self.tensors[x]
        window, size = self._window(tensor, most_padding=1)
        output = self._emit(Tensor(*size, tensor.channels, tensor.scale, tensor.zero_point))
        self.operators.append(MaxPool(x, output, window))

    def _pad(self, x: int) -> None:
        tensor = self.tensors[x]
        top, bottom, left, right = (self._integer(0, 2) for _ in range(4))
        if max(tensor.height, tensor.width) > 16:
            return self._relu(x)
        size = tensor.height + top + bottom, tensor.width + left + right
        output = self._emit(Tensor(*size, tensor.channels, tensor.scale, tensor.zero_point))
        self.operators.append(Pad(x, output, top, left))

    def _relu(self, x: int) -> None:
        output = self._emit(self.tensors[x])
        self.operators.append(ReLU(x, output, *self._clamp()))

    def _lookup(self, x: int) -> None:
        tensor = self.tensors[x]
        output = self._emit(self._tensor(tensor.height, tensor.width, tensor.channels))
        self.operators.append(Lookup(x, output, self.random.integers(-128, 128, 256).astype(np.int8)))

    def _softmax(self, x: int) -> None:
        tensor = self.tensors[x]
        exponentials = np.rint(2.0**15 * np.exp(-np.arange(256) * self.random.choice([0.0, 0.001, 0.1, 1.0])))
        output = self._emit(Tensor(tensor.height, tensor.width, tensor.channels, 1 / 256, -128))
        self.operators.append(Softmax(x, output, exponentials.astype(np.uint16)))

    def _argmax(self, x: int) -> None:
        tensor = self.tensors[x]
        output = self._emit(Tensor(tensor.height, tensor.width, 1, 1.0, -128))
        self.operators.append(ArgMax(x, output))
