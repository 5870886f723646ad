"""What a kernel has to do for a layer, counted: the quantities that its time is a linear function of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dccdka.lowering.graph import Convolution, IntegerGraph, Tensor
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.encoding.counting import band_entries, nonzeros_by_filter

_TILE_PIXELS, _BAND_PIXELS, _VECTOR_FILTERS = 4, 8, 6


@dataclass(frozen=True)
class Layer:
    """A convolution as its kernels see it; FLATTEN has been applied. Pairs are (y, x).

    channels: of the input; entries: BAND's pairs of weights that are not both zero, in all filters together.
    """

    input_size: tuple[int, int]
    output_size: tuple[int, int]
    channels: int
    filters: int
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    nonzeros: int
    entries: int
    residual: bool = False

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def weights(self) -> int:
        return self.filters * self.taps * self.channels // self.groups

    @property
    def pixels(self) -> int:
        return self.output_size[0] * self.output_size[1]

    def taps_inside(self, axis: int) -> list[range]:
        """For each output row (axis 0) or column (1), which rows or columns of the kernel lie in the image."""
        size, kernel = self.input_size[axis], self.kernel[axis]
        starts = (at * self.stride[axis] - self.padding[axis] for at in range(self.output_size[axis]))
        return [range(min(kernel, max(0, -at)), min(kernel, max(0, size - at))) for at in starts]

    @property
    def is_point(self) -> bool:
        """Whether each output pixel reads the input pixel at its own place, and nothing else."""
        return (
            self.taps == 1 and self.stride == (1, 1) and self.padding == (0, 0) and self.input_size == self.output_size
        )


def layer_of(graph: IntegerGraph, convolution: Convolution) -> Layer:
    """The layer of a graph that the convolution is."""
    image, output = graph.tensors[convolution.input], graph.tensors[convolution.output]
    if convolution.flatten_input:
        image = Tensor(1, 1, image.elements, image.scale, image.zero_point)
    return Layer(
        input_size=(image.height, image.width),
        output_size=(output.height, output.width),
        channels=image.channels,
        filters=output.channels,
        groups=convolution.groups,
        kernel=convolution.window.kernel,
        stride=convolution.window.stride,
        padding=convolution.window.padding,
        nonzeros=int(nonzeros_by_filter(convolution.codes, convolution.weight_zero_point).sum()),
        entries=int(band_entries(convolution.codes, convolution.weight_zero_point).sum()),
        residual=convolution.residual is not None,
    )


def work(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """How much of each kind the kernel does in one inference of the layer."""
    done = {"layer": 1.0, "channels": float(layer.filters), **_WORK[choice.kernel](choice, layer)}
    if layer.residual:
        done["residual outputs"] = float(layer.pixels * layer.filters)
    if choice.encoding is not Encoding.RAW:
        name = choice.encoding.name.lower()
        done[f"{name} layer"] = 1.0
        done[f"{name} weights"] = float(layer.weights)
        if choice.encoding is not Encoding.INDEXED:
            done[f"{name} nonzeros"] = float(layer.nonzeros)
    return done


def kinds_of_work(kernel: Kernel) -> tuple[str, ...]:
    """All that `work` may name for the kernel, in the order of its own."""
    size = (1, 1)
    layer = Layer(size, size, 1, 1, 1, size, size, (0, 0), nonzeros=1, entries=1, residual=True)
    found: dict[str, float] = {}
    for encoding in kernel.encodings:
        found |= work(KernelChoice(kernel, encoding), layer)
    return tuple(found)


def _general(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """One output after the other, one product after the other; taps outside the image are left out."""
    outputs = layer.pixels * layer.filters
    inside = sum(map(len, layer.taps_inside(0))) * sum(map(len, layer.taps_inside(1)))
    return {
        "outputs": outputs,
        "kernel rows": layer.filters * layer.output_size[1] * sum(map(len, layer.taps_inside(0))),
        "products": layer.nonzeros * inside / layer.taps,
    }


def _tile(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """4 pixels x 2 filters x 2 inputs a step; each group of filters builds every patch anew.

    A kernel row of a patch goes by 4 inputs: copied where they lie in the image, filled where they lie outside, else
    mixed one by one. Tiles that are not whole are finished one output at a time.
    """
    whole, left = divmod(layer.pixels, _TILE_PIXELS)
    pairs, odd = divmod(layer.filters, 2)
    groups = _parts(layer.filters, choice.filters_at_once)
    row = layer.kernel[1] * layer.channels
    rows, fours = layer.pixels * layer.kernel[0], _parts(row, 4)
    across = layer.taps_inside(1)
    spans = [(taps.start * layer.channels, max(taps.start, taps.stop) * layer.channels) for taps in across]
    inside = sum(map(len, layer.taps_inside(0)))
    outside = rows - inside * len(spans)
    copied = inside * sum(max(0, end // 4 - _parts(begin, 4)) for begin, end in spans)
    filled = outside * (row // 4) + inside * sum(begin // 4 + max(0, row // 4 - _parts(end, 4)) for begin, end in spans)
    tiles = (whole + (left > 0)) * (pairs + odd)
    return {
        "patch pixels": groups * layer.pixels,
        "patch rows": groups * rows,
        "clipped rows": groups * (rows - inside * sum(span == (0, row) and row % 4 == 0 for span in spans)),
        "copied inputs": 4 * groups * copied,
        "filled inputs": 4 * groups * filled,
        "mixed inputs": 4 * groups * (rows * fours - copied - filled),
        "tiles": tiles,
        "loose outputs": left * layer.filters + whole * _TILE_PIXELS * odd,
        "steps": 2 * tiles * layer.kernel[0] * fours,
    }


def _band(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """8 pixels x 1 filter x 1 entry a step; each group of filters widens every band anew, unless one band is all.

    What a row has left beside whole tiles is a tile that overlaps the one before, or is finished one output at a time
    where there is none or where a residual must not be added twice.
    """
    height, width = layer.output_size
    groups = _parts(layer.filters, choice.filters_at_once)
    phases = min(layer.stride[1], layer.kernel[1])
    bands = rows = words = tiles = loose_tiles = loose_pixels = 0
    for first in range(0, height, choice.rows_at_once):
        output_rows = min(choice.rows_at_once, height - first)
        if layer.is_point:
            lines, line, input_rows = 1, output_rows * width, 1
        else:
            lines, line, input_rows = output_rows, width, (output_rows - 1) * layer.stride[0] + layer.kernel[0]
        whole, left = divmod(line, _BAND_PIXELS)
        is_loose = left > 0 and (whole == 0 or layer.residual)
        bands += 1
        rows += input_rows
        words += input_rows * (max(_BAND_PIXELS, line) + (layer.kernel[1] - 1) // layer.stride[1])
        tiles += lines * (whole + (left > 0))
        loose_tiles += lines * is_loose
        loose_pixels += lines * left * is_loose
    widenings = groups if bands > 1 else 1
    return {
        "taps": layer.filters * layer.taps,
        "entries": layer.entries,
        "widened rows": widenings * rows * phases * _parts(layer.channels, 4),
        "widened words": widenings * words * phases * _up(layer.channels, 4) / 2,
        "filter bands": layer.filters * bands,
        "tiles": layer.filters * tiles,
        "loose tiles": layer.filters * loose_tiles,
        "loose outputs": layer.filters * loose_pixels,
        "steps": tiles * layer.entries,
    }


def _depthwise(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """One channel after the other, its rows widened once."""
    height, width = layer.output_size
    rows = layer.channels * ((height - 1) * layer.stride[0] + layer.kernel[0])
    columns = (max(_TILE_PIXELS, width) - 1) * layer.stride[1] + layer.kernel[1]
    return {
        "widened rows": rows,
        "widened values": rows * columns,
        "output rows": layer.channels * height,
        "outputs": layer.channels * layer.pixels,
        "tap pairs": layer.channels * layer.pixels * layer.kernel[0] * _parts(layer.kernel[1], 2),
    }


def _vector(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """One pixel; 3 pairs of filters x 4 inputs a step, and what a row of inputs has left one by one."""
    fours, left = divmod(layer.kernel[1] * layer.channels, 4)
    rows = layer.kernel[0]
    blocks, pairs = _parts(layer.filters, _VECTOR_FILTERS), _parts(layer.filters, 2)
    return {
        "inputs": rows * (4 * fours + left),
        "rows": rows * blocks,
        "widened inputs": 4 * rows * fours * blocks,
        "steps": rows * fours * pairs,
        "loose inputs": rows * left * pairs,
    }


_WORK: Mapping[Kernel, Callable[[KernelChoice, Layer], Mapping[str, float]]] = {
    Kernel.GENERAL: _general,
    Kernel.TILE: _tile,
    Kernel.BAND: _band,
    Kernel.DEPTHWISE: _depthwise,
    Kernel.VECTOR: _vector,
}


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _parts(number: int, size: int) -> int:
    return -(-number // size)
