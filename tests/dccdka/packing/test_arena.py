"""The arena plan gives every value its place for as long as it is needed, and no more than that."""

from __future__ import annotations

import numpy as np
import pytest

from dccdka.lowering.graph import Add, IntegerGraph, Lookup, MaxPool, Multiply, ReLU, Softmax, Tensor, Window
from dccdka.packing import pack, read_artifact
from dccdka.packing.arena import plan_arena
from dccdka.packing.conformance import random_graph

SAME = Window((3, 3), (1, 1), (1, 1))


def image(channels: int) -> Tensor:
    return Tensor(4, 4, channels, 1.0, 0)


def test_a_chain_needs_its_two_largest_neighbours():
    tensors = tuple(image(c) for c in (1, 1, 1, 1))
    operators = tuple(MaxPool(i, i + 1, SAME) for i in range(3))
    assert plan_arena(IntegerGraph(tensors, operators, 0, 3), [0, 0, 0]).arena_bytes == 32


def test_relu_and_add_work_in_place_where_their_input_ends():
    tensors = tuple(image(1) for _ in range(4))
    operators = (MaxPool(0, 1, SAME), ReLU(1, 2, 0), Add(0, 2, 3, 1 << 30, 1 << 30, 31))
    plan = plan_arena(IntegerGraph(tensors, operators, 0, 3), [0, 0, 0])
    assert plan.arena_bytes == 32
    assert plan.tensor_offsets[1] == plan.tensor_offsets[2]
    assert plan.tensor_offsets[3] in (plan.tensor_offsets[0], plan.tensor_offsets[2])


def test_lookup_softmax_and_multiply_work_in_place_on_an_input_of_their_outputs_shape():
    gate, table = Tensor(1, 1, 4, 1.0, 0), np.zeros(256, np.int8)
    tensors = (image(4), image(4), image(4), gate, image(4), image(4))
    operators = (
        Lookup(0, 1, table),
        Softmax(1, 2, np.full(256, 1 << 15, np.uint16)),
        MaxPool(2, 3, Window((4, 4), (1, 1), (0, 0))),
        Multiply(2, 3, 4, 1 << 30, 31),
        MaxPool(4, 5, SAME),
    )
    plan = plan_arena(IntegerGraph(tensors, operators, 0, 5), [0] * 5)
    places = plan.tensor_offsets
    assert places[0] == places[1] == places[2] == places[4]
    assert plan.arena_bytes == 64 + 64


def test_an_input_that_is_used_later_is_not_overwritten():
    tensors = tuple(image(1) for _ in range(3))
    operators = (ReLU(0, 1, 0), Add(0, 1, 2, 1 << 30, 1 << 30, 31))
    plan = plan_arena(IntegerGraph(tensors, operators, 0, 2), [0, 0])
    assert plan.tensor_offsets[0] != plan.tensor_offsets[1]


def test_scratch_lies_apart_from_what_lives_beside_it_and_is_reused_after():
    tensors = tuple(image(1) for _ in range(3))
    operators = (MaxPool(0, 1, SAME), MaxPool(1, 2, SAME))
    plan = plan_arena(IntegerGraph(tensors, operators, 0, 2), [10, 18])
    assert plan.arena_bytes == 16 + 16 + 20
    assert all(offset % 4 == 0 for offset in (*plan.tensor_offsets, *plan.scratch_offsets))


@pytest.mark.parametrize("seed", range(50))
def test_no_plan_loses_a_value_that_is_still_needed(seed):
    # read_artifact refuses an artifact in which a tensor is overwritten before it is read
    artifact = read_artifact(pack(random_graph(np.random.default_rng(seed), operators=12)))
    assert artifact.arena_bytes >= max(tensor.region.bytes for tensor in artifact.tensors)
