"""Runs artifacts with the C runtime built for this machine."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).parents[1]


class HostRuntimeError(Exception):
    """The runtime cannot be built, or refuses the artifact; the message has the compiler's words or the status."""


def build() -> Path:
    """The driver (agents/runtime/host/driver.c), up to date."""
    made = subprocess.run(
        ["make", "-s", "-C", REPOSITORY / "agents" / "runtime"], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise HostRuntimeError(f"agents/runtime does not build: {made.stderr.strip()}")
    return REPOSITORY / "build" / "host" / "driver"


def run(driver: Path, artifact: bytes, inputs: NDArray[np.int8]) -> bytes:
    """All outputs, back to back, of inputs int8 [n, h, w, c]."""
    data = inputs.tobytes()
    stream = struct.pack("=II", len(artifact), len(data)) + artifact + data
    done = subprocess.run([driver], input=stream, capture_output=True, check=False)
    if done.returncode != 0:
        raise HostRuntimeError(f"the driver ended with {done.returncode}: {done.stderr.decode().strip()}")
    status, size = struct.unpack_from("=II", done.stdout)
    if status != 0:
        raise HostRuntimeError(f"the runtime refuses the artifact with status {status} (dcc_status)")
    return done.stdout[8 : 8 + size]
