"""A compression's state can be saved, copied and gone on from; the model given and a finished one are left alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from dccdka.collaborative import Collaboration, post_training
from dccdka.recipe import LayerRule, PruningMode, Recipe, Schedule

from .compressing import assert_holds, effective, network, train


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
    with pytest.raises(ValueError, match="mask: expected"):
        Collaboration(nn.Linear(3, 5), Recipe(4, 0.5, 6, 4), steps=40).load_state_dict(state)
    with pytest.raises(KeyError):
        Collaboration(network(), Recipe(4, 0.5, 6, 4), steps=40).load_state_dict({"recipe": state["recipe"]})
    with pytest.raises(ValueError, match="index: points outside"):
        broken = {**state, "shared.index": state["shared.index"] + 100}
        Collaboration(network(), Recipe(4, 0.5, 6, 4), steps=40).load_state_dict(broken)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 5},
        {"final_sparsity": 0.6},
        {"clusters": 7},
        {"clusters": None},
        {"bits": 5},
        {"pruning": "global"},
        {"layers": (LayerRule("first", bits=3),)},
    ],
)
def test_a_state_of_another_recipe_is_refused_by_the_field(change: dict[str, Any]) -> None:
    recipe = Recipe(4, 0.5, 6, 4)
    model = network()
    state = Collaboration(network(), recipe, steps=40).state_dict()
    other = Collaboration(model, replace(recipe, **change), steps=40)
    before = other.state_dict()
    with pytest.raises(ValueError, match=rf"^recipe\.{next(iter(change))} is .* in the state, .*; make the Collaborat"):
        other.load_state_dict(state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


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


def test_post_training_does_not_alter_the_model_given() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compressed = post_training(model, Recipe(4, 0.5, 4, 2, pruning="filters"))
    assert model.training
    assert not compressed.module.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


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


@pytest.mark.parametrize("pruning", get_args(PruningMode))
def test_an_abandoned_model_is_plain_and_keeps_what_was_trained(pruning: PruningMode) -> None:
    model = network()
    parametrize.register_parametrization(model.get_submodule("2"), "bias", nn.Identity())
    names = set(model.state_dict())
    collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4, pruning=pruning), steps=40)
    train(model, collaboration, range(36))
    trained = [layer.original.clone() for layer in collaboration.layers]
    for _ in range(2):
        collaboration.abandon()
        assert all(torch.equal(*pair) for pair in zip(effective(model), trained, strict=True))
    # The network's own parametrization is left alone.
    assert set(model.state_dict()) == names
    with pytest.raises(RuntimeError, match="abandoned"):
        collaboration.before_step(36)


def test_a_finalized_model_cannot_be_abandoned_any_more() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.5, 6, 4), steps=40)
    compressed = collaboration.finalize()
    collaboration.abandon()
    assert_holds(compressed, compressed.recipe)
