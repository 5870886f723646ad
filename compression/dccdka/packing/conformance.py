"""Random integer graphs, with which every runtime and agent is compared with the reference interpreter.

They hold what trained networks seldom do: filters of zeros, negative multipliers, saturation, one cluster, windows that
are odd, dilated or padded on one side. `random_choices` makes the packer use every kernel and encoding, not the best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dccdka.lowering.accumulators import accumulator_bounds
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
    Residual,
    Scaling,
    Softmax,
    Tensor,
    Window,
)
from dccdka.lowering.narrow_form import bias_origin, nearest
from dccdka.packing.choice import KernelChoice
from dccdka.packing.choosing import Choose

_Integers = NDArray[np.int64]


def random_graph(generator: Generator, operators: int = 5) -> IntegerGraph:
    """A graph of this many operators, at most one more, each of a random kind on a random tensor among the latest.

    Its arena is below 64 kB.
    """
    builder = _Builder(generator)
    while len(builder.operators) < operators:
        builder.append()
    return builder.graph()


def random_choices(generator: Generator) -> Choose:
    """For `pack`: any feasible kernel, any encoding that it takes, any numbers of filters and rows at once.

    Half of them are all filters and all rows, with which some kernels may write over their input.
    """

    def choose(index: int, convolution: Convolution, choices: Sequence[KernelChoice]) -> KernelChoice:
        kernel = generator.choice(sorted({choice.kernel for choice in choices}))
        of_kernel = [choice for choice in choices if choice.kernel == kernel]
        encoding = generator.choice(sorted({choice.encoding for choice in of_kernel}))
        left = [choice for choice in of_kernel if choice.encoding == encoding]
        return left[0 if generator.random() < 0.5 else int(generator.integers(len(left)))]

    return choose


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
        self.tensors = [self._tensor(self._integer(1, 10), self._integer(1, 20), self._integer(1, 9))]
        self.operators: list[Operator] = []

    def graph(self) -> IntegerGraph:
        return IntegerGraph(tuple(self.tensors), tuple(self.operators), input=0, output=len(self.tensors) - 1)

    def append(self) -> None:
        latest = range(max(0, len(self.tensors) - 5), len(self.tensors))
        makers = (
            self._convolution,
            self._convolution,
            self._plain,
            self._plain,
            self._point,
            self._point,
            self._depthwise,
            self._linear,
            self._whole,
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

    def _happens(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def _tensor(self, height: int, width: int, channels: int) -> Tensor:
        return Tensor(height, width, channels, scale=0.05, zero_point=self._integer(-128, 127))

    def _emit(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _clamp(self) -> tuple[int, int]:
        low = self._integer(-128, 20) if self._happens(0.5) else -128
        return low, self._integer(low, 127) if self._happens(0.2) else 127

    def _window(
        self, tensor: Tensor, most_padding: int, most_dilation: int = 1, most_stride: int = 3
    ) -> tuple[Window, tuple[int, int]]:
        """A window, and the size of its output. Windows of pools, whose most_padding is 1, always meet the image."""
        axes = []
        for size in (tensor.height, tensor.width):
            before, after = self._integer(0, most_padding), self._integer(0, most_padding)
            padded = size + before + after
            least = 1 + max(before, after) if most_padding == 1 else 1
            kernel = self._integer(least, max(least, min(5, padded)))
            dilation = self._integer(1, max(1, min(most_dilation, (padded - 1) // max(1, kernel - 1))))
            stride = self._integer(1, most_stride)
            most = (padded - dilation * (kernel - 1) - 1) // stride + 1
            output = most if self._happens(0.8) else self._integer(1, most)
            axes.append((kernel, stride, before, dilation, output))
        kernels, strides, paddings, dilations, outputs = zip(*axes, strict=True)
        return Window(kernels, strides, paddings, dilations), outputs

    def _scaling(self, reach: int) -> Scaling:
        """For sums up to this magnitude, shifted by as much as 32 bits allow, or less."""
        most = min(15, 31 - reach.bit_length())
        shift = most if self._happens(0.6) else self._integer(0, most)
        return Scaling(shift, int(self.random.choice([0, 15])) if self._happens(0.1) else self._integer(4, 11))

    def _multipliers(self, scaling: Scaling, magnitude: float, count: int) -> _Integers:
        """What brings sums of this magnitude to about 8 bits, now and then far from it; of any sign and 16 bits."""
        wanted = 64 * 2.0 ** (16 + scaling.fraction_bits - scaling.accumulator_shift) / max(magnitude, 1)
        factors = self.random.uniform(0.3, 2, count) * self.random.choice([-1, 1], count)
        factors[self.random.random(count) < 0.05] *= 100
        multipliers: _Integers = np.rint(wanted * factors).clip(-(1 << 15), (1 << 15) - 1).astype(np.int64)
        return multipliers

    def _biases(self, scaling: Scaling, zero_point: int, count: int) -> _Integers:
        steps = self.random.normal(0, 50, count) * 2.0**scaling.fraction_bits
        return np.rint(steps).astype(np.int64) + bias_origin(scaling, zero_point)

    def _requantisation(self, scaling: Scaling, magnitude: float, zero_point: int, channels: int) -> Requantisation:
        """Channels that fit a random NARROW form, or hardly any."""
        multiplier = self._multipliers(scaling, magnitude, channels)
        bias = self._biases(scaling, zero_point, channels)
        if self._happens(0.7):
            multiplier = nearest(multiplier, self._integer(0, 3))
            if self._happens(0.3):
                multiplier = np.abs(multiplier)
            origin, shift = bias_origin(scaling, zero_point), self._integer(0, scaling.fraction_bits)
            bias = ((bias - origin) >> shift << shift) + origin
        return Requantisation(scaling, multiplier.astype(np.int16), bias.astype(np.int32))

    def _weights(self, *shape: int) -> tuple[NDArray[np.uint8], int]:
        """Codes and zero point: 1 to 8 bits, 2 to 256 clusters, any sparsity, some filters of zeros."""
        levels = 1 << (8 if self._happens(0.5) else self._integer(1, 7))
        zero_point = self._integer(0, levels - 1)
        clusters = min(levels, int(self.random.choice([2, 3, 4, 16, 17, 64, 256])))
        codebook = self.random.choice(levels, clusters, replace=False).astype(np.uint8)
        codes: NDArray[np.uint8] = self.random.choice(codebook, shape)
        codes[self.random.random(shape) < self.random.choice([0, 0.5, 0.8, 0.95, 1])] = zero_point
        codes[self.random.random(shape[0]) < 0.1] = zero_point
        return codes, zero_point

    def _convolution_on(
        self, x: int, window: Window, size: tuple[int, int], filters: int, groups: int = 1, flatten: bool = False
    ) -> None:
        channels = self.tensors[x].elements if flatten else self.tensors[x].channels
        codes, zero_point = self._weights(filters, *window.kernel, channels // groups)
        magnitude = math.sqrt(codes[0].size) * 64 * max(1.0, float(codes.std()))
        scaling = self._scaling(int(np.abs(accumulator_bounds(codes, zero_point)).max()))
        output = self._tensor(*size, filters)
        requantisation = self._requantisation(scaling, magnitude, output.zero_point, filters)
        residual = self._residual(output)
        self.operators.append(
            Convolution(
                x,
                self._emit(output),
                window,
                groups,
                flatten,
                codes,
                zero_point,
                requantisation,
                *self._clamp(),
                residual,
            )
        )

    def _residual(self, output: Tensor) -> Residual | None:
        shape = (output.height, output.width, output.channels)
        fits = [i for i, t in enumerate(self.tensors) if (t.height, t.width, t.channels) == shape]
        if not fits or self._happens(0.3):
            return None
        shift, multiplier, second_multiplier, offset = self._sum(output.zero_point)
        return Residual(int(self.random.choice(fits)), multiplier, second_multiplier, offset, shift, *self._clamp())

    def _filters(self) -> int:
        """Often as many as a tensor has channels, so that it may become a residual."""
        if self._happens(0.5):
            return min(12, self.tensors[-self._integer(1, min(4, len(self.tensors)))].channels)
        return self._integer(1, 12)

    def _convolution(self, x: int) -> None:
        """Of any groups and dilation."""
        tensor = self.tensors[x]
        divisors = [d for d in range(1, tensor.channels + 1) if tensor.channels % d == 0]
        groups = int(self.random.choice(divisors))
        window, size = self._window(tensor, most_padding=3, most_dilation=3)
        self._convolution_on(x, window, size, groups * self._integer(1, max(1, 12 // groups)), groups)

    def _plain(self, x: int) -> None:
        """Without groups and dilation; every second one keeps the size."""
        if self._happens(0.5):
            tensor = self.tensors[x]
            kernel = (2 * self._integer(0, 2) + 1, 2 * self._integer(0, 2) + 1)
            window = Window(kernel, (1, 1), (kernel[0] // 2, kernel[1] // 2))
            filters = tensor.channels if self._happens(0.5) else self._filters()
            return self._convolution_on(x, window, (tensor.height, tensor.width), filters)
        window, size = self._window(self.tensors[x], most_padding=3)
        return self._convolution_on(x, window, size, self._filters())

    def _point(self, x: int) -> None:
        """Each pixel alone; every second one keeps the depth."""
        tensor = self.tensors[x]
        filters = tensor.channels if self._happens(0.5) else self._integer(1, 24)
        self._convolution_on(x, POINT, (tensor.height, tensor.width), filters)

    def _depthwise(self, x: int) -> None:
        """Every second one keeps the size."""
        tensor = self.tensors[x]
        if self._happens(0.5):
            window, size = Window((3, 3), (1, 1), (1, 1)), (tensor.height, tensor.width)
        else:
            window, size = self._window(tensor, most_padding=2, most_stride=2)
        self._convolution_on(x, window, size, tensor.channels, tensor.channels)

    def _linear(self, x: int) -> None:
        self._convolution_on(x, POINT, (1, 1), self._filters(), flatten=True)

    def _whole(self, x: int) -> None:
        """One window over the whole image."""
        tensor = self.tensors[x]
        window = Window((tensor.height, tensor.width), (1, 1), (0, 0))
        self._convolution_on(x, window, (1, 1), self._filters())

    def _partner(self, x: int, channels: int | None = None) -> int:
        """A tensor of x's size, and of this many channels if they are said; x itself only if there is no other."""
        size = (self.tensors[x].height, self.tensors[x].width)
        fits = [i for i, t in enumerate(self.tensors) if (t.height, t.width) == size and channels in (None, t.channels)]
        others = [i for i in fits if i != x] or fits
        return int(self.random.choice(others))

    def _sum(self, zero_point: int) -> tuple[int, int, int, int]:
        """Shift, two multipliers and an offset that bring two int8 to about one."""
        shift = int(self.random.choice([0, 24])) if self._happens(0.1) else self._integer(6, 15)
        limit = (1 << 15) - 1
        first, second = (int(np.clip(round(2.0**shift * self.random.uniform(-1, 1)), -limit, limit)) for _ in range(2))
        offset = (zero_point << shift) + (1 << shift >> 1) + round(2.0**shift * self.random.normal(0, 20))
        return shift, first, second, int(np.clip(offset, -(1 << 30), 1 << 30))

    def _add(self, x: int) -> None:
        tensor = self.tensors[x]
        second = self._partner(x, tensor.channels)
        output = self._tensor(tensor.height, tensor.width, tensor.channels)
        shift, multiplier, second_multiplier, offset = self._sum(output.zero_point)
        self.operators.append(
            Add(x, second, self._emit(output), multiplier, second_multiplier, offset, shift, *self._clamp())
        )

    def _multiply(self, x: int) -> None:
        self._product(x, self._partner(x, self.tensors[x].channels))

    def _gate(self, x: int) -> None:
        """An image times its mean pixel."""
        tensor = self.tensors[x]
        window = Window((tensor.height, tensor.width), (1, 1), (0, 0))
        pixel = self._averaged(x, window, (1, 1))
        self._product(x, pixel)

    def _product(self, x: int, second: int) -> None:
        tensor = self.tensors[x]
        output = self._tensor(tensor.height, tensor.width, tensor.channels)
        scaling = self._scaling(255 * 255)
        multiplier, bias = self._one_channel(scaling, 64 * 64, output.zero_point)
        self.operators.append(Multiply(x, second, self._emit(output), scaling, multiplier, bias, *self._clamp()))

    def _one_channel(self, scaling: Scaling, magnitude: float, zero_point: int) -> tuple[int, int]:
        """Multiplier and bias."""
        (multiplier,), (bias,) = self._multipliers(scaling, magnitude, 1), self._biases(scaling, zero_point, 1)
        return int(multiplier), int(bias)

    def _concatenate(self, x: int) -> None:
        tensor = self.tensors[x]
        second = self._partner(x)
        channels = tensor.channels + self.tensors[second].channels
        if channels > 32:
            return self._relu(x)
        output = self._tensor(tensor.height, tensor.width, channels)
        shift, multiplier, second_multiplier, offset = self._sum(output.zero_point)
        second_offset = offset - (self._integer(-20, 20) << shift)
        self.operators.append(
            Concatenate(
                x,
                second,
                self._emit(output),
                multiplier,
                second_multiplier,
                offset,
                second_offset,
                shift,
                *self._clamp(),
            )
        )

    def _averaged(self, x: int, window: Window, size: tuple[int, int]) -> int:
        output = self._tensor(*size, self.tensors[x].channels)
        scaling = self._scaling(128 * window.taps)
        multiplier, bias = self._one_channel(scaling, 64 * math.sqrt(window.taps), output.zero_point)
        y = self._emit(output)
        self.operators.append(AveragePool(x, y, window, scaling, multiplier, bias, *self._clamp()))
        return y

    def _average(self, x: int) -> None:
        self._averaged(x, *self._window(self.tensors[x], most_padding=1))

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
