"""What each operator computes (FORMAT.md), over batches, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concatenate,
    Convolution,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Pad,
    ReLU,
    Softmax,
)
from dccdka.packing.artifact import Artifact, PlacedTensor
from dccdka.packing.narrowing import Images, Kernel, Values, requantiser, shifted
from dccdka.packing.reference_windows import average_pool, convolution, max_pool

_LARGEST_PRODUCT = 255 * 255


def prepare(artifact: Artifact, operator: Operator) -> Kernel:
    """The kernel of an operator."""
    match operator:
        case Convolution():
            return convolution(artifact, operator)
        case AveragePool():
            return average_pool(artifact, operator)
        case MaxPool():
            return max_pool(artifact, operator)
        case Add():
            return _add(operator)
        case Multiply():
            return _multiply(artifact, operator)
        case Concatenate():
            return _concatenate(operator)
        case Pad():
            return _pad(artifact, operator)
        case ReLU():
            return lambda values: values[operator.input].clip(operator.low, operator.high)
        case Lookup():
            return lambda values: operator.table[values[operator.input].view(np.uint8) ^ np.uint8(0x80)]
        case Softmax():
            return _softmax(operator)
        case ArgMax():
            return lambda values: (values[operator.input].argmax(axis=3, keepdims=True) - 128).astype(np.int8)


def patch_bytes(artifact: Artifact, operator: Operator) -> int:
    """Bytes of what the operator multiplies for one image, all patches together: a measure of its work."""
    output = artifact.tensors[operator.output]
    if not isinstance(operator, Convolution | AveragePool | MaxPool):
        return 8 * output.height * output.width * output.channels
    channels = operator.codes[0].size * operator.groups if isinstance(operator, Convolution) else output.channels
    taps = 1 if isinstance(operator, Convolution) else operator.window.taps
    return output.height * output.width * max(4 * channels * taps, 8 * output.channels)


def _add(operator: Add) -> Kernel:
    def run(values: Values) -> Images:
        sums = np.multiply(values[operator.input], operator.multiplier, dtype=np.int32)
        sums += np.multiply(values[operator.second], operator.second_multiplier, dtype=np.int32)
        sums += np.int32(operator.offset)
        return shifted(sums, operator.shift, (operator.low, operator.high))

    return run


def _multiply(artifact: Artifact, operator: Multiply) -> Kernel:
    first, second = (artifact.tensors[i] for i in (operator.input, operator.second))
    limits = (operator.low, operator.high)
    narrow = requantiser(operator.scaling, operator.multiplier, operator.bias, _LARGEST_PRODUCT, limits)

    def run(values: Values) -> Images:
        return narrow(_centred(values[operator.input], first) * _centred(values[operator.second], second))

    return run


def _concatenate(operator: Concatenate) -> Kernel:
    parts = (
        (operator.input, operator.multiplier, operator.offset),
        (operator.second, operator.second_multiplier, operator.second_offset),
    )

    def rescaled(images: Images, multiplier: int, offset: int) -> Images:
        sums = np.multiply(images, multiplier, dtype=np.int32)
        sums += np.int32(offset)
        return shifted(sums, operator.shift, (operator.low, operator.high))

    return lambda values: np.concatenate([rescaled(values[index], *part) for index, *part in parts], axis=3)


def _pad(artifact: Artifact, operator: Pad) -> Kernel:
    x, y = artifact.tensors[operator.input], artifact.tensors[operator.output]

    def run(values: Values) -> Images:
        images = values[operator.input]
        padded = np.full((len(images), *y.shape), y.zero_point, np.int8)
        padded[:, operator.top : operator.top + x.height, operator.left : operator.left + x.width] = images
        return padded

    return run


def _softmax(operator: Softmax) -> Kernel:
    exponentials = operator.exponentials.astype(np.int64)

    def run(values: Values) -> Images:
        images = values[operator.input].astype(np.int64)
        shares = exponentials[images.max(axis=3, keepdims=True) - images]
        total = shares.sum(axis=3, keepdims=True)
        result: Images = (np.minimum(255, (256 * shares + total // 2) // total) - 128).astype(np.int8)
        return result

    return run


def _centred(images: Images, tensor: PlacedTensor) -> NDArray[np.int32]:
    return np.subtract(images, tensor.zero_point, dtype=np.int32)
