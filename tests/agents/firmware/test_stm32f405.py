"""What is the STM32F405 agent's own, beyond the conformance suite: its memory, its timer, its faults. In QEMU."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dccdka.lowering.graph import IntegerGraph, ReLU, Tensor
from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs
from harness.emulators.qemu import QemuBoard
from harness.errors import ArtifactRejected, DeviceLost, DoesNotFit
from harness.farm.session import Session

ROOT = Path(__file__).resolve().parents[3]
SRAM_BYTES = 128 * 1024
STACK_BYTES = 4096
INPUT = bytes(range(16))


@pytest.fixture(scope="module")
def session(stm32f405_firmware: Path) -> Iterator[Session]:
    with QemuBoard(stm32f405_firmware, "board-7") as board, Session(board.connect(), "board-7") as session:
        session.hello()
        yield session


@pytest.fixture(scope="module")
def obedient_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """To a board whose runtime does as its artifact says (see tests/agents/linux/obedient_runtime)."""
    build = tmp_path_factory.mktemp("obedient")
    runtime = ROOT / "tests" / "agents" / "linux" / "obedient_runtime"
    variables = [f"BUILD={build}", f"RUNTIME_SOURCES={runtime}"]
    subprocess.run(["make", "-s", "-C", ROOT / "agents" / "firmware", *variables], check=True)
    firmware = build / "firmware" / "stm32f405" / "agent.elf"
    with QemuBoard(firmware, "board-7") as board, Session(board.connect(), "board-7") as session:
        session.hello()
        yield session


def relu_of(height: int, width: int, channels: int) -> bytes:
    """A small artifact with a large arena."""
    tensor = Tensor(height, width, channels, scale=0.1, zero_point=0)
    return pack(IntegerGraph((tensor, tensor), (ReLU(0, 1, 0, 127),), input=0, output=1))


def section_sizes(elf: Path) -> dict[str, int]:
    lines = subprocess.run(["arm-none-eabi-size", "-A", elf], check=True, capture_output=True, text=True).stdout
    words = [line.split() for line in lines.splitlines() if line.startswith(".")]
    return {name: int(size) for name, size, *_ in words}


def test_the_pool_is_all_sram_that_the_image_leaves(session: Session, stm32f405_firmware: Path) -> None:
    sizes = section_sizes(stm32f405_firmware)
    assert sizes[".stack"] == STACK_BYTES
    assert session.hello().pool_bytes == SRAM_BYTES - sizes[".stack"] - sizes[".data"] - sizes[".bss"]
    assert session.hello().pool_bytes > 110 * 1024


def test_the_runtimes_code_is_less_than_the_image_and_more_than_its_largest_kernel(
    session: Session, stm32f405_firmware: Path
) -> None:
    assert 2000 < session.hello().runtime_code_bytes < section_sizes(stm32f405_firmware)[".text"] - 4000


def test_the_build_changes_with_the_sources_and_with_nothing_else(tmp_path: Path, session: Session) -> None:
    for name in ("agents", "other"):
        shutil.copytree(ROOT / "agents", tmp_path / name / "agents")
    runtime = tmp_path / "other" / "agents" / "runtime" / "include" / "dcc_runtime.h"
    runtime.write_text(runtime.read_text() + "/* changed */\n")
    builds = []
    for name in ("agents", "other"):
        firmware = tmp_path / name / "agents" / "firmware"
        subprocess.run(["make", "-s", "-C", firmware, f"BUILD={tmp_path / name}"], check=True, capture_output=True)
        elf = tmp_path / name / "firmware" / "stm32f405" / "agent.elf"
        with QemuBoard(elf, name) as board, Session(board.connect(), name) as copied:
            builds.append(copied.hello().build)
    assert builds[0] == session.hello().build
    assert builds[1] != builds[0]


def test_an_arena_beyond_the_pool_is_refused_with_the_bytes(session: Session) -> None:
    artifact = relu_of(200, 200, 4)
    with pytest.raises(DoesNotFit, match="RAM for artifact, arena and input") as misfit:
        session.load(artifact)
    assert misfit.value.available == session.hello().pool_bytes
    model = read_artifact(artifact)
    together = len(artifact) + model.arena_bytes + model.input_bytes
    assert together < misfit.value.needed < together + 100


def test_an_artifact_beyond_the_pool_is_refused_before_it_is_sent(session: Session) -> None:
    pool_bytes = session.hello().pool_bytes
    started = time.monotonic()
    with pytest.raises(DoesNotFit, match="RAM for the artifact") as misfit:
        session.load(bytes(pool_bytes + 1))
    assert time.monotonic() - started < 0.5
    assert (misfit.value.needed, misfit.value.available) == (pool_bytes + 1, pool_bytes)


def test_a_model_that_nearly_fills_the_pool_runs_right(session: Session) -> None:
    artifact = relu_of(100, 100, 5)
    inputs = np.random.default_rng(0).integers(-128, 128, (1, 100, 100, 5)).astype(np.int8)
    loaded = session.load(artifact)
    expected = run_reference(read_artifact(artifact), inputs)[0].tobytes()
    output = session.verify(inputs[0].tobytes())
    assert output == expected[: len(output)]
    result = session.run(0, 1)
    assert result.arena_peak_bytes == loaded.arena_bytes
    assert session.hello().pool_bytes - 2 * loaded.arena_bytes < 20 * 1024


def test_instructions_repeat_exactly_from_run_to_run_and_from_board_to_board(
    session: Session, stm32f405_firmware: Path
) -> None:
    generator = np.random.default_rng(1)
    graph = random_graph(generator)
    artifact, sample = pack(graph), random_inputs(generator, graph, 1)[0].tobytes()

    def ticks(on: Session) -> set[int]:
        on.load(artifact)
        on.verify(sample)
        return set(on.run(0, 20).ticks) | set(on.run(3, 20).ticks)

    with QemuBoard(stm32f405_firmware, "another") as board, Session(board.connect(), "another") as another:
        another.hello()
        assert len(ticks(session) | ticks(another)) == 1


def test_a_loop_twice_as_long_takes_twice_the_instructions(obedient_session: Session, obedient: Any) -> None:
    ticks = []
    for amount in (1000, 2000, 3000):
        obedient_session.load(obedient(obedient.LOOP, amount))
        obedient_session.verify(INPUT)
        ticks.append(obedient_session.run(0, 1).ticks[0])
    assert ticks[2] - ticks[1] == ticks[1] - ticks[0]
    assert ticks[1] - ticks[0] >= 2000  # at least two instructions a turn


def test_the_stack_watermark_is_what_the_runtime_used(obedient_session: Session, obedient: Any) -> None:
    used = []
    for levels in (0, 1, 2):
        obedient_session.load(obedient(obedient.NEED_DEEP_STACK, levels))
        obedient_session.verify(INPUT)
        used.append(obedient_session.run(0, 1).stack_bytes)
    assert 1000 < used[0] < 1100
    assert used[1] - used[0] == used[2] - used[1]
    assert 1000 <= used[1] - used[0] < 1032


def test_the_arena_watermark_is_the_highest_byte_used(obedient_session: Session, obedient: Any) -> None:
    obedient_session.load(obedient(arena=4096, inputs=16, outputs=20))
    obedient_session.verify(INPUT)
    assert obedient_session.run(0, 1).arena_peak_bytes == 36


@pytest.mark.parametrize("arena", [4096, 4095, 4093])
def test_one_byte_written_behind_the_arena_is_noticed(obedient_session: Session, obedient: Any, arena: int) -> None:
    obedient_session.load(obedient(obedient.WRITE_BEYOND, 1, arena=arena))
    with pytest.raises(ArtifactRejected, match="guard_overwritten: the runtime wrote outside its arena"):
        obedient_session.verify(INPUT)


def test_a_run_that_fails_gives_the_runtimes_code(obedient_session: Session, obedient: Any) -> None:
    obedient_session.load(obedient(obedient.FAIL))
    with pytest.raises(ArtifactRejected, match=r"run_failed.*code 7"):
        obedient_session.verify(INPUT)


@pytest.mark.parametrize("order", ["CRASH", "NEED_DEEP_STACK"])
def test_a_fault_restarts_the_chip_and_is_told_at_once(obedient_session: Session, obedient: Any, order: str) -> None:
    obedient_session.load(obedient(getattr(obedient, order), 10))
    started = time.monotonic()
    with pytest.raises(DeviceLost, match="was reset in the middle of verify"):
        obedient_session.verify(INPUT)
    assert time.monotonic() - started < 2
    obedient_session.load(obedient())
    assert obedient_session.verify(INPUT) == obedient.output(INPUT)


@pytest.mark.slow
def test_a_run_that_the_timer_cannot_count_is_refused(obedient_session: Session, obedient: Any) -> None:
    obedient_session.load(obedient(obedient.LOOP, 900_000_000))  # six instructions a turn, more than 2^32 in all
    obedient_session.verify(INPUT)
    with pytest.raises(ArtifactRejected, match=r"more than 2\^32 ticks"):
        obedient_session.run(0, 1)
