"""The gate: what does not fit or is too slow is refused before it costs a training step.

Flash, RAM and latency hardly depend on what the weights learned, so the untrained network with the candidate's
sparsity and every cluster in use stands for the trained one: training can only merge clusters or add zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dccdka.collaborative import worst_case
from dccdka.datasets import Dataset
from dccdka.packing import Artifact, read_artifact
from dccdka.packing.costs import KernelCosts
from dccdka.recipe import Recipe
from harness.config import Limits, Profile
from harness.errors import DoesNotFit
from harness.farm.device import OpenDevice
from harness.farm.farm import Farm, Group
from harness.farm.flash import flash_of
from harness.farm.measuring import VerificationSet, run_on_device, ship
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
    costs: KernelCosts

    def check(self, recipe: Recipe, name: str) -> dict[str, float]:
        """Runs the untrained candidate on the target, loads it on the other devices, and returns the target's metrics.

        Raises DoesNotFit with the resource and the figures, ArtifactRejected, WrongOutput, or NoDeviceLeft.
        """
        # Which weights are zero here is chance, so a filter that happens to be empty must not be taken away; where
        # whole filters are pruned, training prunes as many.
        untrained, all_channels = worst_case(self.untrained, recipe), recipe.pruning != "filters"
        worst = to_artifact(untrained, self.dataset, self.costs, all_channels=all_channels)
        artifact = read_artifact(worst)
        one_input = VerificationSet(verification_inputs(self.dataset, 1))
        run = self.farm.run(self.target, f"gate {name}", lambda device: run_on_device(device, artifact, one_input))
        found = {m.metric: m for m in run.measurements}
        for metric, limit, where in self._allowed():
            if limit is not None and metric in found and found[metric].value > limit:
                kind = found[metric].kind
                raise DoesNotFit(f"{metric} ({kind})", found[metric].value, limit, UNITS[metric], where)
        for group in self.farm.groups():
            if group != self.target:
                self.farm.run(group, f"gate {name}", lambda device: _check_memory(device, artifact))
        return {metric: m.value for metric, m in found.items()}

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


def _check_memory(device: OpenDevice, artifact: Artifact) -> None:
    """What holds without running: that the agent takes the artifact, and what the profile has room for."""
    loaded = ship(device, artifact)
    where = f"profile {device.profile.name}"
    ram = loaded.arena_bytes + device.hello.static_bytes
    flash = flash_of(device, artifact)
    for resource, needed, room in (
        ("ram", ram, device.profile.ram_bytes),
        (f"flash ({flash.kind})", flash.value, device.profile.flash_bytes),
    ):
        if room.value is not None and needed > room.value:
            raise DoesNotFit(resource, needed, room.value, "B", where)
