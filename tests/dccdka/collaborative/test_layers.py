"""Which layers are compressed, how, and what is told or refused of those that cannot follow the recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dccdka.collaborative import Collaboration, post_training
from dccdka.collaborative.layers import compressed_layers
from dccdka.divergence import DivergedError
from dccdka.recipe import LayerRule, PruningMode, Recipe, RecipeError

from .compressing import assert_holds, network, train


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


def test_a_layer_too_small_for_its_clusters_has_fewer_and_says_so() -> None:
    compressed = post_training(network(), Recipe(4, 0.5, 64, 8))
    assert compressed.notes == (
        "layer 0: its 1 live weights are too few for 64 clusters; has 2",
        "layer 1: its 27 live weights are too few for 64 clusters; has 28",
        "layer 4: its 27 live weights are too few for 64 clusters; has 28",
    )
    assert post_training(network(), Recipe(4, 0.5, None, 8)).notes == ()


def test_a_layer_that_global_pruning_leaves_too_small_for_its_clusters_says_so_too() -> None:
    model = network()
    with torch.no_grad():
        model.get_submodule("4").weight.mul_(1e-3)
    notes = post_training(model, Recipe(4, 0.5, 16, 8, pruning="global")).notes
    assert "layer 4: its 1 live weights are too few for 16 clusters; has 2" in notes


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


@pytest.mark.parametrize("clusters", [8, None])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_have_no_codes_and_the_layer_is_named(value: float, clusters: int | None) -> None:
    model = network()
    with torch.no_grad():
        model.get_submodule("4").weight[2, 0, 1, 1] = value
    with pytest.raises(DivergedError, match=r"^the weights of 4 are not finite"):
        post_training(model, Recipe(4, 0.5, clusters, 4))


def test_a_rule_that_matches_no_layer_is_named() -> None:
    with pytest.raises(RecipeError, match=r"'stage\*' matches no layer; the network has 0, 1, 4, 6"):
        Collaboration(network(), Recipe(4, 0.5, 4, 8, layers=(LayerRule("stage*", bits=3),)), steps=10)


class HeadFirst(nn.Module):
    """Holds its layers in another order than it calls them; one has the name of a role that another may have."""

    def __init__(self, name: str = "middle", *, traceable: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.name = name
        self.add_module(name, nn.Conv2d(4, 4, 1))
        self.stem = nn.Conv2d(1, 4, 3)
        self.traceable = traceable

    def forward(self, x: Tensor) -> Tensor:
        x = self.get_submodule(self.name)(self.stem(x))
        if not self.traceable and x.sum() > 0:
            x = -x
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize(("traceable", "first", "last"), [(True, "stem", "head"), (False, "head", "stem")])
def test_first_and_last_are_the_layers_called_first_and_last_where_that_is_known(
    traceable: bool, first: str, last: str
) -> None:
    recipe = Recipe(4, 0.0, None, 8, layers=(LayerRule("first", bits=2), LayerRule("last", bits=3)))
    layers = compressed_layers(HeadFirst(traceable=traceable), recipe)
    assert [layer.name for layer in layers] == ["head", "middle", "stem"]
    assert {layer.name: layer.settings.bits for layer in layers} == {first: 2, "middle": 8, last: 3}


def test_layers_inside_a_module_of_torch_are_called_where_that_is() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)
            self.encoder = nn.TransformerEncoderLayer(4, 2, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.encoder(x))

    recipe = Recipe(4, 0.0, None, 8, layers=(LayerRule("first", bits=2), LayerRule("last", bits=3)))
    bits = {layer.name: layer.settings.bits for layer in compressed_layers(Attending(), recipe)}
    assert bits == {"head": 3, "encoder.self_attn.out_proj": 2, "encoder.linear1": 8, "encoder.linear2": 8}


def test_a_rule_that_could_mean_two_layers_is_refused_and_a_pattern_means_the_one_of_that_name() -> None:
    model = HeadFirst("first")
    message = r"^layers: the rule for 'first' could mean .*, stem; write firs\[t\] for the one, its name for the other"
    with pytest.raises(RecipeError, match=message):
        compressed_layers(model, Recipe(4, 0.0, None, 8, layers=(LayerRule("first", bits=2),)))
    layers = compressed_layers(model, Recipe(4, 0.0, None, 8, layers=(LayerRule("firs[t]", bits=2),)))
    assert {layer.name: layer.settings.bits for layer in layers} == {"head": 8, "first": 2, "stem": 8}
    # The last layer of this one has the name, so that both are the same; nothing is depthwise in the other.
    assert compressed_layers(CalledTwice(), Recipe(4, 0.0, None, 8, layers=(LayerRule("last", bits=2),)))
    assert compressed_layers(HeadFirst("depthwise"), Recipe(4, 0.0, None, 8, layers=(LayerRule("depthwise", bits=2),)))


def test_a_training_of_no_steps_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^steps: must be 1 or more, got 0"):
        Collaboration(network(), Recipe(4, 0.5, 4, 4), steps=0)
