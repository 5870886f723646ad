"""The arena plan gives every value its place for as long as it is needed, and no more than that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dccdka.lowering.graph import (
    POINT,
    Add,
    Convolution,
    IntegerGraph,
    Lookup,
    MaxPool,
    Multiply,
    ReLU,
    Requantisation,
    Residual,
    Scaling,
    Softmax,
    Tensor,
    Window,
)
from dccdka.packing import pack, read_artifact
from dccdka.packing.arena import plan_arena
from dccdka.packing.conformance import random_choices, random_graph

SAME = Window((3, 3), (1, 1), (1, 1))
SCALING = Scaling(8, 8)


def image(channels: int) -> Tensor:
    return Tensor(4, 4, channels, 1.0, 0)


def chain(*channels: int) -> IntegerGraph:
    """Pools, of which each needs its input and its output; the channels need not belong together here."""
    operators = tuple(MaxPool(i, i + 1, SAME) for i in range(len(channels) - 1))
    return IntegerGraph(tuple(image(c) for c in channels), operators, 0, len(channels) - 1)


def test_a_chain_needs_its_two_largest_neighbours():
    assert plan_arena(chain(1, 1, 1, 1)).bytes == 32


def test_tensors_that_by_size_would_lie_badly_are_placed_anew():
    # The sizes of MobileNet's first layers: by size alone the arena would be 64512 bytes.
    assert plan_arena(chain(1728, 1152, 1152, 2304)).bytes == (1152 + 2304) * 16


def test_relu_and_add_work_in_place_where_their_input_ends():
    tensors = tuple(image(1) for _ in range(4))
    operators = (MaxPool(0, 1, SAME), ReLU(1, 2, 0), Add(0, 2, 3, 1 << 14, 1 << 14, 0, 15))
    plan = plan_arena(IntegerGraph(tensors, operators, 0, 3))
    assert plan.bytes == 32
    assert plan.offsets[1] == plan.offsets[2]
    assert plan.offsets[3] in (plan.offsets[0], plan.offsets[2])


def test_lookup_softmax_and_multiply_work_in_place_on_an_input_of_their_outputs_shape():
    gate, table = Tensor(1, 1, 4, 1.0, 0), np.zeros(256, np.int8)
    tensors = (image(4), image(4), image(4), gate, image(4), image(4))
    operators = (
        Lookup(0, 1, table),
        Softmax(1, 2, np.full(256, 1 << 15, np.uint16)),
        MaxPool(2, 3, Window((4, 4), (1, 1), (0, 0))),
        Multiply(2, 3, 4, SCALING, 1 << 14, 0),
        MaxPool(4, 5, SAME),
    )
    plan = plan_arena(IntegerGraph(tensors, operators, 0, 5))
    assert plan.offsets[0] == plan.offsets[1] == plan.offsets[2] == plan.offsets[4]
    assert plan.bytes == 64 + 64


def with_residual(x: int, y: int, residual: int) -> Convolution:
    scaling = Requantisation(SCALING, np.ones(1, np.int16), np.zeros(1, np.int32))
    added = Residual(residual, 1 << 14, 1 << 14, 0, 15)
    return Convolution(x, y, SAME, 1, False, np.ones((1, 3, 3, 1), np.uint8), 0, scaling, residual=added)


def test_a_convolution_works_in_place_on_its_residual_but_not_on_what_it_reads():
    tensors = tuple(image(1) for _ in range(3))
    plan = plan_arena(IntegerGraph(tensors, (MaxPool(0, 1, SAME), with_residual(1, 2, 0)), 0, 2))
    assert plan.offsets[2] == plan.offsets[0] != plan.offsets[1]
    plan = plan_arena(IntegerGraph(tensors[:2], (with_residual(0, 1, 0),), 0, 1))
    assert plan.offsets[0] != plan.offsets[1]


def point(x: int, y: int, graph_channels: tuple[int, ...], groups: int = 1) -> Convolution:
    filters, depth = graph_channels[y], graph_channels[x] // groups
    scaling = Requantisation(SCALING, np.ones(filters, np.int16), np.zeros(filters, np.int32))
    window = POINT if groups == 1 else SAME
    return Convolution(x, y, window, groups, False, np.ones((filters, *window.kernel, depth), np.uint8), 0, scaling)


def convolutions(*channels: int) -> IntegerGraph:
    """One after the other: where a depth stays, depthwise."""
    operators = tuple(
        point(i, i + 1, channels, groups=channels[i] if channels[i] == channels[i + 1] else 1)
        for i in range(len(channels) - 1)
    )
    return IntegerGraph(tuple(image(c) for c in channels), operators, 0, len(channels) - 1)


def test_a_convolution_takes_its_inputs_place_where_it_may():
    graph = convolutions(4, 4, 4)
    assert plan_arena(graph).bytes == 2 * 64
    plan = plan_arena(graph, [0, 1])
    assert plan.bytes == 64
    assert plan.overwriting == {0, 1}
    assert plan_arena(graph, [1]).overwriting == {1}


def test_deeper_images_grow_over_their_input_and_others_shrink_into_it():
    for channels, bytes_ in (((2, 5), 16 * 5), ((5, 2), 16 * 5), ((3, 8, 2, 5), 16 * 8)):
        plan = plan_arena(convolutions(*channels), range(len(channels) - 1))
        assert plan.bytes == bytes_
        for i in plan.overwriting:
            x, y = plan.offsets[i], plan.offsets[i + 1]
            assert y <= x
            assert y + 16 * channels[i + 1] <= x + 16 * channels[i]
    assert plan_arena(convolutions(2, 5), [0]).overwriting == {0}


def test_what_grows_by_a_part_of_a_word_begins_a_word_before():
    graph = convolutions(4, 5)
    small = replace(graph, tensors=tuple(Tensor(1, 3, t.channels, 1.0, 0) for t in graph.tensors))
    plan = plan_arena(small, [0])  # 12 and 15 bytes
    assert plan.offsets == (4, 0)


def test_the_first_layers_of_a_mobilenet_need_little_more_than_the_largest_image():
    channels = (1728, 1152, 1152, 2304)
    graph = chain(*channels)
    graph = replace(
        graph, operators=(*graph.operators[:2], replace(convolutions(2, 5).operators[0], input=2, output=3))
    )
    assert plan_arena(graph, [2]).bytes == (1728 + 1152) * 16


def test_an_input_that_is_used_later_is_not_overwritten():
    tensors = tuple(image(1) for _ in range(3))
    operators = (ReLU(0, 1, 0), Add(0, 1, 2, 1 << 14, 1 << 14, 0, 15))
    plan = plan_arena(IntegerGraph(tensors, operators, 0, 2))
    assert plan.offsets[0] != plan.offsets[1]


def test_scratch_lies_in_what_is_free_beside_the_tensors():
    plan = plan_arena(chain(4, 1, 1))  # 80 bytes; while the second pool runs, 48 of them are free
    assert plan.bytes == 80
    assert plan.arena_bytes({}) == plan.arena_bytes({1: 48}) == plan.arena_bytes({0: 0}) == 80
    assert plan.arena_bytes({1: 47, 0: 2}) == 84
    assert plan.scratch_at(0, 1) == 80
    begin = plan.scratch_at(1, 48)
    assert begin % 4 == 0
    assert all(not begin < plan.offsets[tensor] + 16 or not plan.offsets[tensor] < begin + 48 for tensor in (1, 2))


@pytest.mark.parametrize("seed", range(50))
def test_no_plan_loses_a_value_that_is_still_needed(seed):
    # read_artifact refuses an artifact in which a tensor is overwritten before it is read
    generator = np.random.default_rng(seed)
    graph = random_graph(generator, operators=12)
    artifact = read_artifact(pack(graph, choose=random_choices(generator)))
    assert artifact.arena_bytes >= max(tensor.region.bytes for tensor in artifact.tensors)
