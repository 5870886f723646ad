"""Whole networks on real images: the C runtime gives the reference interpreter's bytes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Dataset, load_dataset
from dccdka.lowering import lower
from dccdka.models import build_model
from dccdka.packing import pack, read_artifact, run_reference, to_device_input
from dccdka.recipe import Recipe


def resnet8() -> nn.Module:
    return build_model("resnet8", width=8, image_shape=(1, 28, 28), classes=10)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 49, 10),
    )


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("fashion-mnist")


@pytest.mark.parametrize("recipe", [Recipe(1, 0.0, 256, 8), Recipe(4, 0.8, 16, 8), Recipe(4, 0.9, 2, 2)])
@pytest.mark.parametrize("network", [resnet8, perceptron, depthwise])
def test_networks_on_real_images_give_the_reference_bytes(driver, dataset, network, recipe):
    torch.manual_seed(0)
    compressed = post_training(network().eval(), recipe)
    data = pack(lower(compressed, dataset.train.images[:128], dataset.normalization))
    inputs = to_device_input(dataset.test.images[:64])
    (answer,) = driver.run([(data, inputs.tobytes())])
    assert answer.status == 0
    assert answer.output == run_reference(read_artifact(data), inputs).tobytes()
