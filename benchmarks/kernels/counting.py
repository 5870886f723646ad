"""Runs a program in QEMU and counts what it executes, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kernels.commands import output_of
from benchmarks.kernels.errors import KernelBenchmarkError
from benchmarks.kernels.program import Program

# Processor, as gcc and the Makefile call it: the board of QEMU's that has it.
MACHINES = {"cortex-m3": "mps2-an385", "cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
_COUNTS = "counts.txt"


@dataclass(frozen=True)
class Block:
    """Instructions that execute one after the other, from begin to before end; see plugin/block_counter.c."""

    begin: int
    end: int
    instructions: int
    executions: int
    departures: int
    arrivals: int
    misaligned: int


@dataclass(frozen=True)
class Execution:
    """output: what the program wrote to standard output."""

    blocks: Sequence[Block]
    output: bytes

    @property
    def instructions(self) -> int:
        """Executed; those that an IT block skips are among them."""
        return sum(block.instructions * block.executions for block in self.blocks)


def execute(program: Program, core: str, plugin: Path, begin: str, end: str, folder: Path) -> Execution:
    """Count from the first execution of the symbol `begin` to before that of `end`; branches must lead to both.

    The counts repeat exactly. folder: holds the plugin's file meanwhile. Raises KernelBenchmarkError.
    """
    for symbol in (begin, end):
        if symbol not in program.symbols:
            raise KernelBenchmarkError(f"{program.elf} has no symbol {symbol!r} to count from or to")
    counts = folder / _COUNTS
    counts.unlink(missing_ok=True)
    region = f"begin={program.symbols[begin]:#x},end={program.symbols[end]:#x}"
    command: list[str | Path] = ["qemu-system-arm", "-M", MACHINES[core], "-kernel", program.elf.resolve()]
    command += ["-display", "none", "-nodefaults", "-nic", "none", "-semihosting-config", "enable=on,target=native"]
    # QEMU cuts this option at commas, which a path may have.
    command += ["-plugin", f"{str(plugin.resolve()).replace(',', ',,')},{region},out={_COUNTS}"]
    output = output_of(command, cwd=folder)
    if not counts.is_file():
        raise KernelBenchmarkError(f"{program.elf} never came from {begin} to {end}; it wrote {output[:80]!r}")
    fields = (line.split() for line in counts.read_text().splitlines())
    blocks = [Block(int(first, 16), int(last, 16), *map(int, others)) for first, last, *others in fields]
    return Execution(blocks, output)
