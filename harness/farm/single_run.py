"""One artifact on one device, outside any study: `harness measure`, and the check of `harness devices check`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from dccdka.packing import Artifact, ArtifactError, read_artifact
from dccdka.packing.reference_kernels import patch_bytes
from harness.config import DeviceEntry, load_profile
from harness.errors import UsageError
from harness.farm.device import DeviceOpener
from harness.farm.measuring import VerificationSet, run_on_device
from harness.farm.session import Hello
from harness.results.records import DeviceRun

_SEED = 20260
_MOST_BYTES = 64 << 20  # of all inputs together, and of one inference's arena
_MOST_WORKING_BYTES = 1 << 30  # of the reference interpreter's largest array for one input


def artifact_from(path: Path, inputs: int) -> Artifact:
    """An artifact that can be verified on so many inputs. Raises UsageError naming the file and what is wrong."""
    try:
        artifact = read_artifact(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ArtifactError as error:
        raise UsageError(f"{path}: is not an intact artifact: {error}") from None
    _check_size(path, artifact, inputs)
    return artifact


def _check_size(path: Path, artifact: Artifact, inputs: int) -> None:
    # A few bytes may announce tensors that fill this machine's memory, long before a device could refuse them.
    working = max(patch_bytes(artifact, operator) for operator in artifact.operators)
    for what, needed, most in (
        ("an arena", artifact.arena_bytes, _MOST_BYTES),
        (f"{inputs} inputs (--inputs)", inputs * artifact.input_bytes, _MOST_BYTES),
        ("one operator in the reference interpreter", working, _MOST_WORKING_BYTES),
    ):
        if needed > most:
            raise UsageError(f"{path}: needs {needed} bytes for {what}; at most {most} are possible here")


def random_inputs(artifact: Artifact, count: int) -> VerificationSet:
    """Inputs of every possible byte, the same ones every time."""
    generator = np.random.default_rng(_SEED)
    shape = (count, *artifact.input_shape)
    return VerificationSet(generator.integers(-128, 128, size=shape, dtype=np.int8))


def measure(name: str, entry: DeviceEntry, artifact: Artifact, verification: VerificationSet) -> DeviceRun:
    """Raises CandidateError or DeviceError."""
    with tempfile.TemporaryDirectory(prefix="dccdka-") as state, DeviceOpener(Path(state)) as opener:
        device = opener.open(name, entry, load_profile(entry.profile))
        try:
            return run_on_device(device, artifact, verification)
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
