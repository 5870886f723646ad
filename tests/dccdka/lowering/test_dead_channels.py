"""Channels that do nothing are removed, and what is left computes the same but for the rounding of folded constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.random import Generator, default_rng
from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Normalization
from dccdka.lowering import lower, lower_all_channels, macs, nonzero_macs, remove_dead_channels
from dccdka.lowering.bounds import channel_bounds
from dccdka.lowering.dead_channels import kept_channels
from dccdka.lowering.graph import (
    POINT,
    Add,
    AveragePool,
    Convolution,
    IntegerGraph,
    Lookup,
    Multiply,
    Operator,
    ReLU,
    Requantisation,
    Residual,
    Scaling,
    Tensor,
    Window,
)
from dccdka.lowering.narrow_form import bias_origin
from dccdka.packing import Artifact, pack, read_artifact, run_reference
from dccdka.packing.artifact import PlacedTensor
from dccdka.packing.conformance import random_graph, random_inputs
from dccdka.packing.reference_kernels import prepare
from dccdka.recipe import Recipe


def with_zero_filters(generator: Generator, graph: IntegerGraph, share: float) -> IntegerGraph:
    """Some filters all zero, half of these with a bias of zero, so that their outputs are real zeros."""
    operators = list(graph.operators)
    for i, operator in enumerate(operators):
        if isinstance(operator, Convolution):
            zeros = generator.random(len(operator.codes)) < share
            codes, bias = operator.codes.copy(), operator.requantisation.bias.copy()
            codes[zeros] = operator.weight_zero_point
            zero_point = graph.tensors[operator.output].zero_point
            origin = bias_origin(operator.requantisation.scaling, zero_point)
            bias[zeros & (generator.random(len(bias)) < 0.5)] = origin
            requantisation = replace(operator.requantisation, bias=bias)
            operators[i] = replace(operator, codes=codes, requantisation=requantisation)
    return replace(graph, operators=tuple(operators))


def outputs(graph: IntegerGraph, inputs: np.ndarray) -> np.ndarray:
    return run_reference(read_artifact(pack(graph)), inputs)


def channels(graph: IntegerGraph) -> int:
    return sum(tensor.channels for tensor in graph.tensors)


def as_it_is(graph: IntegerGraph) -> Artifact:
    """What the reference interpreter takes, without what packing makes of the graph; never written."""
    tensors = tuple(PlacedTensor(0, t.height, t.width, t.channels, t.zero_point) for t in graph.tensors)
    stored = (None,) * len(graph.operators)
    return Artifact(b"", 0, tensors, graph.operators, stored, graph.input, graph.output, 1.0, 1.0)


def all_values(graph: IntegerGraph, inputs: np.ndarray) -> dict[int, np.ndarray]:
    """By tensor."""
    values = {graph.input: inputs}
    for operator in graph.operators:
        values[operator.output] = prepare(as_it_is(graph), operator)(values)
    return values


def without_residual(operator: Operator) -> Operator:
    return replace(operator, residual=None) if isinstance(operator, Convolution) else operator


def test_every_operator_of_random_graphs_with_zero_filters_computes_the_same_from_what_is_left():
    """Operator by operator, so that a step's difference, where a constant was rounded, is not multiplied by others."""
    shrunk = values = different = 0
    for seed in range(300):
        generator = default_rng(seed)
        graph = with_zero_filters(generator, random_graph(generator, 8), share=0.6)
        smaller, kept = remove_dead_channels(graph), kept_channels(graph)
        shrunk += channels(smaller) < channels(graph)
        assert macs(smaller) <= macs(graph)
        live = [i for i, mask in enumerate(kept) if mask.any()]
        assert [t.channels for t in smaller.tensors] == [int(kept[i].sum()) for i in live]
        before = all_values(graph, random_inputs(generator, graph, 8))
        left = {new: before[old][..., kept[old]] for new, old in enumerate(live)}
        whole = {operator.output: without_residual(operator) for operator in graph.operators}
        for operator in map(without_residual, smaller.operators):
            old = live[operator.output]
            result = prepare(as_it_is(smaller), operator)(left)
            expected = prepare(as_it_is(graph), whole[old])(before)[..., kept[old]]
            if not isinstance(operator, Convolution):
                assert np.array_equal(result, expected), seed
                continue
            assert np.abs(result.astype(int) - expected).max() <= 1
            if operator.codes.shape[3] == whole[old].codes.shape[3]:
                assert np.array_equal(result, expected), seed
            elif operator.requantisation.scaling.fraction_bits >= 4:
                values, different = values + result.size, different + int((result != expected).sum())
    assert shrunk > 100
    assert values > 5_000
    assert different < 0.01 * values


def test_no_value_of_random_graphs_leaves_its_bounds():
    constants = 0
    for seed in range(100):
        generator = default_rng(seed)
        graph = with_zero_filters(generator, random_graph(generator, 8), share=0.3)
        values = all_values(graph, random_inputs(generator, graph, 16))
        for i, bounds in enumerate(channel_bounds(graph)):
            assert (values[i] >= bounds.low).all()
            assert (values[i] <= bounds.high).all()
            constants += int(bounds.constant.sum())
    assert constants > 100


def has_lone_group(graph: IntegerGraph) -> bool:
    """Whether one group of a grouped convolution stays: that is another kind, whose filters go one by one."""
    kept = kept_channels(graph)
    grouped = [operator for operator in graph.operators if isinstance(operator, Convolution) and operator.groups > 1]
    return any(kept[o.output].reshape(o.groups, -1).any(axis=1).sum() == 1 for o in grouped)


def test_a_second_pass_finds_nothing_more():
    looked_at = 0
    for seed in range(60):
        generator = default_rng(seed)
        graph = with_zero_filters(generator, random_graph(generator, 8), share=0.6)
        once = remove_dead_channels(graph)
        if not has_lone_group(graph):
            assert channels(remove_dead_channels(once)) == channels(once), seed
            looked_at += 1
    assert looked_at > 30


class Block(nn.Module):
    """Whole filters are zero before and inside a residual block with a depthwise layer and squeeze-excite."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(8), nn.Hardswish())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8))
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.project = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x)
        y = torch.relu(self.depthwise(x))
        y = y * torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return self.head((x + self.project(y)).mean((2, 3)))


@pytest.fixture
def pruned() -> nn.Module:
    """Channels 1, 4 and 6 of the residual stream are zero, as filter pruning leaves them."""
    torch.manual_seed(0)
    module = Block().eval()
    with torch.no_grad():
        for sequence in (module.stem, module.depthwise, module.project):
            sequence[0].weight[[1, 4, 6]] = 0
            sequence[1].bias.uniform_(-0.1, 0.1)
            sequence[1].bias[[1, 4, 6]] = 0
    return module


def test_pruned_filters_leave_all_layers_of_a_residual_block(pruned, images):
    compressed = post_training(pruned, Recipe(1, 0, 256, 8))
    normalization = Normalization(zero=73, scale=1 / 90)
    smaller = lower(compressed, images, normalization)
    whole = lower_all_channels(compressed, images, normalization)
    assert sum(t.channels == 8 for t in whole.tensors) == sum(t.channels == 5 for t in smaller.tensors) == 10
    assert not any(t.channels == 8 for t in smaller.tensors)
    depthwise = smaller.operators[2]
    assert isinstance(depthwise, Convolution)
    assert (depthwise.groups, depthwise.codes.shape) == (5, (5, 3, 3, 1))
    inputs = random_inputs(default_rng(0), whole, 32)
    differences = outputs(whole, inputs).astype(int) - outputs(smaller, inputs)
    assert np.abs(differences).max() <= 1
    assert (differences == 0).mean() > 0.8
    assert macs(smaller) < 0.7 * macs(whole)
    assert nonzero_macs(smaller) <= nonzero_macs(whole)
    tables = 2 * 256  # of functions, which stay
    assert len(pack(smaller)) - tables < 0.85 * (len(pack(whole)) - tables)


def identity(channels: int, bias: int = 0) -> Requantisation:
    """output = sum + bias, exactly: also a constant in the bias."""
    ones = np.ones(channels, np.int64)
    multiplier, biases = (ones << 14).astype(np.int16), (ones * bias << 13).astype(np.int32)
    return Requantisation(Scaling(15, 13), multiplier, biases)


def biases(operator: Operator) -> list[int]:
    """Of an identity, in its output's steps."""
    assert isinstance(operator, Convolution)
    return (operator.requantisation.bias >> 13).tolist()


def convolution(x: int, y: int, weights: np.ndarray, window: Window = POINT, bias: int = 0, **fields) -> Convolution:
    """weights [out, y, x, in], small signed integers."""
    codes = (weights + 8).astype(np.uint8)
    fields = {"groups": 1, "flatten_input": False, **fields}
    return Convolution(
        x, y, window, codes=codes, weight_zero_point=8, requantisation=identity(len(codes), bias), **fields
    )


def image(channels: int, size: int = 4, zero_point: int = 0) -> Tensor:
    return Tensor(size, size, channels, 0.1, zero_point)


ZERO_AND_IDENTITY = np.array([0, 1]).reshape(2, 1, 1, 1)
SUM = np.ones((1, 1, 1, 2), int)


def test_a_constant_goes_into_the_bias_of_a_convolution_without_padding():
    first = convolution(0, 1, ZERO_AND_IDENTITY, bias=5)
    graph = IntegerGraph((image(1), image(2), image(1)), (first, convolution(1, 2, SUM, bias=1)), 0, 2)
    smaller = remove_dead_channels(graph)
    assert smaller.tensors[1].channels == 1
    assert biases(smaller.operators[1]) == [6]
    inputs = random_inputs(default_rng(0), graph, 4)
    assert np.array_equal(outputs(graph, inputs), outputs(smaller, inputs))


@pytest.mark.parametrize(("bias", "left"), [(5, 2), (0, 2), (-7, 1)])
def test_of_constants_only_zero_is_folded_where_there_is_padding(bias, left):
    window = Window((3, 3), (1, 1), (1, 1))
    first = convolution(0, 1, ZERO_AND_IDENTITY, bias=bias)
    second = convolution(1, 2, np.ones((1, 3, 3, 2), int), window)
    graph = IntegerGraph((image(1), image(2, zero_point=-7), image(1)), (first, second), 0, 2)
    smaller = remove_dead_channels(graph)
    assert smaller.tensors[1].channels == left
    assert biases(smaller.operators[1]) == [0 if left == 2 else -7 * 9]
    inputs = random_inputs(default_rng(0), graph, 4)
    assert np.array_equal(outputs(graph, inputs), outputs(smaller, inputs))


def test_a_bias_takes_constants_in_its_own_steps():
    """5 x 7 / 2^16 steps / 2^4, with a sum of 1000 of the other channel: the products are cut once, not twice."""
    weights = np.array([7, 1]).reshape(1, 1, 1, 2)
    second = convolution(1, 2, weights)
    scaling, multiplier = Scaling(0, 4), np.array([30_000], np.int16)
    second = replace(second, requantisation=Requantisation(scaling, multiplier, np.array([100], np.int32)))
    first = convolution(0, 1, ZERO_AND_IDENTITY, bias=5)
    graph = IntegerGraph((image(1), image(2), image(1)), (first, second), 0, 2)
    assert remove_dead_channels(graph).operators[1].requantisation.bias.tolist() == [100 + round(35 * 30_000 / 2**16)]


def test_constants_that_do_not_fit_a_bias_stay():
    second = convolution(1, 2, SUM)
    requantisation = Requantisation(Scaling(15, 0), np.array([32_000], np.int16), np.array([2**31 - 10], np.int32))
    first = convolution(0, 1, ZERO_AND_IDENTITY, bias=100)
    graph = IntegerGraph((image(1), image(2), image(1)), (first, replace(second, requantisation=requantisation)), 0, 2)
    assert remove_dead_channels(graph).tensors[1].channels == 2


def test_a_residual_keeps_the_channels_of_both_and_finds_its_tensor():
    """Tensor 1 is not read and goes, so that the residual's has another index."""
    added = convolution(3, 4, np.eye(2, dtype=int).reshape(2, 1, 1, 2))
    added = replace(added, residual=Residual(tensor=2, multiplier=3, residual_multiplier=5, offset=11, shift=3))
    operators = (
        *(convolution(0, y, ZERO_AND_IDENTITY) for y in (1, 2, 3)),
        added,
        convolution(4, 5, np.array([0, 1]).reshape(1, 1, 1, 2)),
    )
    graph = IntegerGraph((image(1), *[image(2)] * 4, image(1)), operators, 0, 5)
    smaller = remove_dead_channels(graph)
    assert [tensor.channels for tensor in smaller.tensors] == [1] * 5
    smaller_sum = smaller.operators[2]
    assert isinstance(smaller_sum, Convolution)
    assert smaller_sum.residual == replace(added.residual, tensor=1)
    inputs = random_inputs(default_rng(0), graph, 4)
    assert np.array_equal(outputs(graph, inputs), outputs(smaller, inputs))


def test_a_channel_that_nothing_reads_goes_although_it_is_not_constant():
    second = convolution(1, 2, np.array([1, 0]).reshape(1, 1, 1, 2))
    first = convolution(0, 1, np.ones((2, 1, 1, 1), int))
    graph = IntegerGraph((image(1), image(2), image(1)), (first, second), 0, 2)
    assert remove_dead_channels(graph).tensors[1].channels == 1


def test_a_unit_that_never_leaves_its_clamp_is_dead():
    # 1 * (x - 0) - 200 is below zero for every x, so that ReLU always gives zero.
    first = replace(convolution(0, 1, np.array([1, 1]).reshape(2, 1, 1, 1)), low=0)
    first.requantisation.bias[0] = -200 << 13
    graph = IntegerGraph((image(1), image(2), image(1)), (first, convolution(1, 2, SUM)), 0, 2)
    assert remove_dead_channels(graph).tensors[1].channels == 1


def test_input_and_output_keep_their_channels():
    nothing = convolution(0, 1, np.zeros((3, 1, 1, 2), int), bias=7)
    graph = IntegerGraph((image(2), image(3)), (nothing,), 0, 1)
    smaller = remove_dead_channels(graph)
    assert [tensor.channels for tensor in smaller.tensors] == [2, 3]


def test_a_channel_stays_that_an_addition_needs_for_its_other_operand():
    zero_first, zero_second = convolution(0, 1, ZERO_AND_IDENTITY), convolution(0, 2, ZERO_AND_IDENTITY[::-1])
    add = Add(1, 2, 3, 1, 1, 0, 0)
    operators = (zero_first, zero_second, add, convolution(3, 4, SUM))
    graph = IntegerGraph((image(1), image(2), image(2), image(2), image(1)), operators, 0, 4)
    smaller = remove_dead_channels(graph)
    assert [tensor.channels for tensor in smaller.tensors] == [1, 2, 2, 2, 1]


@pytest.mark.parametrize(
    "between",
    [
        ReLU(1, 2, 0),
        Lookup(1, 2, np.maximum(np.arange(-128, 128), 0).astype(np.int8)),
        AveragePool(1, 2, Window((2, 2), (1, 1), (1, 1)), Scaling(4, 6), 1 << 14, 1 << 5),
        Multiply(1, 1, 2, Scaling(0, 4), 1 << 14, 1 << 3),
    ],
)
def test_zero_stays_zero_through(between):
    size = 5 if isinstance(between, AveragePool) else 4
    tensors = (image(1), image(2), image(2, size), image(1, size))
    graph = IntegerGraph(tensors, (convolution(0, 1, ZERO_AND_IDENTITY), between, convolution(2, 3, SUM)), 0, 3)
    smaller = remove_dead_channels(graph)
    assert [tensor.channels for tensor in smaller.tensors] == [1, 1, 1, 1]
    inputs = random_inputs(default_rng(0), graph, 4)
    assert np.array_equal(outputs(graph, inputs), outputs(smaller, inputs))


def test_a_multiplication_with_a_dead_gate_frees_what_it_gates():
    gate = convolution(1, 2, np.zeros((2, 4, 4, 2), int), Window((4, 4), (1, 1), (0, 0)))
    gate.requantisation.bias[1] = 3 << 13
    product = Multiply(1, 2, 3, Scaling(0, 4), 1 << 14, 1 << 3)
    live = convolution(0, 1, np.ones((2, 1, 1, 1), int))
    tensors = (image(1), image(2), image(2, 1), image(2), image(1))
    graph = IntegerGraph(tensors, (live, gate, product, convolution(3, 4, SUM)), 0, 4)
    smaller = remove_dead_channels(graph)
    assert [tensor.channels for tensor in smaller.tensors] == [1, 1, 1, 1, 1]
    inputs = random_inputs(default_rng(0), graph, 4)
    assert np.array_equal(outputs(graph, inputs), outputs(smaller, inputs))


def test_a_flattened_image_loses_the_columns_of_its_dead_channels():
    linear = convolution(1, 2, np.ones((3, 1, 1, 32), int), flatten_input=True)
    first = convolution(0, 1, ZERO_AND_IDENTITY, bias=2)
    graph = IntegerGraph((image(1), image(2), image(3, 1)), (first, linear), 0, 2)
    smaller = remove_dead_channels(graph)
    assert smaller.operators[1].codes.shape == (3, 1, 1, 16)
    assert biases(smaller.operators[1]) == [32] * 3
    inputs = random_inputs(default_rng(0), graph, 4)
    assert np.array_equal(outputs(graph, inputs), outputs(smaller, inputs))
