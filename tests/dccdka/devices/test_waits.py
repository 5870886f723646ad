"""In no step does the host wait for the device, but where the loss is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from dccdka.datasets import Dataset
from dccdka.fitting import REPORT_INTERVAL
from dccdka.learner import Learner
from dccdka.recipe import Recipe, Schedule
from dccdka.stacked import compress_stacked
from dccdka.stacked.collaboration import StackedCollaboration
from dccdka.teachers import ParallelTeacher
from dccdka.training import compress

from .strict_device import StrictDevice
from .trainings import CONFIG, LOGITS, RECIPE, RECIPES, SEVERAL, TEACHERS, Network


def waits_by_step(
    strict: StrictDevice, monkeypatch: pytest.MonkeyPatch, train: Callable[[], object]
) -> list[list[str]]:
    """What was waited for from the beginning of each of the student's steps but the last to that of the next."""
    begun: list[int] = []
    real = Learner.before_step

    def noted(self: Learner, step: int) -> None:
        if self.name == "the student":
            begun.append(len(strict.waits))
        real(self, step)

    monkeypatch.setattr(Learner, "before_step", noted)
    train()
    return [strict.waits[begin:end] for begin, end in pairwise(begun)]


@pytest.mark.parametrize("recipe", [*RECIPES.values(), replace(RECIPE, schedule=Schedule(noise_block=4))])
def test_the_device_is_waited_for_in_no_step_but_where_the_loss_is_looked_at(
    strict: StrictDevice, tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    waits = waits_by_step(strict, monkeypatch, lambda: compress(network(0), tiny, recipe, LOGITS, training=CONFIG))
    assert_waited_for_at_looks_alone(waits, recipe)


@pytest.mark.parametrize(("teacher", "large"), [*((name, False) for name in TEACHERS), ("logits of an ensemble", True)])
def test_no_teacher_makes_a_step_wait(
    strict: StrictDevice,
    tiny: Dataset,
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    teacher: str,
    large: bool,
) -> None:
    if large:  # the logits then stay in the host's memory
        monkeypatch.setattr("dccdka.teachers.stored.MAPPED_FROM_BYTES", 0)
    config = replace(CONFIG, autocast="fp16")
    who = TEACHERS[teacher](network)
    beside = len(who.networks) if isinstance(who, ParallelTeacher) else 0
    waits = waits_by_step(strict, monkeypatch, lambda: compress(network(0), tiny, RECIPE, who, training=config))
    assert_waited_for_at_looks_alone(waits, RECIPE, beside)


def assert_waited_for_at_looks_alone(waits: list[list[str]], recipe: Recipe, beside: int = 0) -> None:
    """beside: how many teachers are trained too."""
    assert len(waits) == 23
    # k-means runs until it has settled.
    clustering = round(recipe.schedule.clustering_begin * 24)
    for done, found in enumerate(waits, start=1):
        looked, epoch_ends = done % REPORT_INTERVAL == 0, done % 8 == 0
        # At the steps of each network, at the student's loss; then comes the order of the next epoch's images.
        looks = (1 + beside) * (looked or epoch_ends) + looked
        if done != clustering + 1:
            assert found == ["_local_scalar_dense"] * looks + ["copy from the host"] * epoch_ends, done


def test_a_stacked_step_does_not_wait_but_where_a_candidates_clusters_are_found(
    strict: StrictDevice, tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    real = StackedCollaboration.before_step

    def noted(self: StackedCollaboration, step: int) -> None:
        begun.append(len(strict.waits))
        real(self, step)

    monkeypatch.setattr(StackedCollaboration, "before_step", noted)
    compress_stacked(network(0), tiny, SEVERAL, LOGITS, CONFIG)
    waits = [strict.waits[begin:end] for begin, end in pairwise(begun)]
    clustering = {round(recipe.schedule.clustering_begin * 24) for recipe in SEVERAL if recipe.clusters}
    for step, found in enumerate(waits):
        if step not in clustering:
            assert found == ["copy from the host"] * ((step + 1) % 8 == 0), step
