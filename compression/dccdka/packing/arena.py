"""Where tensors and scratch lie in the arena: lifetimes, operators that overwrite what they read, and placement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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
    touched, in ascending order; overwriting: the convolutions whose output lies on their input.
    """

    offsets: tuple[int, ...]
    bytes: int
    taken: tuple[tuple[tuple[int, int], ...], ...]
    overwriting: frozenset[int]

    def scratch_at(self, operator: int, size: int) -> int:
        """Lowest offset of so much scratch."""
        return _lowest_outside((begin - size, end) for begin, end in self.taken[operator])

    def arena_bytes(self, scratch: Mapping[int, int]) -> int:
        """Of tensors and scratch, given by operator."""
        ends = (self.scratch_at(i, size) + up(size, ALIGNMENT) for i, size in scratch.items() if size)
        return max([self.bytes, *ends])


@dataclass(eq=False)
class _Block:
    """bytes that are needed from operator `first` to operator `last`, both included.

    over: what operator `first` reads for the last time and may write over, where this begins at least `lead` bytes
    before it.
    """

    bytes: int
    first: int
    last: int
    offset: int = 0
    over: _Block | None = None
    lead: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.bytes

    @property
    def place(self) -> tuple[int, int]:
        return self.offset, self.end

    def lives_at(self, operator: int) -> bool:
        return self.first <= operator <= self.last

    def kept_out_by(self, other: _Block) -> tuple[int, int]:
        """Between which offsets this must not begin, since the other lies where it does."""
        if self.over is other:
            return other.offset - self.lead, other.end
        if other.over is self:
            return other.offset - self.bytes, other.offset + other.lead
        return other.offset - self.bytes, other.end


def plan_arena(graph: IntegerGraph, overwriting: Collection[int] = ()) -> ArenaPlan:
    """The input is there before the first operator, the output after the last.

    overwriting: the convolutions that may write over their input (`kernels.may_overwrite`), if nothing else reads it.
    Where they make an image of another depth, the output of their pixels grows over the input, or shrinks into it: the
    diagonal of Blacker, Bridges & Hadfield (arXiv:2010.01668).

    Tensors are placed greedily at the lowest gap, in the order of the best known heuristic, by size (Pisarchyk & Lee,
    arXiv:2001.03288). As long as the arena is larger than what is needed at once, the one that lies highest is placed
    before all others and the rest anew, some dozens of times.
    """
    tensors = _tensor_blocks(graph, overwriting)
    blocks = list(dict.fromkeys(tensors))
    live = [[b for b in blocks if b.lives_at(i)] for i in range(len(graph.operators))]
    _place(blocks, least=max(_least_bytes(i, own) for i, own in enumerate(live)))
    return ArenaPlan(
        tuple(block.offset for block in tensors),
        max(block.end for block in blocks),
        tuple(tuple(sorted(b.place for b in own)) for own in live),
        frozenset(i for i in overwriting if _overlap(tensors, graph.operators[i])),
    )


def _tensor_blocks(graph: IntegerGraph, overwriting: Collection[int]) -> list[_Block]:
    """A block for each tensor; operators that work in place give their input's block to their output."""
    last_use = _last_uses(graph)
    blocks = [_Block(up(tensor.elements, ALIGNMENT), 0, last_use[i]) for i, tensor in enumerate(graph.tensors)]
    for i, operator in enumerate(graph.operators):
        blocks[operator.output].first = i
        for candidate in _same_place(graph, operator, overwrites=i in overwriting):
            if last_use[candidate] == i:
                blocks[candidate].last = last_use[operator.output]
                blocks[operator.output] = blocks[candidate]
                break
    for i in overwriting:
        x, y = graph.operators[i].input, graph.operators[i].output
        if blocks[x] is not blocks[y] and blocks[x].last == blocks[y].first == i:
            blocks[y].over = blocks[x]
            blocks[y].lead = up(max(0, graph.tensors[y].elements - graph.tensors[x].elements), ALIGNMENT)
    return blocks


def _last_uses(graph: IntegerGraph) -> list[int]:
    """Index of the last operator that reads or writes each tensor; the graph's output is needed after all."""
    last = [0] * len(graph.tensors)
    for i, operator in enumerate(graph.operators):
        for tensor in (*inputs_of(operator), operator.output):
            last[tensor] = i
    last[graph.output] = len(graph.operators)
    return last


def _same_place(graph: IntegerGraph, operator: Operator, *, overwrites: bool) -> list[int]:
    """The tensors whose exact place the operator's output may take."""
    elements = graph.tensors[operator.output].elements
    if not isinstance(operator, Convolution):
        works_in_place = isinstance(operator, Add | Multiply | ReLU | Lookup | Softmax)
        return [i for i in inputs_of(operator) if works_in_place and graph.tensors[i].elements == elements]
    residual = operator.residual
    places = [] if residual is None or residual.tensor == operator.input else [residual.tensor]
    if overwrites and graph.tensors[operator.input].elements == elements:
        places.append(operator.input)
    return places


def _least_bytes(operator: int, blocks: Collection[_Block]) -> int:
    """No arena is smaller, since these are needed when the operator runs."""
    shared = (
        b.bytes + b.over.bytes - max(b.bytes, b.lead + b.over.bytes)
        for b in blocks
        if b.over is not None and b.first == operator
    )
    return sum(b.bytes for b in blocks) - sum(shared)


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
            block.offset = _lowest_outside(block.kept_out_by(b) for b in contemporaries[block] if b in placed)
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


def _lowest_outside(intervals: Iterable[tuple[int, int]]) -> int:
    """The lowest offset that lies between the two ends of none."""
    offset = 0
    for begin, end in sorted(intervals):
        if offset <= begin:
            break
        offset = max(offset, end)
    return offset


def _overlap(blocks: list[_Block], operator: Operator) -> bool:
    x, y = blocks[operator.input], blocks[operator.output]
    return x.offset < y.end and y.offset < x.end
