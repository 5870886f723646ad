"""The integer graph: what remains of a trained network once every number in it is an integer.

Tensors are int8 images of one inference, rows of pixels of channels; operators name them by index, in the order in
which they run. packing/FORMAT.md defines what each operator computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class Sized(Protocol):
    """An image of some kind."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...


@dataclass(frozen=True)
class Window:
    """Kernel, stride, padding and dilation of a sliding window, each (y, x).

    padding is what lies above and left of the image; how much lies below and right of it follows from the output's
    size, so that it may differ.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last, both included."""
        y, x = (dilation * (kernel - 1) + 1 for dilation, kernel in zip(self.dilation, self.kernel, strict=True))
        return y, x

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output with equal padding on both sides; below 1 if the window does not fit."""
        sizes = zip((height, width), self.extent, self.stride, self.padding, strict=True)
        y, x = ((size + 2 * padding - extent) // stride + 1 for size, extent, stride, padding in sizes)
        return y, x

    def padding_behind(self, image: Sized, output: Sized) -> tuple[int, int]:
        """Rows below and columns right of the image that the output's size asks for; negative: image left unread."""
        axes = zip(
            (image.height, image.width), (output.height, output.width), self.stride, self.extent, self.padding,
            strict=True,
        )  # fmt: skip
        y, x = ((out - 1) * stride + extent - padding - size for size, out, stride, extent, padding in axes)
        return y, x


POINT = Window(kernel=(1, 1), stride=(1, 1), padding=(0, 0))


@dataclass(frozen=True)
class Scaling:
    """What turns a sum into a step of the output, common to all channels.

    requantise(a, M, B) = ((((a << accumulator_shift) M) >> 16) + B) >> fraction_bits; both shifts 0 to 15.
    """

    accumulator_shift: int
    fraction_bits: int


@dataclass(frozen=True, eq=False)
class Requantisation:
    """Per output channel: int16 multiplier and int32 bias, each [channels].

    The bias holds the zero points of input and output and the half that rounds, in output steps / 2^fraction_bits.
    """

    scaling: Scaling
    multiplier: NDArray[np.int16]
    bias: NDArray[np.int32]


@dataclass(frozen=True)
class Residual:
    """An add that follows a convolution at once: y = clamp((conv M + tensor M' + offset) >> shift, low, high)."""

    tensor: int
    multiplier: int
    residual_multiplier: int
    offset: int
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True, eq=False)
class Convolution:
    """Weights are codes - weight_zero_point; codes uint8 [c_out, kernel y, kernel x, c_in / groups].

    The sum is over all taps, those outside the image being the input's zero point. flatten_input: read the input as a
    1 x 1 image of height x width x channels (a linear layer after a flatten). low and high clamp before the residual.
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
    residual: Residual | None = None


@dataclass(frozen=True)
class Add:
    """y = clamp((a M + b M' + offset) >> shift, low, high).

    The offset holds all zero points and the half that rounds.
    """

    input: int
    second: int
    output: int
    multiplier: int
    second_multiplier: int
    offset: int
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True)
class AveragePool:
    """Sum over all taps, requantised with the area divided out; taps outside are the input's zero point, real zeros."""

    input: int
    output: int
    window: Window
    scaling: Scaling
    multiplier: int
    bias: int
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


@dataclass(frozen=True)
class Multiply:
    """Product of two tensors of one shape, or of an image and a 1 x 1 image of as many channels (squeeze-excite).

    The broadcast one is always `second`. y = requantise((a - z_a) * (b - z_b)).
    """

    input: int
    second: int
    output: int
    scaling: Scaling
    multiplier: int
    bias: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True)
class Concatenate:
    """The channels of `input`, then those of `second`, each with its multiplier and offset.

    y = clamp((x M + offset) >> shift, low, high); the offset holds the zero points and the half that rounds. Three
    tensors and more are a chain of these; one whose scale and zero point are the output's passes unchanged.
    """

    input: int
    second: int
    output: int
    multiplier: int
    second_multiplier: int
    offset: int
    second_offset: int
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True)
class Pad:
    """Real zeros around an image; how many lie below and right of it follows from the output's size.

    Input and output share scale and zero point.
    """

    input: int
    output: int
    top: int
    left: int


@dataclass(frozen=True, eq=False)
class Lookup:
    """y = table[x + 128], int8 [256]: any function of single values (sigmoid, SiLU, hard-swish, ...)."""

    input: int
    output: int
    table: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Softmax:
    """Over the channels of each pixel; exponentials uint16 [256], the value at d standing for exp(-d * input scale).

    e = exponentials[max - x]; y = min(255, (256 e + sum // 2) // sum) - 128: output scale 1/256, zero point -128.
    The value at 0 is 2^15, so that the sum is never zero and at most 65535 of them fit 32 bits.
    """

    input: int
    output: int
    exponentials: NDArray[np.uint16]


@dataclass(frozen=True)
class ArgMax:
    """Index of the largest channel of each pixel, the first of equal ones; output scale 1, zero point -128, 1 channel.

    At most 256 channels.
    """

    input: int
    output: int


Operator = Convolution | Add | Multiply | Concatenate | AveragePool | MaxPool | Pad | ReLU | Lookup | Softmax | ArgMax


@dataclass(frozen=True)
class IntegerGraph:
    """input and output are indices of tensors."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int


def inputs_of(operator: Operator) -> tuple[int, ...]:
    """Indices of the tensors that the operator reads."""
    if isinstance(operator, Convolution) and operator.residual is not None:
        return operator.input, operator.residual.tensor
    if isinstance(operator, Add | Multiply | Concatenate):
        return operator.input, operator.second
    return (operator.input,)
