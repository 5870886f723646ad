"""Compression without training: of a network as it is, and of one that stands for whatever training may make."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dccdka.collaborative.collaboration import Collaboration
from dccdka.collaborative.layers import compressed_layers
from dccdka.collaborative.result import CompressedModel, LayerCodes
from dccdka.function_reference import in_one_line
from dccdka.recipe import LayerSettings, Recipe, RecipeError


def post_training(model: nn.Module, recipe: Recipe) -> CompressedModel:
    """Prune, cluster and quantise a model as it is, without training; the model given is not altered.

    The accuracy is what rounding leaves of it. Raises RecipeError like Collaboration, and when the model cannot be
    copied.
    """
    return Collaboration(_copied(model), recipe, steps=1).finalize()


@torch.no_grad()
def worst_case(model: nn.Module, recipe: Recipe, seed: int = 0) -> CompressedModel:
    """The largest and slowest that a trained candidate of this recipe can be, for the gate; random weights.

    Every layer has just the zeros and all the clusters that the recipe asks for. Training can only add zeros, by
    rounding, and lose clusters. Which layers lose how much is the training's choice when the recipe prunes the "global"
    smallest: then it is what the model as given would lose, an estimate. The model given is not altered. Raises
    RecipeError like Collaboration, and when the model cannot be copied.
    """
    settings = {layer.name: layer.settings for layer in compressed_layers(model, recipe)}
    collaboration = Collaboration(_copied(model).cpu(), _without_clusters(recipe), steps=1)
    collaboration.prune_fully()
    masks = {layer.name: layer.mask.numpy().astype(bool) for layer in collaboration.layers}
    notes = collaboration.notes  # what finalize adds is of codes that are replaced
    compressed = collaboration.finalize()
    generator = np.random.default_rng(seed)
    layers = {}
    for layer in collaboration.layers:
        codes = _worst_case_codes(masks[layer.name], settings[layer.name], generator)
        layers[layer.name] = codes
        layer.layer.module.weight.copy_(torch.from_numpy(codes.weights()))
    return CompressedModel(compressed.module, layers, recipe, notes)


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:  # a user's own network: whatever copying it raises says why it cannot be copied
        raise RecipeError(
            f"model: cannot be copied: {in_one_line(error)}; let it keep no tensors of a forward pass as attributes"
        ) from error


def _without_clusters(recipe: Recipe) -> Recipe:
    """The same pruning, without the k-means that would take minutes on a large network for codes that are replaced."""
    return replace(recipe, clusters=None, layers=tuple(replace(rule, clusters=None) for rule in recipe.layers))


def _worst_case_codes(mask: NDArray[np.bool_], settings: LayerSettings, generator: np.random.Generator) -> LayerCodes:
    """Codes of a layer whose live weights, where the mask is true, use as many codes as they may, all as often."""
    codes = 2**settings.bits
    zero_point = codes // 2
    live = np.resize(_balanced((settings.clusters or codes) - 1, codes, generator), np.count_nonzero(mask))
    generator.shuffle(live)
    result = np.full(mask.shape, zero_point, np.uint8)
    result[mask] = live + zero_point
    # What a ReLU reads keeps its size from layer to layer (He et al., arXiv:1502.01852), by the weights that live and
    # even where all have one sign: in a deep network values would vanish or explode otherwise.
    inputs = max(len(live) / len(mask), 1)
    scale = (2 / (inputs * np.mean(np.square(live)) + np.square(inputs * np.mean(live)))) ** 0.5
    return LayerCodes(result, zero_point, float(scale))


def _balanced(count: int, codes: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """So many of -codes/2 to codes/2 - 1, none zero, half of them positive as far as there are any."""
    positive = min(-(-count // 2), codes // 2 - 1)
    negative = count - positive
    magnitudes = generator.permutation(codes // 2 - 1)[:positive], generator.permutation(codes // 2)[:negative]
    return np.concatenate([magnitudes[0] + 1, -magnitudes[1] - 1])
