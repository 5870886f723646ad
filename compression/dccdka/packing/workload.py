"""A convolution as the choice of its kernel sees it: how it may be stored and executed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Convolution, IntegerGraph
from dccdka.lowering.narrow_form import NarrowForm, narrow_form
from dccdka.packing.channels import channels_bytes
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.encoding import PlannedWeights, plan
from dccdka.packing.encoding.counting import band_entries, magnitudes, nonzeros_by_filter
from dccdka.packing.errors import PackingError
from dccdka.packing.kernels import MAX_MAGNITUDE, NARROW_SUMS, Shape, refusal, scratch_bytes
from dccdka.packing.work import Layer


@dataclass(frozen=True, eq=False)
class Workload:
    """forms: by encoding; narrow: of its channels, None where only WIDE holds them; counts are by filter."""

    shape: Shape
    residual: bool
    narrow: NarrowForm | None
    forms: dict[Encoding, PlannedWeights]
    nonzeros: NDArray[np.int64]
    entries: NDArray[np.int64]
    magnitude: int

    @property
    def layer(self) -> Layer:
        return Layer(self.shape, int(self.nonzeros.sum()), int(self.entries.sum()), self.residual)

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
                choice = KernelChoice(kernel, encoding, filters_at_once, rows_at_once, wide=self.narrow is None)
                if refusal(choice, self.shape) is None:
                    yield choice
                    # Others have little to do for a channel beside what they do with it.
                    if kernel is Kernel.VECTOR and self.narrow is not None:
                        yield replace(choice, wide=True)

    def check(self, name: str, choice: KernelChoice) -> None:
        """Raises PackingError, beginning with the name, where the choice is not feasible."""
        why = refusal(choice, self.shape)
        if why is None and choice.encoding not in self.forms:
            why = f"its weights cannot be {choice.encoding.name}"
        if why is None and choice.kernel in NARROW_SUMS and self.magnitude > MAX_MAGNITUDE:
            why = f"its weights are too large for {choice.kernel.name}"
        if why is not None:
            raise PackingError(f"{name}: {why}")

    def stored_bytes(self, choice: KernelChoice) -> int:
        """Of weights and channels."""
        channels = channels_bytes(None if choice.wide else self.narrow, self.shape.filters)
        return self.forms[choice.encoding].bytes + channels

    def scratch(self, choice: KernelChoice) -> int:
        return scratch_bytes(choice, self.shape, self.nonzeros, self.entries)


def workload_of(graph: IntegerGraph, operator: Convolution) -> Workload:
    image, output = graph.tensors[operator.input], graph.tensors[operator.output]
    read = (1, 1, image.elements) if operator.flatten_input else (image.height, image.width, image.channels)
    zero_point = operator.weight_zero_point
    return Workload(
        Shape(read, (output.height, output.width, output.channels), operator.window, operator.groups,
              operator.flatten_input),
        operator.residual is not None,
        narrow_form(operator.requantisation, output.zero_point),
        plan(operator.codes, zero_point),
        nonzeros_by_filter(operator.codes, zero_point),
        band_entries(operator.codes, zero_point),
        int(magnitudes(operator.codes, zero_point).max()),
    )  # fmt: skip


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
