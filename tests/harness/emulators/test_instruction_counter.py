"""The instruction counter, held against loops whose number of instructions is known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness.emulators.instruction_counter import count_instructions
from harness.errors import ArtifactRejected, DoesNotFit, HarnessError, UsageError

INPUT = bytes(range(16))


@pytest.fixture
def image(obedient_build: Path) -> Path:
    return obedient_build / "counter" / "aarch64" / "counter.elf"


def test_a_loop_of_two_instructions_counts_two_for_each_turn(image: Path, obedient: Any) -> None:
    few = count_instructions(obedient(obedient.LOOP, 1000), INPUT, image=image)
    more = count_instructions(obedient(obedient.LOOP, 1_001_000), INPUT, image=image)
    assert more.instructions - few.instructions == 2 * 1_000_000
    # What is left is the rest of the stand-in's run, a dozen instructions for each of its 20 outputs.
    assert 2 * 1000 < few.instructions < 2 * 1000 + 400


def test_the_count_is_the_same_every_time(image: Path, obedient: Any) -> None:
    counts = {count_instructions(obedient(), INPUT, image=image).instructions for _ in range(3)}
    assert len(counts) == 1


@pytest.mark.slow
def test_a_count_beyond_32_bits_is_whole(image: Path, obedient: Any) -> None:
    turns = 2_200_000_000
    few = count_instructions(obedient(obedient.LOOP, 1), INPUT, image=image)
    many = count_instructions(obedient(obedient.LOOP, 1 + turns), INPUT, image=image)
    assert many.instructions - few.instructions == 2 * turns


def test_the_output_is_the_runtimes(image: Path, obedient: Any) -> None:
    data = bytes(range(0, 256, 2))
    artifact = obedient(inputs=len(data), outputs=1000)
    assert count_instructions(artifact, data, image=image).output == obedient.output(data, 1000)


def test_an_artifact_that_the_runtime_refuses_is_refused(image: Path) -> None:
    with pytest.raises(ArtifactRejected, match="loader returned 2"):
        count_instructions(b"not an artifact, but long enough", INPUT, image=image)


def test_a_run_that_fails_is_refused(image: Path, obedient: Any) -> None:
    with pytest.raises(ArtifactRejected, match="the runtime returned 7"):
        count_instructions(obedient(obedient.FAIL), INPUT, image=image)


def test_a_run_that_crashes_is_refused_with_the_place(image: Path, obedient: Any) -> None:
    with pytest.raises(ArtifactRejected, match="faulted at 0x402"):
        count_instructions(obedient(obedient.CRASH), INPUT, image=image)


def test_an_input_of_the_wrong_size_and_an_arena_beyond_the_machine_are_refused(image: Path, obedient: Any) -> None:
    with pytest.raises(ArtifactRejected, match="wants 17 bytes of input"):
        count_instructions(obedient(inputs=17), INPUT, image=image)
    with pytest.raises(ArtifactRejected, match="an arena of 1073741824"):
        count_instructions(obedient(arena=1 << 30), INPUT, image=image)


def test_an_artifact_beyond_the_machine_does_not_fit(image: Path) -> None:
    with pytest.raises(DoesNotFit, match="the emulated Cortex-A53 allows"):
        count_instructions(bytes(300 * 1024 * 1024), INPUT, image=image)


def test_a_run_that_never_ends_is_stopped_at_the_limit(image: Path, obedient: Any) -> None:
    started = time.monotonic()
    with pytest.raises(HarnessError, match=r"not done after 0\.5 s"):
        count_instructions(obedient(obedient.HANG), INPUT, image=image, timeout_s=0.5)
    assert time.monotonic() - started < 3


def test_a_missing_image_and_a_missing_qemu_are_named(
    image: Path, tmp_path: Path, obedient: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no-image does not exist; build it"):
        count_instructions(obedient(), INPUT, image=tmp_path / "no-image")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt install qemu-system-arm"):
        count_instructions(obedient(), INPUT, image=image)
