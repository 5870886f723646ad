"""The gate: what does not fit or is too slow is refused before it costs a training step.

Flash, RAM and latency do not depend on what the weights learned, so the untrained network, compressed by the
candidate's recipe, stands for the trained one.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Dataset
from dccdka.packing import read_artifact
from dccdka.recipe import Recipe
from harness.config import Limits, Profile
from harness.errors import DoesNotFit
from harness.farm.farm import Farm, Group
from harness.farm.measuring import VerificationSet, run_on_device
from harness.results.measurement import UNITS, Metric
from harness.search.preparation import to_artifact, verification_inputs


@dataclass(frozen=True)
class Gate:
    farm: Farm
    target: Group
    profile: Profile
    limits: Limits
    untrained: nn.Module
    dataset: Dataset

    def check(self, recipe: Recipe, name: str) -> dict[str, float]:
        """Runs the untrained candidate on the target and returns its metrics.

        Raises DoesNotFit with the resource and the figures, ArtifactRejected, WrongOutput, or NoDeviceLeft.
        """
        artifact = read_artifact(to_artifact(post_training(self.untrained, recipe), self.dataset))
        one_input = VerificationSet(verification_inputs(self.dataset, 1))
        run = self.farm.run(self.target, f"gate {name}", lambda device: run_on_device(device, artifact, one_input))
        for metric, limit, where in self._allowed():
            value = run.value(metric)
            if limit is not None and value is not None and value > limit:
                raise DoesNotFit(metric, value, limit, UNITS[metric], where)
        return {metric.metric: metric.value for metric in run.measurements}

    def _allowed(self) -> list[tuple[Metric, float | None, str]]:
        limits, profile = self.limits, self.profile
        study, board = "the study", f"profile {profile.name}"
        return [
            ("latency", limits.latency_s, study),
            ("ram", limits.ram_bytes, study),
            ("flash", limits.flash_bytes, study),
            ("energy", limits.energy_j, study),
            ("ram", profile.ram_bytes.value, board),
            ("flash", profile.flash_bytes.value, board),
        ]
