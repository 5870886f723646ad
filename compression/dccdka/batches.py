"""Batches of images from memory: the pixels stay bytes on the device and become the network's floats batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dccdka.datasets import Normalization, Split


def normalize(pixels: Tensor, normalization: Normalization) -> Tensor:
    """Network input float32 [n, c, h, w] of pixels uint8 [n, h, w, c]."""
    return pixels.float().sub_(normalization.zero).mul_(normalization.scale).permute(0, 3, 1, 2)


class Batches:
    """A split on a device, given out in batches of (indices into the split, images, labels)."""

    def __init__(self, split: Split, normalization: Normalization, batch_size: int, device: torch.device) -> None:
        # Channels last: convolutions on the CPU follow the layout of their input and run a quarter faster in this one.
        self.pixels = torch.from_numpy(split.images).to(device).permute(0, 2, 3, 1).contiguous()
        self.labels = torch.from_numpy(split.labels).to(device)
        self.normalization = normalization
        self.batch_size = min(batch_size, len(split.labels))

    @property
    def per_epoch(self) -> int:
        """Full batches in an epoch."""
        return len(self.labels) // self.batch_size

    def shuffled(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One epoch of full batches in an order drawn on the CPU, so that it is the same on every device."""
        order = torch.randperm(len(self.labels), generator=generator)[: self.per_epoch * self.batch_size]
        for indices in order.to(self.labels.device).view(-1, self.batch_size):
            yield indices, normalize(self.pixels[indices], self.normalization), self.labels[indices]

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels of the whole split, the last batch being smaller."""
        for begin in range(0, len(self.labels), self.batch_size):
            part = slice(begin, begin + self.batch_size)
            yield normalize(self.pixels[part], self.normalization), self.labels[part]
