"""Before anything is trained: every device answers, and computes a known network as the reference interpreter does.

The known network is the study's own, dense and with 8-bit weights. Its run on the target is the baseline that fixes
the study's reference point; its outputs are what a device must show again whenever it has been reopened.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Dataset
from dccdka.packing import Artifact, read_artifact
from dccdka.recipe import Recipe
from harness.errors import CandidateError, DeviceError, NotPackable, UsageError
from harness.farm.device import OpenDevice
from harness.farm.farm import Farm
from harness.farm.measuring import VerificationSet, run_on_device, ship, verify
from harness.results.journal import Journal
from harness.results.objectives import Objectives
from harness.results.records import DeviceRun
from harness.search.preparation import to_artifact

_DENSE = Recipe(temperature=1.0, final_sparsity=0.0, clusters=256, bits=8)


@dataclass(frozen=True)
class GoldenModel:
    """The known network as an artifact."""

    artifact: Artifact

    @staticmethod
    def of(untrained: nn.Module, dataset: Dataset) -> GoldenModel:
        """Raises UsageError when the network cannot be lowered, which is then found before any training."""
        try:
            return GoldenModel(read_artifact(to_artifact(post_training(untrained, _DENSE), dataset)))
        except NotPackable as error:
            raise UsageError(str(error)) from None


def enrol(farm: Farm, journal: Journal, golden: GoldenModel, verification: VerificationSet, target: str) -> DeviceRun:
    """Opens and checks all devices at once and returns the target's run of the golden model.

    Raises the first DeviceError. A run that the journal holds already is not repeated.
    """
    artifact = golden.artifact
    one_input = VerificationSet(verification.inputs[:1])

    def check(device: OpenDevice) -> None:
        try:
            ship(device, artifact)
            verify(device, artifact, one_input)
        except CandidateError as error:
            raise DeviceError(device.name, f"fails on the golden model, so nothing it says counts: {error}") from error

    def baseline(device: OpenDevice) -> DeviceRun:
        profile, emulated = device.profile.name, device.entry.emulated
        known = journal.find_run(artifact.sha256, profile, emulated, device.firmware, verification.settings)
        if known is not None:
            return known
        try:
            return run_on_device(device, artifact, verification)
        except CandidateError as error:
            raise DeviceError(device.name, f"cannot run the dense 8-bit network: {error}") from error

    farm.health_check = check
    runs = farm.on_every_device(baseline)
    journal.store_artifact(artifact.data)
    for run in runs.values():
        journal.record_run(run)
    return runs[target]


def fixed_objectives(journal: Journal, baseline: DeviceRun, classes: int) -> Objectives:
    """The study's objectives and reference point; what the first run of the study fixed stays."""
    fact = journal.fact("objectives")
    if fact is None:
        fact = Objectives.beyond_baseline(baseline, classes).to_fact()
        journal.set_fact("objectives", fact)
    return Objectives.from_fact(fact)
