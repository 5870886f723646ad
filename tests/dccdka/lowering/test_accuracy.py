"""Trained networks keep their accuracy as integers, over the whole test set of Fashion-MNIST."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dccdka.collaborative import post_training
from dccdka.datasets import Dataset, load_dataset
from dccdka.lowering import lower
from dccdka.lowering.graph import Concatenate, Lookup, Multiply
from dccdka.models import build_model
from dccdka.packing import accuracy, pack, read_artifact
from dccdka.recipe import Recipe


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("fashion-mnist")


def network_inputs(dataset, images):
    return (torch.from_numpy(images.astype(np.float32)) - dataset.normalization.zero) * dataset.normalization.scale


def trained(model: nn.Module, dataset: Dataset, steps: int) -> nn.Module:
    """After so many steps of 64 images, 859 of which see them all."""
    optimizer = torch.optim.Adam(model.train().parameters(), 3e-3)
    for begin in range(0, 64 * steps, 64):
        images, labels = dataset.train.images[begin : begin + 64], dataset.train.labels[begin : begin + 64]
        optimizer.zero_grad()
        F.cross_entropy(model(network_inputs(dataset, images)), torch.from_numpy(labels)).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def resnet8(dataset) -> nn.Module:
    torch.manual_seed(0)
    return trained(build_model("resnet8", width=8, image_shape=dataset.image_shape, classes=10), dataset, steps=100)


def float_accuracy(module: nn.Module, dataset: Dataset) -> float:
    with torch.no_grad():
        logits = torch.cat([module(network_inputs(dataset, part)) for part in np.split(dataset.test.images, 20)])
    return float((logits.argmax(1).numpy() == dataset.test.labels).mean())


@pytest.mark.parametrize("observer", ["min-max", "moving-average", "percentile"])
def test_a_residual_network_loses_less_than_half_a_point(dataset, resnet8, observer):
    compressed = post_training(resnet8, replace(Recipe(1, 0.3, 64, 8), observer=observer))
    artifact = read_artifact(pack(lower(compressed, dataset.train.images[:512], dataset.normalization)))
    before = float_accuracy(compressed.module, dataset)
    assert before > 0.7
    assert accuracy(artifact, dataset.test) == pytest.approx(before, abs=0.005)


class Mobile(nn.Module):
    """Depthwise layers, hard-swish, squeeze-excite and joined channels, as the small networks of phones have them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.depthwise = nn.Sequential(
            nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish()
        )
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Hardsigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.wide = nn.Sequential(
            nn.ZeroPad2d((1, 1, 1, 1)), nn.Conv2d(16, 16, 3, 2, dilation=1, bias=False), nn.BatchNorm2d(16)
        )
        self.last = nn.Sequential(nn.Conv2d(32, 32, 3, padding="same", dilation=2), nn.BatchNorm2d(32), nn.SiLU())
        self.classify = nn.Linear(32, 10)

    def forward(self, x):
        x = self.stem(x)
        y = self.depthwise(x)
        y = self.project(y * self.excite(y))
        return self.classify(self.last(torch.cat((y, self.wide(x)), 1)).mean((2, 3)))


def test_a_network_of_many_operators_loses_less_than_half_a_point(dataset):
    torch.manual_seed(0)
    compressed = post_training(trained(Mobile(), dataset, steps=200), Recipe(1, 0, 256, 8))
    graph = lower(compressed, dataset.train.images[:512], dataset.normalization)
    assert {Multiply, Concatenate, Lookup} <= {type(operator) for operator in graph.operators}
    before = float_accuracy(compressed.module, dataset)
    assert before > 0.7
    assert accuracy(read_artifact(pack(graph)), dataset.test) == pytest.approx(before, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width"), [("ds-cnn", 24), ("mobilenetv2", 8), ("efficientnet-b0", 8)])
def test_deep_networks_of_depthwise_layers_lose_less_than_half_a_point(dataset, name, width):
    torch.manual_seed(0)
    model = build_model(name, width=width, image_shape=dataset.image_shape, classes=10)
    compressed = post_training(trained(model, dataset, steps=850), Recipe(1, 0, 256, 8))
    artifact = read_artifact(pack(lower(compressed, dataset.train.images[:512], dataset.normalization)))
    before = float_accuracy(compressed.module, dataset)
    assert before > 0.7
    assert accuracy(artifact, dataset.test) == pytest.approx(before, abs=0.005)
