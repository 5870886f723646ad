"""What operators with a sliding window compute (FORMAT.md), over batches, in NumPy.

Convolutions are exact although they are computed in floating point: every product and every partial sum, in whatever
order, is an integer between the least and the greatest sum that int8 inputs can give. float32 holds all integers up
to 2^24, float64 up to 2^53, and no artifact goes beyond that (65535 weights of 255 times 128 make 2^31).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from dccdka.lowering.accumulators import accumulator_bounds
from dccdka.lowering.graph import AveragePool, Convolution, MaxPool, Residual, Window
from dccdka.packing.artifact import Artifact, PlacedTensor
from dccdka.packing.narrowing import Images, Kernel, Values, requantiser, shifted

# Patches are made for as many output rows at a time as stay in a core's second-level cache; this bounds memory, too.
PATCH_BYTES = 1 << 20
# Multiplications up to which OpenBLAS does not start threads (interface/gemm.c, interface/gemv.c).
_ONE_THREAD_GEMM = 65536 * 4
_ONE_THREAD_GEMV = 2304 * 4 - 1

_Array = NDArray[Any]  # float32 or float64 for convolutions, as exactness asks


def convolution(artifact: Artifact, operator: Convolution) -> Kernel:
    """Kernel of a convolution, with the add that may follow it."""
    x, y = artifact.tensors[operator.input], artifact.tensors[operator.output]
    window, requantisation, residual = operator.window, operator.requantisation, operator.residual
    least, greatest = accumulator_bounds(operator.codes, operator.weight_zero_point)
    largest_sums = np.maximum(-least, greatest)
    dtype = np.float32 if int(largest_sums.max()) <= 1 << 24 else np.float64
    depthwise = operator.groups > 1 and operator.groups == y.channels and operator.codes.shape[3] == 1
    sums_of = _by_taps(operator, dtype) if depthwise else _by_patches(operator, dtype)
    patch = 0 if depthwise else operator.codes[0].size * operator.groups * np.dtype(dtype).itemsize
    row_bytes = y.width * max(8 * y.channels, patch)
    narrow = requantiser(
        requantisation.scaling,
        requantisation.multiplier,
        requantisation.bias,
        largest_sums,
        (operator.low, operator.high),
    )

    def run(values: Values) -> Images:
        images = values[operator.input]
        if operator.flatten_input:
            images = images.reshape(len(images), 1, 1, -1)
        padded = _padded(images, x.zero_point, window, y, dtype)
        output = np.empty((len(images), y.height, y.width, y.channels), np.int8)
        for rows in _bands(y.height, len(images) * row_bytes):
            own = padded[:, rows.start * window.stride[0] :]
            output[:, rows] = narrow(sums_of(own, (rows.stop - rows.start, y.width)))
        return output if residual is None else _added(output, values[residual.tensor], residual)

    return run


def _added(images: Images, others: Images, residual: Residual) -> Images:
    sums = np.multiply(images, residual.multiplier, dtype=np.int32)
    sums += np.multiply(others, residual.residual_multiplier, dtype=np.int32)
    sums += np.int32(residual.offset)
    return shifted(sums, residual.shift, (residual.low, residual.high))


def average_pool(artifact: Artifact, operator: AveragePool) -> Kernel:
    """Kernel of an average pool."""
    x, y = artifact.tensors[operator.input], artifact.tensors[operator.output]
    largest_sum = 128 * operator.window.taps
    limits = (operator.low, operator.high)
    narrow = requantiser(operator.scaling, operator.multiplier, operator.bias, largest_sum, limits)

    def run(values: Values) -> Images:
        padded = _padded(values[operator.input], x.zero_point, operator.window, y, np.int32)
        return narrow(_reduced(padded, operator.window, y, np.add))

    return run


def max_pool(artifact: Artifact, operator: MaxPool) -> Kernel:
    """Kernel of a max pool."""
    y = artifact.tensors[operator.output]

    def run(values: Values) -> Images:
        padded = _padded(values[operator.input], -128, operator.window, y, np.int8)
        return _reduced(padded, operator.window, y, np.maximum)

    return run


def _bands(rows: int, row_bytes: int) -> Iterator[slice]:
    step = max(1, PATCH_BYTES // row_bytes)
    return (slice(begin, min(begin + step, rows)) for begin in range(0, rows, step))


def _padded(images: Images, outside: int, window: Window, output: PlacedTensor, dtype: type[np.generic]) -> _Array:
    """The images, and one value around them as far as the windows reach."""
    n, height, width, channels = images.shape
    top, left = window.padding
    rows = max(top + height, (output.height - 1) * window.stride[0] + window.extent[0])
    columns = max(left + width, (output.width - 1) * window.stride[1] + window.extent[1])
    if (rows, columns) == (height, width):
        return images.astype(dtype, order="C")
    padded = np.full((n, rows, columns, channels), outside, dtype)
    padded[:, top : top + height, left : left + width] = images
    return padded


def _windows(padded: _Array, window: Window, size: tuple[int, int]) -> _Array:
    """View [n, y, x, kernel y, kernel x, c]."""
    n, row, column, item = padded.strides
    stride_y, stride_x = window.stride
    dilation_y, dilation_x = window.dilation
    shape = (len(padded), *size, *window.kernel, padded.shape[3])
    strides = (n, row * stride_y, column * stride_x, row * dilation_y, column * dilation_x, item)
    return as_strided(padded, shape, strides, writeable=False)


def _reduced(padded: _Array, window: Window, output: PlacedTensor, combine: np.ufunc) -> _Array:
    """The taps of every window combined: those of a column first, then those of a row. For windows without dilation."""
    (kernel_y, kernel_x), (stride_y, stride_x) = window.kernel, window.stride
    height, width = (output.height - 1) * stride_y + 1, (output.width - 1) * stride_x + 1
    rows = reduce(combine, (padded[:, tap : tap + height : stride_y] for tap in range(kernel_y)))
    result: _Array = reduce(combine, (rows[:, :, tap : tap + width : stride_x] for tap in range(kernel_x)))
    return result


_Sums = Callable[[_Array, tuple[int, int]], _Array]  # padded image and output's (y, x) to sums [n, y, x, filters]


def _weights(operator: Convolution, codes: NDArray[np.uint8], dtype: type[np.generic]) -> _Array:
    """A view of the operator's codes as weights, copied into its own order."""
    weights: _Array = codes.astype(dtype, order="C")
    weights -= operator.weight_zero_point
    return weights


def _by_taps(operator: Convolution, dtype: type[np.generic]) -> _Sums:
    """A depthwise convolution: each tap times its row of weights, added up."""
    window = operator.window
    taps = _weights(operator, operator.codes[..., 0].transpose(1, 2, 0), dtype)

    def sums(padded: _Array, size: tuple[int, int]) -> _Array:
        windows = _windows(padded, window, size)
        total: _Array = windows[:, :, :, 0, 0] * taps[0, 0]
        product = np.empty_like(total)
        for tap in list(np.ndindex(*window.kernel))[1:]:
            total += np.multiply(windows[:, :, :, *tap], taps[tap], out=product)
        return total

    return sums


def _by_patches(operator: Convolution, dtype: type[np.generic]) -> _Sums:
    """Any convolution: a matrix of patches times a matrix of weights, for each group."""
    filters, groups = len(operator.codes), operator.groups
    codes = operator.codes.reshape(groups, filters // groups, -1).transpose(0, 2, 1)
    matrix = _weights(operator, codes, dtype)

    def sums(padded: _Array, size: tuple[int, int]) -> _Array:
        product = _multiply(_patches(padded, operator.window, size, groups), matrix)
        return product.transpose(1, 0, 2).reshape(len(padded), *size, filters)

    return sums


def _patches(padded: _Array, window: Window, size: tuple[int, int], groups: int) -> _Array:
    """[groups, n x y x x, kernel y x kernel x x channels of the group]."""
    windows = _windows(padded, window, size)
    positions = windows.shape[0] * size[0] * size[1]
    if groups == 1 and window.dilation[1] == 1:
        # A kernel row is one contiguous stretch of the padded image: copied as such, it is several times faster.
        n, y, x, kernel_y, kernel_x, channels = windows.shape
        shape = (n, y, x, kernel_y, kernel_x * channels)
        rows = as_strided(padded, shape, (*windows.strides[:4], windows.strides[5]), writeable=False)
        return rows.reshape(1, positions, -1)
    grouped = windows.reshape(*windows.shape[:5], groups, -1)
    return np.moveaxis(grouped, 5, 0).reshape(groups, positions, -1)


def _multiply(patches: _Array, matrix: _Array) -> _Array:
    """[groups, positions, k] times [groups, k, filters], in parts so small that OpenBLAS takes one thread for each.

    Its threads wait for each other by spinning: with a training beside it, a large product took twenty times as long.
    """
    groups, positions, k = patches.shape
    filters = matrix.shape[2]
    most = _ONE_THREAD_GEMV if filters == 1 else _ONE_THREAD_GEMM
    part = max(2, most // (k * filters))
    product = np.empty((groups, positions, filters), patches.dtype)
    for begin in range(0, positions, part):
        np.matmul(patches[:, begin : begin + part], matrix, out=product[:, begin : begin + part])
    return product
