"""Counts what a process of this machine executes, with Valgrind: exactly, but only with instructions that it knows.

Valgrind's processor has AVX2, but none of AVX-512 and VNNI: whoever asks it which kernels to take, as onnxruntime does,
takes those for AVX2 (or for AArch64 as the machine has it).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.hosts.errors import HostBenchmarkError

_REFERENCES = re.compile(r"I\s+refs:\s+([\d,]+)")
_TIMEOUT_S = 900


def count(command: Sequence[str | Path], stdin: bytes = b"") -> int:
    """Of the whole process. Raises HostBenchmarkError."""
    valgrind: list[str | Path] = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [*valgrind, *command], input=stdin, capture_output=True, env=environment, check=False, timeout=_TIMEOUT_S
        )
    except FileNotFoundError:
        raise HostBenchmarkError("valgrind is missing, which counts instructions: apt install valgrind") from None
    except subprocess.TimeoutExpired:
        raise HostBenchmarkError(f"{command[0]} is not done after {_TIMEOUT_S} s in valgrind") from None
    words = done.stderr.decode(errors="replace")
    found = _REFERENCES.search(words)
    if done.returncode != 0 or found is None:
        raise HostBenchmarkError(f"{command[0]} ended with {done.returncode} in valgrind: {_last_words(words)}")
    return int(found[1].replace(",", ""))


def _last_words(stderr: str) -> str:
    """Without Valgrind's own."""
    lines = [line for line in stderr.splitlines() if not re.match(r"(==|--)\d+(==|--)", line)]
    return "\n".join(lines).strip()[-500:]


def of_one_more(counted: Callable[[int], int], more: int) -> float:
    """Of one inference: what `more` of them add to the process's first. counted: of a process with so many.

    Raises HostBenchmarkError where they add nothing.
    """
    few, many = counted(1), counted(1 + more)
    if many <= few:
        raise HostBenchmarkError(
            f"{1 + more} inferences took {many} instructions and one took {few}: did modules change, and were they"
            " compiled anew in between? Run it again"
        )
    return (many - few) / more
