"""The three steps hold together on every layer: sparsity, at most k values, n-bit integers times the scale."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dccdka.collaborative import Collaboration, CompressedModel, compressible_layers, post_training, worst_case
from dccdka.collaborative.filters import filter_structure
from dccdka.divergence import DivergedError
from dccdka.pruning import pruned_count
from dccdka.recipe import CentroidInit, LayerRule, PruningMode, Recipe, RecipeError, Schedule


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


@settings(max_examples=60)
@given(recipe=recipes(), seed=st.integers(0, 1000))
def test_post_training_meets_the_recipe_on_every_layer(recipe: Recipe, seed: int) -> None:
    assert_holds(post_training(network(seed), recipe), recipe)


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


def test_quantisation_that_never_begins_still_rounds_the_result() -> None:
    model = network()
    recipe = Recipe(4, 0.5, 8, 3, schedule=Schedule(quantization_begin=1, quantization_final=1))
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(40))
    floats = effective(model.eval())
    assert_holds(collaboration.finalize(), recipe)
    assert not all(torch.equal(*pair) for pair in zip(floats, effective(model), strict=True))


def test_masks_change_while_pruning_and_stay_afterwards() -> None:
    model = network()
    recipe = Recipe(4, 0.5, 16, 8, schedule=Schedule(interval=1))
    collaboration = Collaboration(model, recipe, steps=100)
    layer = collaboration.layers[-1]
    sparsities, revived = [], 0
    for step in range(50):
        before = layer.mask.clone()
        train(model, collaboration, range(step, step + 1))
        revived += int(((before == 0) & (layer.mask == 1)).sum())
        sparsities.append(float((layer.mask == 0).float().mean()))
    assert sparsities == sorted(sparsities)
    assert sparsities[9] == 0
    assert 0.1 < sparsities[20] < 0.5
    assert revived > 0
    train(model, collaboration, range(50, 51))
    mask = layer.mask.clone()
    assert float((mask == 0).float().mean()) == 0.5
    train(model, collaboration, range(51, 70))
    assert torch.equal(layer.mask, mask)


def test_pruning_begins_at_the_initial_sparsity() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.75, 16, 8, initial_sparsity=0.25), steps=100)
    train(model, collaboration, range(12))
    assert float((collaboration.layers[-1].mask == 0).float().mean()) == 0.25


@pytest.mark.parametrize("steps", [40, 71, 91])
@pytest.mark.parametrize("clusters", [8, None])
@pytest.mark.parametrize("pruning", get_args(PruningMode))
def test_gradients_reach_every_live_weight_straight_through(
    steps: int, clusters: int | None, pruning: PruningMode
) -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, clusters, 4, pruning=pruning), steps=100)
    train(model, collaboration, range(steps))
    collaboration.before_step(steps)
    layer = collaboration.layers[-1]
    weight = layer.layer.module.weight
    upstream = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    (weight * upstream).sum().backward()
    original = layer.layer.module.parametrizations.weight.original
    assert torch.equal(original.grad, upstream * layer.mask)
    assert int((layer.mask == 0).sum()) > 0


@pytest.mark.parametrize("step", [80, 91])
def test_a_centroids_gradient_is_the_sum_over_its_members_and_zero_never_moves(step: int) -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 8, 4, layers=(LayerRule("last", clusters=5),)), steps=100)
    train(model, collaboration, range(step))
    collaboration.before_step(step)
    (group,) = collaboration._groups.values()
    model.zero_grad()
    upstreams = []
    for number, layer in enumerate(collaboration.layers):
        upstreams.append(torch.randn(layer.mask.shape, generator=torch.Generator().manual_seed(number)))
    weights = [layer.layer.module.weight for layer in collaboration.layers]
    sum((w * u).sum() for w, u in zip(weights, upstreams, strict=True)).backward()  # type: ignore[union-attr]  # a sum
    gradient = group.centroids.grad
    assert gradient is not None
    assert torch.all(gradient[:, 0] == 0)
    assert torch.all(gradient[-1, 5:] == 0)
    for number, (layer, upstream) in enumerate(zip(collaboration.layers, upstreams, strict=True)):
        members = group._slice(group.index, number).view_as(upstream) - number * 8
        for cluster in range(1, 8):
            expected = (upstream * layer.mask)[members == cluster].sum()
            torch.testing.assert_close(gradient[number, cluster], expected)


def test_a_centroid_without_members_does_not_make_the_codes_coarser() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 8, 6), steps=100)
    train(model, collaboration, range(90))
    (group,) = collaboration._groups.values()
    with torch.no_grad():
        group.centroids[3, 1] = 100.0
    collaboration.before_step(90)  # renews the members: 100 has none
    codes = collaboration.finalize().layers["6"]
    assert codes.scale * 63 < 1
    assert np.ptp(np.append(codes.codes, codes.zero_point)) >= 62


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize("clusters", [8, None])
def test_noise_rounds_whole_blocks_of_a_filter(block: int, clusters: int | None) -> None:
    model = network()
    schedule = Schedule(quantization_begin=0.7, quantization_final=0.9, noise=0.5, noise_block=block)
    collaboration = Collaboration(model, Recipe(4, 0.0, clusters, 3, schedule=schedule), steps=100)
    train(model, collaboration, range(80))
    linear = collaboration.layers[-1].layer.module
    picked = []
    for _ in range(40):
        collaboration.before_step(81)
        noisy, rounded = linear.weight.detach().clone(), linear.eval().weight.detach()
        linear.train()
        moved = noisy == rounded
        for filters in moved.split(block, dim=1):
            # Some weights equal their rounded value anyway, so a block is rounded as a whole or hardly at all.
            assert torch.all(filters.all(1) | (filters.float().mean(1) < 0.7)) or block == 1
        picked.append(float(moved.float().mean()))
    assert 0.4 < np.mean(picked) < 0.65


def test_refitting_moves_centroids_to_the_means_of_their_members() -> None:
    recipe = Recipe(4, 0.5, 4, 8, schedule=Schedule(interval=5, refit=2))
    model = network()
    collaboration = Collaboration(model, recipe, steps=100)
    (group,) = collaboration._groups.values()
    train(model, collaboration, range(75))
    # The grid of renewals begins at step 10 and clusters at 70: the second renewal is at 80.
    for step, refitted in ((75, False), (80, True), (85, False)):
        train(model, collaboration, range(step, step) if step == 75 else range(step - 4, step))
        before = group.centroids.detach().clone()
        collaboration.before_step(step)
        assert torch.equal(group.centroids, before) is not refitted
        if refitted:
            weight, members = group.pruned(3).view(-1), group._slice(group.index, 3) - 3 * 4
            for cluster in members.unique().tolist():
                expected = weight[members == cluster].mean() if cluster else torch.tensor(0.0)
                torch.testing.assert_close(group.centroids[3, cluster].detach(), expected)


@pytest.mark.parametrize("pruning", get_args(PruningMode))
@pytest.mark.parametrize("stop", [5, 17, 30, 37])
def test_a_training_goes_on_from_its_state_bit_by_bit(stop: int, pruning: PruningMode) -> None:
    recipe = Recipe(4, 0.5, 6, 4, pruning=pruning, layers=(LayerRule("first", bits=3),), schedule=Schedule(refit=2))
    model = network()
    whole = Collaboration(model, recipe, steps=40)
    train(model, whole, range(stop))
    state = {name: value.clone() for name, value in whole.state_dict().items()}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    moments = copy.deepcopy(model.__dict__["optimizer"].state_dict())
    random = torch.get_rng_state()
    train(model, whole, range(stop, 40))

    resumed_model = network(seed=1)
    resumed = Collaboration(resumed_model, recipe, steps=40)
    resumed.load_state_dict(state)
    resumed_model.load_state_dict(weights)
    train(resumed_model, resumed, [])
    resumed_model.__dict__["optimizer"].load_state_dict(moments)
    torch.set_rng_state(random)
    train(resumed_model, resumed, range(stop, 40))
    expected, got = whole.finalize(), resumed.finalize()
    for name, codes in expected.layers.items():
        assert np.array_equal(got.layers[name].codes, codes.codes)
        assert (got.layers[name].scale, got.layers[name].zero_point) == (codes.scale, codes.zero_point)
    for name, value in expected.module.state_dict().items():
        assert torch.equal(got.module.state_dict()[name], value)


def test_a_state_of_something_else_is_refused() -> None:
    state = Collaboration(network(), Recipe(4, 0.5, 6, 4), steps=40).state_dict()
    with pytest.raises(ValueError, match="centroids"):
        Collaboration(network(), Recipe(4, 0.5, 7, 4), steps=40).load_state_dict(state)
    with pytest.raises(KeyError):
        Collaboration(network(), Recipe(4, 0.5, None, 4), steps=40).load_state_dict(state)
    with pytest.raises(ValueError, match="index: points outside"):
        broken = {**state, "shared.index": state["shared.index"] + 100}
        Collaboration(network(), Recipe(4, 0.5, 6, 4), steps=40).load_state_dict(broken)


def test_a_model_in_training_can_be_copied() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4), steps=40)
    train(model, collaboration, range(36))
    model.__dict__.pop("optimizer")
    copied = copy.deepcopy(model)
    for original, copy_ in zip(effective(model.eval()), effective(copied.eval()), strict=True):
        assert torch.equal(original, copy_)
    for part, other in zip(model.parameters(), copied.parameters(), strict=True):
        assert part is not other


@pytest.mark.parametrize("pruning", get_args(PruningMode))
def test_in_another_memory_format_a_network_is_compressed_alike(pruning: PruningMode) -> None:
    recipe = Recipe(4, 0.6, 6, 4, pruning=pruning)
    usual = post_training(network(), recipe)
    model = network().to(memory_format=torch.channels_last)
    for name, codes in post_training(model, recipe).layers.items():
        assert np.array_equal(codes.codes, usual.layers[name].codes)
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(40))
    assert_holds(collaboration.finalize(), recipe)
    assert model.get_submodule("1").weight.is_contiguous(memory_format=torch.channels_last)


class CalledTwice(nn.Module):
    """One layer is called twice; or, when tied, another shares its weight."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 64)
        self.other = nn.Linear(64, 64) if tied else self.layer
        self.other.weight = self.layer.weight
        self.last = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.other(torch.relu(self.layer(x.flatten(1)))))


@pytest.mark.parametrize("pruning", get_args(PruningMode))
def test_a_layer_that_is_called_twice_is_compressed_once(pruning: PruningMode) -> None:
    model = CalledTwice()
    collaboration = Collaboration(model, Recipe(4, 0.6, 6, 4, pruning=pruning), steps=40)
    train(model, collaboration, range(40))
    compressed = collaboration.finalize()
    assert list(compressed.layers) == ["layer", "last"]
    for name, codes in compressed.layers.items():
        assert np.array_equal(model.get_submodule(name).weight.detach().numpy(), codes.weights())


def weight_normed() -> nn.Module:
    model = network()
    nn.utils.parametrizations.weight_norm(model.get_submodule("4"))
    return model


def under_compression() -> nn.Module:
    model = network()
    Collaboration(model, Recipe(4, 0.5, 4, 4), steps=10)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CalledTwice(tied=True), "layers 'layer' and 'other' share one weight, .*its own copy"),
        (weight_normed, "the weight of layer '4' is parametrized already, .*take that off first"),
        (under_compression, "the weight of layer '0' is parametrized already, by a compression not finalized"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), "layer '1' is lazy .*run the model on a batch first"),
        (lambda: nn.Sequential(nn.BatchNorm2d(1), nn.Flatten()), "no Conv1d, Conv2d or Linear layer"),
    ],
)
def test_a_weight_that_is_not_the_layers_own_is_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(RecipeError, match=f"^model: .*{message}"):
        Collaboration(make(), Recipe(4, 0.5, 4, 4), steps=10)


def test_a_finished_model_may_be_compressed_again_but_not_by_what_finished_it() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4), steps=40)
    train(model, collaboration, range(40))
    once = collaboration.finalize()
    with pytest.raises(RuntimeError, match="was finalized"):
        collaboration.before_step(40)
    with pytest.raises(RuntimeError, match="was finalized"):
        collaboration.finalize()
    again = Recipe(4, 0.75, 4, 3)
    assert_holds(post_training(once.module, again), again)


@pytest.mark.parametrize("clusters", [8, None])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_have_no_codes_and_the_layer_is_named(value: float, clusters: int | None) -> None:
    model = network()
    with torch.no_grad():
        model.get_submodule("4").weight[2, 0, 1, 1] = value
    with pytest.raises(DivergedError, match=r"^the weights of 4 are not finite"):
        post_training(model, Recipe(4, 0.5, clusters, 4))


def test_a_training_of_no_steps_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^steps: must be 1 or more, got 0"):
        Collaboration(network(), Recipe(4, 0.5, 4, 4), steps=0)


@pytest.mark.parametrize("clusters", [8, None])
def test_a_frozen_layer_is_compressed_as_it_is(clusters: int | None) -> None:
    model = network()
    frozen = model.get_submodule("6").weight.requires_grad_(False)
    before = frozen.clone()
    recipe = Recipe(4, 0.5, clusters, 4)
    alone = post_training(model, recipe).layers["6"]
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(40))
    assert torch.equal(frozen, before)
    compressed = collaboration.finalize()
    assert_holds(compressed, recipe)
    assert np.array_equal(compressed.layers["6"].codes, alone.codes)
    assert not model.get_submodule("6").weight.requires_grad


def test_gradients_of_several_batches_add_up() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4), steps=40)
    train(model, collaboration, range(38))
    collaboration.before_step(38)
    images, labels = images_and_labels()
    once = gradients(model, model, images, labels)
    nn.functional.cross_entropy(model(images), labels).backward()
    twice = torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])
    torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("steps", [20, 32, 38])
def test_a_step_without_before_step_still_trains_the_weights_as_they_are_now(steps: int) -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4, schedule=Schedule(noise=1.0)), steps=40)
    train(model, collaboration, range(steps))
    before = effective(model)
    images, labels = images_and_labels()
    for _ in range(3):
        gradients(model, model, images, labels)
        model.__dict__["optimizer"].step()
    assert not all(torch.equal(*pair) for pair in zip(before, effective(model), strict=True))
    for trained, evaluated in zip(effective(model.train()), effective(model.eval()), strict=True):
        assert torch.equal(trained, evaluated)


def test_a_look_in_eval_mode_does_not_change_the_training() -> None:
    ends = []
    for looks in (False, True):
        model = network()
        collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4), steps=40)
        torch.manual_seed(0)
        for step in range(40):
            train(model, collaboration, [step])
            if looks:
                with torch.inference_mode():
                    model.eval()(images_and_labels()[0])
        ends.append(collaboration.finalize())
    for name, codes in ends[0].layers.items():
        assert np.array_equal(codes.codes, ends[1].layers[name].codes)


def test_a_forward_pass_in_inference_mode_leaves_weights_that_can_be_trained() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4), steps=40)
    train(model, collaboration, range(30))
    images, labels = images_and_labels()
    with torch.inference_mode():
        model(images)
    assert torch.isfinite(gradients(model, model, images, labels)).all()


def test_post_training_does_not_alter_the_model_given() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compressed = post_training(model, Recipe(4, 0.5, 4, 2, pruning="filters"))
    assert model.training
    assert not compressed.module.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


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


def test_a_layer_too_small_for_its_clusters_has_fewer_and_says_so() -> None:
    compressed = post_training(network(), Recipe(4, 0.5, 64, 8))
    assert compressed.notes == (
        "layer 0: its 1 live weights are too few for 64 clusters; has 2",
        "layer 1: its 27 live weights are too few for 64 clusters; has 28",
        "layer 4: its 27 live weights are too few for 64 clusters; has 28",
    )
    assert post_training(network(), Recipe(4, 0.5, 2, 8)).notes == ()


def test_a_layer_that_global_pruning_leaves_too_small_for_its_clusters_says_so_too() -> None:
    model = network()
    with torch.no_grad():
        model.get_submodule("4").weight.mul_(1e-3)
    notes = post_training(model, Recipe(4, 0.5, 16, 8, pruning="global")).notes
    assert "layer 4: its 1 live weights are too few for 16 clusters; has 2" in notes


def test_a_rule_that_matches_no_layer_is_named() -> None:
    with pytest.raises(RecipeError, match=r"'stage\*' matches no layer; the network has 0, 1, 4, 6"):
        Collaboration(network(), Recipe(4, 0.5, 4, 8, layers=(LayerRule("stage*", bits=3),)), steps=10)


class Residual(nn.Module):
    """A stem, two convolutions around a shortcut, a depthwise layer, and squeeze-excite."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.stem_norm = nn.BatchNorm2d(4)
        self.narrow = nn.Conv2d(4, 6, 1)
        self.wide = nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.wide_norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 8, 3, groups=4)
        self.squeeze = nn.Conv2d(8, 2, 1)
        self.excite = nn.Conv2d(2, 8, 1)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem_norm(self.stem(x)))
        x = torch.relu(x + self.wide_norm(self.wide(torch.relu(self.narrow(x)))))
        x = self.depthwise(x)
        x = x * torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.linear(x.mean((2, 3)))


def test_layers_that_an_add_a_product_or_a_depthwise_layer_ties_together_are_one_group() -> None:
    groups = {frozenset(group.layers) for group in filter_structure(Residual()).groups}
    assert groups == {frozenset({"stem", "wide", "depthwise", "excite"}), frozenset({"narrow"}), frozenset({"squeeze"})}


def test_channels_of_pruned_filters_are_exactly_zero_and_no_one_reads_them() -> None:
    torch.manual_seed(0)
    model = Residual()
    for norm in (model.stem_norm, model.wide_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
    compressed = post_training(model, Recipe(4, 0.5, None, 8, pruning="filters")).module
    seen: dict[str, Tensor] = {}
    for name, module in compressed.named_modules():
        module.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output}))
    compressed(torch.randn(2, 1, 8, 8))
    dead = (compressed.get_submodule("stem").weight == 0).flatten(1).all(1)
    assert int(dead.sum()) == 2
    for name in ("stem", "stem_norm", "wide", "wide_norm"):
        assert torch.all(seen[name][:, dead] == 0)
        assert torch.all(seen[name][:, ~dead] != 0)
    assert torch.all(seen["depthwise"][:, dead.repeat_interleave(2)] == 0)
    for name, columns in (
        ("narrow", dead),
        ("squeeze", dead.repeat_interleave(2)),
        ("linear", dead.repeat_interleave(2)),
    ):
        assert torch.all(compressed.get_submodule(name).weight[:, columns] == 0)
    assert not (compressed.get_submodule("linear").weight == 0).all(1).any()


def test_of_layers_that_are_pruned_together_the_smallest_share_counts_exactly() -> None:
    recipe = Recipe(4, 0.7, None, 8, pruning="filters", layers=(LayerRule("depthwise", final_sparsity=0.34),))
    layers = post_training(network(), recipe).layers
    for name in ("1", "4"):
        filters = layers[name].weights().reshape(6, -1)
        assert np.count_nonzero(np.all(filters == 0, axis=1)) == pruned_count(0.34, 6) == 2
    assert not np.any(np.all(layers["6"].weights() == 0, axis=1))


def test_a_network_that_cannot_be_traced_can_be_pruned_by_layers() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x)
            return y if y.sum() > 0 else -y

    with pytest.raises(RecipeError, match=r'^pruning: "filters" follows .*use "layer"'):
        post_training(Branching(), Recipe(4, 0.5, 4, 4, pruning="filters"))
    post_training(Branching(), Recipe(4, 0.5, 4, 4))


def test_a_layer_whose_channels_cannot_be_followed_keeps_its_filters_and_says_so() -> None:
    class Shuffled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 4, 1)
            self.second = nn.Conv2d(4, 4, 1)
            self.linear = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).transpose(1, 2).transpose(1, 2)
            return self.linear(self.second(x).mean((2, 3)))

    compressed = post_training(Shuffled(), Recipe(4, 0.5, None, 8, pruning="filters"))
    assert compressed.notes == (
        "layer first: keeps all its filters: its channels cannot be removed from what reads them",
    )
    dead = {
        name: int(np.all(c.weights().reshape(len(c.codes), -1) == 0, 1).sum()) for name, c in compressed.layers.items()
    }
    assert dead == {"first": 0, "second": 2, "linear": 0}


def gradients(model: nn.Module, forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """Of all parameters that have one, flat, after one backward pass."""
    model.zero_grad()
    nn.functional.cross_entropy(forward(images), labels).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def images_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 1, 8, 8, generator=generator), torch.randint(0, 5, (8,), generator=generator)


def test_under_autocast_a_weights_gradient_is_that_of_a_plain_network_with_the_compressed_weights() -> None:
    recipe = Recipe(4, 0.5, 8, 4)
    model, plain = network(), network()
    collaboration = Collaboration(model, recipe, steps=40)
    images, labels = images_and_labels()

    def half(network: nn.Module) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        assert logits.dtype == torch.bfloat16
        network.zero_grad()
        nn.functional.cross_entropy(logits.float(), labels).backward()

    for step in range(40):
        train(model, collaboration, [step])
        collaboration.before_step(step)
        own, parametrized = plain.state_dict(), model.state_dict()
        plain.load_state_dict({name: parametrized.get(name, value) for name, value in own.items()})
        with torch.no_grad():
            for layer in collaboration.layers:
                plain.get_submodule(layer.name).weight.copy_(layer.layer.module.weight)
        half(model)
        half(plain)
        for layer in collaboration.layers:
            original = layer.layer.module.parametrizations.weight.original
            assert torch.equal(original.grad, plain.get_submodule(layer.name).weight.grad * layer.mask)
    assert_holds(collaboration.finalize(), recipe)


@pytest.mark.slow
@pytest.mark.parametrize("pruning", ["layer", "filters"])
def test_a_compiled_model_has_the_same_gradients_in_every_phase_without_a_graph_break(pruning: PruningMode) -> None:
    # Fused kernels add up in another order, which batch norm of a layer with one weight magnifies: hence doubles.
    model = network().double()
    collaboration = Collaboration(model, Recipe(4, 0.5, 8, 4, pruning=pruning), steps=40)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(model)
    images, labels = images_and_labels()
    images = images.double()

    def seeded(forward: Callable[[Tensor], Tensor], step: int) -> Tensor:
        torch.manual_seed(step)  # each draws the same noise
        collaboration.before_step(step)
        return gradients(model, forward, images, labels)

    for step in range(40):
        train(model, collaboration, [step])
        fused, plain = seeded(compiled, step), seeded(model, step)
        assert (fused - plain).norm() < 1e-6 * plain.norm()
    assert torch._dynamo.utils.counters["graph_break"] == {}
