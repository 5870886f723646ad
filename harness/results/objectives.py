"""What a search trades against each other: objectives of a finished candidate, all to be made small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.results.measurement import UNITS, Metric
from harness.results.records import Candidate, DeviceRun

METRICS: tuple[Metric, ...] = ("latency", "ram", "flash", "energy")
HEADROOM = 1.1  # the reference point lies this factor beyond the baselines, so that they count themselves


@dataclass(frozen=True)
class Objectives:
    """Objectives of a study: the validation error and those metrics that the target can give.

    reference: one value per objective, fixed for the study; hypervolume is the share of the box between it and the
    ideal point (no error, nothing used), so it has no unit and lies in 0..1.
    """

    profile: str
    emulated: bool
    metrics: tuple[Metric, ...]
    reference: tuple[float, ...]
    baseline: str = "the dense 8-bit network"

    @staticmethod
    def beyond(baselines: Mapping[str, DeviceRun], classes: int) -> Objectives:
        """Reference point from named runs of one target: the largest figure of each metric, and the error of guessing.

        A sparse network may be slower than the dense one, so no single network is the worst of all.
        """
        runs = list(baselines.values())
        largest: dict[Metric, float] = {}
        for metric in METRICS:
            values = [value for value in (run.value(metric) for run in runs) if value is not None]
            if len(values) == len(runs):
                largest[metric] = max(values)
        return Objectives(
            profile=runs[0].profile,
            emulated=runs[0].emulated,
            metrics=tuple(largest),
            reference=(1 - 1 / classes, *(HEADROOM * value for value in largest.values())),
            baseline=", ".join(baselines),
        )

    @property
    def names(self) -> list[str]:
        return ["error_validation", *(f"{metric}_{UNITS[metric]}" for metric in self.metrics)]

    def of(self, candidate: Candidate) -> tuple[float, ...] | None:
        """Values in the order of names, or None while something is missing."""
        if candidate.training is None:
            return None
        run = self.target_run(candidate.runs)
        if run is None:
            return None
        values = [run.value(metric) for metric in self.metrics]
        if any(value is None for value in values):
            return None
        return (1 - candidate.training.accuracy_validation, *(value for value in values if value is not None))

    def target_run(self, runs: Sequence[DeviceRun]) -> DeviceRun | None:
        """The latest on the target: an older one may be another firmware's."""
        wanted = (self.profile, self.emulated)
        return next((run for run in reversed(runs) if (run.profile, run.emulated) == wanted), None)

    def to_fact(self) -> dict[str, object]:
        return {
            "profile": self.profile,
            "emulated": self.emulated,
            "metrics": list(self.metrics),
            "reference": list(self.reference),
            "baseline": self.baseline,
        }

    @staticmethod
    def from_fact(fact: dict[str, object]) -> Objectives:
        """Raises KeyError or ValueError when the fact is damaged."""
        metrics, reference = fact["metrics"], fact["reference"]
        if not isinstance(metrics, list) or not isinstance(reference, list) or len(reference) != len(metrics) + 1:
            raise ValueError("objectives and reference point do not match")
        return Objectives(
            str(fact["profile"]), bool(fact["emulated"]), tuple(metrics), tuple(reference), str(fact["baseline"])
        )
