"""What each operator computes (FORMAT.md), over batches, in NumPy.

Convolutions are exact although BLAS multiplies them in floating point: every product and every partial sum, in
whatever order, is an integer of magnitude at most max |x - zero point| * max over filters of sum |w|. float32 holds
all integers up to 2^24, float64 up to 2^53, and no artifact goes beyond that (65535 weights of 255 times 255 make
2^32). From the sum on everything is done in 64-bit integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from dccdka.lowering.graph import Add, AveragePool, Convolution, MaxPool, Operator, ReLU, Window
from dccdka.packing.artifact import Artifact, PlacedTensor

Images = NDArray[np.int8]  # [n, h, w, c]
Values = Mapping[int, Images]  # by tensor index
Kernel = Callable[[Values], Images]
# Multiplications up to which OpenBLAS does not start threads (interface/gemm.c, interface/gemv.c).
_ONE_THREAD_GEMM = 65536 * 4
_ONE_THREAD_GEMV = 2304 * 4 - 1

_Array = NDArray[Any]  # float32 or float64, as exactness asks


def prepare(artifact: Artifact, operator: Operator) -> Kernel:
    """The operator as a function of the values of all tensors computed so far."""
    if isinstance(operator, Convolution):
        return _convolution(artifact, operator)
    if isinstance(operator, Add):
        return _add(artifact, operator)
    if isinstance(operator, AveragePool):
        return _average_pool(artifact, operator)
    if isinstance(operator, MaxPool):
        return _max_pool(operator)
    return _relu(operator)


def patch_bytes(artifact: Artifact, operator: Operator) -> int:
    """Bytes of the operator's largest array for one image."""
    output = artifact.tensors[operator.output]
    if not isinstance(operator, Convolution | AveragePool | MaxPool):
        return 8 * output.region.bytes
    channels = operator.codes[0].size * operator.groups if isinstance(operator, Convolution) else output.channels
    taps = 1 if isinstance(operator, Convolution) else operator.window.taps
    return output.height * output.width * max(4 * channels * taps, 8 * output.channels)


def _convolution(artifact: Artifact, operator: Convolution) -> Kernel:
    x, y = artifact.tensors[operator.input], artifact.tensors[operator.output]
    groups, window, requantisation = operator.groups, operator.window, operator.requantisation
    weights = operator.codes.astype(np.int64) - operator.weight_zero_point
    largest_input = max(127 - x.zero_point, x.zero_point + 128)
    largest_sums = largest_input * np.abs(weights).sum(axis=(1, 2, 3))
    dtype = np.float32 if int(largest_sums.max()) <= 1 << 24 else np.float64
    # [groups, taps x channels, filters], the layout that the patches are multiplied with
    matrix = np.ascontiguousarray(weights.reshape(groups, y.channels // groups, -1).transpose(0, 2, 1), dtype)
    bias, multiplier = requantisation.bias.astype(np.int64), requantisation.multiplier.astype(np.int64)
    wraps = bool((largest_sums + np.abs(bias) > 2**31 - 1).any())  # never for artifacts of our packer
    # (sum + bias) M + rounding = sum M + (bias M + rounding), one pass less; all below 2^63
    rounding = np.int64(1) << (requantisation.shift.astype(np.int64) - 1)
    offset = rounding if wraps else bias * multiplier + rounding

    def run(values: Values) -> Images:
        images = values[operator.input]
        if operator.flatten_input:
            images = images.reshape(len(images), 1, 1, -1)
        patches = _patches(_centred(images, x.zero_point, window, dtype), window, (y.height, y.width), groups)
        product = _multiply(patches, matrix)
        if groups > 1:
            product = product.transpose(1, 0, 2)
        sums = product.reshape(len(images), y.height, y.width, y.channels).astype(np.int64)
        if wraps:
            sums = (sums + bias).astype(np.int32).astype(np.int64)
        sums *= multiplier
        sums += offset
        return _narrow(sums, requantisation.shift, y, operator.low, operator.high)

    return run


def _add(artifact: Artifact, operator: Add) -> Kernel:
    first, second, output = (artifact.tensors[i] for i in (operator.input, operator.second, operator.output))
    rounding = 1 << (operator.shift - 1)
    offset = rounding - first.zero_point * operator.multiplier - second.zero_point * operator.second_multiplier

    def run(values: Values) -> Images:
        sums = np.multiply(values[operator.input], operator.multiplier, dtype=np.int64)
        sums += np.multiply(values[operator.second], operator.second_multiplier, dtype=np.int64)
        sums += offset
        return _narrow(sums, operator.shift, output, operator.low, operator.high)

    return run


def _average_pool(artifact: Artifact, operator: AveragePool) -> Kernel:
    x, y = artifact.tensors[operator.input], artifact.tensors[operator.output]

    def run(values: Values) -> Images:
        padded = _centred(values[operator.input], x.zero_point, operator.window, np.int32)
        windows = _windows(padded, operator.window, (y.height, y.width))
        sums = windows.sum(axis=(3, 4), dtype=np.int64) * operator.multiplier + (1 << (operator.shift - 1))
        return _narrow(sums, operator.shift, y, operator.low, operator.high)

    return run


def _max_pool(operator: MaxPool) -> Kernel:
    window = operator.window

    def run(values: Values) -> Images:
        images = values[operator.input]
        # -128 in the padding is never chosen: it is the least value there is.
        padded = np.pad(images, ((0, 0), *((p, p) for p in window.padding), (0, 0)), constant_values=-128)
        result: Images = _windows(padded, window, window.output_size(*images.shape[1:3])).max(axis=(3, 4))
        return result

    return run


def _relu(operator: ReLU) -> Kernel:
    def run(values: Values) -> Images:
        return values[operator.input].clip(operator.low, operator.high)

    return run


def _centred(images: Images, zero_point: int, window: Window, dtype: type[np.generic]) -> _Array:
    """x - zero point with the window's padding around, which is real zero."""
    n, height, width, channels = images.shape
    top, left = window.padding
    padded = np.zeros((n, height + 2 * top, width + 2 * left, channels), dtype)
    np.subtract(images, zero_point, out=padded[:, top : top + height, left : left + width], dtype=dtype)
    return padded


def _windows(padded: _Array, window: Window, size: tuple[int, int]) -> _Array:
    """View [n, y, x, kernel y, kernel x, c]."""
    n, row, column, item = padded.strides
    stride_y, stride_x = window.stride
    shape = (len(padded), *size, *window.kernel, padded.shape[3])
    return as_strided(padded, shape, (n, row * stride_y, column * stride_x, row, column, item), writeable=False)


def _patches(padded: _Array, window: Window, size: tuple[int, int], groups: int) -> _Array:
    """[groups, n x y x x, kernel y x kernel x x channels of the group]."""
    windows = _windows(padded, window, size)
    positions = windows.shape[0] * size[0] * size[1]
    if groups == 1:
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


def _narrow(
    products: NDArray[np.int64], shift: NDArray[np.uint8] | int, output: PlacedTensor, low: int, high: int
) -> Images:
    """Shift, add the zero point and clamp; products has the rounding in it already and is overwritten."""
    products >>= np.asarray(shift, np.int64)
    products += output.zero_point
    return np.clip(products, low, high, out=products).astype(np.int8)
