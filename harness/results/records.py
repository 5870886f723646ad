"""What the journal hands out: plain frozen values, detached from the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.results.measurement import Absent, Measurement, Metric

# proposed -> accepted (by the gate) -> trained -> done; the others are ends as well.
State = Literal["proposed", "accepted", "trained", "done", "refused", "failed", "unmeasured"]
ENDS: frozenset[State] = frozenset({"done", "refused", "failed", "unmeasured"})

RecipeValues = Mapping[str, object]


@dataclass(frozen=True)
class DeviceRun:
    """One artifact's visit to one device. seconds: time of each stage (ship, verify, run)."""

    artifact_sha256: str
    profile: str
    emulated: bool
    firmware: str
    settings: str
    device: str
    verified_inputs: int
    seconds: Mapping[str, float]
    measurements: tuple[Measurement, ...]
    absent: tuple[Absent, ...]

    def value(self, metric: Metric) -> float | None:
        return next((m.value for m in self.measurements if m.metric == metric), None)


@dataclass(frozen=True)
class Training:
    """A finished training. seconds: time of each stage (train, pack, evaluate).

    notes: where the recipe could not be followed to the letter, as where a layer is too small for its clusters.
    """

    steps: int
    seconds: Mapping[str, float]
    accuracy_validation: float
    accuracy_test: float
    artifact_sha256: str
    artifact_bytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One proposed recipe and everything known about it."""

    id: str
    number: int
    recipe: RecipeValues
    state: State
    reason: str | None = None
    gate: Mapping[str, object] | None = None
    training_starts: int = 0
    training: Training | None = None
    runs: tuple[DeviceRun, ...] = field(default=())
