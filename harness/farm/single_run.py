"""One artifact on one device, outside any study: `harness measure`, and the check of `harness devices check`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from dccdka.packing import Artifact, ArtifactError, read_artifact
from harness.config import DeviceEntry, load_profile
from harness.errors import UsageError
from harness.farm.device import DeviceOpener
from harness.farm.measuring import VerificationSet, run_on_device
from harness.farm.session import Hello
from harness.results.records import DeviceRun

_SEED = 20260


def artifact_from(path: Path) -> Artifact:
    """Raises UsageError naming the file and what is wrong with it."""
    try:
        return read_artifact(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ArtifactError as error:
        raise UsageError(f"{path}: is not an intact artifact: {error}") from None


def random_inputs(artifact: Artifact, count: int) -> VerificationSet:
    """Inputs of every possible byte, the same ones every time."""
    generator = np.random.default_rng(_SEED)
    shape = (count, *artifact.input_shape)
    return VerificationSet(generator.integers(-128, 128, size=shape, dtype=np.int8))


def measure(name: str, entry: DeviceEntry, artifact: Artifact, inputs: int) -> DeviceRun:
    """Raises CandidateError or DeviceError."""
    with tempfile.TemporaryDirectory(prefix="dccdka-") as state, DeviceOpener(Path(state)) as opener:
        device = opener.open(name, entry, load_profile(entry.profile))
        try:
            return run_on_device(device, artifact, random_inputs(artifact, inputs))
        finally:
            device.close()


def say_hello(name: str, entry: DeviceEntry) -> Hello:
    """Raises DeviceError."""
    with tempfile.TemporaryDirectory(prefix="dccdka-") as state, DeviceOpener(Path(state)) as opener:
        device = opener.open(name, entry, load_profile(entry.profile))
        try:
            return device.hello
        finally:
            device.close()
