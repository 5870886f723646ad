"""What a kernel has to do for a layer, counted: the quantities that its time is a linear function of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dccdka.lowering.graph import POINT, Convolution, IntegerGraph
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.encoding.counting import band_entries, nonzeros_by_filter
from dccdka.packing.kernels import Shape, band_rows, depthwise_planes

_TILE_PIXELS, _BAND_PIXELS, _VECTOR_FILTERS = 4, 8, 6


@dataclass(frozen=True)
class Layer:
    """A convolution as its kernels see it.

    nonzeros: weights that are not 0; entries: BAND's pairs of weights that are not both 0; of all filters together.
    """

    shape: Shape
    nonzeros: int
    entries: int
    residual: bool = False

    @property
    def weights(self) -> int:
        return self.shape.filters * self.shape.filter_weights

    @property
    def pixels(self) -> int:
        """Of the output."""
        return self.shape.pixels

    def taps_inside(self, axis: int) -> list[range]:
        """For each output row (axis 0) or column (1), which rows or columns of the kernel lie in the image."""
        window, size = self.shape.window, self.shape.image[axis]
        kernel, dilation = window.kernel[axis], window.dilation[axis]
        starts = (at * window.stride[axis] - window.padding[axis] for at in range(self.shape.output[axis]))
        spans = ((_parts(max(0, -at), dilation), _parts(max(0, size - at), dilation)) for at in starts)
        return [range(min(kernel, first), min(kernel, end)) for first, end in spans]


def layer_of(graph: IntegerGraph, convolution: Convolution) -> Layer:
    """The layer of a graph that the convolution is."""
    image, output = graph.tensors[convolution.input], graph.tensors[convolution.output]
    flatten = convolution.flatten_input
    return Layer(
        Shape(
            (1, 1, image.elements) if flatten else (image.height, image.width, image.channels),
            (output.height, output.width, output.channels),
            convolution.window,
            convolution.groups,
            flatten,
        ),
        nonzeros=int(nonzeros_by_filter(convolution.codes, convolution.weight_zero_point).sum()),
        entries=int(band_entries(convolution.codes, convolution.weight_zero_point).sum()),
        residual=convolution.residual is not None,
    )


def work(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """How much of each kind the kernel does in one inference of the layer."""
    # DEPTHWISE decodes its few weights anew for each band.
    decoded = len(_bands(choice, layer)) if choice.kernel is Kernel.DEPTHWISE else 1
    done = {"layer": 1.0, "channels": float(decoded * layer.shape.filters), **_WORK[choice.kernel](choice, layer)}
    if layer.residual:
        done["residual outputs"] = float(layer.pixels * layer.shape.filters)
    if choice.encoding is not Encoding.RAW:
        name = choice.encoding.name.lower()
        done[f"{name} layer"] = float(decoded)
        done[f"{name} weights"] = float(decoded * layer.weights)
        if choice.encoding is not Encoding.INDEXED:
            done[f"{name} nonzeros"] = float(decoded * layer.nonzeros)
    return done


def kinds_of_work(kernel: Kernel) -> tuple[str, ...]:
    """All that `work` may name for the kernel, in the order of its own."""
    shape = Shape((1, 1, 1), (1, 1, 1), POINT, 1, flatten=False)
    found: dict[str, float] = {}
    for encoding in kernel.encodings:
        found |= work(KernelChoice(kernel, encoding), Layer(shape, nonzeros=1, entries=1, residual=True))
    return tuple(found)


def _general(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """One output after the other, one product after the other; taps outside the image are left out.

    Where there is one output position, weights are multiplied as they are decoded.
    """
    shape = layer.shape
    rows, columns = (sum(map(len, layer.taps_inside(axis))) for axis in (0, 1))
    is_single = layer.pixels == 1
    many = 0 if is_single else shape.filters
    return {
        "outputs": many * layer.pixels,
        "kernel rows": many * shape.output[1] * rows,
        "products": 0 if is_single else layer.nonzeros * rows * columns / shape.window.taps,
        "listed taps": many * shape.window.taps,
        "single taps": is_single * shape.filters * shape.window.taps,
        "single weights": is_single * layer.weights,
    }


def _tile(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """4 pixels x 2 filters x 2 inputs a step; each group of filters builds every patch anew.

    Inner pixels see the image alone. A kernel row of the others goes by 4 inputs: copied where they lie in the image,
    filled where they lie outside, else mixed one by one. Tiles that are not whole are finished one output at a time.
    """
    shape, channels = layer.shape, layer.shape.image[2]
    kernel_y, kernel_x = shape.window.kernel
    whole, left = divmod(layer.pixels, _TILE_PIXELS)
    pairs, odd = divmod(shape.filters, 2)
    groups = _parts(shape.filters, choice.filters_at_once)
    row = kernel_x * channels
    fours = _parts(row, 4)
    lines, columns = layer.taps_inside(0), layer.taps_inside(1)
    inner_lines, inner_columns = lines.count(range(kernel_y)), columns.count(range(kernel_x))
    inner = inner_lines * inner_columns
    outer = layer.pixels - inner
    spans = [(taps.start * channels, taps.stop * channels) for taps in columns]
    inside = sum(map(len, lines))
    outside = len(lines) * kernel_y - inside
    copied = inside * sum(max(0, end // 4 - _parts(begin, 4)) for begin, end in spans) - inner * kernel_y * (row // 4)
    filled = inside * sum(begin // 4 + max(0, row // 4 - _parts(end, 4)) for begin, end in spans)
    filled += outside * len(columns) * (row // 4)
    tiles = (whole + (left > 0)) * (pairs + odd)
    return {
        "inner pixels": groups * inner,
        "inner rows": groups * inner * kernel_y,
        "inner inputs": 4 * groups * inner * kernel_y * fours,
        "outer pixels": groups * outer,
        "outer rows": groups * outer * kernel_y,
        "copied inputs": 4 * groups * copied,
        "filled inputs": 4 * groups * filled,
        "mixed inputs": 4 * groups * (outer * kernel_y * fours - copied - filled),
        "patches": groups * _parts(layer.pixels, _TILE_PIXELS),
        "tiles": tiles,
        "loose outputs": left * shape.filters + whole * _TILE_PIXELS * odd,
        "steps": 2 * tiles * kernel_y * fours,
    }


def _band(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """8 pixels x 1 filter x 1 entry a step; each group of filters widens every band anew, unless one band is all.

    Rows are widened 4 pixels at a time, then one by one what is left. What a row of outputs has left beside whole tiles
    is a tile that overlaps the one before, or is finished one output at a time where there is none or where a residual
    must not be added twice.
    """
    shape = layer.shape
    bands = _bands(choice, layer)
    fours, singles = _widened_row(shape)
    rows = tiles = loose_tiles = loose_pixels = 0
    for height in bands:
        lines, line = (1, height * shape.output[1]) if shape.is_point else (height, shape.output[1])
        whole, left = divmod(line, _BAND_PIXELS)
        is_loose = left > 0 and (whole == 0 or layer.residual)
        rows += height if shape.is_point else band_rows(height, shape)[0]
        tiles += lines * (whole + (left > 0))
        loose_tiles += lines * is_loose
        loose_pixels += lines * left * is_loose
    groups = _parts(shape.filters, choice.filters_at_once)
    widenings = groups if len(bands) > 1 else 1
    quads = _parts(shape.image[2], 4)
    cleared_rows, pitch = band_rows(bands[0], shape)
    return {
        "taps": shape.filters * shape.window.taps,
        "entries": layer.entries,
        "cleared words": widenings * cleared_rows * pitch * _phases(shape) * 2 * quads,
        "widened rows": widenings * rows * _phases(shape),
        "widened fours": widenings * rows * quads * fours,
        "widened singles": widenings * rows * quads * singles,
        "filter bands": shape.filters * len(bands),
        "tiles": shape.filters * tiles,
        "loose tiles": shape.filters * loose_tiles,
        "loose outputs": shape.filters * loose_pixels,
        "steps": tiles * layer.entries,
    }


def _phases(shape: Shape) -> int:
    return min(shape.window.stride[1], shape.window.kernel[1])


def _widened_row(shape: Shape) -> tuple[int, int]:
    """Of a row of the image in all phases: how many times 4 pixels are widened together, and how many alone."""
    fours = singles = 0
    for phase in range(_phases(shape)):
        pixels = _parts(shape.image[1] - phase, shape.window.stride[1])
        # A pixel's last channels are read by 4, which may not reach beyond the image.
        together = max(0, pixels - (shape.image[2] % 4 != 0)) // 4
        fours += together
        singles += pixels - 4 * together
    return fours, singles


def _depthwise(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """8 outputs of a channel are a tile; its inputs are widened, 4 channels at once, into planes that were cleared.

    What is not 3 x 3 with a common stride and padding, or adds a residual, goes one product at a time.
    """
    shape, window = layer.shape, layer.shape.window
    bands = _bands(choice, layer)
    planes, tiles = map(sum, zip(*(depthwise_planes(height, shape) for height in bands), strict=True))
    is_tiled = window.stride[1] == 2 or (window.stride[1] == 1 and window.padding[1] % 2 == 1)
    is_loose = window.kernel != (3, 3) or layer.residual or not is_tiled
    outputs = layer.pixels * shape.filters
    rows = sum((height - 1) * window.stride[0] + window.kernel[0] for height in bands)
    return {
        "cleared values": 4 * planes,
        "listed tiles": tiles,
        "widened rows": rows * _parts(shape.filters, 4),
        "widened values": rows * shape.image[1] * shape.filters,
        "tiles": 0 if is_loose else tiles * shape.filters,
        "tiled outputs": 0 if is_loose else outputs,
        "loose tiles": tiles * shape.filters * is_loose,
        "loose outputs": outputs * is_loose,
        "loose rows": outputs * window.kernel[0] * is_loose,
        "loose products": outputs * window.taps * is_loose,
    }


def _vector(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """One pixel; 3 pairs of filters x 4 inputs a step with the DSP extension, else one pair.

    Elsewhere channels are few beside what is done with each, so that only here it counts whether they are decoded.
    What is not a pair, or all filters where inputs are no multiple of 4 or a residual is added, goes in pairs alone
    unless there are three, and inputs beyond a multiple of 4 one by one.
    """
    shape = layer.shape
    rows = shape.window.kernel[0]
    fours, left = divmod(shape.window.kernel[1] * shape.image[2], 4)
    is_quick = left == 0 and not layer.residual and shape.filters >= _VECTOR_FILTERS
    quick = shape.filters // 2 * 2 if is_quick else 0
    blocks, rest = divmod(shape.filters - quick, _VECTOR_FILTERS)
    pairs = _parts(rest, 2)
    calls = blocks + (1 if pairs == _VECTOR_FILTERS // 2 else pairs)
    return {
        "channels": shape.filters * (not choice.wide),
        "wide channels": shape.filters * choice.wide,
        "inputs": rows * (4 * fours + left),
        "blocks": _parts(quick, _VECTOR_FILTERS),
        "steps": rows * fours * _parts(quick, _VECTOR_FILTERS),
        "pair steps": rows * fours * _parts(shape.filters, 2),
        "loose outputs": shape.filters - quick,
        "loose rows": rows * calls,
        "loose steps": rows * fours * calls,
        "loose inputs": rows * left * _parts(shape.filters - quick, 2),
    }


_WORK: Mapping[Kernel, Callable[[KernelChoice, Layer], Mapping[str, float]]] = {
    Kernel.GENERAL: _general,
    Kernel.TILE: _tile,
    Kernel.BAND: _band,
    Kernel.DEPTHWISE: _depthwise,
    Kernel.VECTOR: _vector,
}


def _bands(choice: KernelChoice, layer: Layer) -> list[int]:
    """Output rows of each band."""
    height, at_once = layer.shape.output[0], choice.rows_at_once
    return [min(at_once, height - first) for first in range(0, height, at_once)]


def _parts(number: int, size: int) -> int:
    return -(-number // size)
