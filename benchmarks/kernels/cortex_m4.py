"""Cycles that a Cortex-M4 takes for what was executed, by Arm's published timings with zero wait states.

Source: Cortex-M4 Technical Reference Manual r0p1, Arm DDI 0439D (also published as 100166), tables 3-1 and 3-2 and
section 3.3.2. What it leaves open, and how it is taken here:

- P, the refill of the pipeline after a taken branch, is 1 to 3, "depending on the alignment and width of the target
  instruction, and whether the processor manages to speculate the address early": 1 where the address is in the
  instruction, 3 where it comes out of a register or memory, and 1 more where a 32-bit instruction at an odd halfword
  is the target of the former.
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

REFILL_DIRECT, REFILL_INDIRECT, REFILL_UNALIGNED_TARGET = 1, 3, 1
DIVIDE = 12
ADDRESS_STALL = 1

_CONDITIONS = "eq ne cs hs cc lo mi pl vs vc hi ls ge lt gt le".split()
_FLAG_SETTING = frozenset("adc add and asr bic eor lsl lsr mov mul mvn neg orn orr ror rrx rsb sbc sub".split())
_WITHOUT_RESULT = frozenset("clrex cmn cmp nop sev teq tst".split())
_PARALLEL = frozenset(
    prefix + operation
    for prefix in ("s", "q", "sh", "u", "uq", "uh")
    for operation in ("add8", "add16", "sub8", "sub16", "asx", "sax")
)
_MULTIPLIES = frozenset(
    """mla mls smull umull smlal umlal umaal smmul smmulr smmla smmlar smmls smmlsr smuad smuadx smusd smusdx smlad smladx
    smlsd smlsdx smlald smlaldx smlsld smlsldx smulwb smulwt smlawb smlawt""".split()
) | {f"{name}{x}{y}" for name in ("smul", "smla", "smlal") for x in "bt" for y in "bt"}
_ONE_CYCLE = (
    _FLAG_SETTING
    | _WITHOUT_RESULT
    | _PARALLEL
    | _MULTIPLIES
    | frozenset(
        """adr addw subw movw movt clz rbit rev rev16 revsh sel ssat ssat16 usat usat16 pkhbt pkhtb bfc bfi sbfx ubfx
        sxtb sxtb16 sxth uxtb uxtb16 uxth sxtab sxtab16 sxtah uxtab uxtab16 uxtah usad8 usada8
        qadd qsub qdadd qdsub""".split()
    )
)
_LONG_RESULT = re.compile(r"[su]mull|[su]mlal.*|umaal|smlsld.*")
_IT = re.compile(r"it[te]{0,3}")
_LOADS = frozenset("ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht ldrsbt ldrsht ldrex ldrexb ldrexh".split())
_STORES = frozenset("str strb strh strt strbt strht".split())
_EXCLUSIVE_STORES = frozenset("strex strexb strexh".split())
_MULTIPLE = frozenset("ldm ldmia ldmdb ldmfd stm stmia stmdb push pop".split())
_DOUBLE = frozenset(("ldrd", "strd"))
_DIRECT_BRANCHES = frozenset("b bl cbz cbnz".split())
_INDIRECT_BRANCHES = frozenset("bx blx".split())
_TABLE_BRANCHES = frozenset("tbb tbh".split())
_DIVIDES = frozenset("sdiv udiv".split())
_KNOWN = (
    _ONE_CYCLE
    | _LOADS
    | _STORES
    | _EXCLUSIVE_STORES
    | _MULTIPLE
    | _DOUBLE
    | _DIRECT_BRANCHES
    | _INDIRECT_BRANCHES
    | _TABLE_BRANCHES
    | _DIVIDES
)
_REGISTER = re.compile(r"\b(?:r\d+|sl|fp|ip|sp|lr|pc)\b")


def cycles(instructions: Mapping[int, Instruction], blocks: Iterable[Block]) -> int:
    """Of all the blocks. Raises KernelBenchmarkError for an instruction that has no price here, such as the FPU's."""
    return sum(_cycles_of(_within(instructions, block), block) for block in blocks)


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


def _cycles_of(sequence: Sequence[Instruction], block: Block) -> int:
    straight = block.executions * straight_line_cycles(sequence)
    refills = block.departures * _refill(sequence[-1])
    return straight + refills + block.arrivals * _unaligned_target(sequence[0]) + block.misaligned


def _refill(branch: Instruction) -> int:
    return REFILL_DIRECT if base_name(branch) in _DIRECT_BRANCHES else REFILL_INDIRECT


def _unaligned_target(target: Instruction) -> int:
    return REFILL_UNALIGNED_TARGET if target.size == 4 and target.address % 4 else 0


def base_name(instruction: Instruction) -> str:
    """Without condition and S. Raises KernelBenchmarkError if it has no price."""
    name = instruction.name
    if name in _KNOWN or _IT.fullmatch(name):
        return name
    for condition in ("", *_CONDITIONS):
        stem = name.removesuffix(condition)
        if condition and stem != name and stem in _KNOWN:
            return stem
        if name.endswith(f"s{condition}") and (plain := name.removesuffix(f"s{condition}")) in _FLAG_SETTING:
            return plain
    at = f"{instruction.address:#x}: {name} {instruction.operands}"
    raise KernelBenchmarkError(f"{at}: no cycles are known for it; give it a price in benchmarks/kernels/cortex_m4.py")


def _alone(instruction: Instruction) -> int:
    """Cycles without a neighbour, tables 3-1 and 3-2; a taken branch without P."""
    name = base_name(instruction)
    if name in _STORES:  # "STR Rx,[Ry,#imm] is always one cycle"
        return 2 if _is_register_offset(instruction) else 1
    if name in _LOADS or name in _EXCLUSIVE_STORES:
        return 2
    if name in _DOUBLE:
        return 3
    if name in _MULTIPLE:
        return 1 + len(_REGISTER.findall(instruction.operands.partition("{")[2]))
    if name in _DIVIDES:
        return DIVIDE
    if name in _TABLE_BRANCHES:
        return 3  # "two cycles for the load, one cycle for the add, and three cycles for the pipeline reload"
    return 1


def _paired(before: Instruction, now: Instruction) -> int:
    """What the instruction before adds to the cycles of this one: 1, 0 or -1; 3.3.2."""
    earlier, name = base_name(before), base_name(now)
    address = _address_registers(now, name)
    if not address:
        return 0
    if earlier in _LOADS:
        pipelined = name in _LOADS or name in _EXCLUSIVE_STORES or (name in _STORES and _is_register_offset(now))
        return -1 if pipelined and _results(before, earlier).isdisjoint(address) else 0
    is_data_processing = earlier in _ONE_CYCLE or earlier in _DIVIDES
    return ADDRESS_STALL if is_data_processing and not _results(before, earlier).isdisjoint(address) else 0


def _is_register_offset(instruction: Instruction) -> bool:
    return len(_REGISTER.findall(_brackets(instruction))) > 1


def _brackets(instruction: Instruction) -> str:
    return instruction.operands.partition("[")[2].partition("]")[0]


def _address_registers(instruction: Instruction, name: str) -> frozenset[str]:
    """The registers that a load's or store's address is made of; none for what is neither."""
    if name in ("push", "pop"):
        return frozenset(("sp",))
    if name in _MULTIPLE:
        return frozenset(_REGISTER.findall(instruction.operands.partition("{")[0]))
    return frozenset(_REGISTER.findall(_brackets(instruction)))


def _results(instruction: Instruction, name: str) -> frozenset[str]:
    if name in _WITHOUT_RESULT:
        return frozenset()
    count = 2 if _LONG_RESULT.fullmatch(name) and not re.fullmatch(r"smla[bt][bt]", name) else 1
    return frozenset(_REGISTER.findall(instruction.operands)[:count])
