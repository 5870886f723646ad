"""A small network with layers of many sizes, how it is trained under compression, and what holds of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from dccdka.collaborative import Collaboration, CompressedModel, compressible_layers
from dccdka.pruning import pruned_count
from dccdka.recipe import Recipe


def network(seed: int = 0) -> nn.Module:
    """Layers of many sizes: 1 weight, few, depthwise, many."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 1, 1),
        nn.Conv2d(1, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 5),
    )


def settings_of(model: nn.Module, recipe: Recipe) -> dict[str, tuple[float, int | None, int]]:
    """By hand, for `network`: the rules' values for each layer."""
    found = {}
    for name, layer in compressible_layers(model):
        roles = {"0": {"first"}, "4": {"depthwise"}, "6": {"last"}}.get(name, set())
        asked = recipe.for_layer(name, roles)
        found[name] = (asked.final_sparsity, asked.clusters, asked.bits)
        assert layer is model.get_submodule(name)
    return found


def zeros(weight: np.ndarray) -> int:
    return int(np.count_nonzero(weight == 0))


def assert_holds(compressed: CompressedModel, recipe: Recipe) -> None:
    layers = dict(compressible_layers(compressed.module))
    asked = settings_of(compressed.module, recipe)
    assert list(compressed.layers) == list(layers) == list(asked)
    weights = {name: layer.weight.detach().numpy() for name, layer in layers.items()}
    for name, codes in compressed.layers.items():
        _, clusters, bits = asked[name]
        assert codes.codes.dtype == np.uint8
        assert codes.codes.shape == weights[name].shape
        assert max(int(codes.codes.max()), codes.zero_point) < 2**bits
        assert len(np.unique(np.append(codes.codes, codes.zero_point))) <= (clusters or 2**bits)
        floats = (codes.codes.astype(np.float32) - codes.zero_point) * np.float32(codes.scale)
        assert np.array_equal(weights[name], floats)
    if recipe.pruning == "layer":
        for name, weight in weights.items():
            assert zeros(weight) >= pruned_count(asked[name][0], weight.size)
    if recipe.pruning == "global":
        together = [name for name in weights if asked[name][0] == recipe.final_sparsity]
        total = sum(weights[name].size for name in together)
        assert sum(zeros(weights[name]) for name in together) >= min(
            pruned_count(recipe.final_sparsity, total), total - len(together)
        )
    if recipe.pruning == "filters":
        # The depthwise layer and the one before it share a mask, and the smaller share; the last has none.
        share = min(asked["1"][0], asked["4"][0])
        for name in ("1", "4"):
            dead = np.all(weights[name].reshape(6, -1) == 0, axis=1)
            assert np.count_nonzero(dead) >= pruned_count(share, 6)


def train(model: nn.Module, collaboration: Collaboration, steps: Iterable[int], seed: int = 0) -> None:
    """Optimiser steps on noise; the optimiser is kept with the model, so that calls continue one another."""
    model.train()
    optimizer = model.__dict__.setdefault("optimizer", torch.optim.Adam(model.parameters(), lr=0.01))
    for step in steps:
        generator = torch.Generator().manual_seed(seed * 10_000 + step)
        images = torch.randn(8, 1, 8, 8, generator=generator).to(next(model.parameters()).dtype)
        labels = torch.randint(0, 5, (8,), generator=generator)
        collaboration.before_step(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def effective(model: nn.Module) -> list[Tensor]:
    """The weights as the layers have them now."""
    return [layer.weight.detach().clone() for _, layer in compressible_layers(model)]


def gradients(model: nn.Module, forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """Of all parameters that have one, flat, after one backward pass."""
    model.zero_grad()
    nn.functional.cross_entropy(forward(images), labels).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def images_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 1, 8, 8, generator=generator), torch.randint(0, 5, (8,), generator=generator)
