"""Where tensors and scratch lie in the arena: lifetimes, operators that work in place, and placement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dccdka.lowering.graph import (
    Add,
    Convolution,
    IntegerGraph,
    Lookup,
    Multiply,
    Operator,
    ReLU,
    Softmax,
    inputs_of,
)
from dccdka.packing.layout import ALIGNMENT, up


@dataclass(frozen=True)
class ArenaPlan:
    """Offsets by tensor index and by operator index (scratch; 0 where it has none), and the size of the whole."""

    tensor_offsets: tuple[int, ...]
    scratch_offsets: tuple[int, ...]
    arena_bytes: int


@dataclass
class _Block:
    """bytes that are needed from operator `first` to operator `last`, both included."""

    bytes: int
    first: int
    last: int
    offset: int = 0


def plan_arena(graph: IntegerGraph, scratch_bytes: Sequence[int]) -> ArenaPlan:
    """Greedy by size, the order of the best known heuristic (Pisarchyk & Lee, arXiv:2001.03288).

    scratch_bytes: by operator, 0 for none. The input is there before the first operator, the output after the last.
    """
    tensors = _tensor_blocks(graph)
    scratch = [_Block(_aligned(needed), i, i) for i, needed in enumerate(scratch_bytes)]
    blocks = list({id(block): block for block in [*tensors, *scratch] if block.bytes}.values())
    placed: list[_Block] = []
    for block in sorted(blocks, key=lambda b: (-b.bytes, b.first)):
        block.offset = _lowest_gap(block, placed)
        placed.append(block)
    return ArenaPlan(
        tuple(block.offset for block in tensors),
        tuple(block.offset for block in scratch),
        max(block.offset + block.bytes for block in blocks),
    )


def live_bytes(graph: IntegerGraph) -> list[int]:
    """By operator: bytes of the tensors that are needed while it runs, its own inputs and output included."""
    blocks = {id(block): block for block in _tensor_blocks(graph)}.values()
    return [sum(b.bytes for b in blocks if b.first <= i <= b.last) for i in range(len(graph.operators))]


def _tensor_blocks(graph: IntegerGraph) -> list[_Block]:
    """A block for each tensor; operators that work in place give their input's block to their output."""
    last_use = _last_uses(graph)
    blocks = [_Block(_aligned(tensor.elements), 0, last_use[i]) for i, tensor in enumerate(graph.tensors)]
    for i, operator in enumerate(graph.operators):
        blocks[operator.output].first = i
        for candidate in _may_overwrite(graph, operator):
            if last_use[candidate] == i:
                blocks[candidate].last = last_use[operator.output]
                blocks[operator.output] = blocks[candidate]
                break
    return blocks


def _last_uses(graph: IntegerGraph) -> list[int]:
    """Index of the last operator that reads or writes each tensor; the graph's output is needed after all."""
    last = [0] * len(graph.tensors)
    for i, operator in enumerate(graph.operators):
        for tensor in (*inputs_of(operator), operator.output):
            last[tensor] = i
    last[graph.output] = len(graph.operators)
    return last


def _may_overwrite(graph: IntegerGraph, operator: Operator) -> tuple[int, ...]:
    if isinstance(operator, Convolution):
        residual = operator.residual
        return () if residual is None or residual.tensor == operator.input else (residual.tensor,)
    if not isinstance(operator, Add | Multiply | ReLU | Lookup | Softmax):
        return ()
    elements = graph.tensors[operator.output].elements
    return tuple(i for i in inputs_of(operator) if graph.tensors[i].elements == elements)


def _lowest_gap(block: _Block, placed: list[_Block]) -> int:
    """Lowest offset at which the block meets none that lives at the same time."""
    offset = 0
    contemporaries = [other for other in placed if block.first <= other.last and other.first <= block.last]
    for other in sorted(contemporaries, key=lambda b: b.offset):
        if offset + block.bytes <= other.offset:
            break
        offset = max(offset, other.offset + other.bytes)
    return offset


def _aligned(size: int) -> int:
    return up(size, ALIGNMENT)
