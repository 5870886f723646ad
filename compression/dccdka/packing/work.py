"""What a kernel has to do for a layer, counted: the quantities that its time is a linear function of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.graph import Convolution, IntegerGraph, Tensor
from dccdka.packing.choice import Encoding, Kernel, KernelChoice

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
    nonzero = convolution.codes != convolution.weight_zero_point
    return Layer(
        input_size=(image.height, image.width),
        output_size=(output.height, output.width),
        channels=image.channels,
        filters=output.channels,
        groups=convolution.groups,
        kernel=convolution.window.kernel,
        stride=convolution.window.stride,
        padding=convolution.window.padding,
        nonzeros=int(np.count_nonzero(nonzero)),
        entries=band_entries(nonzero),
        residual=convolution.residual is not None,
    )


def band_entries(nonzero: NDArray[np.bool_]) -> int:
    """Pairs of channels 4i, 4i + 2 or 4i + 1, 4i + 3 of one tap that are not both zero; nonzero is [..., channels]."""
    channels = nonzero.shape[-1]
    filled = np.zeros((*nonzero.shape[:-1], _up(channels, 4)), bool)
    filled[..., :channels] = nonzero
    fours = filled.reshape(-1, 4)
    return int(np.count_nonzero(fours[:, :2] | fours[:, 2:]))


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
    """One output after the other, one product after the other."""
    outputs = layer.pixels * layer.filters
    return {"outputs": outputs, "kernel rows": outputs * layer.kernel[0], "products": layer.nonzeros * layer.pixels}


def _tile(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """4 pixels x 2 filters x 2 inputs a step; each group of filters builds every patch anew."""
    height, width = (1, layer.pixels) if layer.is_point else layer.output_size
    tiles = height * _parts(width, _TILE_PIXELS)
    pairs = _parts(layer.filters, 2)
    patch = layer.kernel[0] * _up(layer.kernel[1] * layer.channels, 4)
    patches = tiles * _parts(layer.filters, choice.filters_at_once)
    return {
        "patches": patches,
        "patch rows": patches * layer.kernel[0],
        "patch values": patches * _TILE_PIXELS * patch,
        "tiles": tiles * pairs,
        "steps": tiles * pairs * patch // 2,
    }


def _band(choice: KernelChoice, layer: Layer) -> dict[str, float]:
    """8 pixels x 1 filter x 1 entry a step; each group of filters widens every band anew."""
    height, width = layer.output_size
    groups = _parts(layer.filters, choice.filters_at_once)
    words = _up(layer.channels, 4) // 2
    tiles = rows = planes = 0
    for first in range(0, height, choice.rows_at_once):
        output_rows = min(choice.rows_at_once, height - first)
        if layer.is_point:
            input_rows, pitch = 1, output_rows * width
            tiles += _parts(pitch, _BAND_PIXELS)
        else:
            input_rows = (output_rows - 1) * layer.stride[0] + layer.kernel[0]
            pitch = max(_BAND_PIXELS, width) + (layer.kernel[1] - 1) // layer.stride[1]
            tiles += output_rows * _parts(width, _BAND_PIXELS)
        phases = min(layer.stride[1], layer.kernel[1])
        rows += input_rows
        planes += input_rows * words * phases * pitch
    return {
        "widened rows": groups * rows,
        "widened words": groups * planes,
        "entries": layer.entries,
        "tiles": tiles * layer.filters,
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
    """One pixel, 6 filters x 4 inputs a step."""
    steps = layer.kernel[0] * _up(layer.kernel[1] * layer.channels, 4) // 4
    return {"blocks": _parts(layer.filters, _VECTOR_FILTERS), "steps": steps * _parts(layer.filters, 2)}


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
