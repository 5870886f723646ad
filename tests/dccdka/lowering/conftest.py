"""Real images, and a way from a float module to its integer outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Normalization, load_dataset
from dccdka.lowering import lower
from dccdka.lowering.graph import IntegerGraph
from dccdka.packing import pack, read_artifact, run_reference, to_device_input
from dccdka.recipe import Recipe

GENTLE = Recipe(temperature=1, final_sparsity=0, clusters=256, bits=8)


@dataclass(frozen=True)
class Lowered:
    """A lowered module, and what float and integer network give for the images, both real numbers [n, features]."""

    graph: IntegerGraph
    float_outputs: NDArray[np.float32]
    integer_outputs: NDArray[np.float32]

    def error(self) -> float:
        """Largest difference, as a share of the range of the outputs."""
        return self._largest_difference() / float(np.ptp(self.float_outputs))

    def error_in_steps(self) -> float:
        """Largest difference, in steps of the integer output."""
        return self._largest_difference() / self.graph.tensors[self.graph.output].scale

    def _largest_difference(self) -> float:
        return float(np.abs(self.float_outputs - self.integer_outputs).max())


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Training images of Fashion-MNIST [256, 1, 28, 28]."""
    return load_dataset("fashion-mnist").train.images[:256]


@pytest.fixture(scope="session")
def lower_and_run():
    def run(module: nn.Module, images: NDArray[np.uint8], recipe: Recipe = GENTLE) -> Lowered:
        compressed = post_training(module.eval(), recipe)
        normalization = Normalization(zero=73, scale=1 / 90)
        graph = lower(compressed, images, normalization)
        artifact = read_artifact(pack(graph))
        outputs = run_reference(artifact, to_device_input(images)).astype(np.float32)
        integers = (outputs - artifact.output_zero_point) * np.float32(artifact.output_scale)
        with torch.no_grad():
            floats = compressed.module((torch.from_numpy(images.astype(np.float32)) - 73) / 90)
        return Lowered(
            graph, floats.reshape(len(images), -1).numpy(), integers.transpose(0, 3, 1, 2).reshape(len(images), -1)
        )

    return run
