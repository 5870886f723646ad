"""The recipe's schedule in the steps of one training, and how sparsity and learning rate run over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dccdka.learning_rate import learning_rate_factor
from dccdka.pruning import sparsity_at
from dccdka.recipe import Recipe, Schedule


@dataclass(frozen=True)
class Timeline:
    """The optimiser steps, counted from 0, at which the phases of a training begin; see Schedule."""

    pruning_begin: int
    pruning_end: int
    clustering_begin: int
    quantization_begin: int
    quantization_final: int
    interval: int
    noise: float

    @classmethod
    def of(cls, schedule: Schedule, steps: int) -> Self:
        """The schedule laid over so many optimiser steps."""
        return cls(
            pruning_begin=round(schedule.pruning_begin * steps),
            pruning_end=round(schedule.pruning_end * steps),
            clustering_begin=round(schedule.clustering_begin * steps),
            quantization_begin=round(schedule.quantization_begin * steps),
            quantization_final=round(schedule.quantization_final * steps),
            interval=schedule.interval,
            noise=schedule.noise,
        )

    def renews(self, step: int) -> bool:
        """Whether masks or cluster members are chosen anew before this step."""
        return (step - self.pruning_begin) % self.interval == 0

    def sparsity_at(self, step: int, initial: float, final: float) -> float:
        """Eq. 8 at this step for one layer; a final sparsity below the initial one is kept throughout."""
        return sparsity_at(
            step,
            begin=self.pruning_begin,
            end=self.pruning_end,
            interval=self.interval,
            initial=min(initial, final),
            final=final,
        )

    def noise_at(self, step: int) -> float:
        """Share of the weights that are rounded in this step's forward pass."""
        if step < self.quantization_begin:
            return 0.0
        return self.noise if step < self.quantization_final else 1.0


@dataclass(frozen=True)
class SchedulePoint:
    """One step of a training: the sparsity in force, 0 to 1, and the share of the peak learning rate, 0 to 1."""

    step: int
    sparsity: float
    learning_rate: float


def schedule_curves(recipe: Recipe, steps: int) -> list[SchedulePoint]:
    """Sparsity (Eq. 8) and learning rate at each of `steps` optimiser steps, to be plotted over one another.

    They are coupled by the schedule: the rate has risen by `warm_up`, is at its peak while weights are pruned, so that
    the masks may still change, and decays from `pruning_end` on, when the masks stay and the network recovers.
    """
    schedule = recipe.schedule
    timeline = Timeline.of(schedule, steps)
    sparsity = timeline.sparsity_at(0, recipe.initial_sparsity, recipe.final_sparsity)
    points = []
    for step in range(steps):
        if timeline.renews(step):
            sparsity = timeline.sparsity_at(step, recipe.initial_sparsity, recipe.final_sparsity)
        factor = learning_rate_factor(step, steps, warm_up=schedule.warm_up, decay_begin=schedule.pruning_end)
        points.append(SchedulePoint(step, sparsity, factor))
    return points
