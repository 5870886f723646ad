"""Ranges of activations as each observer takes them from real images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Normalization
from dccdka.lowering import lower
from dccdka.lowering.calls import probe
from dccdka.lowering.observation import Range, observe
from dccdka.lowering.tracing import network_input, trace
from dccdka.recipe import Recipe

PIXELS = Normalization(zero=0, scale=1 / 255)


class Largest(nn.Module):
    """The largest pixel of each image."""

    def forward(self, x):
        return x.amax((2, 3))


def observed(images, observer) -> Range:
    module = Largest().eval()
    inputs = network_input(images[:2], PIXELS, module)
    network = trace(module, inputs)
    calls = probe(network, inputs, module)
    return observe(network, [calls.output], images, PIXELS, observer)[calls.output]


def images_of(values) -> np.ndarray:
    return np.repeat(np.asarray(values, np.uint8), 4).reshape(-1, 1, 2, 2)


def test_min_max_is_the_least_and_the_largest_value_of_all_batches():
    values = [9, *[100] * 99, 255]
    assert observed(images_of(values), "min-max") == pytest.approx((9 / 255, 1))


def test_a_moving_average_goes_a_tenth_of_the_way_to_each_batch():
    # Batches of 32 images: the first of 51, the second of 102 but for a single 204.
    values = [51] * 32 + [102] * 31 + [204]
    low, high = observed(images_of(values), "moving-average")
    assert low == pytest.approx(0.2 + 0.1 * 0.2)
    assert high == pytest.approx(0.2 + 0.1 * 0.6)


def test_the_percentile_leaves_out_what_is_rarer_than_one_in_twenty_thousand():
    values = np.linspace(50, 100, 40_000).astype(np.uint8)
    values[7] = 255
    low, high = observed(images_of(values), "percentile")
    assert low == pytest.approx(50 / 255, abs=2 / 255)
    assert high == pytest.approx(100 / 255, abs=2 / 255)
    values[:4] = 255
    assert observed(images_of(values), "percentile").high == pytest.approx(1, abs=2 / 255)


def test_of_equal_values_every_observer_gives_the_value():
    for observer in ("min-max", "moving-average", "percentile"):
        assert observed(images_of([51] * 40), observer) == pytest.approx((0.2, 0.2))


def test_large_images_are_run_in_small_batches(monkeypatch):
    batches = []

    def counted(images, normalization, module):
        batches.append(len(images))
        return network_input(images, normalization, module)

    monkeypatch.setattr("dccdka.lowering.observation.network_input", counted)
    observed(np.zeros((20, 3, 224, 224), np.uint8), "min-max")
    assert sum(batches) == 20
    assert max(batches) <= 8


def test_lower_takes_the_recipes_observer(images):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)).eval()
    compressed = post_training(module, Recipe(1, 0, 256, 8))
    scales = {}
    for observer in ("min-max", "moving-average", "percentile"):
        by_observer = replace(compressed, recipe=replace(compressed.recipe, observer=observer))
        graph = lower(by_observer, images, Normalization(73, 1 / 90))
        scales[observer] = graph.tensors[1].scale
    assert scales["moving-average"] < scales["min-max"]
    assert scales["percentile"] < scales["min-max"]
