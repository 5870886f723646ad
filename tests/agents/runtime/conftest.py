"""The runtime built for this machine, plain and with sanitizers, behind agents/runtime/host/driver.c."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks import host_runtime
from benchmarks.host_runtime import Answer
from dccdka.packing import ArtifactError, read_artifact, run_reference

LARGEST_ARENA = 64 << 20  # the driver's
ARENA_TOO_SMALL = 12
TRAILING_BYTES = "after its end"


@dataclass(frozen=True)
class Driver:
    """Loads and runs artifacts in one process; the test fails if it dies, as it does on any sanitizer finding."""

    program: Path

    def run(self, cases: Iterable[tuple[bytes, bytes]]) -> list[Answer]:
        """cases: (artifact, inputs back to back)."""
        return host_runtime.answers(self.program, cases, timeout=300)

    def agreed(self, cases: Sequence[tuple[bytes, bytes]]) -> int:
        """Of so many cases both the driver and Python accept the artifact; all statuses and outputs are the same."""
        accepted = 0
        for (data, inputs), answer in zip(cases, self.run(cases), strict=True):
            try:
                artifact = read_artifact(data)
            except ArtifactError as error:
                # A device may be given a buffer that is longer than the artifact in it.
                if TRAILING_BYTES not in str(error):
                    assert answer.status == error.status, (error, data.hex())
                continue
            if artifact.arena_bytes > LARGEST_ARENA:
                assert answer.status == ARENA_TOO_SMALL
                continue
            assert answer.status == 0, data.hex()
            count = len(inputs) // artifact.input_bytes
            images = np.frombuffer(inputs, np.int8, count * artifact.input_bytes).reshape(count, *artifact.input_shape)
            assert answer.output == run_reference(artifact, images).tobytes(), data.hex()
            accepted += 1
        return accepted


@pytest.fixture(scope="session", params=["driver", "driver-sanitized"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """The driver, once plain and once with address and undefined-behaviour sanitizers."""
    return Driver(host_runtime.build(request.param))


@pytest.fixture(scope="session")
def sanitized_driver() -> Driver:
    return Driver(host_runtime.build("driver-sanitized"))
