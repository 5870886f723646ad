"""What every test of dccdka runs under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import hypothesis
import pytest
import torch
from torch import nn

from dccdka.datasets import Dataset, Split, load_dataset

# The first call into torch takes a second on a busy machine; that is no failure.
hypothesis.settings.register_profile("dccdka", deadline=None)
hypothesis.settings.load_profile("dccdka")


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    """torch's threads spin while they wait for each other; on a busy machine that takes minutes instead of seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """128 training images of Fashion-MNIST."""
    full = load_dataset("fashion-mnist")
    return replace(full, train=Split(full.train.images[:128], full.train.labels[:128]))


@pytest.fixture(scope="session")
def network() -> Callable[[int], nn.Sequential]:
    """Makes a convolutional network of 2,060 parameters for Fashion-MNIST from a seed."""

    def make(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(196, 10)
        )

    return make
