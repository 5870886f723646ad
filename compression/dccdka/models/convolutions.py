"""What several families are made of: a convolution with batch norm and activation, and how TensorFlow pads."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

Size = tuple[int, int]


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: Callable[[], nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution padded by kernel // 2 on all sides, batch norm, and the activation unless it is None.

    The submodules' names, 0 and 1, are torchvision's.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


def same_conv(
    inputs: int, outputs: int, kernel: Size, *, image: Size, stride: int = 1, groups: int = 1
) -> nn.Conv2d | nn.Sequential:
    """A convolution without bias that pads images of size (h, w) as TensorFlow's "SAME" does.

    The output has ceil(size / stride) rows and columns; where the padding is odd, the odd row or column lies below or
    right of the image (tf.nn, "Notes on padding").
    """
    sides = [_same_padding(size, extent, stride) for size, extent in zip(image, kernel, strict=True)]
    (top, bottom), (left, right) = sides
    if (top, left) == (bottom, right):
        return nn.Conv2d(inputs, outputs, kernel, stride, (top, left), groups=groups, bias=False)
    return nn.Sequential(
        nn.ZeroPad2d((left, right, top, bottom)),
        nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False),
    )


def strided(size: Size, stride: int) -> Size:
    """Size of what a convolution or pool leaves of an image when it is padded to ceil(size / stride)."""
    return math.ceil(size[0] / stride), math.ceil(size[1] / stride)


def divisible_by_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8 and not below nine tenths of channels (MobileNetV2, EfficientNet)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def initialise(model: nn.Module) -> None:
    """Weights of He et al. (arXiv:1502.01852, Eq. 10) for convolutions: activations keep their size through the layers.

    By inputs of a filter, so that it holds for depthwise layers as well.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
