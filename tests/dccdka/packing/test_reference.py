"""The fast reference interpreter computes what FORMAT.md says, held to plain loops over Python's own integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dccdka.datasets import Split
from dccdka.lowering.graph import Add, AveragePool, Convolution, IntegerGraph, MaxPool, ReLU, Tensor
from dccdka.packing import accuracy, pack, read_artifact, run_reference, to_device_input
from dccdka.packing.conformance import random_graph, random_inputs


def narrowed(product, shift, tensor, operator):
    return min(max(tensor.zero_point + ((product + (1 << (shift - 1))) >> shift), operator.low), operator.high)


def taps(window, y, x, shape):
    """(kernel y, kernel x, image y, image x) of the valid taps."""
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            iy = y * window.stride[0] - window.padding[0] + ky
            ix = x * window.stride[1] - window.padding[1] + kx
            if 0 <= iy < shape[0] and 0 <= ix < shape[1]:
                yield ky, kx, iy, ix


def plain_value(operator, images, tensors, y, x, c):
    """One element of an operator's output; images are lists of lists of lists of int."""
    image, tensor, output = images[operator.input], tensors[operator.input], tensors[operator.output]
    if isinstance(operator, ReLU):
        return min(max(image[y][x][c], operator.low), operator.high)
    if isinstance(operator, Add):
        a = (image[y][x][c] - tensor.zero_point) * operator.multiplier
        b = (images[operator.second][y][x][c] - tensors[operator.second].zero_point) * operator.second_multiplier
        return narrowed(a + b, operator.shift, output, operator)
    if isinstance(operator, Convolution) and operator.flatten_input:
        image = [[[v for row in image for pixel in row for v in pixel]]]
    valid = list(taps(operator.window, y, x, (len(image), len(image[0]))))
    if isinstance(operator, MaxPool):
        return max(image[iy][ix][c] for _, _, iy, ix in valid)
    if isinstance(operator, AveragePool):
        total = sum(image[iy][ix][c] - tensor.zero_point for _, _, iy, ix in valid)
        return narrowed(total * operator.multiplier, operator.shift, output, operator)
    codes, requantisation = operator.codes.tolist(), operator.requantisation
    first = c // (output.channels // operator.groups) * operator.codes.shape[3]
    total = int(requantisation.bias[c])
    for ky, kx, iy, ix in valid:
        for i, code in enumerate(codes[c][ky][kx]):
            total += (image[iy][ix][first + i] - tensor.zero_point) * (code - operator.weight_zero_point)
    return narrowed(total * int(requantisation.multiplier[c]), int(requantisation.shift[c]), output, operator)


def plain_run(graph, image):
    images = {graph.input: image.tolist()}
    for operator in graph.operators:
        t = graph.tensors[operator.output]
        images[operator.output] = [
            [[plain_value(operator, images, graph.tensors, y, x, c) for c in range(t.channels)] for x in range(t.width)]
            for y in range(t.height)
        ]
    return np.array(images[graph.output])


@pytest.mark.parametrize("seed", range(60))
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


def test_sums_beyond_float32_are_exact():
    """A filter of 8191 weights of 255: sums near 2^29, all odd bits counting."""
    wide = Tensor(1, 1, 8191, 1.0, zero_point=-128)
    narrow = Tensor(1, 1, 1, 1.0, zero_point=0)
    codes = np.full((1, 1, 1, 8191), 255, np.uint8)
    linear = next(o for o in random_graph(np.random.default_rng(1), 30).operators if isinstance(o, Convolution))
    requantisation = replace(
        linear.requantisation,
        bias=np.array([-(8191 * 255 * 255) + 100], np.int32),
        multiplier=np.array([1 << 30], np.int32),
        shift=np.array([30], np.uint8),
    )
    window = replace(linear.window, kernel=(1, 1), stride=(1, 1), padding=(0, 0))
    operator = Convolution(0, 1, window, 1, False, codes, 0, requantisation)
    graph = IntegerGraph((wide, narrow), (operator,), 0, 1)
    inputs = np.full((1, 1, 1, 8191), 127, np.int8)
    assert run_reference(read_artifact(pack(graph)), inputs).item() == 100


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
