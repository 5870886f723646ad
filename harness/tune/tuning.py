"""Measures every micro-benchmark on a device and fits a table of kernel costs to it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dccdka.packing import run_reference
from dccdka.packing.costs import KernelCosts, Unit, packaged_costs
from harness.config import DeviceEntry, load_profile
from harness.config.kernel_costs import stored_costs
from harness.errors import CandidateError, HarnessError, UsageError, WrongOutput
from harness.farm.device import DeviceOpener, OpenDevice
from harness.farm.single_run import random_inputs
from harness.farm.timing import Duration, Sample, duration_of_inference
from harness.tune.cases import MicroBenchmark, micro_benchmarks
from harness.tune.fitting import Measured, fit_kernels

OnProgress = Callable[[int, int], None]  # how many are done, of how many

_MEANING: dict[Unit, str] = {
    "instructions": "instructions that the emulator counted, standing for time; memory and pipeline are not in them",
    "seconds": "medians on the device's own clock",
}


@dataclass(frozen=True)
class Tuned:
    """costs have been stored in `file`."""

    profile: str
    file: Path
    costs: KernelCosts


def tune(name: str, entry: DeviceEntry, on_progress: OnProgress) -> Tuned:
    """Measures on one device and stores the table for its profile, whole or not at all.

    Raises UsageError before anything is measured when the table could not be stored, DeviceError, and HarnessError
    naming the micro-benchmark that the device computes wrong or refuses.
    """
    profile = load_profile(entry.profile)
    file = stored_costs(profile, emulated=entry.emulated)
    if not os.access(file.parent, os.W_OK):
        raise UsageError(f"{file.parent}: cannot be written, so the table could not be stored with the profile")
    with tempfile.TemporaryDirectory(prefix="dccdka-") as state, DeviceOpener(Path(state)) as opener:
        device = opener.open(name, entry, profile)
        try:
            costs = measure_costs(device, on_progress)
        finally:
            device.close()
    try:
        costs.store(file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}") from None
    return Tuned(profile.name, file, costs)


def measure_costs(device: OpenDevice, on_progress: OnProgress) -> KernelCosts:
    """Raises DeviceError, and HarnessError naming the micro-benchmark that goes wrong."""
    benchmarks = list(micro_benchmarks())
    measured: list[Measured] = []
    unit: Unit = "seconds"
    for done, benchmark in enumerate(benchmarks):
        on_progress(done, len(benchmarks))
        try:
            duration = _duration(device, benchmark)
        except CandidateError as error:
            raise HarnessError(f"micro-benchmark {benchmark.name}: {error}") from error
        unit = duration.unit
        measured.append(Measured(benchmark.choice, benchmark.layer, duration.latency.median))
    on_progress(len(benchmarks), len(benchmarks))
    source = f"harness tune, {len(measured)} layers on device {device.name}: {_MEANING[unit]}"
    code = packaged_costs(device.profile.core).code  # which no device can tell
    return KernelCosts(unit, device.entry.emulated, source, device.firmware, code, fit_kernels(measured))


def _duration(device: OpenDevice, benchmark: MicroBenchmark) -> Duration:
    """What the device can answer of an output is enough to know that it ran the right kernel right."""
    artifact = benchmark.artifact
    inputs = random_inputs(artifact, 1).inputs
    expected, model_input = run_reference(artifact, inputs)[0].tobytes(), inputs[0].tobytes()
    device.session.load(artifact.data)
    began = time.monotonic()
    output = device.session.verify(model_input)
    took_s = time.monotonic() - began
    if output != expected[: len(output)]:
        raise WrongOutput(f"device {device.name} gives another output than the reference interpreter")
    return duration_of_inference(device, Sample(artifact.data, model_input, expected), took_s)
