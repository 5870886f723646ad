"""Runs artifacts with the C runtime built for this machine."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).parents[1]


class HostRuntimeError(Exception):
    """The runtime cannot be built, dies, or refuses the artifact; the message has its words or the status."""


@dataclass(frozen=True)
class Answer:
    """status: a dcc_status; output: all outputs back to back, empty unless status is 0."""

    status: int
    output: bytes


def build(name: str = "driver") -> Path:
    """The driver (agents/runtime/host/driver.c), up to date; "driver-sanitized" dies of undefined behaviour."""
    made = subprocess.run(
        ["make", "-s", "-C", REPOSITORY / "agents" / "runtime"], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise HostRuntimeError(f"agents/runtime does not build: {made.stderr.strip()}")
    return REPOSITORY / "build" / "host" / name


def answers(
    driver: Path | Sequence[str | Path], cases: Iterable[tuple[bytes, bytes]], timeout: float | None = None
) -> list[Answer]:
    """Of one process to all cases, each an artifact and its inputs back to back.

    driver: a program, or a command that speaks as it does. timeout: in seconds, for all together. Raises
    HostRuntimeError if the process dies or takes longer.
    """
    stream = b"".join(struct.pack("=II", len(a), len(i)) + a + i for a, i in cases)
    try:
        command = [driver] if isinstance(driver, Path) else driver
        done = subprocess.run(command, input=stream, capture_output=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise HostRuntimeError(f"the driver is not done after {timeout:g} seconds") from None
    if done.returncode != 0:
        raise HostRuntimeError(f"the driver ended with {done.returncode}: {done.stderr.decode().strip()}")
    found, at = [], 0
    while at < len(done.stdout):
        status, size = struct.unpack_from("=II", done.stdout, at)
        found.append(Answer(status, done.stdout[at + 8 : at + 8 + size]))
        at += 8 + size
    return found


def run(driver: Path, artifact: bytes, inputs: NDArray[np.int8]) -> bytes:
    """All outputs, back to back, of inputs int8 [n, h, w, c]. Raises HostRuntimeError, also where it is refused."""
    (answer,) = answers(driver, [(artifact, inputs.tobytes())])
    if answer.status != 0:
        raise HostRuntimeError(f"the runtime refuses the artifact with status {answer.status} (dcc_status)")
    return answer.output
