"""The windows that pools mean, once the image's size is known."""

from __future__ import annotations

from dccdka.lowering.graph import Tensor, Window
from dccdka.lowering.layers import Adaptive, Over, Region


def is_column(image: Tensor) -> bool:
    """Whether what torch sees as a line, (c, l), goes down the image; a single pixel counts as a row."""
    return image.width == 1 and image.height > 1


def turned(window: Window) -> Window:
    """With y and x exchanged."""
    y_and_x = (window.kernel, window.stride, window.padding, window.dilation)
    return Window(*((x, y) for y, x in y_and_x))


def window_of(region: Region, image: Tensor, axes: int) -> Window | None:
    """The window of a pool over an image that torch sees with this many axes, (c, h, w) or (c, l).

    None where there is none: an output size that does not divide the image's, or axes that are not the image's.
    """
    match region:
        case Window():
            return turned(region) if axes == 2 and is_column(image) else region
        case Adaptive():
            return _adaptive(region, image, axes)
        case Over():
            if axes == 3:
                whole_y, whole_x = 1 in region.axes, 2 in region.axes
            else:
                whole_y = whole_x = 1 in region.axes
            if not region.axes <= set(range(1, axes)):
                return None
            kernel = (image.height if whole_y else 1, image.width if whole_x else 1)
            return Window(kernel, (1, 1), (0, 0))


def _adaptive(region: Adaptive, image: Tensor, axes: int) -> Window | None:
    size = region.size[::-1] if axes == 2 and is_column(image) else region.size
    kernel, stride = [], []
    for whole, parts in zip((image.height, image.width), size, strict=True):
        parts = whole if parts is None else parts
        if whole % parts:
            return None
        kernel.append(whole // parts)
        stride.append(1 if parts == 1 else whole // parts)
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]), (0, 0))
