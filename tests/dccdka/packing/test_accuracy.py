"""A trained network keeps its accuracy as integers, over the whole test set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dccdka.collaborative import post_training
from dccdka.datasets import Dataset, load_dataset
from dccdka.lowering import lower
from dccdka.models import build_model
from dccdka.packing import accuracy, pack, read_artifact, run_reference, to_device_input
from dccdka.recipe import Recipe


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("fashion-mnist")


def network_inputs(dataset, images):
    return (torch.from_numpy(images.astype(np.float32)) - dataset.normalization.zero) * dataset.normalization.scale


@pytest.fixture(scope="module")
def trained(dataset):
    """A ResNet-8 after 100 steps: about 80% right."""
    torch.manual_seed(0)
    model = build_model("resnet8", width=8, image_shape=dataset.image_shape, classes=10)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for begin in range(0, 6400, 64):
        images, labels = dataset.train.images[begin : begin + 64], dataset.train.labels[begin : begin + 64]
        optimizer.zero_grad()
        F.cross_entropy(model(network_inputs(dataset, images)), torch.from_numpy(labels)).backward()
        optimizer.step()
    return model.eval()


def test_eight_bit_weights_answer_as_the_float_network_does(dataset, trained):
    compressed = post_training(trained, Recipe(1, 0, 256, 8))
    artifact = read_artifact(pack(lower(compressed, dataset.train.images[:512], dataset.normalization)))
    images = dataset.test.images
    with torch.no_grad():
        floats = torch.cat([compressed.module(network_inputs(dataset, part)) for part in np.split(images, 20)])
    float_classes = floats.argmax(1).numpy()
    classes = run_reference(artifact, to_device_input(images)).reshape(len(images), -1).argmax(1)
    float_accuracy = (float_classes == dataset.test.labels).mean()
    assert float_accuracy > 0.7
    assert (classes == float_classes).mean() > 0.97
    assert accuracy(artifact, dataset.test) == pytest.approx(float_accuracy, abs=0.01)
