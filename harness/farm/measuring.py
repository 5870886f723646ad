"""Judges one artifact on one device: ship, verify bit for bit, run, and turn what the agent says into measurements."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from dccdka.packing import Artifact, run_reference
from harness.errors import DoesNotFit, ProtocolMismatch, WrongOutput
from harness.farm.device import OpenDevice
from harness.farm.flash import flash_of
from harness.farm.session import Loaded, RunResult
from harness.farm.timing import Sample, time_inference
from harness.results.measurement import Absent, Measurement
from harness.results.records import DeviceRun

_POLICY = "policy=2"  # raise when the way of repeating or reporting changes: old runs are then measured anew


@dataclass(frozen=True)
class VerificationSet:
    """Inputs that every device must answer as the reference interpreter does: int8 [n, h, w, c]."""

    inputs: npt.NDArray[np.int8]

    @property
    def settings(self) -> str:
        """Part of the key under which a run is journaled."""
        digest = sha256(self.inputs.tobytes()).hexdigest()[:16]
        return f"{_POLICY};verify={len(self.inputs)}:{digest}"


def run_on_device(device: OpenDevice, artifact: Artifact, verification: VerificationSet) -> DeviceRun:
    """Raises CandidateError when the artifact is at fault and DeviceError when the device is."""
    started = time.monotonic()
    ship(device, artifact)
    shipped = time.monotonic()
    expected = verify(device, artifact, verification)
    verified = time.monotonic()
    one_takes_s = (verified - shipped) / len(verification.inputs)
    sample = Sample(artifact.data, verification.inputs[-1].tobytes(), expected)
    latency, last_run = time_inference(device, sample, one_takes_s)
    found = [latency, _ram(device, last_run), flash_of(device, artifact), _energy(device, latency)]
    return DeviceRun(
        artifact_sha256=artifact.sha256,
        profile=device.profile.name,
        emulated=device.entry.emulated,
        firmware=device.firmware,
        settings=verification.settings,
        device=device.name,
        verified_inputs=len(verification.inputs),
        seconds={"ship": shipped - started, "verify": verified - shipped, "run": time.monotonic() - verified},
        measurements=tuple(f for f in found if isinstance(f, Measurement)),
        absent=tuple(f for f in found if isinstance(f, Absent)),
    )


def ship(device: OpenDevice, artifact: Artifact) -> Loaded:
    """Loads the artifact. Raises DoesNotFit, ArtifactRejected, DeviceError."""
    longest = device.session.longest_output
    if artifact.output_bytes > longest:
        raise DoesNotFit("output", artifact.output_bytes, longest, "B", "the wire")
    loaded = device.session.load(artifact.data)
    if (loaded.input_bytes, loaded.output_bytes) != (artifact.input_bytes, artifact.output_bytes):
        raise ProtocolMismatch(
            device.name,
            f"says that the model takes {loaded.input_bytes} bytes and gives {loaded.output_bytes}; it takes"
            f" {artifact.input_bytes} and gives {artifact.output_bytes}",
        )
    return loaded


def verify(device: OpenDevice, artifact: Artifact, verification: VerificationSet) -> bytes:
    """The last input's output. Raises WrongOutput naming the first that differs from the reference interpreter's."""
    expected = b""
    for index, (one, reference) in enumerate(
        zip(verification.inputs, run_reference(artifact, verification.inputs), strict=True)
    ):
        expected = reference.tobytes()
        output = device.session.verify(one.tobytes())
        if output != expected:
            raise WrongOutput(
                f"artifact {artifact.sha256[:12]} on device {device.name}: verification input {index} gives"
                f" {output[:16].hex(' ')}, the reference interpreter {expected[:16].hex(' ')}"
            )
    return expected


def _ram(device: OpenDevice, used: RunResult) -> Measurement:
    parts = f"arena {used.arena_peak_bytes} B + static {device.hello.static_bytes} B + stack {used.stack_bytes} B"
    rss = f"; peak RSS of the runner {used.peak_rss_bytes} B" if used.peak_rss_bytes else ""
    total = used.arena_peak_bytes + device.hello.static_bytes + used.stack_bytes
    return Measurement(device.name, device.profile.name, "ram", total, "measured", 1, None, f"watermarks: {parts}{rss}")


def _energy(device: OpenDevice, latency: Measurement | Absent) -> Measurement | Absent:
    profile = device.profile
    if isinstance(latency, Absent):
        return Absent(device.name, profile.name, "energy", "there is no latency to estimate it from")
    unknown = profile.absent_power()
    if unknown is not None:
        return Absent(device.name, profile.name, "energy", unknown)
    method = (
        f"{profile.supply_v.value:g} V x {profile.active_current_a.value:g} A, typical of the datasheet,"
        f" x {latency.kind} latency"
    )
    return Measurement(
        device.name, profile.name, "energy", profile.energy_j(latency.value), "estimated", latency.n, None, method
    )
