"""Runs the programs of others, whose failure is an error that names them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.kernels.errors import KernelBenchmarkError

_PACKAGES = {
    "arm-none-eabi-nm": "gcc-arm-none-eabi",
    "arm-none-eabi-objdump": "gcc-arm-none-eabi",
    "arm-none-eabi-size": "gcc-arm-none-eabi",
    "make": "make",
    "qemu-system-arm": "qemu-system-arm",
}


def output_of(command: Sequence[str | Path], *, cwd: Path | None = None, timeout_s: float = 600) -> bytes:
    """Standard output. Raises KernelBenchmarkError when the program is missing, fails or takes too long."""
    name = str(command[0])
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        raise KernelBenchmarkError(f"{name} is missing: apt install {_PACKAGES.get(name, name)}") from None
    except subprocess.TimeoutExpired:
        raise KernelBenchmarkError(f"{name} is not done after {timeout_s:g} s") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise KernelBenchmarkError(f"{name} ended with {done.returncode}: {words}")
    return done.stdout
