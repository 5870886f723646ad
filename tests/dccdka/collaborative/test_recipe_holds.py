"""The three steps hold together on every layer: sparsity, at most k values, n-bit integers times the scale."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from dccdka.collaborative import Collaboration, post_training, worst_case
from dccdka.pruning import pruned_count
from dccdka.recipe import CentroidInit, LayerRule, PruningMode, Recipe, Schedule

from .compressing import assert_holds, effective, network, settings_of, train, zeros


def make_schedule(draw: st.DrawFn) -> Schedule:
    return Schedule(
        quantization_begin=draw(st.sampled_from([0.0, 0.3, 0.7, 0.85])),
        noise=draw(st.sampled_from([0.0, 0.3, 1.0])),
        noise_block=draw(st.sampled_from([1, 4, 100])),
        interval=draw(st.sampled_from([1, 4])),
        refit=draw(st.sampled_from([0, 1, 2])),
    )


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    bits = draw(st.integers(2, 8))
    sparsity = draw(st.floats(0, 0.95))
    rules = [
        LayerRule("first", final_sparsity=0.0),
        LayerRule("depthwise", final_sparsity=0.25, clusters=3),
        LayerRule("6", clusters=5, bits=7),
    ]
    return Recipe(
        4,
        sparsity,
        draw(st.none() | st.integers(2, 2**bits)),
        bits,
        initial_sparsity=draw(st.sampled_from([0.0, sparsity / 2, sparsity])),
        pruning=draw(st.sampled_from(get_args(PruningMode))),
        centroid_init=draw(st.sampled_from(get_args(CentroidInit))),
        layers=tuple(draw(st.lists(st.sampled_from(rules), unique=True))),
        schedule=make_schedule(draw),
    )


@settings(max_examples=60)
@given(recipe=recipes(), seed=st.integers(0, 1000))
def test_post_training_meets_the_recipe_on_every_layer(recipe: Recipe, seed: int) -> None:
    assert_holds(post_training(network(seed), recipe), recipe)


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    sparsity=st.floats(0, 0.99),
    pruning=st.sampled_from(["layer", "global"]),
)
def test_what_is_pruned_is_exact_to_one_weight_for_every_layer_size(
    sizes: list[int], sparsity: float, pruning: PruningMode
) -> None:
    model = nn.Sequential(*(nn.Linear(size, 3) for size in sizes))
    collaboration = Collaboration(model, Recipe(4, sparsity, 4, 2, pruning=pruning), steps=1)
    collaboration.prune_fully()
    pruned = [zeros(layer.mask.numpy()) for layer in collaboration.layers]
    weights = [3 * size for size in sizes]
    if pruning == "layer":
        assert pruned == [pruned_count(sparsity, count) for count in weights]
    else:
        assert sum(pruned) == min(pruned_count(sparsity, sum(weights)), sum(weights) - len(weights))
        assert all(some < count for some, count in zip(pruned, weights, strict=True))


@settings(max_examples=60)
@given(recipe=recipes(), seed=st.integers(0, 1000))
def test_post_training_again_changes_no_code(recipe: Recipe, seed: int) -> None:
    once = post_training(network(seed), recipe)
    twice = post_training(once.module, recipe)
    for name, codes in once.layers.items():
        assert np.array_equal(twice.layers[name].codes, codes.codes)
        assert twice.layers[name].zero_point == codes.zero_point
        assert twice.layers[name].scale == pytest.approx(codes.scale, rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(recipe=recipes())
def test_a_trained_model_meets_the_recipe_on_every_layer(recipe: Recipe) -> None:
    model = network()
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(40))
    compressed = collaboration.finalize()
    assert compressed.module is model
    assert not any(parametrize.is_parametrized(module) for module in model.modules())
    assert sorted(model.state_dict()) == sorted(network().state_dict())
    assert_holds(compressed, recipe)


@pytest.mark.parametrize("pruning", get_args(PruningMode))
@pytest.mark.parametrize("stop", [1, 15, 25, 32, 39])
def test_a_training_that_ends_early_meets_the_recipe_too(stop: int, pruning: PruningMode) -> None:
    recipe = Recipe(4, 0.6, 6, 4, pruning=pruning)
    model = network()
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(stop))
    assert_holds(collaboration.finalize(), recipe)


@pytest.mark.parametrize("clusters", [8, None])
def test_with_enough_bits_sparsity_is_exact_to_one_weight(clusters: int | None) -> None:
    recipe = Recipe(4, 0.7, clusters, 8, layers=(LayerRule("first", final_sparsity=0.0),))
    compressed = post_training(network(), recipe)
    counts = {name: zeros(codes.weights()) for name, codes in compressed.layers.items()}
    expected = {name: pruned_count(0.7, codes.codes.size) for name, codes in compressed.layers.items()}
    if clusters is None:
        # Without clusters a code near zero may be zero itself, but never fewer are.
        assert all(expected[name] <= counts[name] <= expected[name] + 2 for name in counts if name != "0")
    else:
        assert counts == {**expected, "0": 0}


def test_global_sparsity_is_exact_over_the_layers_that_take_part() -> None:
    recipe = Recipe(4, 0.7, 200, 8, pruning="global", layers=(LayerRule("depthwise", final_sparsity=0.0),))
    compressed = post_training(network(), recipe)
    counts = {name: zeros(codes.weights()) for name, codes in compressed.layers.items()}
    sizes = {name: codes.codes.size for name, codes in compressed.layers.items()}
    assert counts["0"] == counts["4"] == 0
    assert counts["1"] + counts["6"] == pruned_count(0.7, sizes["0"] + sizes["1"] + sizes["6"])
    assert counts["1"] != pruned_count(0.7, sizes["1"])


@settings(max_examples=10, deadline=None)
@given(recipe=recipes(), seed=st.integers(0, 100))
def test_what_finalize_makes_is_what_the_last_phase_of_training_saw(recipe: Recipe, seed: int) -> None:
    model = network(seed)
    collaboration = Collaboration(model, recipe, steps=20)
    train(model, collaboration, range(20))
    # As a forward pass in training, and in eval mode.
    for group in collaboration._groups.values():
        group.update()
    trained = effective(model.train())
    evaluated = effective(model.eval())
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        before = model(images)
        compressed = collaboration.finalize()
        after = compressed.module(images)
    for final, *seen in zip(effective(compressed.module), trained, evaluated, strict=True):
        assert all(torch.equal(final, weight) for weight in seen)
    assert torch.equal(before, after)


@settings(max_examples=40)
@given(recipe=recipes())
def test_the_worst_case_has_just_the_zeros_and_all_the_clusters_asked_for(recipe: Recipe) -> None:
    compressed = worst_case(network(), recipe)
    assert_holds(compressed, recipe)
    asked = settings_of(compressed.module, recipe)
    for name, codes in compressed.layers.items():
        sparsity, clusters, bits = asked[name]
        live = codes.codes.size - zeros(codes.weights())
        if recipe.pruning == "layer":
            assert codes.codes.size - live == pruned_count(sparsity, codes.codes.size)
        values = len(np.unique(codes.codes[codes.codes != codes.zero_point]))
        assert values == min((clusters or 2**bits) - 1, live)
