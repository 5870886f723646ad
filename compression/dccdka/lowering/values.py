"""Where the elements of a torch tensor lie among the bytes of the graph's tensor.

torch orders an image's elements (c, h, w), the graph (h, w, c). A value carries its own order, so that reshapes and
permutations move no byte: they change only which byte each element is, and a linear layer that follows takes its
columns in that order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from dccdka.lowering.calls import PROBE_IMAGES, Call

Order = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Value:
    """The graph's tensor that holds a node's value.

    order: of the shape of one image's torch tensor; for each element the index of its byte. scale: of the value, which
    may differ from the tensor's after a multiplication by a number.
    """

    tensor: int
    order: Order
    scale: float
    zero_point: int

    def scaled(self, factor: float) -> Value:
        return replace(self, scale=self.scale * factor)

    def rearranged(self, call: Call) -> Value:
        """After a call that only moves elements."""
        (node,) = call.inputs
        elements = self.order.size
        images = np.ascontiguousarray([self.order + i * elements for i in range(PROBE_IMAGES)])
        with torch.no_grad():
            moved = call.run({node: torch.from_numpy(images)}).numpy()
        return replace(self, order=np.ascontiguousarray(moved[0]))


@lru_cache(maxsize=64)
def image_order(height: int, width: int, channels: int) -> Order:
    """[c, h, w]: the order of an image as convolutions take and give it. Read only."""
    order = np.arange(height * width * channels, dtype=np.int32).reshape(height, width, channels).transpose(2, 0, 1)
    order.flags.writeable = False
    return order


def channel_order(order: Order, height: int, width: int, channels: int) -> NDArray[np.int32] | None:
    """[c]: which channel of the graph's image each of torch's is, its pixels being in place; else None.

    torch's shape may be (c, h, w), (c, l) for an image of one line or column, and (c,) for one pixel.
    """
    shapes: list[tuple[int, ...]] = [(channels, height, width)]
    if min(height, width) == 1:
        shapes.append((channels, max(height, width)))
    if height == width == 1:
        shapes.append((channels,))
    if order.shape not in shapes:
        return None
    first = order.reshape(channels, -1)[:, 0]
    in_place = image_order(height, width, channels).reshape(channels, -1)[0] + first[:, None]
    return first if first.max() < channels and np.array_equal(order.reshape(channels, -1), in_place) else None


def is_along_channels(order: Order, axis: int, channels: int) -> bool:
    """Whether going along the axis is going through the channels of a pixel, in their order."""
    lines = np.moveaxis(order, axis, -1)
    return lines.shape[-1] == channels and bool((lines == lines[..., :1] + np.arange(channels)).all())
