"""The runtime built for this machine, plain and with sanitizers, behind agents/runtime/host/driver.c."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Answer:
    """status: a dcc_status; output: all outputs back to back, empty unless status is 0."""

    status: int
    output: bytes


@dataclass(frozen=True)
class Driver:
    """Loads and runs artifacts in one process; fails the test if it dies, as it does on any sanitizer finding."""

    program: Path

    def run(self, cases: Iterable[tuple[bytes, bytes]]) -> list[Answer]:
        """cases: (artifact, inputs back to back)."""
        stream = b"".join(struct.pack("=II", len(a), len(i)) + a + i for a, i in cases)
        done = subprocess.run([self.program], input=stream, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode()
        answers, at = [], 0
        while at < len(done.stdout):
            status, size = struct.unpack_from("=II", done.stdout, at)
            answers.append(Answer(status, done.stdout[at + 8 : at + 8 + size]))
            at += 8 + size
        return answers


@pytest.fixture(scope="session", params=["driver", "driver-sanitized"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """The driver, once plain and once with address and undefined-behaviour sanitizers."""
    return built(request.param)


@pytest.fixture(scope="session")
def sanitized_driver() -> Driver:
    return built("driver-sanitized")


def built(name: str) -> Driver:
    subprocess.run(["make", "-s", "-C", REPOSITORY / "agents/runtime"], check=True)
    return Driver(REPOSITORY / "build/host" / name)
