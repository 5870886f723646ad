"""Average and maximum pools."""

from __future__ import annotations

from torch import fx

from dccdka.lowering import arithmetic, graph
from dccdka.lowering.building.draft import Draft
from dccdka.lowering.building.following import take_clamp
from dccdka.lowering.building.images import Image, limits_of
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.graph import Window
from dccdka.lowering.layers import Average, Maximum
from dccdka.lowering.tracing import describe
from dccdka.lowering.windows import window_of


def average(draft: Draft, node: fx.Node, layer: Average) -> None:
    """A pool whose sums are requantised to the range of the averages."""
    image, window = _pooled(draft, node, layer)
    path, clamp = take_clamp(draft, [node])
    tensor = draft.ranged(path[-1], draft.image_tensor(node, image.tensor, image.value))
    output = draft.define(path, tensor, draft.order(node, tensor))
    taps = window.taps
    factor = image.value.scale / (tensor.scale * (layer.divisor or taps))
    offset = tensor.zero_point - factor * taps * image.value.zero_point
    limits = limits_of(clamp, tensor)
    requantisation = arithmetic.scalar_requantisation(factor, offset, (-128 * taps, 127 * taps), limits)
    draft.operators.append(graph.AveragePool(image.value.tensor, output, window, *requantisation, *limits))


def maximum(draft: Draft, node: fx.Node, layer: Maximum) -> None:
    """A pool of the input's own integers."""
    image, window = _pooled(draft, node, layer)
    tensor = draft.image_tensor(node, image.tensor, image.value)
    output = draft.define([node], tensor, draft.order(node, tensor))
    draft.operators.append(graph.MaxPool(image.value.tensor, output, window))


def _pooled(draft: Draft, node: fx.Node, layer: Average | Maximum) -> tuple[Image, Window]:
    """The image that is pooled, and the window of each output."""
    image = draft.image(draft.calls[node].inputs[0], node)
    axes = image.value.order.ndim
    window = window_of(layer.region, image.tensor, axes)
    if window is None:
        size = f"{image.tensor.height} x {image.tensor.width}"
        raise LoweringError(
            f"{describe(node)}: pools an image of {size} by parts that are not equal, or over channels; use an "
            "output size that divides the image's, or AvgPool2d, and average over height and width only"
        )
    return image, window
