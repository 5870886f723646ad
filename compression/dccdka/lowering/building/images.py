"""Tensors as images: the order of their channels, their size, and the limits of their integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dccdka.lowering.graph import Tensor
from dccdka.lowering.layers import Clamp
from dccdka.lowering.values import Order, Value, channel_order


@dataclass(frozen=True)
class Image:
    """A value whose bytes are an image; channels[i]: which of the graph's channels torch's channel i is."""

    value: Value
    tensor: Tensor
    channels: Order


def channel_order_of(order: Order, tensor: Tensor) -> Order | None:
    """Which of the tensor's channels each of torch's is; None where the order is not that of an image."""
    return channel_order(order, *size_of(tensor))


def in_torchs_order(channels: Order | None) -> bool:
    """Whether the tensor's channels are torch's, one by one."""
    return channels is not None and np.array_equal(channels, np.arange(len(channels)))


def size_of(tensor: Tensor) -> tuple[int, int, int]:
    """Height, width and channels."""
    return tensor.height, tensor.width, tensor.channels


def limits_of(clamp: Clamp | None, tensor: Tensor) -> tuple[int, int]:
    """low and high of an operator that clamps to real values."""
    if clamp is None:
        return -128, 127
    low, high = (
        int(np.clip(tensor.zero_point + bound / tensor.scale, -128, 127).round()) for bound in (clamp.low, clamp.high)
    )
    return low, high
