"""What a table of kernel costs says: how well it fits, and which kernel it chooses at what share of zeros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table

from dccdka.lowering.graph import Window
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.costs import KernelCosts
from dccdka.packing.kernels import Shape
from dccdka.packing.work import Layer

_PERCENT = 100
_SHOWN_ZEROS = (0, 50, 80, 90)
_MOST_FILTERS, _MOST_ROWS = 16, 8  # at once; as scratch allows


@dataclass(frozen=True)
class Preference:
    """The cheapest kernel from `zeros` (share of the weights) on, up to where the next begins."""

    zeros: float
    kernel: Kernel
    encoding: Encoding


def _square(size: int, channels: int, filters: int, kernel: int) -> Layer:
    window = Window((kernel, kernel), (1, 1), (kernel // 2, kernel // 2))
    return Layer(Shape((size, size, channels), (size, size, filters), window, 1, flatten=False), nonzeros=0, entries=0)


# Of the MLPerf Tiny networks, in the order of their size.
LAYERS: Mapping[str, Layer] = {
    "3x3, 16 to 16 channels, 32x32": _square(32, 16, 16, 3),
    "3x3, 64 to 64 channels, 8x8": _square(8, 64, 64, 3),
    "1x1, 64 to 64 channels, 12x12": _square(12, 64, 64, 1),
    "1x1, 256 to 256 channels, 3x3": _square(3, 256, 256, 1),
    "linear, 640 to 128": _square(1, 640, 128, 1),
}


def with_zeros(layer: Layer, zeros: float) -> Layer:
    """The layer with this share of its weights zero, at random: a pair is an entry unless both are."""
    nonzeros, entries = (1 - zeros) * layer.weights, (1 - zeros**2) * layer.weights / 2
    return replace(layer, nonzeros=round(nonzeros), entries=round(entries))


def choices(layer: Layer) -> list[KernelChoice]:
    """What the layer can be executed by, each kernel with every encoding, where memory sets no tighter limits."""
    found = []
    for kernel in Kernel:
        if kernel is Kernel.DEPTHWISE or (kernel is Kernel.VECTOR and layer.pixels > 1):
            continue
        filters = min(layer.shape.filters, _MOST_FILTERS) if kernel in (Kernel.TILE, Kernel.BAND) else 1
        rows = min(layer.shape.output[0], _MOST_ROWS) if kernel is Kernel.BAND else 1
        for encoding in kernel.encodings:
            at_once = layer.shape.filters if (kernel, encoding) == (Kernel.TILE, Encoding.RAW) else filters
            found.append(KernelChoice(kernel, encoding, at_once, rows))
    return found


def preferences(costs: KernelCosts, layer: Layer) -> list[Preference]:
    """By rising share of zeros, in steps of one percent."""

    def cheapest(percent: int) -> tuple[Kernel, Encoding]:
        sparse = with_zeros(layer, percent / _PERCENT)
        best = min(choices(sparse), key=lambda choice: costs.estimate(choice, sparse))
        return best.kernel, best.encoding

    runs = groupby(range(_PERCENT), key=cheapest)
    return [Preference(next(percents) / _PERCENT, kernel, encoding) for (kernel, encoding), percents in runs]


def as_tables(costs: KernelCosts) -> RenderableType:
    """Both tables, for a terminal."""
    return Group(_fits(costs), "", _preferences(costs))


def as_object(costs: KernelCosts) -> dict[str, object]:
    """The table itself, and which kernel it prefers for some layers."""
    preferred = {
        name: [
            {"from_zeros": p.zeros, "kernel": p.kernel.name.lower(), "encoding": p.encoding.name.lower()}
            for p in preferences(costs, layer)
        ]
        for name, layer in LAYERS.items()
    }
    return {"costs": costs.as_object(), "preferences": preferred}


def _fits(costs: KernelCosts) -> Table:
    table = Table(title=f"What a unit of work costs, in {costs.unit}", title_justify="left", box=None)
    for heading in ("kernel", "layers", "error", "largest", "costs"):
        table.add_column(heading)
    for kernel, fit in costs.kernels.items():
        each = ", ".join(f"{kind} {cost:.3g}" for kind, cost in fit.costs.items() if cost > 0)
        table.add_row(kernel.name, str(fit.measurements), f"{fit.typical_error:.1%}", f"{fit.largest_error:.1%}", each)
    return table


def _preferences(costs: KernelCosts) -> Table:
    title = f"{costs.unit.capitalize()} per MAC, zeros counted as MACs, of the cheapest kernel"
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("layer", *(f"{zeros}% zeros" for zeros in _SHOWN_ZEROS), "kernel, from a share of zeros on"):
        table.add_column(heading)
    for name, layer in LAYERS.items():
        cells = []
        for zeros in _SHOWN_ZEROS:
            sparse = with_zeros(layer, zeros / _PERCENT)
            least = min(costs.estimate(choice, sparse) for choice in choices(sparse))
            cells.append(f"{least / (layer.weights * layer.pixels):.3g}")
        flips = ", ".join(f"{p.zeros:.0%} {p.kernel.name} {p.encoding.name}" for p in preferences(costs, layer))
        table.add_row(name, *cells, flips)
    return table
