"""Gradients reach what is trained, in every phase and however the model is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dccdka.collaborative import Collaboration
from dccdka.recipe import LayerRule, PruningMode, Recipe, Schedule

from .compressing import assert_holds, effective, gradients, images_and_labels, network, train


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
    torch.stack([(w * u).sum() for w, u in zip(weights, upstreams, strict=True)]).sum().backward()
    gradient = group.centroids.grad
    assert gradient is not None
    assert torch.all(gradient[:, 0] == 0)
    assert torch.all(gradient[-1, 5:] == 0)
    for number, (layer, upstream) in enumerate(zip(collaboration.layers, upstreams, strict=True)):
        members = group._slice(group.index, number).view_as(upstream) - number * 8
        for cluster in range(1, 8):
            expected = (upstream * layer.mask)[members == cluster].sum()
            torch.testing.assert_close(gradient[number, cluster], expected)


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
