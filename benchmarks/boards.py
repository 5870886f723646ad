"""What boards hold, and what the C runtime takes of it.

Microcontrollers and their memory are Table 1 of the DCCDKA paper. Two of its figures are not what a model can use:
the STM32F746 has 320 kB of RAM, not 1024, and the 128 kB of the STM32L476 and the 1024 kB of the STM32H743ZI are not
one piece, which an arena must be.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.host_runtime import REPOSITORY

_KB = 1024
_COMPILER = "arm-none-eabi-gcc"


@dataclass(frozen=True)
class Microcontroller:
    """Bytes. printed_ram: in the paper; ram: the largest piece of RAM, by ST's documents (source)."""

    name: str
    core: str
    flash: int
    printed_ram: int
    ram: int
    source: str


MICROCONTROLLERS = (
    Microcontroller("STM32F030CC", "cortex-m0", 256 * _KB, 32 * _KB, 32 * _KB, "RM0360: SRAM, 32 kB"),
    Microcontroller("STM32L476", "cortex-m4", 1024 * _KB, 128 * _KB, 96 * _KB, "RM0351: SRAM1 96 kB, SRAM2 32 kB"),
    Microcontroller(
        "STM32F746", "cortex-m7", 1024 * _KB, 1024 * _KB, 320 * _KB, "RM0385: DTCM 64 kB, SRAM1 240 kB, SRAM2 16 kB"
    ),
    Microcontroller(
        "STM32H743ZI",
        "cortex-m7",
        2048 * _KB,
        1024 * _KB,
        512 * _KB,
        "RM0433: AXI SRAM 512 kB",
    ),
)

# Memory of the Raspberry Pis that the paper names. Half of it is left to Linux and the graphics.
RASPBERRY_PIS = {"Pi 1 (256 MB)": 256 * _KB**2, "Pi Zero (512 MB)": 512 * _KB**2, "Pi 3 (1 GB)": 1024 * _KB**2}


@dataclass(frozen=True)
class Footprint:
    """Bytes that the runtime takes beside artifact and arena; stack is an upper bound."""

    code: int
    stack: int


class CompilerError(Exception):
    """The runtime's size is unknown: the cross compiler is missing or fails; the message says which."""


@cache
def runtime_footprint(core: str) -> Footprint:
    """Of the whole runtime, every operator in it, linked for a core with -O2. Raises CompilerError.

    No function of the runtime calls itself, so the stack is at most the sum of all functions' frames.
    """
    runtime = REPOSITORY / "agents" / "runtime"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "runtime.elf"
        options = f"-std=c99 -mcpu={core} -mthumb -O2 -ffunction-sections -fdata-sections -fstack-usage -nostartfiles"
        roots = "-Wl,--gc-sections,--entry=dcc_model_run,--undefined=dcc_model_load,--undefined=dcc_all_operators"
        sources = sorted((runtime / "src").glob("*.c"))
        command = [_COMPILER, *options.split(), roots, f"-I{runtime / 'include'}", "-dumpdir", f"{folder}/"]
        _output([*command, *map(str, sources), "-o", str(program)])
        text, data, bss = map(int, _output(["arm-none-eabi-size", str(program)]).splitlines()[1].split()[:3])
        frames = (line.split("\t")[1] for usage in Path(folder).glob("*.su") for line in usage.read_text().splitlines())
        return Footprint(text + data, data + bss + sum(map(int, frames)))


def verdict(board: Microcontroller, artifact_bytes: int, arena_bytes: int) -> str:
    """ "yes", "flash" or "RAM" for what is too small, or "printed" if only the RAM that the paper prints would do.

    The artifact is executed in flash beside the code; arena and stack are in RAM.
    """
    runtime = runtime_footprint(board.core)
    if artifact_bytes + runtime.code > board.flash:
        return "flash"
    needed = arena_bytes + runtime.stack
    if needed <= board.ram:
        return "yes"
    return "printed" if needed <= board.printed_ram else "RAM"


def fits_pi(memory: int, artifact_bytes: int, arena_bytes: int) -> bool:
    return artifact_bytes + arena_bytes <= memory // 2


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CompilerError(f"{command[0]} is not installed; it tells how large the runtime is") from None
    if done.returncode != 0:
        raise CompilerError(f"{command[0]} fails: {re.sub(chr(10), '; ', done.stderr.strip())}")
    return done.stdout
