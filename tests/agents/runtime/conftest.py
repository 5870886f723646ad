"""The runtime built for this machine, plain and with sanitizers, behind agents/runtime/host/driver.c."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import host_runtime
from benchmarks.host_runtime import Answer


@dataclass(frozen=True)
class Driver:
    """Loads and runs artifacts in one process; the test fails if it dies, as it does on any sanitizer finding."""

    program: Path

    def run(self, cases: Iterable[tuple[bytes, bytes]]) -> list[Answer]:
        """cases: (artifact, inputs back to back)."""
        return host_runtime.answers(self.program, cases, timeout=300)


@pytest.fixture(scope="session", params=["driver", "driver-sanitized"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """The driver, once plain and once with address and undefined-behaviour sanitizers."""
    return Driver(host_runtime.build(request.param))


@pytest.fixture(scope="session")
def sanitized_driver() -> Driver:
    return Driver(host_runtime.build("driver-sanitized"))
