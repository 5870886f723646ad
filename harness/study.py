"""The story of one search, from the files a user wrote to the front: read it from `search` down."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from dccdka.datasets import Dataset
from dccdka.packing.costs import KernelCosts
from harness.config import DeviceEntry, Profile, StudyConfig, check_entry, load_inventory, load_profile
from harness.config.inventory import find_inventory
from harness.config.kernel_costs import costs_of
from harness.config.yaml_file import line_of
from harness.errors import UsageError
from harness.farm.device import DeviceOpener
from harness.farm.farm import Farm
from harness.farm.measuring import VerificationSet
from harness.interrupt import stopped_by_interrupt
from harness.metrics import MetricsServer, StudyCollector
from harness.results.folder import StudyFolder, folder_for_search, journaled_costs
from harness.results.journal import Journal
from harness.results.objectives import Objectives
from harness.search.coordinator import Coordinator, Plan
from harness.search.enrolment import KnownNetworks, enrol, fixed_objectives
from harness.search.gate import Gate
from harness.search.optimizer import Optimizer
from harness.search.preparation import network, study_dataset, verification_inputs
from harness.search.teacher import check_teacher, prepare_teacher
from harness.search.training_pool import TrainerSettings, TrainingPool
from harness.view import View

Devices = list[tuple[str, DeviceEntry, Profile]]


def search(config: StudyConfig, study_file: Path, root: Path, resume: bool, view: View) -> bool:
    """Runs the study to its end and returns True, or until Ctrl-C and returns False.

    Raises UsageError and DeviceError before anything is trained; whatever goes wrong later, all that was found is kept.
    """
    devices = study_devices(config, study_file)
    profile = next(profile for name, _, profile in devices if name == config.target)
    with (
        folder_for_search(config, study_file, root, resume) as (folder, journal),
        stopped_by_interrupt(view.say) as stop,
        ExitStack() as stack,
    ):
        with _timed(journal, "data"):
            dataset = study_dataset(config)
            _same_data(journal, dataset)
            check_teacher(config, dataset, folder)
            untrained = network(config.model, dataset, config.seed)
            costs = _fixed_costs(journal, profile)
            networks = KnownNetworks.of(untrained, dataset, config.space, config.recipe, costs)

        verification = VerificationSet(verification_inputs(dataset, config.verify_inputs))
        farm = Farm(devices, stack.enter_context(DeviceOpener(folder.path)), stop)
        stack.callback(farm.close)
        view.say(f"enrolling {', '.join(config.devices)}")
        with _timed(journal, "enrol"):
            enrol(farm, networks.golden, verification)
            target = farm.group_of(config.target)
            objectives = fixed_objectives(journal, farm, networks, verification, target, dataset.classes)

        known = {candidate.id: candidate.recipe for candidate in journal.candidates()}
        optimizer = Optimizer(config.space, objectives.reference, config.seed, known)
        gate = Gate(farm, target, profile, config.limits, untrained, dataset, costs)
        plan = Plan(journal, optimizer, gate, farm, objectives, verification, config.candidates, config.recipe)
        coordinator = Coordinator(plan, stop)
        _serve_metrics(config, objectives, coordinator, farm, view, stack)

        with _timed(journal, "teacher"), view.teacher_progress(stop) as on_progress:
            prepare_teacher(config, dataset, folder, on_progress, view.say)
        coordinator.start()
        with _timed(journal, "search"), view.watching(config, coordinator, farm, objectives):
            _train_and_measure(config, coordinator, journal, folder, stop)
        return not stop.is_set()


def study_devices(config: StudyConfig, study_file: Path) -> Devices:
    """Every name of the study must be in the inventory, every profile must exist. Raises UsageError."""
    inventory_file = find_inventory(config.inventory)
    inventory = load_inventory(inventory_file)
    devices: Devices = []
    for position, name in enumerate(config.devices):
        entry = inventory.devices.get(name)
        if entry is None:
            known = ", ".join(sorted(inventory.devices))
            where = line_of(study_file, ["devices", position])
            raise UsageError(f"{where}: devices: {name!r} is not in {inventory_file}, which has {known}")
        profile = load_profile(entry.profile)
        check_entry(name, entry, profile)
        devices.append((name, entry, profile))
    return devices


def _fixed_costs(journal: Journal, target: Profile) -> KernelCosts:
    """By which all candidates are packed: what the first run of the study found stays, whoever tunes meanwhile."""
    if journal.fact("kernel_costs") is None:
        journal.set_fact("kernel_costs", costs_of(target).as_object())
    return journaled_costs(journal)


def _train_and_measure(
    config: StudyConfig, coordinator: Coordinator, journal: Journal, folder: StudyFolder, stop: threading.Event
) -> None:
    try:
        if coordinator.anything_to_train():
            on_gpu = config.compute == "cuda" or (config.compute == "auto" and torch.cuda.is_available())
            with TrainingPool(workers=os.cpu_count() or 1, gpus=torch.cuda.device_count() if on_gpu else 0) as pool:
                settings = TrainerSettings(journal.url, str(folder.path), config.model_dump(mode="json"), threads=1)
                pool.train_all(coordinator, settings, folder.path, stop)
        coordinator.trainers_ended()
    except BaseException:
        stop.set()
        raise
    finally:
        coordinator.wait()


def _serve_metrics(
    config: StudyConfig,
    objectives: Objectives,
    coordinator: Coordinator,
    farm: Farm,
    view: View,
    stack: ExitStack,
) -> None:
    if config.metrics.port is not None:
        collector = StudyCollector(config.name, objectives, coordinator.candidates, farm.activities)
        server = MetricsServer(config.metrics, collector)
        stack.callback(server.close)
        view.say(f"metrics for Prometheus: {server.url}")


def _same_data(journal: Journal, dataset: Dataset) -> None:
    begun_with = journal.fact("data")
    if begun_with is not None and begun_with["sha256"] != dataset.sha256:
        raise UsageError(
            f"data.source: {dataset.name} is not what it was when this study began (another hash), so its results could"
            " not be compared; give the study another name"
        )
    journal.set_fact("data", {"name": dataset.name, "sha256": dataset.sha256})


@contextmanager
def _timed(journal: Journal, stage: str) -> Iterator[None]:
    """Journals how long a stage took in its latest run: `harness front --json` shows it."""
    began = time.monotonic()
    yield
    journal.set_fact("stage_seconds", {**(journal.fact("stage_seconds") or {}), stage: time.monotonic() - began})
