"""Counting and pricing what runs on Cortex-M: exact on programs whose counts are known, the same each time."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kernels import cases, commands, cortex_m4
from benchmarks.kernels.__main__ import main
from benchmarks.kernels.baselines import BASELINES
from benchmarks.kernels.counting import MACHINES, Block, execute
from benchmarks.kernels.disassembly import Instruction, parse_disassembly
from benchmarks.kernels.errors import KernelBenchmarkError
from benchmarks.kernels.program import Program, build_plugin, link
from benchmarks.kernels.rows import measure
from dccdka.export.operator_table import OperatorTable
from dccdka.packing import pack, read_artifact
from dccdka.packing.artifact import ArtifactError
from dccdka.packing.conformance import random_graph, random_inputs

TARGET = Path(cases.__file__).parent / "target"

# From begin to finish: a loop of 1000 rounds, a call, and loads one to three bytes out of line.
LOOP = """
    .syntax unified
    .cpu cortex-m4
    .section .vectors, "a"
    .word stack_top, start
    .text
    .thumb_func
    .global start, begin, inside, finish
start:
    ldr r1, =stack_bottom
    b begin
    .balign 4
begin:
    movw r0, #1000
loop:
inside:
    subs r0, #1
    bne loop
    nop
    bl callee
    ldr r2, [r1, #1]
    ldr r3, [r1, #2]
    ldrh r2, [r1, #3]
    ldrb r3, [r1, #3]
    b finish
callee:
    bx lr
finish:
    movs r0, #0x18
    ldr r1, =0x20026
    bkpt 0xab
"""


@pytest.fixture(scope="module")
def plugin() -> Path:
    return build_plugin()


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(assembled(LOOP, tmp_path_factory.mktemp("loop"), "-nostdlib", f"-Wl,-T,{TARGET / 'program.ld'}"))


def assembled(source: str, folder: Path, *options: str) -> Path:
    (folder / "program.S").write_text(source)
    program = folder / "program.elf"
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", *options, "-o", program, folder / "program.S"]
    subprocess.run(command, check=True)
    return program


def sequence(source: str, folder: Path) -> list[Instruction]:
    text = "\n".join([".syntax unified", ".thumb", *source.split(";"), ""])
    listing = subprocess.check_output(["arm-none-eabi-objdump", "-d", assembled(text, folder, "-c")], text=True)
    return list(parse_disassembly(listing).values())


@pytest.mark.parametrize("core", MACHINES)
def test_a_loop_is_counted_to_the_instruction(core: str, loop: Program, plugin: Path, tmp_path: Path) -> None:
    execution = execute(loop, core, plugin, "begin", "finish", tmp_path)
    assert execution.instructions == 1 + 2 * 1000 + 2 + 1 + 5
    assert sum(block.departures for block in execution.blocks) == 999 + 3  # the loop, and to, from, and past the callee
    assert sum(block.arrivals for block in execution.blocks) == 999 + 2  # not at the end
    assert sum(block.misaligned for block in execution.blocks) == 2 + 1 + 1


def test_a_loop_is_priced_to_the_cycle(loop: Program, plugin: Path, tmp_path: Path) -> None:
    execution = execute(loop, "cortex-m4", plugin, "begin", "finish", tmp_path)
    rounds = 1 + 2 * 1000 + 999 * 1
    nop_call_and_return = 1 + (1 + 1) + (1 + 2 + 1)  # to a 32-bit instruction at an odd halfword
    loads = 2 + 1 + 1 + 1 + 4  # all but the first pipelined; then what is out of line
    leaving = 1 + 1
    assert cortex_m4.cycles(loop.instructions, execution.blocks) == rounds + nop_call_and_return + loads + leaving


@pytest.mark.parametrize(("begin", "end"), [("inside", "finish"), ("begin", "inside")])
def test_symbols_that_no_branch_leads_to_are_refused(begin: str, end: str, plugin: Path, tmp_path: Path) -> None:
    source = LOOP.replace("bne loop", "bne callee")
    program = Program(assembled(source, tmp_path, "-nostdlib", f"-Wl,-T,{TARGET / 'program.ld'}"))
    with pytest.raises(KernelBenchmarkError, match="hidden in a block"):
        execute(program, "cortex-m4", plugin, begin, end, tmp_path)


def test_a_region_that_is_never_left_is_said(loop: Program, plugin: Path, tmp_path: Path) -> None:
    with pytest.raises(KernelBenchmarkError, match="never came from finish to start"):
        execute(loop, "cortex-m4", plugin, "finish", "start", tmp_path)
    with pytest.raises(KernelBenchmarkError, match="no symbol 'nowhere'"):
        execute(loop, "cortex-m4", plugin, "begin", "nowhere", tmp_path)


# The manual's own examples come first (DDI 0439D, 3.3.2).
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("ldr r0, [r1]; ldr r1, [r2]", 3),
        ("ldr r0, [r1, r2]; str r0, [r3, #20]", 3),
        ("ldr r0, [r1, r2]; str r1, [r3, r2]", 3),
        ("ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),
        ("ldmia r0!, {r1, r2, r3}", 4),
        ("stmia r0!, {r1-r8}", 9),
        ("ldrd r0, r1, [r2]", 3),
        ("ldr r0, [r1]; ldr r2, [r0]", 4),  # the address is what was loaded
        ("ldrb r0, [r1], #1; ldrsb.w r2, [r1]", 3),  # the base is no destination
        ("str r0, [r1, r2]; ldr r3, [r4]", 4),  # nothing is pipelined after a store
        ("str r0, [r1, #4]; str r2, [r1, #8]", 2),
        ("adds r1, #4; ldr r0, [r1]", 4),  # the register bank is updated first
        ("smull r1, r2, r3, r4; ldr r0, [r2]", 4),
        ("cmp r1, #4; ldr r0, [r1]", 3),
        ("adds r1, #4; ldmia r1, {r2, r3}", 5),
        ("adds r1, #4; str r1, [r0]", 2),  # the value, not the address
        ("smlad r0, r1, r2, r0; smlabt r0, r1, r2, r0; umull r0, r1, r2, r3; muls r0, r1", 4),
        ("it ne; movne r0, #1; itte lt; addlt r0, r1; lsllt r0, r1; movge r0, r2", 6),
        ("sxtb16 r0, r1, ror #8; pkhbt r0, r1, r2, lsl #16; ssat r0, #8, r1; uadd8 r0, r1, r2; clz r0, r1", 5),
        ("it eq; addseq.w r0, r0, r1; lsls r0, r1; bics r0, r1; sbcs r0, r1; mls r0, r1, r2, r3", 6),
        ("udiv r0, r1, r2", 12),
        ("push {r4, r5, lr}; pop {r4, r5, pc}", 8),  # the refill is the departure's
        ("bls .; blt .; bl .", 3),
        ("tbb [pc, r0]", 3),
    ],
)
def test_a_sequence_has_its_published_price(source: str, expected: int, tmp_path: Path) -> None:
    assert cortex_m4.straight_line_cycles(sequence(source, tmp_path)) == expected


@pytest.mark.parametrize(
    ("branch", "refill"),
    [("bne.n .", 1), ("bl .", 1), ("bx lr", 2), ("pop {pc}", 3), ("ldr pc, [r0]", 3), ("tbb [pc, r0]", 3)],
)
def test_a_taken_branch_refills_the_pipeline(branch: str, refill: int, tmp_path: Path) -> None:
    (instruction,) = sequence(branch, tmp_path)
    block = Block(0, instruction.size, 1, executions=10, departures=4, arrivals=0, misaligned=0)
    once = cortex_m4.straight_line_cycles([instruction])
    assert cortex_m4.cycles({0: instruction}, [block]) == 10 * once + 4 * refill


def test_a_wide_target_at_an_odd_halfword_costs_one_more(tmp_path: Path) -> None:
    (wide,) = sequence("add.w r0, r1, r2", tmp_path)
    for address, extra in ((8, 0), (10, 5)):
        block = Block(address, address + 4, 1, executions=10, departures=0, arrivals=5, misaligned=0)
        assert cortex_m4.cycles({address: replace(wide, address=address)}, [block]) == 10 + extra


def test_an_instruction_without_a_price_is_named(tmp_path: Path) -> None:
    with pytest.raises(KernelBenchmarkError, match=r"0x2: vadd\.f32 s0, s1, s2: no cycles are known"):
        cortex_m4.straight_line_cycles(sequence(".fpu fpv4-sp-d16; nop; vadd.f32 s0, s1, s2", tmp_path))


@pytest.fixture(scope="module")
def tiny() -> cases.Case:
    """A few random operators, the first of those whose outputs differ."""
    for seed in range(100):
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators=4)
        case = cases.case_of("tiny", "random", 1000, pack(graph), random_inputs(generator, graph, 2))
        if (case.expected[0] != case.expected[1]).any():
            return case
    raise AssertionError("all outputs are alike")


@pytest.mark.parametrize("core", MACHINES)
def test_a_row_is_bit_exact_and_repeats(core: str, tiny: cases.Case, plugin: Path, tmp_path: Path) -> None:
    row = measure(tiny, core, plugin, tmp_path)
    assert row.bit_exact
    assert row == measure(tiny, core, plugin, tmp_path)
    assert row.instructions_per_mac == row.instructions / 1000
    assert (row.modelled_cycles_per_mac is not None) == (core == "cortex-m4")
    assert row.modelled_cycles_per_mac is None or row.modelled_cycles_per_mac > row.instructions_per_mac
    assert row.artifact_bytes == len(tiny.artifact)
    assert 1_000 < row.code_bytes < 32_768
    assert 64 < row.stack_bytes < 4_096
    assert row.ratios()["instructions"] is None


def test_a_wrong_output_is_not_bit_exact(tiny: cases.Case, plugin: Path, tmp_path: Path) -> None:
    wrong = tiny.expected.copy()
    wrong.flat[-1] ^= 1
    assert not measure(replace(tiny, expected=wrong), "cortex-m3", plugin, tmp_path).bit_exact


def test_outputs_that_do_not_differ_prove_nothing(tiny: cases.Case, plugin: Path, tmp_path: Path) -> None:
    same = cases.case_of("tiny", "random", 1000, tiny.artifact, np.repeat(tiny.inputs[:1], 2, axis=0))
    assert not measure(same, "cortex-m3", plugin, tmp_path).bit_exact


def test_a_refused_artifact_is_said(tiny: cases.Case, plugin: Path, tmp_path: Path) -> None:
    damaged = tiny.artifact[:-1] + bytes([tiny.artifact[-1] ^ 1])
    with pytest.raises(ArtifactError, match="CRC-32"):
        measure(replace(tiny, artifact=damaged), "cortex-m4", plugin, tmp_path)
    table = OperatorTable.of(read_artifact(tiny.artifact))
    program = link("cortex-m4", table, damaged, tiny.inputs.tobytes(), tmp_path)
    with pytest.raises(KernelBenchmarkError, match="rejected 4"):
        execute(program, "cortex-m4", plugin, "dcc_model_run", "count_end", tmp_path)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(KernelBenchmarkError, match="no-such-qemu is missing"):
        commands.output_of(["no-such-qemu"])


def test_the_command_prints_json_of_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--models", "ad", "--recipes", "90%/8", "--cores", "cortex-m3", "cortex-m4"]) == 0
    m3, m4 = map(json.loads, capsys.readouterr().out.splitlines())
    assert [row["core"] for row in (m3, m4)] == ["cortex-m3", "cortex-m4"]
    assert m4["macs"] == 264_192 and m4["bit_exact"]
    assert m3["modelled_cycles_per_mac"] is None and m3["baseline"]["instructions"] is None
    assert m3["ratio"]["code_bytes"] is None
    assert m4["ratio"]["code_bytes"] == pytest.approx(m4["code_bytes"] / 28_544)
    assert m4["baseline"]["instructions"] == BASELINES["ad"].instructions["cortex-m4"]
    assert m4["ratio"]["instructions"] == pytest.approx(m4["instructions"] / 582_966)
    assert m4["ratio"]["arena_bytes"] == pytest.approx(m4["arena_bytes"] / 2_580)


@pytest.mark.parametrize("option", ["models", "recipes", "cores"])
def test_an_unknown_name_is_refused_before_any_work(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"--{option}", "other"])
    assert ended.value.code == 2
    assert re.search(rf"--{option}: 'other' is none of \w+", capsys.readouterr().err)


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--models ic --recipes dense --cores cortex-m4" in capsys.readouterr().out
