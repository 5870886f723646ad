"""The Thumb instructions of the Cortex-M4 by how they are timed; the floating-point unit's are not among them."""

from __future__ import annotations

import re

from benchmarks.kernels.disassembly import Instruction
from benchmarks.kernels.errors import KernelBenchmarkError


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


LOADS = _names("ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht ldrsbt ldrsht ldrex ldrexb ldrexh")
STORES = _names("str strb strh strt strbt strht")
EXCLUSIVE_STORES = _names("strex strexb strexh")
MULTIPLE = _names("ldm ldmia ldmdb stm stmia stmdb push pop")
DOUBLE = _names("ldrd strd")
DIVIDES = _names("sdiv udiv")
IMMEDIATE_BRANCHES = _names("b bl cbz cbnz")
REGISTER_BRANCHES = _names("bx blx")
TABLE_BRANCHES = _names("tbb tbh")
WITHOUT_RESULT = _names("clrex cmn cmp nop sev teq tst")
LONG_RESULT = re.compile(r"[su]mull|[su]mlal.*|umaal|smlsldx?")

_FLAG_SETTING = _names("adc add and asr bic eor lsl lsr mov mul mvn neg orn orr ror rrx rsb sbc sub")
_DATA = _names("adr addw subw movw movt clz rbit rev rev16 revsh sel bfc bfi sbfx ubfx qadd qsub qdadd qdsub")
_SATURATING = _names("ssat ssat16 usat usat16")
_PACKING = _names("pkhbt pkhtb sxtb sxtb16 sxth uxtb uxtb16 uxth sxtab sxtab16 sxtah uxtab uxtab16 uxtah usad8 usada8")
_PARALLEL = frozenset(
    prefix + operation
    for prefix in ("s", "q", "sh", "u", "uq", "uh")
    for operation in ("add8", "add16", "sub8", "sub16", "asx", "sax")
)
_MULTIPLIES = (
    _names("mla mls smull umull smlal umlal umaal smmul smmulr smmla smmlar smmls smmlsr smulwb smulwt smlawb smlawt")
    | {f"{name}{x}{y}" for name in ("smul", "smla", "smlal") for x in "bt" for y in "bt"}
    | {f"{name}{exchanged}" for name in _names("smuad smusd smlad smlsd smlald smlsld") for exchanged in ("", "x")}
)
ONE_CYCLE = _FLAG_SETTING | WITHOUT_RESULT | _DATA | _SATURATING | _PACKING | _PARALLEL | _MULTIPLIES

_MEMORY = LOADS | STORES | EXCLUSIVE_STORES | MULTIPLE | DOUBLE
_BRANCHES = IMMEDIATE_BRANCHES | REGISTER_BRANCHES | TABLE_BRANCHES
_KNOWN = ONE_CYCLE | DIVIDES | _MEMORY | _BRANCHES
_IT = re.compile(r"it[te]{0,3}")
_CONDITIONS = _names("eq ne cs hs cc lo mi pl vs vc hi ls ge lt gt le")


def base_name(instruction: Instruction) -> str:
    """Without condition and S. Raises KernelBenchmarkError if it has no price."""
    name = instruction.name
    if _IT.fullmatch(name):
        return name
    for stem in (name, name[:-2] if name[-2:] in _CONDITIONS else name):
        if stem in _KNOWN:
            return stem
        if stem.endswith("s") and stem[:-1] in _FLAG_SETTING:
            return stem[:-1]
    at = f"{instruction.address:#x}: {name} {instruction.operands}"
    raise KernelBenchmarkError(f"{at}: no cycles are known for it; give it a price in benchmarks/kernels/mnemonics.py")
