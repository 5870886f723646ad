"""The vectors of all candidates' weights: what the network computes with, its gradients, and the optimiser's steps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from dccdka.recipe import LayerRule, Recipe
from dccdka.stacked.network import stack_network
from dccdka.stacked.optimizer import StackedAdam
from dccdka.stacked.plans import plans_of
from dccdka.stacked.weights import StackedWeights

# Filters of 10 weights, so that blocks of 4 end with the filter, not with the block.
RECIPES = [Recipe(2, 0.5, 4, 8), Recipe(2, 0.0, 16, 4, layers=(LayerRule("1", bits=2, clusters=4),))]
STEPS, RATE = 20, 0.01


def stacked() -> StackedWeights:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 40), nn.Linear(40, 3))
    network = stack_network(model, 2, torch.randn(2, 10))
    return StackedWeights(network, model, plans_of(model, RECIPES))


def test_noise_rounds_whole_blocks_of_a_filter_of_the_candidate_that_has_it() -> None:
    weights = stacked()
    weights.apply([0.0, 0.5], [1, 4])
    plain, noisy = weights.used_by(0), weights.used_by(1)
    assert torch.equal(plain["0.weight"], noisy["0.weight"]) is False
    original = plain["0.weight"]
    rounded = noisy["0.weight"] != original
    for begin, end in ((0, 4), (4, 8), (8, 10)):
        block = rounded[:, begin:end]
        assert torch.all(block.any(1) == block.all(1))
    assert 0.3 < float(rounded.float().mean()) < 0.7
    # Those of a filter are drawn one by one.
    assert len(torch.unique(rounded[:, ::4], dim=0)) > 2
    assert torch.equal(plain["0.bias"], noisy["0.bias"])


def test_at_a_noise_of_one_every_weight_is_a_code_of_its_layers_bits() -> None:
    weights = stacked()
    weights.apply([1.0, 1.0], [1, 1])
    for candidate, (first, second) in enumerate([(256, 256), (16, 4)]):
        used = weights.used_by(candidate)
        assert len(used["0.weight"].unique()) <= first
        assert len(used["1.weight"].unique()) <= second


def test_a_centroids_gradient_is_the_sum_over_its_members_and_a_pruned_weight_has_none() -> None:
    weights = stacked()
    weights.prune([0], [[200, 60]])
    weights.begin_clusters([0])
    weights.apply([0.0, 0.0], [1, 1])
    weights.gradient.copy_(torch.randn_like(weights.gradient))
    given = weights.gradient.clone()
    weights.collect()
    used = weights.used_by(0)["1.weight"].flatten()
    begin = 2 * 400  # behind the first layer's weights of both candidates
    of_layer = slice(begin, begin + 120)
    for centroid, gradient in zip(weights.centroids[0, 1, 1:4], weights.centroid_gradient[0, 1, 1:4], strict=True):
        torch.testing.assert_close(gradient, given[of_layer][used == centroid].sum())
    assert torch.all(weights.centroid_gradient[:, :, 0] == 0)
    assert torch.all(weights.centroid_gradient[1] == 0)
    assert torch.equal(weights.gradient[of_layer], torch.where(used == 0, 0, given[of_layer]))
    assert torch.equal(weights.gradient[begin + 120 :], given[begin + 120 :])


@pytest.mark.parametrize("begins", [(0, 0), (3, 8)])
def test_steps_are_those_of_one_adam_for_each_candidate(begins: tuple[int, int]) -> None:
    weights = stacked()
    weights.centroids.copy_(torch.randn_like(weights.centroids))
    optimizer = StackedAdam(weights, begins)
    rates = [RATE, 3 * RATE]

    def own(values: Tensor, candidate: int) -> Tensor:
        return values[weights.candidate_of == candidate].clone()

    alone = [nn.Parameter(own(weights.trained, n)) for n in (0, 1)]
    centroids = [nn.Parameter(weights.centroids[n].clone()) for n in (0, 1)]
    adams = [torch.optim.Adam(pair, lr=rates[n]) for n, pair in enumerate(zip(alone, centroids, strict=True))]
    for step in range(STEPS):
        weights.gradient.copy_(torch.randn_like(weights.gradient))
        weights.centroid_gradient.copy_(torch.randn_like(weights.centroids))
        for n in (0, 1):
            if step < begins[n]:
                weights.centroid_gradient[n] = 0
            else:
                centroids[n].grad = weights.centroid_gradient[n].clone()
            alone[n].grad = own(weights.gradient, n)
            adams[n].step()
        optimizer.step(step, rates, torch.tensor([True, True]))
        assert torch.all(weights.gradient == 0)
    for n in (0, 1):
        torch.testing.assert_close(own(weights.trained, n), alone[n].detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(weights.centroids[n], centroids[n].detach(), rtol=1e-4, atol=1e-5)


def test_a_candidate_that_is_not_alive_keeps_its_weights() -> None:
    weights = stacked()
    optimizer = StackedAdam(weights, [0, 0])
    before = weights.trained.clone()
    weights.gradient.fill_(math.nan)
    weights.gradient[weights.candidate_of == 1] = 1.0
    optimizer.step(0, [RATE, RATE], torch.tensor([False, True]))
    dead = weights.candidate_of == 0
    assert torch.equal(weights.trained[dead], before[dead])
    torch.testing.assert_close(weights.trained[~dead], before[~dead] - RATE)
