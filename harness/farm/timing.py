"""Latency of the artifact that is loaded on a device: measured by its clock, or estimated from counted instructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import WrongOutput
from harness.farm.device import OpenDevice
from harness.farm.latency import Latency, repeat_until_settled, summarise
from harness.farm.session import RunResult
from harness.results.measurement import Absent, Measurement


@dataclass(frozen=True)
class Sample:
    """The artifact that is loaded, the input that it was given last, and the output that belongs to it."""

    artifact: bytes
    model_input: bytes
    output: bytes


@dataclass(frozen=True)
class Duration:
    """What inferences took, in what the device can tell: an emulator counts instructions. last_run: of all of them."""

    latency: Latency
    unit: Literal["instructions", "seconds"]
    last_run: RunResult


def time_inference(device: OpenDevice, sample: Sample, one_takes_s: float) -> tuple[Measurement | Absent, RunResult]:
    """The latency, and the last run with its watermarks. one_takes_s: what a round trip took, to bound the repeats.

    An emulator's clock is never reported: where there is one, instructions are counted and priced by the profile.
    Raises WrongOutput when what was counted computed something else.
    """
    duration = duration_of_inference(device, sample, one_takes_s)
    timed, last = duration.latency, duration.last_run
    if duration.unit == "instructions":
        return _priced(device, timed.median, timed.n), last
    method = f"median of {timed.n} runs on the device's own clock; p95 {timed.p95:.4g} s"
    profile = device.profile.name
    return Measurement(device.name, profile, "latency", timed.median, "measured", timed.n, timed.interval, method), last


def duration_of_inference(device: OpenDevice, sample: Sample, one_takes_s: float) -> Duration:
    """As time_inference, but without a price on instructions."""
    last = device.session.run(warm_ups=1, repeats=1)
    if device.counter is not None:
        counted = device.counter(sample.artifact, sample.model_input)
        if counted.output != sample.output:
            raise WrongOutput(f"the instruction counter of device {device.name} differs from the reference interpreter")
        return Duration(summarise([float(counted.instructions)]), "instructions", last)

    def ticks(warm_ups: int, repeats: int) -> list[float]:
        nonlocal last
        last = device.session.run(warm_ups, repeats)
        return [float(t) for t in last.ticks] if device.entry.counts_instructions else last.durations_s

    timed = repeat_until_settled(ticks, one_takes_s)
    return Duration(timed, "instructions" if device.entry.counts_instructions else "seconds", last)


def _priced(device: OpenDevice, instructions: float, n: int) -> Measurement | Absent:
    cpi, clock = device.profile.cycles_per_instruction, device.profile.clock_hz
    counted = f"{instructions:.0f} instructions counted by the emulator"
    if cpi.value is None or clock.value is None:
        reason = cpi.reason if cpi.value is None else clock.reason
        return Absent(device.name, device.profile.name, "latency", f"{counted}; {reason}")
    error = f" (off by up to {cpi.relative_error:.0%} where it was calibrated)" if cpi.relative_error else ""
    seconds = instructions * cpi.value / clock.value
    method = f"{counted} x {cpi.value:g} cycles per instruction{error} / {clock.value / 1e6:g} MHz"
    return Measurement(device.name, device.profile.name, "latency", seconds, "estimated", n, None, method)
