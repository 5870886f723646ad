"""Every candidate comes to its end: a real journal, with gate and devices that do as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from dccdka.packing import pack
from dccdka.packing.conformance import random_graph
from dccdka.recipe import Recipe
from harness.config import Space
from harness.errors import DoesNotFit, HarnessError
from harness.farm.farm import Farm, Group, NoDeviceLeft
from harness.farm.measuring import VerificationSet
from harness.results.journal import Journal
from harness.results.measurement import Measurement
from harness.results.objectives import Objectives
from harness.results.records import DeviceRun, Training
from harness.search import coordinator as module
from harness.search.coordinator import Coordinator, Plan
from harness.search.gate import Gate
from harness.search.optimizer import Optimizer

BOARD = Group("board", emulated=True)
ARTIFACT = pack(random_graph(np.random.default_rng(0), 2))
SHA = sha256(ARTIFACT).hexdigest()
VERIFICATION = VerificationSet(np.zeros((1, 1, 1, 1), np.int8))


@dataclass
class FakeDevice:
    firmware: str = "firmware 1"


@dataclass
class FakeFarm:
    """One board. before_job may raise what a farm raises."""

    before_job: Callable[[], None] = lambda: None
    jobs: list[str] = field(default_factory=list)
    size: int = 2

    def groups(self) -> list[Group]:
        return [BOARD]

    def run(self, group: Group, what: str, job: Callable[[Any], Any]) -> Any:
        self.jobs.append(what)
        self.before_job()
        return job(FakeDevice())


@dataclass
class FakeGate:
    verdict: Callable[[str], None] = lambda name: None

    def check(self, recipe: Recipe, name: str) -> dict[str, float]:
        self.verdict(name)
        return {"ram": 1.0}


@dataclass
class Bench:
    journal: Journal
    farm: FakeFarm
    gate: FakeGate
    stop: threading.Event = field(default_factory=threading.Event)

    def coordinator(self, candidates: int) -> Coordinator:
        known = {candidate.id: candidate.recipe for candidate in self.journal.candidates()}
        optimizer = Optimizer(Space(), [1.0, 1.0], 1, known)
        objectives = Objectives("board", True, ("ram",), (1.0, 1.0))
        gate, farm = cast(Gate, self.gate), cast(Farm, self.farm)
        plan = Plan(self.journal, optimizer, gate, farm, objectives, VERIFICATION, candidates)
        return Coordinator(plan, self.stop)

    def train_all(self, coordinator: Coordinator) -> int:
        """What Ray's trainers do, without the training."""
        trained = 0
        while not coordinator.nothing_left_to_train:
            candidate = coordinator.next_to_train()
            if candidate is None:
                continue
            self.journal.count_training_start(candidate.id)
            self.journal.record_training(candidate.id, Training(1, {}, 0.5, 0.5, SHA, len(ARTIFACT)), ARTIFACT)
            coordinator.training_ended(candidate.id, crashed=False)
            trained += 1
        coordinator.trainers_ended()
        return trained


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    def run_on_device(device: FakeDevice, artifact: Any, verification: VerificationSet) -> DeviceRun:
        ram = Measurement("b", "board", "ram", 0.5, "measured", 1, None, "test")
        key = (artifact.sha256, "board", True, device.firmware, verification.settings)
        return DeviceRun(*key, "b", 1, {}, (ram,), ())

    monkeypatch.setattr(module, "run_on_device", run_on_device)
    return Bench(Journal.in_file(tmp_path / "journal.sqlite"), FakeFarm(), FakeGate())


def states(bench: Bench) -> list[str]:
    return [candidate.state for candidate in bench.journal.candidates()]


def finish(bench: Bench, candidates: int) -> int:
    coordinator = bench.coordinator(candidates)
    coordinator.start()
    trained = bench.train_all(coordinator) if coordinator.anything_to_train() else 0
    coordinator.wait()
    return trained


def test_every_candidate_is_gated_trained_and_measured_once(bench: Bench) -> None:
    assert finish(bench, 3) == 3
    assert states(bench) == ["done"] * 3
    assert finish(bench, 3) == 0


def test_a_last_candidate_that_was_left_at_the_gate_is_taken_up_again(bench: Bench) -> None:
    bench.journal.propose("c001", 1, Recipe(2.0, 0.5, 8, 4).to_dict())
    for _ in range(3):
        coordinator = bench.coordinator(1)
        coordinator.start()
        if coordinator.anything_to_train():
            bench.train_all(coordinator)
        coordinator.wait()
    assert states(bench) == ["done"]


def test_two_candidates_with_the_same_artifact_share_one_device_run(bench: Bench) -> None:
    finish(bench, 2)
    assert states(bench) == ["done", "done"]
    first, second = bench.journal.candidates()
    assert first.runs == second.runs and len(first.runs) == 1


def test_what_does_not_fit_is_refused_and_never_trained(bench: Bench) -> None:
    def refuse(name: str) -> None:
        raise DoesNotFit("ram (measured)", 2000, 1500, "B", "the study")

    bench.gate.verdict = refuse
    assert finish(bench, 2) == 0
    assert states(bench) == ["refused"] * 2
    assert bench.journal.candidates()[0].reason == "ram (measured): needs 2000 B, the study allows 1500 B"


def test_a_lost_board_leaves_candidates_unmeasured_until_it_is_back(bench: Bench) -> None:
    def lost() -> None:
        raise NoDeviceLeft("board", "unplugged")

    bench.farm.before_job = lost
    assert finish(bench, 2) == 2
    assert states(bench) == ["unmeasured"] * 2
    bench.farm.before_job = lambda: None
    assert finish(bench, 2) == 0, "nothing is trained again"
    assert states(bench) == ["done"] * 2


def test_a_stop_at_the_gate_journals_no_verdict(bench: Bench) -> None:
    def stopped(name: str) -> None:
        bench.stop.set()
        raise NoDeviceLeft("board", "the study is being stopped")

    bench.gate.verdict = stopped
    finish(bench, 2)
    assert states(bench) == ["proposed"]


def test_a_trainer_that_dies_stops_the_study_and_its_candidate_can_be_trained_later(bench: Bench) -> None:
    coordinator = bench.coordinator(1)
    coordinator.start()
    candidate = None
    while candidate is None:
        candidate = coordinator.next_to_train()
    coordinator.training_ended(candidate.id, crashed=True)
    with pytest.raises(HarnessError, match="c001 ended without a result"):
        coordinator.wait()
    bench.stop.clear()
    assert finish(bench, 1) == 1


def test_ray_ending_too_early_is_an_error_and_no_hang(bench: Bench) -> None:
    coordinator = bench.coordinator(1)
    coordinator.start()
    while coordinator.next_to_train() is None:
        pass
    coordinator.trainers_ended()
    with pytest.raises(HarnessError, match="Ray ended"):
        coordinator.wait()
