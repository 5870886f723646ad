"""Which convolution each kernel takes, and how large its scratch is (FORMAT.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Window
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.layout import MAX_ROW_OFFSETS, up

MAX_MAGNITUDE = (1 << 16) - 1  # of a filter's weights, all together, where sums are of 24 bits
NARROW_SUMS = (Kernel.TILE, Kernel.VECTOR)
_STARTING_SUMS = 32  # bytes that TILE keeps before its patch


@dataclass(frozen=True)
class Shape:
    """What a kernel sees of a convolution before its weights. image: as it is read, FLATTEN applied; both (y, x, c)."""

    image: tuple[int, int, int]
    output: tuple[int, int, int]
    window: Window
    groups: int
    flatten: bool

    @property
    def filters(self) -> int:
        return self.output[2]

    @property
    def pixels(self) -> int:
        """Of the output."""
        return self.output[0] * self.output[1]

    @property
    def group_channels(self) -> int:
        return self.image[2] // self.groups

    @property
    def codes(self) -> tuple[int, int, int, int]:
        """Shape of the codes."""
        return (self.filters, *self.window.kernel, self.group_channels)

    @property
    def filter_weights(self) -> int:
        return self.window.taps * self.group_channels

    @property
    def weights(self) -> int:
        return self.filters * self.filter_weights

    @property
    def is_point(self) -> bool:
        """Whether each output pixel reads the input pixel at its own place, and nothing else."""
        window = self.window
        same_place = window.kernel == window.stride == (1, 1) and window.padding == (0, 0)
        return same_place and self.image[:2] == self.output[:2]


def refusal(choice: KernelChoice, shape: Shape) -> str | None:
    """Why the kernel does not take a convolution of this shape; None where it does."""
    kernel, filters = choice.kernel, choice.filters_at_once
    if choice.encoding not in kernel.encodings:
        return f"{kernel.name} does not take weights that are {choice.encoding.name}"
    if not (1 <= filters <= shape.filters and 1 <= choice.rows_at_once <= shape.output[0]):
        return f"{filters} filters or {choice.rows_at_once} rows at once are impossible"
    if kernel not in (Kernel.BAND, Kernel.DEPTHWISE) and choice.rows_at_once != 1:
        return f"{kernel.name} works on one row at once"
    if kernel not in (Kernel.TILE, Kernel.BAND) and filters != 1:
        return f"{kernel.name} works on one filter at once"
    takes = {
        Kernel.GENERAL: (shape.window.extent[1] - 1) * shape.image[2] + shape.group_channels <= MAX_ROW_OFFSETS,
        Kernel.TILE: _is_plain(shape) and not shape.flatten and (filters % 2 == 0 or filters == shape.filters),
        Kernel.BAND: _is_plain(shape) and not shape.flatten,
        Kernel.DEPTHWISE: shape.groups == shape.image[2] == shape.filters and shape.window.dilation == (1, 1),
        Kernel.VECTOR: _is_plain(shape) and _is_vector(shape),
    }[kernel]
    return None if takes else f"{kernel.name} does not take its shape"


def may_overwrite(choice: KernelChoice, shape: Shape) -> bool:
    """Whether there are places where the output may lie on the input: see `overwrites_safely`."""
    match choice.kernel:
        case Kernel.TILE | Kernel.BAND:
            return shape.is_point and choice.filters_at_once == shape.filters
        case Kernel.DEPTHWISE:
            return shape.image == shape.output and choice.rows_at_once == shape.output[0]
        case _:
            return False


def overwrites_safely(choice: KernelChoice, shape: Shape, image_at: int, output_at: int) -> bool:
    """Whether the kernel has read what it writes over, with image and output at these bytes of the arena.

    DEPTHWISE widens all rows of 4 channels before it writes these; the others take each pixel of the image before they
    write the one at its place, and none of these may end behind the former: if it is so of the first and of the last
    pixel, it is so of all.
    """
    if not may_overwrite(choice, shape):
        return False
    if choice.kernel is Kernel.DEPTHWISE:
        return image_at == output_at
    ends = (output_at + pixels * shape.filters <= image_at + pixels * shape.image[2] for pixels in (1, shape.pixels))
    return all(ends)


def scratch_bytes(choice: KernelChoice, shape: Shape, nonzeros: NDArray[np.int64], entries: NDArray[np.int64]) -> int:
    """nonzeros and BAND's entries by filter."""
    window, filters = shape.window, choice.filters_at_once
    kernel_y, kernel_x = window.kernel
    match choice.kernel:
        case Kernel.GENERAL if shape.output[:2] == (1, 1):
            return 0
        case Kernel.GENERAL:
            return up(2 * (window.taps + 1), 4) + 4 * int(nonzeros.max())
        case Kernel.TILE:
            patch = kernel_y * up(kernel_x * shape.image[2], 4)
            return (
                8 * filters
                + _STARTING_SUMS
                + 8 * patch
                + (0 if choice.encoding is Encoding.RAW else patch * up(filters, 2))
            )
        case Kernel.BAND:
            groups = np.add.reduceat(entries, np.arange(0, shape.filters, filters))
            return 8 * filters + 4 * (filters + 1) + 8 * int(groups.max()) + _band_bytes(choice.rows_at_once, shape)
        case Kernel.DEPTHWISE:
            return _depthwise_bytes(choice.rows_at_once, shape)
        case Kernel.VECTOR:
            return 0


def _is_plain(shape: Shape) -> bool:
    return shape.groups == 1 and shape.window.dilation == (1, 1)


def _is_vector(shape: Shape) -> bool:
    """One window that is the whole image."""
    return shape.output[:2] == (1, 1) and shape.window.kernel == shape.image[:2] and shape.window.padding == (0, 0)


def band_rows(rows_at_once: int, shape: Shape) -> tuple[int, int]:
    """BAND: the input rows of a band of so many output rows, and the words of one of their rows."""
    (kernel_y, kernel_x), (stride_y, stride_x) = shape.window.kernel, shape.window.stride
    width = shape.output[1]
    if shape.is_point:
        return 1, max(8, rows_at_once * width)
    return (rows_at_once - 1) * stride_y + kernel_y, max(8, width) + (kernel_x - 1) // stride_x


def depthwise_planes(rows_at_once: int, shape: Shape) -> tuple[int, int]:
    """DEPTHWISE: the values of a channel's plane for a band of so many output rows, and the tiles that read it."""
    (kernel_y, kernel_x), (stride_y, stride_x) = shape.window.kernel, shape.window.stride
    input_width, width, padding = shape.image[1], shape.output[1], shape.window.padding[1]
    beyond = max(0, (width - 1) * stride_x + kernel_x - padding)
    pitch = up(max(min(beyond, input_width) + padding, beyond, width), 2)
    plane = up(padding, 2) + ((rows_at_once - 1) * stride_y + kernel_y) * pitch + 8 * stride_x
    if shape.window.stride == (1, 1) and width % 8:
        return plane, up((rows_at_once - 1) * pitch + width, 8) // 8
    return plane, rows_at_once * up(width, 8) // 8


def _depthwise_bytes(rows_at_once: int, shape: Shape) -> int:
    plane, tiles = depthwise_planes(rows_at_once, shape)
    return 8 * plane + 8 * shape.window.taps + 36 * tiles + 4 + up(shape.image[2], 4)


def _band_bytes(rows_at_once: int, shape: Shape) -> int:
    rows, pitch = band_rows(rows_at_once, shape)
    return rows * up(shape.image[2], 4) // 2 * min(shape.window.stride[1], shape.window.kernel[1]) * pitch * 4
