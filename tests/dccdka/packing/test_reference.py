"""The fast reference interpreter computes what FORMAT.md says, held to plain loops over Python's own integers."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from dccdka.datasets import Split
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
from dccdka.packing import Artifact, PackingError, accuracy, pack, read_artifact, run_reference, to_device_input
from dccdka.packing.artifact import PlacedTensor
from dccdka.packing.conformance import random_graph, random_inputs


def int32(value):
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def clamped(value, operator):
    return min(max(value, operator.low), operator.high)


def requantised(total, scaling, multiplier, bias, operator):
    shifted = int32(total << scaling.accumulator_shift)
    steps = int32((shifted * int(multiplier) >> 16) + int(bias))
    return clamped(steps >> scaling.fraction_bits, operator)


def taps(window, y, x, shape):
    """(kernel y, kernel x, image y, image x) of the valid taps."""
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            iy = y * window.stride[0] - window.padding[0] + ky * window.dilation[0]
            ix = x * window.stride[1] - window.padding[1] + kx * window.dilation[1]
            if 0 <= iy < shape[0] and 0 <= ix < shape[1]:
                yield ky, kx, iy, ix


def plain_softmax(operator, pixel, c):
    shares = [int(operator.exponentials[max(pixel) - x]) for x in pixel]
    return min(255, (256 * shares[c] + sum(shares) // 2) // sum(shares)) - 128


def plain_pair(operator, images, tensors, y, x, c):
    """An element of an operator of two inputs."""
    first, second = images[operator.input], images[operator.second]
    if isinstance(operator, Concatenate):
        own = tensors[operator.input].channels
        if c < own:
            total = first[y][x][c] * operator.multiplier + operator.offset
        else:
            total = second[y][x][c - own] * operator.second_multiplier + operator.second_offset
        return clamped(int32(total) >> operator.shift, operator)
    if isinstance(operator, Multiply):
        a = first[y][x][c] - tensors[operator.input].zero_point
        pixel = second[0][0] if len(second) == len(second[0]) == 1 else second[y][x]
        product = a * (pixel[c] - tensors[operator.second].zero_point)
        return requantised(product, operator.scaling, operator.multiplier, operator.bias, operator)
    total = first[y][x][c] * operator.multiplier + second[y][x][c] * operator.second_multiplier + operator.offset
    return clamped(int32(total) >> operator.shift, operator)


def plain_sum(operator, image, outside, y, x, c, filters):
    """Of an element of a convolution."""
    inside = {(ky, kx): image[iy][ix] for ky, kx, iy, ix in taps(operator.window, y, x, (len(image), len(image[0])))}
    weights = operator.codes[c].astype(int) - operator.weight_zero_point
    first = c // (filters // operator.groups) * operator.codes.shape[3]
    return sum(
        int(w) * (inside[ky, kx][first + i] if (ky, kx) in inside else outside)
        for (ky, kx, i), w in np.ndenumerate(weights)
    )


def plain_value(operator, images, tensors, y, x, c):
    """One element of an operator's output; images are lists of lists of lists of int."""
    image, tensor, output = images[operator.input], tensors[operator.input], tensors[operator.output]
    if isinstance(operator, Add | Multiply | Concatenate):
        return plain_pair(operator, images, tensors, y, x, c)
    if isinstance(operator, Pad):
        iy, ix = y - operator.top, x - operator.left
        return image[iy][ix][c] if 0 <= iy < tensor.height and 0 <= ix < tensor.width else output.zero_point
    if isinstance(operator, ReLU):
        return min(max(image[y][x][c], operator.low), operator.high)
    if isinstance(operator, Lookup):
        return int(operator.table[image[y][x][c] + 128])
    if isinstance(operator, Softmax):
        return plain_softmax(operator, image[y][x], c)
    if isinstance(operator, ArgMax):
        return image[y][x].index(max(image[y][x])) - 128
    if isinstance(operator, Convolution) and operator.flatten_input:
        image = [[[v for row in image for pixel in row for v in pixel]]]
    if isinstance(operator, Convolution):
        total = plain_sum(operator, image, tensor.zero_point, y, x, c, output.channels)
        channels, residual = operator.requantisation, operator.residual
        value = requantised(total, channels.scaling, channels.multiplier[c], channels.bias[c], operator)
        if residual is None:
            return value
        other = images[residual.tensor][y][x][c]
        total = value * residual.multiplier + other * residual.residual_multiplier + residual.offset
        return clamped(int32(total) >> residual.shift, residual)
    valid = [image[iy][ix][c] for _, _, iy, ix in taps(operator.window, y, x, (len(image), len(image[0])))]
    if isinstance(operator, MaxPool):
        return max(valid)
    total = sum(valid) + (operator.window.taps - len(valid)) * tensor.zero_point
    return requantised(total, operator.scaling, operator.multiplier, operator.bias, operator)


def plain_run(graph, image):
    images = {graph.input: image.tolist()}
    for operator in graph.operators:
        t = graph.tensors[operator.output]
        images[operator.output] = [
            [[plain_value(operator, images, graph.tensors, y, x, c) for c in range(t.channels)] for x in range(t.width)]
            for y in range(t.height)
        ]
    return np.array(images[graph.output])


@pytest.mark.parametrize("seed", range(150))
def test_random_graphs_equal_plain_loops(seed):
    generator = np.random.default_rng(seed)
    graph = random_graph(generator, operators=1 + seed % 4)
    inputs = random_inputs(generator, graph, count=2)
    outputs = run_reference(read_artifact(pack(graph)), inputs)
    for image, output in zip(inputs, outputs, strict=True):
        np.testing.assert_array_equal(output, plain_run(graph, image))


def test_a_batch_gives_the_same_as_its_images_alone():
    generator = np.random.default_rng(3)
    graph = random_graph(generator)
    artifact, inputs = read_artifact(pack(graph)), random_inputs(generator, graph, count=700)
    one_by_one = np.concatenate([run_reference(artifact, inputs[i : i + 1]) for i in range(len(inputs))])
    np.testing.assert_array_equal(run_reference(artifact, inputs), one_by_one)


def test_large_images_are_computed_in_bands_and_give_the_same():
    """Patches of 30 MB for one image, depthwise and not: several bands of rows, the last one smaller."""
    generator = np.random.default_rng(0)
    image, window = Tensor(131, 130, 16, 0.05, 3), Window((5, 5), (1, 1), (4, 2), (2, 1))
    for groups in (1, 2, 16):
        codes = generator.integers(0, 256, (16, 5, 5, 16 // groups)).astype(np.uint8)
        requantisation = Requantisation(Scaling(0, 4), np.full(16, 1 << 9, np.int16), np.zeros(16, np.int32))
        graph = IntegerGraph(
            (image, image), (Convolution(0, 1, window, groups, False, codes, 128, requantisation),), 0, 1
        )
        inputs = random_inputs(generator, graph, count=1)
        tracemalloc.start()
        output = run_reference(read_artifact(pack(graph)), inputs)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10 << 20
        for y, x, c in [
            (0, 0, 0),
            (130, 129, 15),
            (126, 3, 7),
            *generator.integers(0, (131, 130, 16), (10, 3)).tolist(),
        ]:
            expected = plain_value(graph.operators[0], {0: inputs[0].tolist()}, graph.tensors, y, x, c)
            assert output[0, y, x, c] == expected


def test_random_graphs_hold_every_operator_and_every_kind_of_window():
    operators = [o for seed in range(30) for o in random_graph(np.random.default_rng(seed), 8).operators]
    assert {type(o) for o in operators} == set(get_args(Operator))
    windows = [o.window for o in operators if isinstance(o, Convolution)]
    assert any(max(w.dilation) > 1 for w in windows)
    assert {int(o.codes.max()).bit_length() for o in operators if isinstance(o, Convolution)} >= set(range(1, 9))
    graphs = [random_graph(np.random.default_rng(seed), 8) for seed in range(30)]
    broadcast = [
        (g.tensors[o.second], g.tensors[o.input]) for g in graphs for o in g.operators if isinstance(o, Multiply)
    ]
    assert any(second.elements < first.elements for second, first in broadcast)
    assert any(
        w.window.output_size(g.tensors[w.input].height, g.tensors[w.input].width)
        != (g.tensors[w.output].height, g.tensors[w.output].width)
        for g in graphs
        for w in g.operators
        if isinstance(w, AveragePool | MaxPool)
    )


def test_softmax_of_equal_channels_is_even_and_of_a_far_larger_one_nearly_all():
    tensor = Tensor(1, 1, 4, 0.1, 0)
    exponentials = np.rint(2.0**15 * np.exp(-0.1 * np.arange(256))).astype(np.uint16)
    output = replace(tensor, scale=1 / 256, zero_point=-128)
    artifact = read_artifact(pack(IntegerGraph((tensor, output), (Softmax(0, 1, exponentials),), 0, 1)))
    inputs = np.array([[5, 5, 5, 5], [127, -128, -128, -128], [-128, -118, -128, -128]], np.int8).reshape(3, 1, 1, 4)
    shares = run_reference(artifact, inputs).reshape(3, 4).astype(int) + 128
    e = np.exp(0.1 * (inputs.reshape(3, 4).astype(float)))
    exact = 256 * e / e.sum(axis=1, keepdims=True)
    assert np.abs(shares - np.minimum(exact, 255)).max() <= 0.51


def test_sums_beyond_float32_are_exact():
    """A filter of 8191 weights of 255: sums near 2^28, the lowest bits of which count."""
    wide = Tensor(1, 1, 8191, 1.0, zero_point=-128)
    narrow = Tensor(1, 1, 1, 1.0, zero_point=0)
    codes = np.full((1, 1, 1, 8191), 255, np.uint8)
    total = 8191 * 255 * 127
    requantisation = Requantisation(Scaling(2, 0), np.array([1 << 14], np.int16), np.array([100 - total], np.int32))
    operator = Convolution(0, 1, POINT, 1, False, codes, 0, requantisation)
    graph = IntegerGraph((wide, narrow), (operator,), 0, 1)
    inputs = np.full((1, 1, 1, 8191), 127, np.int8)
    assert run_reference(read_artifact(pack(graph)), inputs).item() == 100


def test_steps_beyond_32_bits_wrap_as_registers_do():
    """Not of our packer's artifacts, but loaders accept them: every step is held to Python's integers."""
    generator = np.random.default_rng(0)
    tensors = Tensor(3, 3, 4, 1.0, -7), Tensor(3, 3, 6, 1.0, 3), Tensor(3, 3, 6, 1.0, 3)
    codes = generator.integers(0, 256, (6, 3, 3, 4)).astype(np.uint8)
    refused = 0
    for _ in range(20):
        scaling = Scaling(int(generator.integers(12, 16)), int(generator.integers(0, 16)))
        multiplier = generator.integers(-(1 << 15), 1 << 15, 6).astype(np.int16)
        bias = generator.integers(-(1 << 31), 1 << 31, 6).astype(np.int32)
        channels = Requantisation(scaling, multiplier, bias)
        operators = (
            Convolution(0, 1, Window((3, 3), (1, 1), (1, 1)), 1, False, codes, 128, channels),
            Multiply(1, 1, 2, scaling, int(multiplier[0]), int(bias[0])),
        )
        graph = IntegerGraph(tensors, operators, 0, 2)
        placed = tuple(PlacedTensor(0, t.height, t.width, t.channels, t.zero_point) for t in tensors)
        artifact = Artifact(b"", 0, placed, operators, (None, None), 0, 2, 1.0, 1.0)
        inputs = random_inputs(generator, graph, 1)
        np.testing.assert_array_equal(run_reference(artifact, inputs)[0], plain_run(graph, inputs[0]))
        refused += _is_refused(graph)
    assert refused >= 15


def _is_refused(graph):
    try:
        pack(graph)
    except PackingError as error:
        return "beyond 32 bits" in str(error)
    return False


def test_sums_of_two_wrap_as_registers_do():
    """A sum of residual, add and concatenate near 2^31."""
    tensor = Tensor(2, 2, 3, 1.0, 0)
    codes = np.arange(9, dtype=np.uint8).reshape(3, 1, 1, 3)
    channels = Requantisation(Scaling(0, 6), np.full(3, 20_000, np.int16), np.zeros(3, np.int32))
    offset = (1 << 31) - 1000
    operators = (
        Convolution(0, 1, POINT, 1, False, codes, 4, channels, residual=Residual(0, -30_000, 20_000, offset, 20)),
        Add(0, 1, 2, 30_000, 20_000, offset, 20),
        Concatenate(1, 2, 3, -30_000, 30_000, offset, -offset, 20),
    )
    graph = IntegerGraph((tensor, tensor, tensor, Tensor(2, 2, 6, 1.0, 0)), operators, 0, 3)
    placed = tuple(PlacedTensor(0, t.height, t.width, t.channels, t.zero_point) for t in graph.tensors)
    artifact = Artifact(b"", 0, placed, operators, (None,) * 3, 0, 3, 1.0, 1.0)
    inputs = random_inputs(np.random.default_rng(0), graph, 8)
    outputs = run_reference(artifact, inputs)
    for image, output in zip(inputs, outputs, strict=True):
        np.testing.assert_array_equal(output, plain_run(graph, image))


def test_pixels_become_int8_rows_of_channels():
    images = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    inputs = to_device_input(images)
    assert inputs.dtype == np.int8
    assert inputs.shape == (2, 4, 5, 3)
    assert inputs[1, 2, 3, 1] == int(images[1, 1, 2, 3]) - 128


def test_accuracy_is_the_share_of_images_whose_largest_output_is_the_label():
    tensor = Tensor(1, 1, 3, 1.0, 0)
    artifact = read_artifact(pack(IntegerGraph((tensor, tensor), (ReLU(0, 1, -128),), 0, 1)))
    images = np.array([[9, 1, 2], [3, 8, 8], [1, 2, 7], [5, 4, 3]], np.uint8).reshape(4, 3, 1, 1)
    assert accuracy(artifact, Split(images, np.array([0, 1, 2, 1]))) == 0.75


def test_inputs_of_another_shape_are_refused():
    tensor = Tensor(2, 2, 1, 1.0, 0)
    artifact = read_artifact(pack(IntegerGraph((tensor, tensor), (ReLU(0, 1, 0),), 0, 1)))
    with pytest.raises(ValueError, match=r"takes int8 \(2, 2, 1\)"):
        run_reference(artifact, np.zeros((1, 2, 3, 1), np.int8))
