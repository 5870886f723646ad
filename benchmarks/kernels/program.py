"""A bare-metal program of the runtime and one model: how it is built, and what its ELF says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.host_runtime import REPOSITORY
from benchmarks.kernels.commands import output_of
from benchmarks.kernels.disassembly import Instruction, parse_disassembly
from dccdka.export.operator_table import OperatorTable
from dccdka.packing import read_artifact

BUILD = REPOSITORY / "build" / "benchmarks" / "kernels"
_MAKEFILE = Path(__file__).parent / "Makefile"
_CODE_SECTIONS = (".text", ".data")  # of target/program.ld: the runtime, and what it calls of libc and libgcc


@dataclass(frozen=True)
class Program:
    """elf: built by Makefile, or any other for the same machines."""

    elf: Path

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Addresses; those of functions without the bit that says Thumb."""
        lines = output_of(["arm-none-eabi-nm", self.elf]).decode().splitlines()
        fields = (line.split() for line in lines)
        return {name: int(address, 16) & ~1 for address, kind, name in fields if kind in "tTrRdDbB"}

    @cached_property
    def instructions(self) -> dict[int, Instruction]:
        """By address."""
        return parse_disassembly(output_of(["arm-none-eabi-objdump", "-d", self.elf]).decode())

    @cached_property
    def code_bytes(self) -> int:
        """Flash that the runtime takes: code, constants and initial data, without the model and without target/."""
        lines = output_of(["arm-none-eabi-size", "-A", self.elf]).decode().splitlines()
        sizes = (re.match(r"(\S+)\s+(\d+)", line) for line in lines)
        return sum(int(size[2]) for size in sizes if size and size[1] in _CODE_SECTIONS)


def build(core: str, artifact: bytes, inputs: bytes, folder: Path) -> Program:
    """Of one artifact and its inputs back to back, in a folder that is made; only what the artifact needs is linked.

    Raises KernelBenchmarkError, and ArtifactError for what is no artifact.
    """
    return link(core, OperatorTable.of(read_artifact(artifact)), artifact, inputs, folder)


def link(core: str, table: OperatorTable, artifact: bytes, inputs: bytes, folder: Path) -> Program:
    """Of any bytes, with what the table names; the folder is made. Raises KernelBenchmarkError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "operators.c").write_text(f'#include "operators.h"\n\n{table.c_source("linked_operators")}')
    (folder / "artifact.bin").write_bytes(artifact)
    (folder / "inputs.bin").write_bytes(inputs)
    output_of(["make", "-s", "-f", _MAKEFILE, "program", f"CORE={core}", f"JOB={folder}", f"OUT={BUILD}"])
    return Program(folder / "program.elf")


def build_plugin() -> Path:
    """block_counter.so. Raises KernelBenchmarkError."""
    output_of(["make", "-s", "-f", _MAKEFILE, "plugin", f"OUT={BUILD}"])
    return BUILD / "block_counter.so"
