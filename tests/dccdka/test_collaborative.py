"""The three steps hold together on every layer: sparsity, at most k values, n-bit integers times the scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from dccdka.collaborative import Collaboration, CompressedModel, compressible_layers, post_training, worst_case
from dccdka.pruning import pruned_count
from dccdka.recipe import Recipe, Schedule


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


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    bits = draw(st.integers(2, 8))
    return Recipe(4, draw(st.floats(0, 0.95)), draw(st.integers(2, 2**bits)), bits)


def assert_holds(compressed: CompressedModel, recipe: Recipe) -> None:
    layers = dict(compressible_layers(compressed.module))
    assert set(compressed.layers) == set(layers)
    for name, codes in compressed.layers.items():
        weight = layers[name].weight.detach().numpy()
        assert codes.codes.dtype == np.uint8
        assert codes.codes.shape == weight.shape
        assert max(int(codes.codes.max()), codes.zero_point) < 2**recipe.bits
        assert len(np.unique(np.append(codes.codes, codes.zero_point))) <= recipe.clusters
        assert np.array_equal(weight, (codes.codes.astype(np.float32) - codes.zero_point) * np.float32(codes.scale))
        assert np.count_nonzero(weight == 0) >= pruned_count(recipe.final_sparsity, weight.size)


@settings(max_examples=40)
@given(recipe=recipes(), seed=st.integers(0, 1000))
def test_post_training_meets_the_recipe_on_every_layer(recipe: Recipe, seed: int) -> None:
    assert_holds(post_training(network(seed), recipe), recipe)


@settings(max_examples=40)
@given(recipe=recipes(), seed=st.integers(0, 1000))
def test_post_training_again_changes_no_code(recipe: Recipe, seed: int) -> None:
    once = post_training(network(seed), recipe)
    twice = post_training(once.module, recipe)
    for name, codes in once.layers.items():
        assert np.array_equal(twice.layers[name].codes, codes.codes)
        assert twice.layers[name].zero_point == codes.zero_point
        assert twice.layers[name].scale == pytest.approx(codes.scale, rel=1e-5)


def test_with_enough_bits_sparsity_is_exact_to_one_weight() -> None:
    recipe = Recipe(4, 0.7, 16, 8)
    for codes in post_training(network(), recipe).layers.values():
        assert np.count_nonzero(codes.codes == codes.zero_point) == pruned_count(0.7, codes.codes.size)


def test_post_training_does_not_alter_the_model_given() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compressed = post_training(model, Recipe(4, 0.5, 4, 2))
    assert model.training
    assert not compressed.module.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parametrize.is_parametrized(module) for module in compressed.module.modules())


@settings(max_examples=40)
@given(recipe=recipes())
def test_the_worst_case_has_just_the_zeros_and_all_the_clusters_asked_for(recipe: Recipe) -> None:
    compressed = worst_case(network(), recipe)
    assert_holds(compressed, recipe)
    for codes in compressed.layers.values():
        pruned = pruned_count(recipe.final_sparsity, codes.codes.size)
        live = codes.codes.size - pruned
        assert np.count_nonzero(codes.codes == codes.zero_point) == pruned
        assert len(np.unique(codes.codes[codes.codes != codes.zero_point])) == min(recipe.clusters - 1, live)


def train(model: nn.Module, collaboration: Collaboration, steps: range) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    images, labels = torch.randn(8, 1, 8, 8), torch.arange(8) % 5
    for step in steps:
        collaboration.before_step(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


@settings(max_examples=10)
@given(recipe=recipes())
def test_a_trained_model_meets_the_recipe_on_every_layer(recipe: Recipe) -> None:
    model = network()
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(40))
    compressed = collaboration.finalize()
    assert compressed.module is model
    assert_holds(compressed, recipe)


@pytest.mark.parametrize("stop", [1, 15, 25, 32, 39])
def test_a_training_that_ends_early_meets_the_recipe_too(stop: int) -> None:
    recipe = Recipe(4, 0.6, 6, 4)
    model = network()
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(stop))
    assert_holds(collaboration.finalize(), recipe)


def test_masks_change_while_pruning_and_stay_afterwards() -> None:
    model = network()
    recipe = Recipe(4, 0.5, 16, 8, schedule=Schedule(interval=1))
    collaboration = Collaboration(model, recipe, steps=100)
    layer = collaboration.layers[-1]
    sparsities = []
    for step in range(50):
        train(model, collaboration, range(step, step + 1))
        sparsities.append(float((layer.prune.mask == 0).float().mean()))
    assert sparsities == sorted(sparsities)
    assert sparsities[9] == 0
    assert 0.1 < sparsities[20] < 0.5
    train(model, collaboration, range(50, 51))
    mask = layer.prune.mask.clone()
    assert float((mask == 0).float().mean()) == 0.5
    train(model, collaboration, range(51, 70))
    assert torch.equal(layer.prune.mask, mask)


def test_gradients_reach_every_live_weight_and_every_used_centroid() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 8, 4), steps=100)
    train(model, collaboration, range(91))
    for layer in collaboration.layers:
        gradient = layer.original.grad
        assert gradient is not None
        assert torch.all(gradient[layer.prune.mask == 0] == 0)
        assert layer.cluster.assignment is not None
        assert layer.cluster.centroids.grad is not None
        assert layer.cluster.centroids.grad[0] == 0
    # A network without dead activations gives every live weight a gradient.
    last = collaboration.layers[-1]
    assert last.original.grad is not None
    assert torch.count_nonzero(last.original.grad) >= 0.9 * torch.count_nonzero(last.prune.mask)
    used = last.cluster.assignment[last.prune.mask == 1].unique()  # type: ignore[index]  # set above
    assert torch.all(last.cluster.centroids.grad[used[used > 0]] != 0)  # type: ignore[index]  # set above
