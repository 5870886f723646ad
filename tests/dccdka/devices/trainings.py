"""What is trained on the CPU and on the device: recipes, teachers and a network, all small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dccdka.recipe import LayerRule, Recipe, Schedule
from dccdka.teachers import NetworkTeacher, ParallelTeacher, StoredLogits
from dccdka.training import AnyTeacher, TrainingConfig

Network = Callable[[int], nn.Module]
# 8 steps an epoch, 24 in all.
CONFIG = TrainingConfig(epochs=3, batch_size=16)
# Nothing is drawn on the device: the noise is none, then all.
UNDRAWN = Schedule(noise=0.0)
RECIPE = Recipe(2, 0.7, 8, 4, schedule=UNDRAWN)
LOGITS = np.random.default_rng(0).normal(size=(128, 10)).astype(np.float32)

RECIPES = {
    "layer, linear": RECIPE,
    "global, density, refitted": replace(
        RECIPE, pruning="global", centroid_init="density", schedule=replace(UNDRAWN, refit=1)
    ),
    "filters, forgy": replace(RECIPE, pruning="filters", centroid_init="forgy", initial_sparsity=0.2),
    "without clusters": replace(RECIPE, clusters=None, loss="t_squared"),
    "other values for a layer": replace(RECIPE, layers=(LayerRule("first", final_sparsity=0, bits=8, clusters=64),)),
}

SEVERAL = [
    RECIPE,
    replace(RECIPE, final_sparsity=0.5, clusters=None, bits=6),
    replace(RECIPE, temperature=4.0, centroid_init="forgy", schedule=replace(UNDRAWN, refit=1, clustering_begin=0.5)),
]

TEACHERS: dict[str, Callable[[Network], AnyTeacher]] = {
    "none": lambda network: None,
    "an ensemble": lambda network: NetworkTeacher(network(1), network(2)),
    "logits of an ensemble": lambda network: StoredLogits(np.stack([LOGITS, -LOGITS]).astype(np.float16)),
    "beside the student": lambda network: ParallelTeacher(network(1), network(2)),
    "beside it, compressed too": lambda network: ParallelTeacher(network(1), recipe=RECIPE),
}


class Residual(nn.Module):
    """With a depthwise layer and an add, so that filters are pruned in groups."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.pointwise = nn.Conv2d(8, 16, 1)
        self.classifier = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(self.pointwise(x + self.depthwise(x)))
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits
