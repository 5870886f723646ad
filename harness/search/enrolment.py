"""Before anything is trained: every device answers and computes a known network as the reference interpreter does.

The known network, the golden model, is the study's own, untrained and most compressed. With it, those that are least
compressed and fit the target are the baselines that fix the study's reference point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Dataset
from dccdka.packing import Artifact, read_artifact
from dccdka.packing.costs import KernelCosts
from dccdka.recipe import Recipe, RecipeError
from harness.config import RecipeSettings, Space
from harness.errors import CandidateError, DeviceError, DoesNotFit, NotPackable, UsageError
from harness.farm.device import OpenDevice
from harness.farm.farm import Farm, Group
from harness.farm.measuring import VerificationSet, run_on_device, ship, verify
from harness.results.journal import Journal
from harness.results.objectives import Objectives
from harness.results.records import DeviceRun
from harness.search.preparation import to_artifact

_DENSE = Recipe(temperature=1.0, final_sparsity=0.0, clusters=None, bits=8)


@dataclass(frozen=True)
class KnownNetworks:
    """The study's own untrained network, compressed to what is known beforehand.

    golden: the most compressed recipe of the space; what cannot hold it cannot hold any candidate. baselines: named.
    """

    golden: Artifact
    baselines: tuple[tuple[str, Artifact], ...]

    @staticmethod
    def of(
        untrained: nn.Module, dataset: Dataset, space: Space, options: RecipeSettings, costs: KernelCosts
    ) -> KnownNetworks:
        """Raises UsageError when the options do not suit the network or it cannot be lowered: before any training."""

        def packed(recipe: Recipe) -> Artifact:
            try:
                return read_artifact(to_artifact(post_training(untrained, recipe), dataset, costs))
            except NotPackable as error:
                raise UsageError(str(error)) from None
            except RecipeError as error:
                raise UsageError(f"recipe: {error}") from None

        def of_space(sparsity: float, clusters: int, bits: int) -> Recipe:
            return options.recipe({"temperature": 1.0, "final_sparsity": sparsity, "clusters": clusters, "bits": bits})

        bits, clusters, sparsity = space.bits, space.clusters, space.final_sparsity
        golden = packed(of_space(sparsity.max, clusters.min, bits.min))
        least = packed(of_space(sparsity.min, min(clusters.max, 2**bits.max), bits.max))
        return KnownNetworks(
            golden,
            (
                ("the dense 8-bit network", packed(_DENSE)),
                ("the least compressed recipe of the space", least),
                ("the most compressed recipe of the space", golden),
            ),
        )


def enrol(farm: Farm, golden: Artifact, verification: VerificationSet) -> None:
    """Opens all devices at once and has each compute the golden model, now and whenever it is opened again.

    Raises the first DeviceError, or UsageError when not even the most compressed candidate fits.
    """
    one_input = VerificationSet(verification.inputs[:1])

    def check(device: OpenDevice) -> None:
        try:
            ship(device, golden)
            verify(device, golden, one_input)
        except DoesNotFit as error:
            raise UsageError(
                f"device {device.name}: not even the most compressed recipe of the space fits ({error}); take a smaller"
                " network, or allow more sparsity"
            ) from None
        except CandidateError as error:
            raise DeviceError(device.name, f"fails on a network that is known to be right: {error}") from error

    farm.health_check = check
    farm.on_every_device(lambda device: None)


def fixed_objectives(
    journal: Journal, farm: Farm, networks: KnownNetworks, verification: VerificationSet, target: Group, classes: int
) -> Objectives:
    """The study's objectives and reference point; what the first run of the study fixed stays."""
    fact = journal.fact("objectives")
    if fact is None:
        runs = _baselines(journal, farm, networks, verification, target)
        fact = Objectives.beyond(runs, classes).to_fact()
        journal.set_fact("objectives", fact)
    return Objectives.from_fact(fact)


def _baselines(
    journal: Journal, farm: Farm, networks: KnownNetworks, verification: VerificationSet, target: Group
) -> dict[str, DeviceRun]:
    """Those that fit the target, and their runs there, journaled."""
    runs: dict[str, DeviceRun] = {}
    for name, artifact in networks.baselines:
        try:
            run = farm.run(target, "baseline", partial(run_on_device, artifact=artifact, verification=verification))
        except DoesNotFit:
            continue
        journal.store_artifact(artifact.data)
        journal.record_run(run)
        runs[name] = run
    if not runs:
        raise UsageError("not even the most compressed recipe of the space fits the target")
    return runs
