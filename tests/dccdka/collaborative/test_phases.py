"""What each phase of a training does to the weights: masks, clusters, noise, rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dccdka.collaborative import Collaboration
from dccdka.recipe import Recipe, Schedule

from .compressing import assert_holds, effective, network, train


def test_pruning_begins_at_the_initial_sparsity() -> None:
    model = network()
    collaboration = Collaboration(model, Recipe(4, 0.75, 16, 8, initial_sparsity=0.25), steps=100)
    train(model, collaboration, range(12))
    assert float((collaboration.layers[-1].mask == 0).float().mean()) == 0.25


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


def test_quantisation_that_never_begins_still_rounds_the_result() -> None:
    model = network()
    recipe = Recipe(4, 0.5, 8, 3, schedule=Schedule(quantization_begin=1, quantization_final=1))
    collaboration = Collaboration(model, recipe, steps=40)
    train(model, collaboration, range(40))
    floats = effective(model.eval())
    assert_holds(collaboration.finalize(), recipe)
    assert not all(torch.equal(*pair) for pair in zip(floats, effective(model), strict=True))


@pytest.mark.parametrize("begin", [60, 71, 83])
def test_a_loop_that_begins_late_clusters_from_its_first_step_on(begin: int) -> None:
    model = network()
    recipe = Recipe(4, 0.5, 4, 4)
    collaboration = Collaboration(model, recipe, steps=100)
    train(model, collaboration, range(begin, max(begin, 70)))
    assert not collaboration.clustered
    collaboration.before_step(max(begin, 70))
    assert collaboration.clustered
    (group,) = collaboration._groups.values()
    found = group.centroids.detach().clone()
    train(model, collaboration, range(max(begin, 70), 100))
    assert not torch.equal(group.centroids, found)
    assert_holds(collaboration.finalize(), recipe)
