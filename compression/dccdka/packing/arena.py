"""Where tensors and scratch lie in the arena: lifetimes, operators that work in place, and placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Where tensors lie, and what is free beside them while each operator runs.

    offsets by tensor; bytes: up to the highest tensor's end; taken: by operator, (begin, end) of what must not be
    touched, in ascending order.
    """

    offsets: tuple[int, ...]
    bytes: int
    taken: tuple[tuple[tuple[int, int], ...], ...]

    def scratch_at(self, operator: int, size: int) -> int:
        """Lowest offset of so much scratch."""
        return _lowest_gap(size, self.taken[operator])

    def arena_bytes(self, scratch: Mapping[int, int]) -> int:
        """Of tensors and scratch, given by operator."""
        ends = (self.scratch_at(i, size) + up(size, ALIGNMENT) for i, size in scratch.items() if size)
        return max([self.bytes, *ends])


@dataclass(eq=False)
class _Block:
    """bytes that are needed from operator `first` to operator `last`, both included."""

    bytes: int
    first: int
    last: int
    offset: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.bytes

    @property
    def place(self) -> tuple[int, int]:
        return self.offset, self.end

    def lives_at(self, operator: int) -> bool:
        return self.first <= operator <= self.last


def plan_arena(graph: IntegerGraph) -> ArenaPlan:
    """The input is there before the first operator, the output after the last.

    Tensors are placed greedily at the lowest gap, in the order of the best known heuristic, by size (Pisarchyk & Lee,
    arXiv:2001.03288). As long as the arena is larger than what is needed at once, the one that lies highest is placed
    before all others and the rest anew, some dozens of times.
    """
    tensors = _tensor_blocks(graph)
    blocks = list(dict.fromkeys(tensors))
    live = [[b for b in blocks if b.lives_at(i)] for i in range(len(graph.operators))]
    _place(blocks, least=max(sum(b.bytes for b in own) for own in live))
    return ArenaPlan(
        tuple(block.offset for block in tensors),
        max(block.end for block in blocks),
        tuple(tuple(sorted(b.place for b in own)) for own in live),
    )


def _tensor_blocks(graph: IntegerGraph) -> list[_Block]:
    """A block for each tensor; operators that work in place give their input's block to their output."""
    last_use = _last_uses(graph)
    blocks = [_Block(up(tensor.elements, ALIGNMENT), 0, last_use[i]) for i, tensor in enumerate(graph.tensors)]
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
            others = sorted(other.place for other in contemporaries[block] if other in placed)
            block.offset = _lowest_gap(block.bytes, others)
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


def _lowest_gap(size: int, taken: Sequence[tuple[int, int]]) -> int:
    """Lowest offset at which so many bytes meet nothing that is taken, (begin, end) in ascending order."""
    offset = 0
    for begin, end in taken:
        if offset + size <= begin:
            break
        offset = max(offset, end)
    return offset
