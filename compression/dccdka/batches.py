"""Batches of images from memory: the pixels stay bytes on the device and become the network's floats batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dccdka.augmentation import UNCHANGED, Augmentation, Variant, variants_of, vary
from dccdka.datasets import Normalization, Split


def normalize(pixels: Tensor, normalization: Normalization) -> Tensor:
    """Network input float32 [n, c, h, w] of pixels uint8 [n, h, w, c]."""
    return pixels.float().sub_(normalization.zero).mul_(normalization.scale).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class EpochPlan:
    """What one epoch shows: indices into the split, int64 [batches, n], on the CPU and on the device, and variants."""

    host_indices: Tensor
    indices: Tensor
    variants: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """images float32 [n, c, h, w], labels int64 [n], indices into the split int64 [n], and which variant was taken.

    host_indices are the indices in CPU memory, for what is looked up there: reading them back would wait for the GPU.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    host_indices: Tensor
    variant: int


class Batches:
    """A split on a device, given out in batches; batch_size must not exceed the split."""

    def __init__(
        self,
        split: Split,
        normalization: Normalization,
        batch_size: int,
        device: torch.device,
        augmentation: Augmentation = "none",
    ) -> None:
        # Channels last: convolutions on the CPU follow the layout of their input and run a quarter faster in this one.
        self.pixels = torch.from_numpy(split.images).to(device).permute(0, 2, 3, 1).contiguous()
        self.labels = torch.from_numpy(split.labels).to(device)
        self.normalization = normalization
        self.batch_size = batch_size
        self.variants = variants_of(augmentation)

    @property
    def per_epoch(self) -> int:
        """Full batches in an epoch."""
        return len(self.labels) // self.batch_size

    def plan(self, generator: torch.Generator) -> EpochPlan:
        """One epoch of full batches, drawn on the CPU, so that it is the same on every device."""
        order = torch.randperm(len(self.labels), generator=generator)[: self.per_epoch * self.batch_size]
        order = order.view(-1, self.batch_size)
        variants: list[int] = [0] * self.per_epoch
        if len(self.variants) > 1:
            variants = torch.randint(len(self.variants), (self.per_epoch,), generator=generator).tolist()
        return EpochPlan(order, order.to(self.labels.device), tuple(variants))

    def take(self, plan: EpochPlan, position: int) -> Batch:
        """Batch number `position` of an epoch."""
        indices, variant = plan.indices[position], plan.variants[position]
        images = self._images(self.pixels[indices], self.variants[variant])
        return Batch(images, self.labels[indices], indices, plan.host_indices[position], variant)

    def shuffled(self, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch."""
        plan = self.plan(generator)
        for position in range(self.per_epoch):
            yield self.take(plan, position)

    def in_order(self, variant: Variant = UNCHANGED) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels of the whole split, the last batch being smaller."""
        for begin in range(0, len(self.labels), self.batch_size):
            part = slice(begin, begin + self.batch_size)
            yield self._images(self.pixels[part], variant), self.labels[part]

    def _images(self, pixels: Tensor, variant: Variant) -> Tensor:
        return normalize(vary(pixels, variant, self.normalization.zero), self.normalization)
