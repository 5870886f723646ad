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

_ATTEMPTS = 48


@dataclass(frozen=True)
class ArenaPlan:
    """Offsets by tensor index and by operator index (scratch; 0 where it has none), and the size of the whole."""

    tensor_offsets: tuple[int, ...]
    scratch_offsets: tuple[int, ...]
    arena_bytes: int


@dataclass(eq=False)
class _Block:
    """bytes that are needed from operator `first` to operator `last`, both included."""

    bytes: int
    first: int
    last: int
    offset: int = 0

    def lives_at(self, operator: int) -> bool:
        return self.first <= operator <= self.last

    @property
    def end(self) -> int:
        return self.offset + self.bytes


def plan_arena(graph: IntegerGraph, scratch_bytes: Sequence[int]) -> ArenaPlan:
    """Blocks are placed greedily at the lowest gap, in the order of the best known heuristic, by size (Pisarchyk & Lee,
    arXiv:2001.03288). As long as the arena is larger than what is needed at once, the block that lies highest is placed
    before all others and the rest anew, some dozens of times.

    scratch_bytes: by operator, 0 for none. The input is there before the first operator, the output after the last.
    """
    tensors = _tensor_blocks(graph)
    scratch = [_Block(_aligned(needed), i, i) for i, needed in enumerate(scratch_bytes)]
    blocks = list({id(block): block for block in [*tensors, *scratch] if block.bytes}.values())
    _place(blocks, least=max(sum(b.bytes for b in blocks if b.lives_at(i)) for i in range(len(graph.operators))))
    return ArenaPlan(
        tuple(block.offset for block in tensors),
        tuple(block.offset for block in scratch),
        max(block.end for block in blocks),
    )


def live_bytes(graph: IntegerGraph) -> list[int]:
    """By operator: bytes of the tensors that are needed while it runs, its own inputs and output included."""
    blocks = {id(block): block for block in _tensor_blocks(graph)}.values()
    return [sum(b.bytes for b in blocks if b.lives_at(i)) for i in range(len(graph.operators))]


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


def _place(blocks: list[_Block], least: int) -> None:
    """Gives every block its offset; least: no arena is smaller than that."""
    contemporaries = {
        block: [b for b in blocks if b is not block and b.first <= block.last and block.first <= b.last]
        for block in blocks
    }
    order = sorted(blocks, key=lambda block: (-block.bytes, block.first))
    best: tuple[int, list[int]] | None = None
    for _ in range(_ATTEMPTS):
        placed: set[_Block] = set()
        for block in order:
            block.offset = _lowest_gap(block, [other for other in contemporaries[block] if other in placed])
            placed.add(block)
        highest = max(blocks, key=lambda block: block.end)
        if best is None or highest.end < best[0]:
            best = highest.end, [block.offset for block in blocks]
        if best[0] <= least:
            break
        order.remove(highest)
        order.insert(0, highest)
    assert best is not None
    for block, offset in zip(blocks, best[1], strict=True):
        block.offset = offset


def _lowest_gap(block: _Block, others: list[_Block]) -> int:
    """Lowest offset at which the block meets none of the others."""
    offset = 0
    for other in sorted(others, key=lambda b: b.offset):
        if offset + block.bytes <= other.offset:
            break
        offset = max(offset, other.end)
    return offset


def _aligned(size: int) -> int:
    return up(size, ALIGNMENT)
