"""Variants of images are what they say, and a training's logits are those of the variant that it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.augmentation import UNCHANGED, Augmentation, Variant, variants_of, vary
from dccdka.batches import Batches
from dccdka.datasets import Dataset, Normalization, Split
from dccdka.recipe import Recipe
from dccdka.training import TrainingConfig, compress

PIXELS = torch.arange(2 * 4 * 5 * 1, dtype=torch.uint8).view(2, 4, 5, 1)


@pytest.mark.parametrize(("augmentation", "count"), [("none", 1), ("flip", 2), ("shift", 9), ("flip-shift", 18)])
def test_the_variants_are_distinct_and_begin_with_the_image_itself(augmentation: Augmentation, count: int) -> None:
    variants = variants_of(augmentation)
    assert len(set(variants)) == len(variants) == count
    assert variants[0] == UNCHANGED
    assert torch.equal(vary(PIXELS, UNCHANGED, 9), PIXELS)


@pytest.mark.parametrize("variant", variants_of("flip-shift"), ids=str)
def test_each_pixel_is_where_the_variant_says(variant: Variant) -> None:
    moved = vary(PIXELS, variant, 200)
    for row in range(4):
        for column in range(5):
            from_row, from_column = row - variant.down, column - variant.right
            inside = 0 <= from_row < 4 and 0 <= from_column < 5
            if variant.flip:
                from_column = 4 - from_column
            for image in range(2):
                expected = int(PIXELS[image, from_row, from_column, 0]) if inside else 200
                assert int(moved[image, row, column, 0]) == expected


def test_an_image_smaller_than_the_shift_becomes_empty() -> None:
    assert torch.equal(vary(PIXELS[:, :1], Variant(down=2), 7), torch.full((2, 1, 5, 1), 7, dtype=torch.uint8))


def test_a_batch_is_one_variant_of_its_images_and_every_variant_occurs() -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 4, 5), np.uint8)
    batches = Batches(
        Split(images, np.zeros(64, np.int64)), Normalization(7, 0.1), 2, torch.device("cpu"), "flip-shift"
    )
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(6):
        for batch in batches.shuffled(generator):
            seen.add(batch.variant)
            pixels = torch.from_numpy(images)[batch.indices].permute(0, 2, 3, 1)
            expected = (vary(pixels, variants_of("flip-shift")[batch.variant], 7).float() - 7) * 0.1
            torch.testing.assert_close(batch.images, expected.permute(0, 3, 1, 2))
    assert seen == set(range(18))


def test_padding_is_what_the_network_sees_as_zero() -> None:
    split = Split(np.full((2, 1, 6, 6), 255, np.uint8), np.zeros(2, np.int64))
    batches = Batches(split, Normalization(7, 0.1), 2, torch.device("cpu"))
    ((images, _),) = batches.in_order(Variant(down=2))
    assert bool((images[:, :, :2] == 0).all()) and bool((images[:, :, 2:] != 0).all())


@pytest.mark.parametrize("augmentation", get_args(Augmentation))
def test_every_augmentation_trains_and_they_differ(
    augmentation: Augmentation, tiny: Dataset, network: Callable[[int], nn.Module]
) -> None:
    def trained(kind: Augmentation) -> float:
        losses: list[float] = []
        config = TrainingConfig(epochs=1, batch_size=16, device="cpu", augmentation=kind)
        recipe = Recipe(2, 0.5, 8, 4)
        compress(network(1), tiny, recipe, network(2), training=config, on_progress=lambda p: losses.append(p.loss))
        return losses[-1]

    assert (trained(augmentation) == trained("none")) == (augmentation == "none")
