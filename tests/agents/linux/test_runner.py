"""The runner process, driven as the agent drives it, for this machine and for the emulated Raspberry Pi."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_wire.messages import Refused
from edge_agent.runner import Runner, RunnerUnusable, describe

RUNTIME_SOURCES = Path(__file__).parents[3] / "agents" / "runtime" / "src"
INPUT = bytes(range(16))
Start = Callable[[bytes], Runner]
NATIVE = platform.machine()
COMMANDS = {"native": ([], NATIVE), "emulated Pi": (["qemu-aarch64-static", "-cpu", "cortex-a53"], "aarch64")}


@pytest.fixture(params=COMMANDS)
def start(request: pytest.FixtureRequest, obedient_build: Path) -> Iterator[Start]:
    """Starts a runner that has loaded the artifact given and stored INPUT."""
    emulator, architecture = COMMANDS[request.param]
    started: list[Runner] = []
    quiet, harness = os.pipe()

    def start_one(artifact: bytes) -> Runner:
        runner = Runner([*emulator, str(obedient_build / "linux" / architecture / "runner")], quiet)
        started.append(runner)
        runner.load(artifact)
        runner.store_input(INPUT)
        return runner

    yield start_one
    for runner in started:
        runner.close()
    os.close(quiet)
    os.close(harness)


def test_every_verification_starts_from_the_input_although_a_run_destroys_it(start: Start, obedient: Any) -> None:
    runner = start(obedient())
    assert [runner.verify() for _ in range(3)] == [obedient.output(INPUT)] * 3


def test_the_arena_watermark_is_the_highest_byte_that_was_written(start: Start, obedient: Any) -> None:
    assert start(obedient(arena=4096)).run(0, 1).arena_peak_bytes == 16 + 20


def test_the_stack_watermark_follows_what_the_run_uses(start: Start, obedient: Any) -> None:
    shallow = start(obedient()).run(0, 1).stack_bytes
    deep = start(obedient(obedient.NEED_DEEP_STACK, 20)).run(0, 1).stack_bytes
    assert 1000 <= shallow < 1300
    assert 20 * 1000 <= deep - shallow < 20 * 1100


def test_as_many_durations_come_back_as_repeats_were_asked_for(start: Start, obedient: Any) -> None:
    assert len(start(obedient()).run(3, 130).durations_ns) == 130


def test_durations_grow_with_the_work(obedient_build: Path, obedient: Any) -> None:
    quiet, harness = os.pipe()
    medians = []
    for amount in (20_000, 2_000_000):
        runner = Runner([str(obedient_build / "linux" / NATIVE / "runner")], quiet)
        runner.load(obedient(obedient.LOOP, amount))
        runner.store_input(INPUT)
        medians.append(statistics.median(runner.run(1, 9).durations_ns))
        runner.close()
    os.close(quiet)
    os.close(harness)
    assert 30 < medians[1] / medians[0] < 300


def test_peak_rss_is_the_runners_own_and_not_what_it_inherited(obedient_build: Path, obedient: Any) -> None:
    quiet, harness = os.pipe()
    runner = Runner([str(obedient_build / "linux" / NATIVE / "runner")], quiet)
    runner.load(obedient(arena=8 * 1024 * 1024))
    runner.store_input(INPUT)
    peak = runner.run(0, 1).peak_rss_bytes
    runner.close()
    os.close(quiet)
    os.close(harness)
    assert 8 * 1024 * 1024 < peak < 11 * 1024 * 1024  # this test's own process is far bigger


@pytest.mark.parametrize(
    ("order", "amount", "status", "code"),
    [
        ("FAIL", 0, "run_failed", 7),
        ("WRITE_BEYOND", 1, "guard_overwritten", 0),
        ("NEED_DEEP_STACK", 100, "run_failed", 128 + 11),
    ],
)
def test_a_run_that_misbehaves_is_refused(
    start: Start, obedient: Any, order: str, amount: int, status: str, code: int
) -> None:
    runner = start(obedient(getattr(obedient, order), amount))
    with pytest.raises(Refused) as refused:
        runner.run(0, 1)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_a_crash_is_refused_with_its_signal(start: Start, obedient: Any) -> None:
    runner = start(obedient(obedient.CRASH))
    with pytest.raises(Refused, match=r"run_failed: the runner was ended by SIG(ILL|TRAP)"):
        runner.verify()


def test_an_artifact_that_the_loader_refuses_is_refused_with_its_code(start: Start) -> None:
    with pytest.raises(Refused, match="artifact_rejected") as refused:
        start(b"not an artifact, but long enough")
    assert refused.value.code == 2  # DCC_ERROR_MAGIC


@pytest.mark.parametrize(("architecture", "prefix"), [(NATIVE, ""), ("aarch64", "aarch64-linux-gnu-")])
def test_the_code_size_is_that_of_the_runtimes_sections(linux_build: Path, architecture: str, prefix: str) -> None:
    emulator = [] if architecture == NATIVE else ["qemu-aarch64-static"]
    folder = linux_build / "linux" / architecture
    objects = [folder / "runtime" / f"{source.stem}.o" for source in sorted(RUNTIME_SOURCES.glob("*.c"))]
    sections = subprocess.run([f"{prefix}size", "-A", *objects], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in sections.splitlines()]
    code = sum(int(row[1]) for row in rows if row and row[0].startswith((".text", ".rodata")))
    assert code > 0
    assert describe([*emulator, str(folder / "runner")]).runtime_code_bytes == code


def test_a_missing_emulator_is_named() -> None:
    with pytest.raises(RunnerUnusable, match="no-such-emulator is not on this machine"):
        describe(["no-such-emulator", "runner"])


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    runner = tmp_path / "runner"
    runner.write_bytes(b"\x7fELF but not really")
    runner.chmod(0o755)
    with pytest.raises(RunnerUnusable, match="was it built for this machine"):
        describe([str(runner)])
