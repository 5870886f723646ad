"""Which kernel and which encoding each convolution gets, chosen for the whole network at once.

Storage comes first. A set of encodings takes what the smallest of them take, layer by layer, and its decoders, which
are flash as well; sets within 2% of the smallest are alike, others are out, and a layer has one of those within 2% of
its smallest in the set.

Among what is left flash, memory and time weigh alike: what is made least is the product of all flash (weights,
channels, runtime, and the kernels and decoders that are linked), of RAM (the arena and a stack) and of the estimated
time. So a kernel is linked, the arena grows, or channels are WIDE, only where the network becomes faster by a larger
share than flash or RAM grow by. All sets of kernels are tried, each in arenas of rising size: what one layer needs is
there for all others too. And all that twice: with every output apart from its input, and with those layers overwriting
their input that so need less memory, although only some ways of executing them can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Convolution, IntegerGraph
from dccdka.packing.arena import ArenaPlan, plan_arena
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.costs import DECODED, CodeSizes, KernelCosts
from dccdka.packing.errors import PackingError
from dccdka.packing.kernels import may_overwrite
from dccdka.packing.layout import ALIGNMENT, up
from dccdka.packing.workload import Workload

# Called with the index of a convolution in the graph, itself and what is feasible for it.
Choose = Callable[[int, Convolution, Sequence[KernelChoice]], KernelChoice]

STACK_BYTES = 1800  # of an inference, some: 1.5 to 1.9 kB on a Cortex-M4, as docs/kernels.md has it

_ALIKE = 1.02
_ARENA_STEP, _LARGEST_ARENA = 1.03, 2.0  # of what is tried, as shares of what the tensors need

# Kernel, encoding, and whether channels are WIDE.
_Way = tuple[Kernel, Encoding, bool]

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class _Front:
    """A layer in one way: the choices that no other of them beats in both arena and time.

    bytes: of weights and channels; arenas: up to the end of the scratch, in bytes, ascending; times: descending.
    """

    bytes: int
    choices: list[KernelChoice]
    arenas: _Integers
    times: _Floats


@dataclass(frozen=True)
class _Candidate:
    """A choice for a layer, with what it takes: bytes of scratch, and time."""

    choice: KernelChoice
    scratch: int
    time: float


def choose_kernels(
    graph: IntegerGraph, workloads: Mapping[int, Workload], costs: KernelCosts
) -> tuple[ArenaPlan, dict[int, KernelChoice]]:
    """Where tensors lie, and choices by index of the convolution, as the workloads are.

    Raises PackingError where no kernel takes one.
    """
    apart = plan_arena(graph)
    if not workloads:
        return apart, {}
    sizes = np.array([_sizes(i, own) for i, own in workloads.items()], np.float64)
    small = {encodings: _alike(sizes, encodings) for encodings in _small_sets(sizes, costs.code)}
    worth = np.any(list(small.values()), axis=0)
    candidates = {
        i: _candidates(own, {e for e in Encoding if worth[layer, e]}, costs)
        for layer, (i, own) in enumerate(workloads.items())
    }
    plans = [apart]
    if overwriting := [i for i, own in candidates.items() if _gains(graph, i, workloads[i], own)]:
        plans.append(plan_arena(graph, overwriting))
    best: tuple[float, ArenaPlan, list[KernelChoice]] = math.inf, apart, []
    for plan in plans:
        search = _Search([_fronts(i, own, candidates[i], plan) for i, own in workloads.items()], plan.bytes)
        for encodings, alike in small.items():
            for kernels in _subsets(search.kernels):
                product, choices = search.least_product(kernels, alike, costs.code.of(kernels, encodings))
                if product < best[0]:
                    best = product, plan, choices
    return best[1], dict(zip(workloads, best[2], strict=True))


class _Search:
    """bytes [layers, ways]; times, arenas [layers, ways, limits]: of the fastest choice that fits an arena of each
    size, infinite if none."""

    def __init__(self, fronts: Sequence[Mapping[_Way, _Front]], tensor_bytes: int) -> None:
        self._fronts, self._tensor_bytes = fronts, tensor_bytes
        self._ways = sorted({way for own in fronts for way in own})
        least = max(int(front.arenas[0]) for own in fronts for front in own.values())
        self._limits = _limits(tensor_bytes, least)
        shape = len(fronts), len(self._ways), len(self._limits)
        self._bytes = np.zeros(shape[:2])
        self._times, self._arenas = np.full(shape, np.inf), np.full(shape, np.inf)
        for layer, own in enumerate(fronts):
            for way, front in own.items():
                at = layer, self._ways.index(way)
                fits = self._limits >= front.arenas[0]
                fastest = np.searchsorted(front.arenas, self._limits[fits], side="right") - 1
                self._bytes[at] = front.bytes
                self._times[at][fits], self._arenas[at][fits] = front.times[fastest], front.arenas[fastest]

    @property
    def kernels(self) -> list[Kernel]:
        """Those that some layer could use."""
        return sorted({kernel for kernel, *_ in self._ways})

    def least_product(
        self, kernels: Collection[Kernel], encodings: NDArray[np.bool_], code_bytes: int
    ) -> tuple[float, list[KernelChoice]]:
        """Of flash, RAM and time, and the layers' choices; infinite where some layer has none.

        encodings: which a layer may have, [layers, 4]. First each layer gets what is fastest, then what makes the
        product less: where it is least, a byte is worth as large a share of the time as it is of the flash.
        """
        allowed = encodings[:, [way[1] for way in self._ways]] & np.array([way[0] in kernels for way in self._ways])
        times = np.where(allowed[:, :, np.newaxis], self._times, np.inf)
        best: tuple[float, list[KernelChoice]] = math.inf, []
        worth = np.zeros(len(self._limits))
        for _ in range(2):
            ways = (times + worth * self._bytes[:, :, np.newaxis]).argmin(axis=1, keepdims=True)
            time = np.take_along_axis(times, ways, axis=1).sum(axis=(0, 1))
            arena = np.take_along_axis(self._arenas, ways, axis=1).max(axis=(0, 1), initial=self._tensor_bytes)
            flash = code_bytes + np.take_along_axis(self._bytes, ways[:, 0], axis=1).sum(axis=0)
            product = flash * (arena + STACK_BYTES) * time
            at = int(product.argmin())
            if product[at] < best[0]:
                best = float(product[at]), self._choices(ways[:, 0, at], int(self._limits[at]))
            worth = np.divide(time, flash, out=np.zeros_like(time), where=np.isfinite(time))
        return best

    def _choices(self, ways: _Integers, limit: int) -> list[KernelChoice]:
        fronts = (own[self._ways[way]] for own, way in zip(self._fronts, ways, strict=True))
        return [front.choices[int(np.searchsorted(front.arenas, limit, side="right")) - 1] for front in fronts]


def _sizes(index: int, workload: Workload) -> list[float]:
    """Bytes of the weights by encoding, infinite where no kernel takes them so. Raises PackingError."""
    possible = [encoding for encoding in Encoding if next(workload.feasible((encoding,)), None) is not None]
    if not possible:
        raise PackingError(
            f"operator {index}: no kernel takes it: kernel width, with its dilation, x channels is too large; "
            "narrow the layer"
        )
    return [workload.forms[encoding].bytes if encoding in possible else math.inf for encoding in Encoding]


def _small_sets(sizes: _Floats, code: CodeSizes) -> list[tuple[Encoding, ...]]:
    """Of encodings, RAW in each: those whose weights and decoders take about the least."""
    sets = [(Encoding.RAW, *others) for others in _subsets(DECODED)]
    flash = [code.of((), own) - code.runtime + sizes[:, own].min(axis=1).sum() for own in sets]
    return [own for own, size in zip(sets, flash, strict=True) if size <= _ALIKE * min(flash)]


def _alike(sizes: _Floats, encodings: Sequence[Encoding]) -> NDArray[np.bool_]:
    """Which of them are about as small as a layer's smallest, [layers, 4]."""
    own = np.full_like(sizes, np.inf)
    own[:, encodings] = sizes[:, encodings]
    alike: NDArray[np.bool_] = np.isfinite(own) & (own <= _ALIKE * own.min(axis=1, keepdims=True))
    return alike


def _candidates(workload: Workload, encodings: Collection[Encoding], costs: KernelCosts) -> list[_Candidate]:
    layer = workload.layer
    return [
        _Candidate(choice, workload.scratch(choice), costs.estimate(choice, layer))
        for choice in workload.feasible(encodings)
    ]


def _gains(graph: IntegerGraph, index: int, workload: Workload, candidates: Iterable[_Candidate]) -> bool:
    """Whether the layer alone needs less memory where it overwrites its input."""
    operator = graph.operators[index]
    x, y = (graph.tensors[tensor].elements for tensor in (operator.input, operator.output))
    apart, over = math.inf, math.inf
    for one in candidates:
        apart = min(apart, x + y + one.scratch)
        if may_overwrite(one.choice, workload.shape):
            over = min(over, max(x, y) + one.scratch)
    return over < apart


def _fronts(index: int, workload: Workload, candidates: Iterable[_Candidate], plan: ArenaPlan) -> dict[_Way, _Front]:
    """Those ways that are feasible."""
    found: dict[_Way, list[tuple[int, float, KernelChoice]]] = {}
    for one in candidates:
        if index in plan.overwriting and not may_overwrite(one.choice, workload.shape):
            continue
        arena = plan.scratch_at(index, one.scratch) + up(one.scratch, ALIGNMENT) if one.scratch else 0
        way = one.choice.kernel, one.choice.encoding, one.choice.wide
        found.setdefault(way, []).append((arena, one.time, one.choice))
    return {way: _front(workload.stored_bytes(own[0][2]), own) for way, own in found.items()}


def _front(stored_bytes: int, found: Iterable[tuple[int, float, KernelChoice]]) -> _Front:
    kept: list[tuple[int, float, KernelChoice]] = []
    for one in sorted(found, key=lambda one: one[:2]):
        if not kept or one[1] < kept[-1][1]:
            kept.append(one)
    arenas, times, choices = zip(*kept, strict=True)
    return _Front(stored_bytes, list(choices), np.array(arenas, np.int64), np.array(times, np.float64))


def _limits(tensor_bytes: int, least: int) -> _Integers:
    """Sizes of the arena to try, from the tensors' own; in the largest each layer has room for every kernel."""
    largest = max(_LARGEST_ARENA * tensor_bytes, least)
    steps = math.ceil(math.log(largest / tensor_bytes, _ARENA_STEP)) + 1
    return np.ceil(np.geomspace(tensor_bytes, largest, steps)).astype(np.int64)


def _subsets(whole: Sequence[_T]) -> Iterator[tuple[_T, ...]]:
    return chain.from_iterable(combinations(whole, size) for size in range(len(whole) + 1))
