"""Counts the instructions that one inference takes on a Cortex-A53, by running it bare-metal in QEMU.

User-mode emulation can tell neither time nor instructions. Here the very objects of the runtime that the Raspberry Pi's
runner is linked from run on QEMU's `virt` machine under -icount shift=0, whose cycle counter steps once for each
instruction. Caches, dual issue and memory are not modelled: instructions become time only by a profile's cycles per
instruction. What the C library does for the runtime (memcpy, memset) is agents/linux/counter/memory.c's.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ArtifactRejected, DoesNotFit, HarnessError, UsageError

# As agents/linux/counter/counter.c has them.
_JOB_AT = 0x4080_0000
_RAM_AT = 0x4000_0000
_RAM_BYTES = 256 * 1024 * 1024
_JOB_RAM_BYTES = _RAM_AT + _RAM_BYTES - _JOB_AT
_JOB = struct.Struct("<IIII")

DEFAULT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class InstructionCount:
    """instructions: of dcc_model_run. output: its int8 output as raw bytes, to be held against the reference."""

    instructions: int
    output: bytes


def count_instructions(
    artifact: bytes, model_input: bytes, *, image: Path, timeout_s: float = DEFAULT_TIMEOUT_S
) -> InstructionCount:
    """model_input: int8 NHWC, as the device gets it. image: build/counter/aarch64/counter.elf.

    The count is the same every time. Raises ArtifactRejected when the runtime refuses or crashes, DoesNotFit when the
    emulated machine is too small, UsageError when QEMU or the image is missing, HarnessError when time runs out.
    """
    qemu = shutil.which("qemu-system-aarch64")
    if qemu is None:
        raise UsageError("qemu-system-aarch64 is missing, which counts instructions: apt install qemu-system-arm")
    if not image.is_file():
        raise UsageError(f"{image} does not exist; build it: make -C agents")
    job = _job(artifact, model_input)
    if len(job) > _JOB_RAM_BYTES:
        raise DoesNotFit("artifact and input", len(job), _JOB_RAM_BYTES, "B", "the emulated Cortex-A53")
    with tempfile.NamedTemporaryFile(prefix="dccdka-job-") as file:
        file.write(job)
        file.flush()
        answer = _run(qemu, image, Path(file.name), timeout_s)
    return _parse(answer)


def _job(artifact: bytes, model_input: bytes) -> bytes:
    header = _JOB.pack(len(artifact), len(model_input), _JOB_RAM_BYTES, 0)
    return header + _padded(artifact) + _padded(model_input)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def _run(qemu: str, image: Path, job: Path, timeout_s: float) -> bytes:
    command = [qemu, "-M", "virt", "-cpu", "cortex-a53", "-m", f"{_RAM_BYTES // 1024 // 1024}M"]
    command += ["-icount", "shift=0,sleep=off", "-nodefaults", "-display", "none", "-serial", "stdio"]
    command += ["-kernel", str(image), "-device", f"loader,file={job},addr={_JOB_AT:#x},force-raw=on"]
    try:
        finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise HarnessError(
            f"counting instructions: one inference is not done after {timeout_s:g} s in {qemu}"
        ) from None
    if finished.returncode != 0:
        reason = finished.stderr.decode(errors="replace").strip()
        raise HarnessError(f"counting instructions: {qemu} ended with {finished.returncode}: {reason}")
    return finished.stdout


def _parse(answer: bytes) -> InstructionCount:
    line, _, output = answer.partition(b"\n")
    word, *words = line.decode("ascii", errors="replace").split() or [""]
    match word, [int(number) for number in words if number.isdecimal()]:
        case "counted", [instructions, calibration, output_bytes] if len(output) == output_bytes:
            return InstructionCount(instructions - calibration, output)
        case "rejected", [status]:
            raise ArtifactRejected(f"counting instructions: the runtime's loader returned {status}")
        case "failed", [status]:
            raise ArtifactRejected(f"counting instructions: the runtime returned {status}")
        case "fault", [syndrome, at, address]:
            raise ArtifactRejected(
                f"counting instructions: the runtime faulted at {at:#x}, address {address:#x}, ESR {syndrome:#x}"
            )
        case "misfit", [input_bytes, arena_bytes]:
            raise ArtifactRejected(
                f"counting instructions: the model wants {input_bytes} bytes of input and an arena of {arena_bytes}"
            )
    raise HarnessError(f"counting instructions: the counter answered {answer[:80]!r}")
