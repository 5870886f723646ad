"""The networks of MLPerf Tiny under each recipe, with random weights: what they compute and what they must give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.zoo import patterns, untrained_artifact
from dccdka.models import NETWORKS, build_model, multiply_accumulates
from dccdka.packing import read_artifact, run_reference, to_device_input
from dccdka.recipe import Recipe

MODELS = {"ic": "mlperf-ic", "kws": "mlperf-kws", "vww": "mlperf-vww", "ad": "mlperf-ad"}
# Sparsity / clusters; weights and activations have 8 bits.
RECIPES = {
    "dense": Recipe(temperature=1, final_sparsity=0, clusters=None, bits=8),
    "50%/64": Recipe(temperature=1, final_sparsity=0.5, clusters=64, bits=8),
    "80%/16": Recipe(temperature=1, final_sparsity=0.8, clusters=16, bits=8),
    "90%/8": Recipe(temperature=1, final_sparsity=0.9, clusters=8, bits=8),
}
_IMAGES, _INPUTS = 4, 2  # calibrated with, run on; the first is counted


@dataclass(frozen=True)
class Case:
    """model and recipe: names. macs: of the dense network. inputs int8 [n, h, w, c]; expected: all outputs."""

    model: str
    recipe: str
    macs: int
    artifact: bytes
    inputs: NDArray[np.int8]
    expected: NDArray[np.int8]

    @property
    def arena_bytes(self) -> int:
        return read_artifact(self.artifact).arena_bytes


def make_case(model: str, recipe: str) -> Case:
    """Of a name in MODELS and one in RECIPES; the same each time."""
    image_shape = NETWORKS[MODELS[model]].image_shape
    macs = multiply_accumulates(_module(model), image_shape)
    inputs = to_device_input(patterns(image_shape, _IMAGES)[:_INPUTS])
    return case_of(model, recipe, macs, make_artifact(model, recipe), inputs)


def make_artifact(model: str, recipe: str) -> bytes:
    """Of the case with these names."""
    return untrained_artifact(_module(model), RECIPES[recipe], patterns(NETWORKS[MODELS[model]].image_shape, _IMAGES))


def _module(model: str) -> nn.Module:
    network = NETWORKS[MODELS[model]]
    torch.manual_seed(0)
    return build_model(MODELS[model], image_shape=network.image_shape, classes=network.classes).eval()


def case_of(model: str, recipe: str, macs: int, artifact: bytes, inputs: NDArray[np.int8]) -> Case:
    """Of any artifact; the names are free."""
    return Case(model, recipe, macs, artifact, inputs, run_reference(read_artifact(artifact), inputs))
