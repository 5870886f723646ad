"""What stands for any training's result before there is one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dccdka.collaborative import worst_case
from dccdka.datasets import Dataset
from dccdka.lowering import lower_all_channels
from dccdka.models import build_model
from dccdka.recipe import Recipe


@pytest.mark.parametrize("recipe", [Recipe(1, 0.9, 8, 8), Recipe(1, 0.5, 64, 8), Recipe(1, 0.0, 2, 4)])
def test_values_neither_vanish_nor_explode_in_a_deep_network(recipe: Recipe) -> None:
    layers = [layer for _ in range(40) for layer in (nn.Conv2d(64, 64, 1, bias=False), nn.ReLU())]
    network = worst_case(nn.Sequential(nn.Conv2d(1, 64, 1, bias=False), *layers), recipe).module
    with torch.no_grad():
        size = float(network(torch.rand(2, 1, 4, 4)).square().mean().sqrt())
    assert 1e-3 < size < 1e7  # up to the square root of 2 a layer, where all weights have one sign


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet50"])
def test_a_deep_network_has_an_integer_form_before_it_is_trained(tiny: Dataset, name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, width=8, image_shape=tiny.image_shape, classes=tiny.classes)
    graph = lower_all_channels(worst_case(model, Recipe(1, 0.9, 8, 8)), tiny.train.images[:1], tiny.normalization)
    assert len(graph.operators) > 40
