"""Cycles that a Cortex-M4 takes for what was executed, by Arm's published timings with zero wait states.

Source: Cortex-M4 Technical Reference Manual r0p1, Arm DDI 0439D (also published as 100166), tables 3-1 and 3-2 and
section 3.3.2. What it leaves open, and how it is taken here:

- P, the refill of the pipeline after a taken branch, is 1 to 3, "depending on the alignment and width of the target
  instruction, and whether the processor manages to speculate the address early": 1 where the address is in the
  instruction, 2 where it is in a register, 3 where it comes out of memory ("at least", says 3.3.2 of LDR PC, TBB and
  TBH); and 1 more where the target is a 32-bit instruction at an odd halfword, which takes two fetches.
- A division takes 2 to 12 cycles by its operands: 12.
- IT may be folded into the instruction before: it is not, 1 cycle. What an IT block skips costs as if it were executed.
- The additional cycles that LDR Rx, [PC, #imm] "might" take, and 32-bit loads at odd halfwords that "might not pipeline
  optimally": none.
- The write buffer is never full.

A model, for comparing kernels: flash wait states and bus contention of a chip come on top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from benchmarks.kernels.counting import Block
from benchmarks.kernels.disassembly import Instruction
from benchmarks.kernels.errors import KernelBenchmarkError
from benchmarks.kernels.mnemonics import (
    DIVIDES,
    DOUBLE,
    EXCLUSIVE_STORES,
    IMMEDIATE_BRANCHES,
    LOADS,
    LONG_RESULT,
    MULTIPLE,
    ONE_CYCLE,
    STORES,
    TABLE_BRANCHES,
    WITHOUT_RESULT,
    base_name,
)

REFILL_IMMEDIATE, REFILL_REGISTER, REFILL_MEMORY, REFILL_UNALIGNED_TARGET = 1, 2, 3, 1
DIVIDE = 12
ADDRESS_STALL = 1

_REGISTER = re.compile(r"\b(?:r\d+|sl|fp|ip|sp|lr|pc)\b")


def cycles(instructions: Mapping[int, Instruction], blocks: Iterable[Block]) -> int:
    """Of all the blocks. Raises KernelBenchmarkError for an instruction that has no price here, such as the FPU's."""
    return sum(_cycles_of(_within(instructions, block), block, instructions.get(block.end)) for block in blocks)


def straight_line_cycles(sequence: Sequence[Instruction]) -> int:
    """Of instructions that execute one after the other; a branch at the end is not taken."""
    first = _alone(sequence[0])
    return first + sum(_alone(now) + _paired(before, now) for before, now in pairwise(sequence))


def _within(instructions: Mapping[int, Instruction], block: Block) -> list[Instruction]:
    found, address = [], block.begin
    while address < block.end:
        if address not in instructions:
            raise KernelBenchmarkError(f"{address:#x} was executed, but the program's listing has no instruction there")
        found.append(instructions[address])
        address += found[-1].size
    return found


def _cycles_of(sequence: Sequence[Instruction], block: Block, behind: Instruction | None) -> int:
    """behind: the instruction at the end of the block. QEMU also ends blocks where nothing branches."""
    straight = block.executions * straight_line_cycles(sequence)
    if behind is not None:
        straight += (block.executions - block.departures) * _paired(sequence[-1], behind)
    refills = block.departures * _refill(sequence[-1])
    return straight + refills + block.arrivals * _unaligned_target(sequence[0]) + block.misaligned


def _refill(branch: Instruction) -> int:
    name = base_name(branch)
    if name in IMMEDIATE_BRANCHES:
        return REFILL_IMMEDIATE
    return REFILL_MEMORY if name in LOADS | MULTIPLE | TABLE_BRANCHES else REFILL_REGISTER


def _unaligned_target(target: Instruction) -> int:
    return REFILL_UNALIGNED_TARGET if target.size == 4 and target.address % 4 else 0


def _alone(instruction: Instruction) -> int:
    """Cycles without a neighbour, tables 3-1 and 3-2; a taken branch without P."""
    name = base_name(instruction)
    if name in STORES:  # "STR Rx,[Ry,#imm] is always one cycle"
        return 2 if _is_register_offset(instruction) else 1
    if name in LOADS or name in EXCLUSIVE_STORES:
        return 2
    if name in DOUBLE:
        return 3
    if name in MULTIPLE:
        return 1 + len(_REGISTER.findall(instruction.operands.partition("{")[2]))
    if name in DIVIDES:
        return DIVIDE
    if name in TABLE_BRANCHES:
        return 3  # "two cycles for the load, one cycle for the add, and three cycles for the pipeline reload"
    return 1


def _paired(before: Instruction, now: Instruction) -> int:
    """What the instruction before adds to the cycles of this one: 1, 0 or -1; 3.3.2."""
    earlier, name = base_name(before), base_name(now)
    address = _address_registers(now, name)
    if not address:
        return 0
    if earlier in LOADS:
        pipelined = name in LOADS or name in EXCLUSIVE_STORES or (name in STORES and _is_register_offset(now))
        return -1 if pipelined and _results(before, earlier).isdisjoint(address) else 0
    is_data_processing = earlier in ONE_CYCLE or earlier in DIVIDES
    return ADDRESS_STALL if is_data_processing and not _results(before, earlier).isdisjoint(address) else 0


def _is_register_offset(instruction: Instruction) -> bool:
    return len(_REGISTER.findall(_brackets(instruction))) > 1


def _brackets(instruction: Instruction) -> str:
    return instruction.operands.partition("[")[2].partition("]")[0]


def _address_registers(instruction: Instruction, name: str) -> frozenset[str]:
    """The registers that a load's or store's address is made of; none for what is neither."""
    if name in ("push", "pop"):
        return frozenset(("sp",))
    if name in MULTIPLE:
        return frozenset(_REGISTER.findall(instruction.operands.partition("{")[0]))
    return frozenset(_REGISTER.findall(_brackets(instruction)))


def _results(instruction: Instruction, name: str) -> frozenset[str]:
    if name in WITHOUT_RESULT:
        return frozenset()
    count = 2 if LONG_RESULT.fullmatch(name) else 1
    return frozenset(_REGISTER.findall(instruction.operands)[:count])
