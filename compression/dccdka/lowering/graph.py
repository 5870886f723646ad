"""The integer graph: what remains of a trained network once every number in it is an integer.

Tensors are int8 images of one inference, rows of pixels of channels; operators name them by index, in the order in
which they run. packing/FORMAT.md defines what each operator computes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tensor:
    """real = (int8 - zero_point) * scale."""

    height: int
    width: int
    channels: int
    scale: float
    zero_point: int

    @property
    def elements(self) -> int:
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Window:
    """Kernel, stride and padding of a sliding window, each (y, x)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output for an input of this size; may be below 1 if the window does not fit."""
        sizes = zip((height, width), self.kernel, self.stride, self.padding, strict=True)
        y, x = ((size + 2 * padding - kernel) // stride + 1 for size, kernel, stride, padding in sizes)
        return y, x


POINT = Window(kernel=(1, 1), stride=(1, 1), padding=(0, 0))


@dataclass(frozen=True, eq=False)
class Requantisation:
    """Per output channel: int32 bias, int32 multiplier, uint8 shift (1 to 62), each [channels]."""

    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Convolution:
    """Weights are codes - weight_zero_point; codes uint8 [c_out, kernel y, kernel x, c_in / groups].

    flatten_input: read the input as a 1 x 1 image of height x width x channels (a linear layer after a flatten).
    """

    input: int
    output: int
    window: Window
    groups: int
    flatten_input: bool
    codes: NDArray[np.uint8]
    weight_zero_point: int
    requantisation: Requantisation
    low: int = -128
    high: int = 127


@dataclass(frozen=True)
class Add:
    """Sum of two tensors of one shape, each with its own multiplier and a common shift."""

    input: int
    second: int
    output: int
    multiplier: int
    second_multiplier: int
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True)
class AveragePool:
    """Padding counts as real zeros; the division by the area is part of the multiplier."""

    input: int
    output: int
    window: Window
    multiplier: int
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True)
class MaxPool:
    """Padding is never chosen; input and output share scale and zero point."""

    input: int
    output: int
    window: Window


@dataclass(frozen=True)
class ReLU:
    """A clamp to [low, high]; input and output share scale and zero point."""

    input: int
    output: int
    low: int
    high: int = 127


Operator = Convolution | Add | AveragePool | MaxPool | ReLU


@dataclass(frozen=True)
class IntegerGraph:
    """input and output are indices of tensors."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int


def inputs_of(operator: Operator) -> tuple[int, ...]:
    """Indices of the tensors that the operator reads."""
    return (operator.input, operator.second) if isinstance(operator, Add) else (operator.input,)
