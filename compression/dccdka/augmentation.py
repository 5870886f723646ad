"""Variants of the training images: a finite list, so that a teacher's logits can be stored for each of them.

Stored logits are right only for the very image that the teacher saw. A training draws one variant for each batch and
takes the logits that were stored for that variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

Augmentation = Literal["none", "flip", "shift", "flip-shift"]

SHIFTS = (0, -1, 1)  # pixels, down and to the right


@dataclass(frozen=True)
class Variant:
    """Mirror the image, left to right, then move it by so many pixels down and to the right."""

    flip: bool = False
    down: int = 0
    right: int = 0


UNCHANGED = Variant()


def variants_of(augmentation: Augmentation) -> tuple[Variant, ...]:
    """What a training draws from: 1 variant for "none", 2 for "flip", 9 for "shift", 18 for both; the first is none."""
    flips = (False, True) if augmentation in ("flip", "flip-shift") else (False,)
    shifts = SHIFTS if augmentation in ("shift", "flip-shift") else (0,)
    return tuple(Variant(*choice) for choice in product(flips, shifts, shifts))


def vary(pixels: Tensor, variant: Variant, zero: int) -> Tensor:
    """The variant of pixels uint8 [n, h, w, c]; what moves in from outside is `zero`, which the network sees as 0."""
    if variant.flip:
        pixels = pixels.flip(2)
    if variant.down == variant.right == 0:
        return pixels
    _, height, width, _ = pixels.shape
    to_rows, from_rows = _overlap(variant.down, height)
    to_columns, from_columns = _overlap(variant.right, width)
    moved = torch.full_like(pixels, zero)
    moved[:, to_rows, to_columns] = pixels[:, from_rows, from_columns]
    return moved


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Where in the moved image the old one lies, and which part of the old one that is."""
    kept = max(size - abs(shift), 0)
    to = slice(max(shift, 0), max(shift, 0) + kept)
    source = slice(max(-shift, 0), max(-shift, 0) + kept)
    return to, source
