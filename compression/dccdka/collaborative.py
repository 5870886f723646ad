"""Prune, cluster and quantise acting together on every convolution and linear layer, in that order.

Each step is a parametrization of the layer's weight, so the network trains through all of them; at the end they are
taken off and the layer holds n-bit codes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dccdka.clustering import Cluster
from dccdka.pruning import Prune, pruned_count, sparsity_at
from dccdka.quantization import Quantize, quantize, scale_and_zero_point
from dccdka.recipe import Recipe


@dataclass(frozen=True)
class LayerCodes:
    """A layer's weights w = (codes - zero_point) * scale; codes are uint8 in the weight's shape (out, in, ...)."""

    codes: NDArray[np.uint8]
    zero_point: int
    scale: float

    def weights(self) -> NDArray[np.float32]:
        """The weights that the codes stand for, float32 in the weight's shape."""
        return (self.codes.astype(np.float32) - self.zero_point) * np.float32(self.scale)


@dataclass(frozen=True)
class CompressedModel:
    """A network whose weights are codes.

    module: plain and in eval mode. layers: the codes of every convolution and linear layer, by module name.
    """

    module: nn.Module
    layers: dict[str, LayerCodes]
    recipe: Recipe


def compressible_layers(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """Name and module of each layer whose weight is compressed."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name, module


class _Layer:
    """The three parametrizations of one layer's weight."""

    def __init__(self, name: str, module: nn.Conv2d | nn.Linear, recipe: Recipe) -> None:
        weight = module.weight
        live = weight.numel() - pruned_count(recipe.final_sparsity, weight.numel())
        self.name = name
        self.module = module
        self.prune = Prune(weight)
        self.cluster = Cluster(weight, min(recipe.clusters, live + 1))
        self.quantize = Quantize(recipe.bits)
        for step in (self.prune, self.cluster, self.quantize):
            # unsafe skips calls that check that the shape stays; none of these changes it.
            parametrize.register_parametrization(module, "weight", step, unsafe=True)
        self.original: Tensor = module.parametrizations.weight.original  # type: ignore[union-attr, assignment]  # untyped

    def pruned(self) -> Tensor:
        return self.original.detach() * self.prune.mask

    def finalize(self) -> LayerCodes:
        """Replace the parametrizations by the weights of the final codes."""
        shared = self.cluster(self.pruned()).detach()
        bits = self.quantize.bits
        scale, zero_point = scale_and_zero_point(shared, bits)
        codes = quantize(shared, scale, zero_point, bits)
        parametrize.remove_parametrizations(self.module, "weight", leave_parametrized=False)
        layer_codes = LayerCodes(codes.to(torch.uint8).cpu().numpy(), int(zero_point), float(scale))
        self.module.weight.copy_(torch.from_numpy(layer_codes.weights()))
        return layer_codes


class Collaboration:
    """The steps of one training, applied to a model by the recipe's schedule.

    Call `before_step(t)` before each optimiser step t of `steps`, and `finalize` after the last.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        schedule = recipe.schedule
        self.model = model
        self.recipe = recipe
        self.pruning_begin = round(schedule.pruning_begin * steps)
        self.pruning_end = round(schedule.pruning_end * steps)
        self.clustering_begin = round(schedule.clustering_begin * steps)
        self.quantization_begin = round(schedule.quantization_begin * steps)
        self.quantization_final = round(schedule.quantization_final * steps)
        self.sparsity = 0.0
        self.layers = [_Layer(name, module, recipe) for name, module in list(compressible_layers(model))]

    @property
    def clustered(self) -> bool:
        return any(layer.cluster.assignment is not None for layer in self.layers)

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Renew masks and clusters where the schedule says so, and set the noise."""
        if step == self.clustering_begin:
            self._begin_clustering()
        elif (step - self.pruning_begin) % self.recipe.schedule.interval == 0:
            if self.clustered:
                self._renew_clusters()
            else:
                self._prune(self._sparsity_at(step))
        noise = self._noise_at(step)
        for layer in self.layers:
            layer.quantize.noise = noise

    @torch.no_grad()
    def finalize(self) -> CompressedModel:
        """Take the parametrizations off; the model, now plain and in eval mode, becomes the result's module.

        Steps that the schedule had not reached are carried out first.
        """
        if self.clustered:
            self._renew_clusters()
        else:
            self._begin_clustering()
        layers = {layer.name: layer.finalize() for layer in self.layers}
        return CompressedModel(self.model.eval(), layers, self.recipe)

    def _sparsity_at(self, step: int) -> float:
        return sparsity_at(
            step,
            begin=self.pruning_begin,
            end=self.pruning_end,
            interval=self.recipe.schedule.interval,
            final=self.recipe.final_sparsity,
        )

    def _noise_at(self, step: int) -> float:
        if step >= self.quantization_final:
            return 1.0
        return self.recipe.schedule.noise if step >= self.quantization_begin else 0.0

    def _prune(self, sparsity: float) -> None:
        """Weights masked before may live again until the final sparsity is reached; then the masks stay."""
        if sparsity == self.sparsity:
            return
        self.sparsity = sparsity
        for layer in self.layers:
            layer.prune.renew(layer.original, sparsity)

    def _begin_clustering(self) -> None:
        self._prune(self.recipe.final_sparsity)
        for layer in self.layers:
            layer.cluster.begin(layer.pruned())

    def _renew_clusters(self) -> None:
        for layer in self.layers:
            layer.cluster.renew(layer.pruned())


def post_training(model: nn.Module, recipe: Recipe) -> CompressedModel:
    """Prune, cluster and quantise a model as it is, without training; the model given is not altered.

    Raises nothing; the accuracy is what rounding leaves of it.
    """
    return Collaboration(copy.deepcopy(model), recipe, steps=1).finalize()


@torch.no_grad()
def worst_case(model: nn.Module, recipe: Recipe, seed: int = 0) -> CompressedModel:
    """The largest and slowest that a trained candidate of this recipe can be, for the gate; random weights.

    Every layer has just the zeros and all the clusters that the recipe asks for. Training can only add zeros, by
    rounding, and lose clusters. The model given is not altered.
    """
    module = copy.deepcopy(model).cpu().eval()
    generator = np.random.default_rng(seed)
    layers = {}
    for name, layer in compressible_layers(module):
        layers[name] = codes = _worst_case_codes(layer.weight.shape, recipe, generator)
        layer.weight.copy_(torch.from_numpy(codes.weights()))
    return CompressedModel(module, layers, recipe)


def _worst_case_codes(shape: torch.Size, recipe: Recipe, generator: np.random.Generator) -> LayerCodes:
    zero_point = 2 ** (recipe.bits - 1)
    others = np.delete(np.arange(2**recipe.bits), zero_point)
    values = generator.choice(others, recipe.clusters - 1, replace=False)
    weights = shape.numel()
    codes = np.full(weights, zero_point, np.uint8)
    live = weights - pruned_count(recipe.final_sparsity, weights)
    codes[:live] = np.resize(values, live)
    generator.shuffle(codes)
    # Weights of the size that initialisation gives them, so that activations stay finite.
    scale = 1 / (2**recipe.bits * max(shape[1:].numel(), 1) ** 0.5)
    return LayerCodes(codes.reshape(shape), zero_point, scale)
