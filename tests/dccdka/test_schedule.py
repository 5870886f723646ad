"""Sparsity and learning rate over the steps of a training, as the schedule couples them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccdka.recipe import Recipe, RecipeError, Schedule
from dccdka.schedule import Timeline, schedule_curves


def test_fractions_become_steps() -> None:
    timeline = Timeline.of(Schedule(interval=3), 200)
    assert (timeline.pruning_begin, timeline.pruning_end, timeline.clustering_begin) == (20, 100, 140)
    assert (timeline.quantization_begin, timeline.quantization_final) == (140, 170)
    assert [step for step in range(20, 30) if timeline.renews(step)] == [20, 23, 26, 29]
    assert [timeline.noise_at(step) for step in (139, 140, 169, 170)] == [0, 0.5, 0.5, 1]


def test_quantisation_that_begins_with_the_end_never_acts() -> None:
    timeline = Timeline.of(Schedule(quantization_begin=1, quantization_final=1), 50)
    assert all(timeline.noise_at(step) == 0 for step in range(50))


def test_a_layer_that_ends_below_the_initial_sparsity_keeps_its_own() -> None:
    timeline = Timeline.of(Schedule(), 100)
    assert {timeline.sparsity_at(step, 0.5, 0.2) for step in range(100)} == {0.2}


@pytest.mark.parametrize("steps", [60, 1000])
def test_weights_are_pruned_while_the_rate_is_at_its_peak_and_recover_while_it_falls(steps: int) -> None:
    recipe = Recipe(4, 0.75, 16, 4, initial_sparsity=0.25)
    points = schedule_curves(recipe, steps)
    assert [point.step for point in points] == list(range(steps))
    sparsities = [point.sparsity for point in points]
    assert sparsities == sorted(sparsities)
    assert (sparsities[0], sparsities[-1]) == (0.25, 0.75)
    for before, point in pairwise(points):
        if point.sparsity != before.sparsity:
            assert point.learning_rate > 0.99
        if point.step >= 0.5 * steps:
            assert point.sparsity == 0.75
            assert point.learning_rate < before.learning_rate
    assert points[-1].learning_rate < 0.01


@given(warm_up=st.floats(0, 0.9), pruning_end=st.floats(0, 0.9))
def test_a_schedule_that_is_allowed_never_lets_the_rate_fall_at_once(warm_up: float, pruning_end: float) -> None:
    try:
        schedule = Schedule(warm_up, 0.0, pruning_end, 1.0)
    except RecipeError:
        assert warm_up > pruning_end
        return
    points = schedule_curves(Recipe(4, 0.0, 16, 4, schedule=schedule), 400)
    assert next(point.learning_rate for point in points if (point.step + 0.5) / 400 >= warm_up) > 0.97


def test_weights_may_be_pruned_from_the_start_with_the_usual_warm_up() -> None:
    assert Schedule(pruning_begin=0.0, pruning_end=0.0, clustering_begin=0.0).warm_up == 0.1
