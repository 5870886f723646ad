"""Which kernel and which encoding each convolution gets: the cheapest by estimate that memory and storage allow.

Storage comes first: encodings within 2% of a layer's smallest are alike, others are out. Memory and time weigh alike:
the arena is what makes the product of its size and of the whole estimate least. So scratch takes what is free beside
the tensors, and goes beyond it only where the network becomes faster by a larger share than the arena grows by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Convolution, IntegerGraph
from dccdka.packing.arena import ArenaPlan
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.costs import KernelCosts
from dccdka.packing.encoding import PlannedWeights, plan
from dccdka.packing.encoding.counting import band_entries, magnitudes, nonzeros_by_filter
from dccdka.packing.errors import PackingError
from dccdka.packing.kernels import MAX_MAGNITUDE, NARROW_SUMS, Shape, refusal, scratch_bytes
from dccdka.packing.work import layer_of

# Called with the index of a convolution in the graph, itself and what is feasible for it.
Choose = Callable[[int, Convolution, Sequence[KernelChoice]], KernelChoice]

_ALIKE = 1.02
_ARENA_STEP, _LARGEST_ARENA = 1.03, 2.0  # of what is tried, as shares of what the tensors need


@dataclass(frozen=True, eq=False)
class Workload:
    """A convolution as the choice sees it. forms: by encoding; counts are by filter."""

    shape: Shape
    forms: dict[Encoding, PlannedWeights]
    nonzeros: NDArray[np.int64]
    entries: NDArray[np.int64]
    magnitude: int

    def feasible(self, encodings: Collection[Encoding] = tuple(Encoding)) -> Iterator[KernelChoice]:
        """Everything that the format allows of these encodings, of filters and rows at once a few sizes each."""
        for kernel in Kernel:
            if kernel in NARROW_SUMS and self.magnitude > MAX_MAGNITUDE:
                continue
            many_filters, many_rows = kernel in (Kernel.TILE, Kernel.BAND), kernel in (Kernel.BAND, Kernel.DEPTHWISE)
            filters = _parts(self.shape.filters, 2 if kernel is Kernel.TILE else 1) if many_filters else [1]
            rows = _parts(self.shape.output[0], 1) if many_rows else [1]
            taken = [encoding for encoding in kernel.encodings if encoding in encodings and encoding in self.forms]
            for encoding, filters_at_once, rows_at_once in product(taken, filters, rows):
                choice = KernelChoice(kernel, encoding, filters_at_once, rows_at_once)
                if refusal(choice, self.shape) is None:
                    yield choice

    def check(self, name: str, choice: KernelChoice) -> None:
        """Raises PackingError, beginning with the name, where the choice is not feasible."""
        why = refusal(choice, self.shape)
        if why is None and choice.encoding not in self.forms:
            why = f"its weights cannot be {choice.encoding.name}"
        if why is None and choice.kernel in NARROW_SUMS and self.magnitude > MAX_MAGNITUDE:
            why = f"its weights are too large for {choice.kernel.name}"
        if why is not None:
            raise PackingError(f"{name}: {why}")

    def small_encodings(self) -> list[Encoding]:
        """Those whose size is about that of the smallest."""
        most = _ALIKE * min(form.bytes for form in self.forms.values())
        return [encoding for encoding, form in self.forms.items() if form.bytes <= most]

    def scratch(self, choice: KernelChoice) -> int:
        return scratch_bytes(choice, self.shape, self.nonzeros, self.entries)


@dataclass(frozen=True)
class _Candidate:
    choice: KernelChoice
    cost: float
    scratch: int


def workload_of(graph: IntegerGraph, operator: Convolution) -> Workload:
    image, output = graph.tensors[operator.input], graph.tensors[operator.output]
    read = (1, 1, image.elements) if operator.flatten_input else (image.height, image.width, image.channels)
    zero_point = operator.weight_zero_point
    return Workload(
        Shape(read, (output.height, output.width, output.channels), operator.window, operator.groups,
              operator.flatten_input),
        plan(operator.codes, zero_point),
        nonzeros_by_filter(operator.codes, zero_point),
        band_entries(operator.codes, zero_point),
        int(magnitudes(operator.codes, zero_point).max()),
    )  # fmt: skip


def choose_kernels(
    graph: IntegerGraph, workloads: dict[int, Workload], plan: ArenaPlan, costs: KernelCosts
) -> dict[int, KernelChoice]:
    """By index of the convolution, as the workloads are. Raises PackingError where no kernel takes one."""
    candidates = {i: _candidates(graph, i, own, costs) for i, own in workloads.items()}
    best: tuple[float, dict[int, KernelChoice]] = math.inf, {}
    limit = float(plan.bytes)
    while limit <= _LARGEST_ARENA * plan.bytes:
        chosen = {i: _cheapest(own, plan.largest_scratch(i, int(limit))) for i, own in candidates.items()}
        arena = plan.arena_bytes({i: candidate.scratch for i, candidate in chosen.items()})
        weight = arena * sum(candidate.cost for candidate in chosen.values())
        if weight < best[0]:
            best = weight, {i: candidate.choice for i, candidate in chosen.items()}
        limit *= _ARENA_STEP
    return best[1]


def _candidates(graph: IntegerGraph, index: int, workload: Workload, costs: KernelCosts) -> list[_Candidate]:
    """Those that no other beats in both cost and scratch, the cheapest first."""
    operator = graph.operators[index]
    assert isinstance(operator, Convolution)
    layer = layer_of(graph, operator)
    feasible = list(workload.feasible(workload.small_encodings())) or list(workload.feasible())
    if not feasible:
        raise PackingError(
            f"operator {index}: no kernel takes it: kernel width, with its dilation, x channels is too large; "
            "narrow the layer"
        )
    candidates = [_Candidate(choice, costs.estimate(choice, layer), workload.scratch(choice)) for choice in feasible]
    beaten = math.inf
    front = []
    for candidate in sorted(candidates, key=lambda c: (c.cost, c.scratch)):
        if candidate.scratch < beaten:
            front.append(candidate)
            beaten = candidate.scratch
    return front


def _cheapest(front: list[_Candidate], free: int) -> _Candidate:
    """The cheapest whose scratch fits into so many bytes, or else the one with least."""
    return next((candidate for candidate in front if candidate.scratch <= free), front[-1])


def _parts(whole: int, multiple: int) -> list[int]:
    """Sizes of equal parts of the whole, in multiples: about two for each halving, the whole itself first."""
    sizes = {whole: None}
    step = 2
    while step <= whole:
        for parts in (step, step * 3 // 2):
            size = -(-whole // parts)
            sizes[min(whole, -(-size // multiple) * multiple)] = None
        step *= 2
    return list(sizes)
