"""Runs the float network over real images and takes the range of its values, which their int8 scales hold.

- "min-max": the least and the largest value seen.
- "moving-average": m <- m + 0.1 (x - m) over the batches' minima and maxima x (Jacob et al., arXiv:1712.05877, section
  3.1, smooth theirs likewise), so that a few odd images widen the range little.
- "percentile": the range without the 0.005% of values at either end, from histograms of 2048 bins that a second pass
  fills between minimum and maximum; 99.99% are inside (Wu et al., arXiv:2004.09602, section 3.3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from dccdka.datasets import Normalization
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.tracing import describe, failures_told, network_input
from dccdka.recipe import Observer

# Images at once: few enough that the activations of 224 x 224 pixels take tens of megabytes.
_BATCH = 32
_BATCH_PIXELS = 1 << 20
_AVERAGING = 0.1
_BINS = 2048
_TAIL = 5e-5


class Range(NamedTuple):
    """Least and largest real value that a tensor is to hold."""

    low: float
    high: float


def observe(
    network: fx.GraphModule,
    nodes: Collection[fx.Node],
    images: NDArray[np.uint8],
    normalization: Normalization,
    observer: Observer,
) -> dict[fx.Node, Range]:
    """The ranges of the nodes' values. Raises LoweringError where a value is not finite."""
    batch = max(1, min(_BATCH, _BATCH_PIXELS // max(1, images[0].size)))

    def run(interpreter: _Observing) -> None:
        with torch.no_grad():
            for begin in range(0, len(images), batch):
                interpreter.run(network_input(images[begin : begin + batch], normalization, network))

    extremes = _Extremes(network, nodes, averaging=_AVERAGING if observer == "moving-average" else None)
    run(extremes)
    ranges = extremes.ranges
    for node, seen in ranges.items():
        if not np.isfinite(seen.high - seen.low):
            raise LoweringError(f"{describe(node)}: its values are not finite; the network has diverged")
    if observer != "percentile":
        return ranges
    histograms = _Histograms(network, ranges)
    run(histograms)
    return {node: histograms.inner_range(node) for node in ranges}


class _Observing(fx.Interpreter, ABC):
    """Shows the values of some nodes to `see`."""

    def __init__(self, network: fx.GraphModule, nodes: Collection[fx.Node]) -> None:
        super().__init__(network)
        self.extra_traceback = False
        self.nodes = nodes

    def run_node(self, n: fx.Node) -> Any:
        # Another number of images than the network was read with: it may hold for that number only.
        with failures_told(n, "another number of images than 2"):
            value = super().run_node(n)
        if n in self.nodes:
            self.see(n, value)
        return value

    @abstractmethod
    def see(self, node: fx.Node, value: Tensor) -> None:
        """Note what a node's value was for a batch."""


class _Extremes(_Observing):
    def __init__(self, network: fx.GraphModule, nodes: Collection[fx.Node], averaging: float | None) -> None:
        super().__init__(network, nodes)
        self.averaging = averaging
        self.ranges: dict[fx.Node, Range] = {}

    def see(self, node: fx.Node, value: Tensor) -> None:
        low, high = (float(x) for x in value.aminmax())
        before = self.ranges.get(node, Range(low, high))
        if self.averaging is None:
            # NumPy's minimum and maximum let a NaN through, min and max might not.
            self.ranges[node] = Range(float(np.minimum(before.low, low)), float(np.maximum(before.high, high)))
        else:
            step = self.averaging
            self.ranges[node] = Range(before.low + step * (low - before.low), before.high + step * (high - before.high))


class _Histograms(_Observing):
    def __init__(self, network: fx.GraphModule, ranges: dict[fx.Node, Range]) -> None:
        super().__init__(network, ranges.keys())
        self.ranges = ranges
        self.counts = {node: np.zeros(_BINS) for node in ranges}

    def see(self, node: fx.Node, value: Tensor) -> None:
        low, high = self.ranges[node]
        if high > low:
            self.counts[node] += torch.histc(value.float(), _BINS, low, high).cpu().numpy()

    def inner_range(self, node: fx.Node) -> Range:
        low, high = self.ranges[node]
        shares = np.cumsum(self.counts[node])
        if not shares[-1]:
            return self.ranges[node]
        shares /= shares[-1]
        edges = np.linspace(low, high, _BINS + 1)
        first, last = np.searchsorted(shares, (_TAIL, 1 - _TAIL), side="right")
        return Range(float(edges[first]), float(edges[min(last, _BINS - 1) + 1]))
